//! Mistakes on the command line.

use expect_test::{Expect, expect};

use super::check::{check, check_call};
use crate::support::run::Project;

#[test]
fn a_folder_without_a_dockerfile() {
    let project = Project::new();
    check(
        &project,
        &["-t", "app", "."],
        1,
        &expect![[r#"
        error: there is no Dockerfile in `.`
        hint: write one, or name another file with `-f FILE`
    "#]],
    );
    check(
        &project,
        &["-t", "app", "-f", "Other", "."],
        1,
        &expect![[r#"
        error: cannot read the Dockerfile: cannot open `Other`: no such file or directory
        hint: name the file with `-f FILE`
    "#]],
    );
    check(
        &project,
        &["-t", "app", "nowhere"],
        1,
        &expect![[r#"
        error: there is no folder `nowhere`
        hint: name the folder that COPY copies from
    "#]],
    );
}

#[track_caller]
fn check_lines(project: &Project, cases: &[(&str, &Expect)]) {
    for (line, expected) in cases {
        check(project, &line.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>(), 2, expected);
    }
}

#[test]
fn command_lines_that_are_wrong() {
    let cases: &[(&str, &Expect)] = &[
        (
            "",
            &expect![[r#"
            error: the folder to build from is missing
            hint: write `rbuild [OPTIONS] PATH`, for example `rbuild -t app .`
        "#]],
        ),
        (
            "--bogus .",
            &expect![[r#"
            error: there is no option `--bogus`
            hint: `rbuild --help` tells all of them
        "#]],
        ),
        (
            "--tga app .",
            &expect![[r#"
            error: there is no option `--tga`
            hint: did you mean `--target`?
        "#]],
        ),
        (
            "a b",
            &expect![[r#"
            error: `b` is one argument too many
            hint: commands and their options come first: `rbuild [build] [OPTIONS] PATH` takes one folder
        "#]],
        ),
        (
            ". -t",
            &expect![[r#"
            error: `--tag` needs a value
        "#]],
        ),
        (
            "--progress loud .",
            &expect![[r#"
                error: `loud` is not a value of `--progress`
                hint: it may be one of: auto, tty, plain, rawjson, quiet
            "#]],
        ),
        (
            "--network bridge .",
            &expect![[r#"
            error: `bridge` is not a network
            hint: it may be `default`, `host` or `none`
        "#]],
        ),
        (
            "-t App .",
            &expect![[r#"
                error: `App` is not an image reference: its repository name must be lower case
                hint: write `-t app`
            "#]],
        ),
        (
            "--push .",
            &expect![[r#"
            error: pushing needs a name
            hint: name the image with `-t REGISTRY/NAME:TAG`
        "#]],
        ),
    ];
    check_lines(&Project::with("//- Dockerfile\nFROM scratch\n"), cases);
}

#[test]
fn outputs_platforms_and_contexts_that_are_wrong() {
    let project = Project::with("//- Dockerfile\nFROM scratch\n");
    let cases: &[(&str, &Expect)] = &[
        (
            "-o type=wim,dest=x .",
            &expect![[r#"
            error: `wim` is not a type of output
            hint: the types are docker, oci, image, registry and cacheonly
        "#]],
        ),
        (
            "-o dest=x .",
            &expect![[r#"
            error: `-o dest=x` has no type
            hint: write `-o type=docker,dest=FILE`
        "#]],
        ),
        (
            "-o type=oci .",
            &expect![[r#"
            error: `-o type=oci` does not say where to
            hint: add `dest=FILE`
        "#]],
        ),
        (
            "-o type=oci,dest .",
            &expect![[r#"
            error: `dest` in `-o type=oci,dest` has no value
            hint: write `KEY=VALUE`
        "#]],
        ),
        (
            "-o type=oci,dest=x,level=3 .",
            &expect![[r#"
            error: the output attribute `level` in `-o type=oci,dest=x,level=3` is not supported by this version of rbuild
        "#]],
        ),
        (
            "--build-arg =x .",
            &expect![[r#"
            error: a build argument has no name
            hint: write `--build-arg NAME=VALUE`
        "#]],
        ),
        (
            "--platform windows/amd64 .",
            &expect![[r#"
                error: building for windows/amd64 on this machine, which is [MACHINE], is not supported by this version of rbuild
            "#]],
        ),
        (
            "-t app http://example.com:99999/app.tar",
            &expect![[r#"
            error: `http://example.com:99999/app.tar` is not a URL that can be fetched: invalid port number
        "#]],
        ),
        (
            "-t app https://example.com/app.git?what=x",
            &expect![[r#"
            error: the query `what` of a git repository cannot be used: there is no such option
        "#]],
        ),
        (
            "--build-context src .",
            &expect![[r#"
            error: `src` is not a named context
            hint: write `--build-context NAME=FOLDER`, or a URL, `docker-image://NAME` or `oci-layout://FOLDER`
        "#]],
        ),
    ];
    check_lines(&project, cases);
    check_call(
        &project,
        project.rbuild(["."]).env("SOURCE_DATE_EPOCH", "now"),
        2,
        &expect![[r#"
            error: SOURCE_DATE_EPOCH is `now`, which is not a number of seconds since 1970
            hint: write the time of a commit, `git log -1 --format=%ct`, or `context` for that of a remote context
        "#]],
    );
    check(
        &project,
        &["inspect", "nothing"],
        1,
        &expect![[r#"
        error: there is no image `nothing` in the store
    "#]],
    );
    check(
        &project,
        &["rm", "nothing"],
        1,
        &expect![[r#"
        error: there is no image `nothing` in the store
    "#]],
    );
}
