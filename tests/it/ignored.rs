//! Which file says what is left out of the context.

use std::fs;

use expect_test::expect;

use crate::support::image::Image;
use crate::support::run::Project;

/// What the build of a Dockerfile that copies everything brings; the ignore files themselves are not counted.
#[track_caller]
fn copied(project: &Project, args: &[&str]) -> Vec<String> {
    let archive = project.root().join("out.tar").display().to_string();
    project.rbuild(args.iter().copied().chain(["-o", &archive])).run().success();
    let dump = Image::open(&project.root().join("out.tar")).unwrap().rootfs().unwrap().dump();
    let paths = dump.lines().filter(|line| !line.starts_with('d')).filter_map(|line| line.split(' ').nth(6));
    paths.filter(|path| path.len() == 2).map(str::to_owned).collect()
}

fn project() -> Project {
    Project::with("//- Dockerfile\nFROM scratch\nCOPY . /\n//- a\n//- b\n//- c\n//- d\n//- e\n")
}

#[test]
fn one_ignore_file_counts_the_named_one_then_the_dockerfiles_own_then_the_contexts() {
    let project = project();
    assert_eq!(copied(&project, &["."]), ["/a", "/b", "/c", "/d", "/e"]);
    // Each hides one file more than those before it, and itself wins over them.
    for (name, left) in [
        (".dockerignore", ["/b", "/c", "/d", "/e"]),
        (".containerignore", ["/a", "/c", "/d", "/e"]),
        ("Dockerfile.containerignore", ["/a", "/b", "/d", "/e"]),
        ("Dockerfile.dockerignore", ["/a", "/b", "/c", "/e"]),
    ] {
        let hidden = ["/a", "/b", "/c", "/d", "/e"].into_iter().find(|path| !left.contains(path)).unwrap();
        fs::write(project.context().join(name), hidden).unwrap();
        assert_eq!(copied(&project, &["."]), left, "{name}");
    }
    fs::write(project.root().join("rules"), "e\n").unwrap();
    let rules = project.root().join("rules").display().to_string();
    assert_eq!(copied(&project, &["--ignorefile", &rules, "."]), ["/a", "/b", "/c", "/d"]);
    // As with buildah, a relative name is seen from the working folder, not from the context.
    fs::create_dir(project.context().join("sub")).unwrap();
    fs::write(project.context().join("sub/rules"), "b\n").unwrap();
    assert_eq!(copied(&project, &["--ignorefile", "sub/rules", "."]), ["/a", "/c", "/d", "/e"]);
}

#[test]
fn named_contexts_have_ignore_files_of_their_own_whatever_the_main_one_has() {
    let project = Project::with(
        "//- Dockerfile\nFROM scratch\nCOPY --from=more . /\n//- more/a\n//- more/b\n//- more/.containerignore\na\n//- rules\nb\n",
    );
    assert_eq!(copied(&project, &["--ignorefile=rules", "--build-context=more=more", "."]), ["/b"]);
}

#[test]
fn what_speaks_of_the_ignore_file_names_the_one_that_counts() {
    let project =
        Project::with("//- Dockerfile\nFROM scratch\nCOPY a /\n//- a\n//- .containerignore\n\na\n//- rules\na\n");
    for (args, file) in
        [(&["."][..], "line 2 of `.containerignore`"), (&["--ignorefile=rules", "."], "line 1 of `rules`")]
    {
        let told = format!("{file} leaves it out of the context");
        let checked = project.rbuild(["--check"].iter().chain(args)).run().failure(1);
        assert!(checked.stdout.contains(&format!("COPY names `a`, but {told}")), "{}", checked.stdout);
        let built = project.rbuild(args).run().failure(1);
        assert!(built.stderr.contains(&format!("cannot find `a`: {told}")), "{}", built.stderr);
    }
    fs::write(project.context().join("rules"), "a\n[\n").unwrap();
    let ran = project.rbuild(["--ignorefile=rules", "."]).run().failure(1);
    expect![[r#"
        #1 [1/1] COPY a /
        #1 FAILED [ELAPSED]
        error[copy-failed]: cannot read `rules`: line 2: `[` is not a pattern: a `[` is not closed
         --> Dockerfile:2:1
          |
        2 | COPY a /
          | ^^^^^^^^ this cannot be copied
    "#]]
    .assert_eq(&ran.stderr);
}

#[test]
fn an_ignore_file_that_is_named_must_be_there_and_mean_something() {
    let project = project();
    fs::write(project.context().join("rules"), "a\n").unwrap();
    for (args, status, expected) in [
        (
            &["--ignorefile=rulse", "."][..],
            1,
            expect![[r#"
                error: cannot read the ignore file: cannot open `rulse`: no such file or directory
                hint: did you mean `--ignorefile rules`?
            "#]],
        ),
        (
            &["--ignorefile=..", "."],
            1,
            expect![[r#"
                error: cannot read the ignore file: `..` is a folder
                hint: name the file as seen from the working folder, or leave `--ignorefile` out
            "#]],
        ),
        (
            &["--ignorefile=rules", "-"],
            2,
            expect![[r#"
                error: `--ignorefile` has no effect on `-`, which is no folder of this machine
                hint: leave it out: what comes from elsewhere is used whole
            "#]],
        ),
    ] {
        let ran = project.rbuild(args).stdin("FROM scratch\n").run().failure(status);
        expected.assert_eq(&ran.stderr);
    }
}
