//! Outputs that cannot be written, or must not be replaced.

use std::fs;

use expect_test::expect;

use super::check::{bound_by_modes, check, check_call, set_mode};
use crate::support::run::Project;

#[test]
fn a_folder_that_the_output_cannot_be_written_to() {
    let project = Project::with("//- Dockerfile\nFROM scratch\nCOPY Dockerfile /\n");
    set_mode(&project.context(), 0o555);
    check_call(
        &project,
        bound_by_modes(&project, &["-t", "app", "."]),
        5,
        &expect![[r#"
        error: cannot write to the folder `[ROOT]/context`: permission denied
        hint: write the image elsewhere with `-o FILE.tar`, or keep it in the store with `-o type=image`
    "#]],
    );
    check(
        &project,
        &["-o", "nowhere/app.tar", "."],
        5,
        &expect![[r#"
        error: cannot resolve the folder `nowhere`: no such file or directory
    "#]],
    );
    check(
        &project,
        &["-o", "type=docker,dest=/dev/null", "."],
        5,
        &expect![[r#"
        error: cannot write the image to `/dev/null`: it is not a regular file; use `dest=-` and redirect standard output
    "#]],
    );
}

#[test]
fn an_output_that_is_not_ours_is_left_alone_byte_for_byte() {
    let project = Project::with("//- Dockerfile\nFROM scratch\nCOPY a /\n//- a\n//- app.tar\nmine\n");
    let file = project.context().join("app.tar");
    check(
        &project,
        &["-t", "app", "."],
        5,
        &expect![[r#"
        error: `[ROOT]/context/app.tar` is not replaced: rbuild did not write it, or it was changed since
        hint: remove it, replace it with `-o app.tar`, or write elsewhere with `-o FILE.tar`
    "#]],
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine\n");
    // Ours is replaced, until somebody has changed it.
    fs::remove_file(&file).unwrap();
    project.rbuild(["-t", "app", "."]).run().success();
    project.write("//- a\nchanged\n");
    project.rbuild(["-t", "app", "."]).run().success();
    let mut changed = fs::read(&file).unwrap();
    changed[0] ^= 1;
    fs::write(&file, &changed).unwrap();
    let ran = project.rbuild(["-t", "app", "."]).run().failure(5);
    assert!(ran.stderr.contains("app.tar` is not replaced: rbuild did not write it"), "{}", ran.stderr);
    assert!(fs::read(&file).unwrap() == changed);
    fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink("a", &file).unwrap();
    check(
        &project,
        &["-t", "app", "."],
        5,
        &expect![[r#"
        error: cannot write the image to `[ROOT]/context/app.tar`: it is a symlink, which is never replaced; name a file
    "#]],
    );
}

#[test]
fn an_output_of_our_own_is_left_out_and_cannot_be_copied() {
    let project = Project::with("//- Dockerfile\nFROM scratch\nCOPY . /\n//- a\n");
    project.rbuild(["-t", "app", "."]).run().success();
    project.write("//- b\n");
    let ran = project.rbuild(["-t", "app", "."]).run().success();
    let notes: Vec<&str> = ran.stderr.lines().filter(|line| line.starts_with("note: ")).collect();
    assert_eq!(notes, ["note: `app.tar` was written by rbuild and is left out of the context"]);
    project.write("//- Dockerfile\nFROM scratch\nCOPY a app.tar /\n");
    check(
        &project,
        &["-t", "app", "."],
        1,
        &expect![[r#"
            #1 [1/1] COPY a app.tar /
            note: `app.tar` was written by rbuild and is left out of the context
            #1 FAILED [ELAPSED]
            error[copy-failed]: cannot find `app.tar`: it is the output of an earlier build, which is left out of the context
             --> Dockerfile:2:8
              |
            2 | COPY a app.tar /
              |        ^^^^^^^ this cannot be copied
              |
              = help: write the output elsewhere with `-o FILE.tar`, or give this file another name
        "#]],
    );
}
