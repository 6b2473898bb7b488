//! What a check says about lines that do something else than they seem to.

use expect_test::{Expect, expect};

use crate::support::run::Project;
use crate::support::{base, leaks};

/// Runs `rbuild ARGS`, which must end with this status and print this.
#[track_caller]
fn told(project: &Project, args: &[&str], status: i32, expected: &Expect) {
    let ran = project.rbuild(args).run();
    assert_eq!(ran.status.code(), Some(status), "{}{}", ran.stdout, ran.stderr);
    expected.assert_eq(&ran.stdout);
    leaks::assert_none(project);
}

#[test]
fn an_unset_variable_is_empty_or_has_its_default() {
    let project = Project::with(
        r#"
        //- Dockerfile
        FROM scratch
        ENV a=${one:-x} b=${two-} c=${three:+x}
        "#,
    );
    told(
        &project,
        &["--check", "."],
        1,
        &expect![[r#"
        Check complete, 3 warnings have been found!

        warning[UndefinedVar]: the variable `one` is not defined here
         --> Dockerfile:2:7
          |
        2 | ENV a=${one:-x} b=${two-} c=${three:+x}
          |       ^^^^^ the default behind it is used
          |
          = note: https://docs.docker.com/go/dockerfile/rule/undefined-var/

        warning[UndefinedVar]: the variable `two` is not defined here
         --> Dockerfile:2:19
          |
        2 | ENV a=${one:-x} b=${two-} c=${three:+x}
          |                   ^^^^^ the default behind it is used
          |
          = note: https://docs.docker.com/go/dockerfile/rule/undefined-var/

        warning[UndefinedVar]: the variable `three` is not defined here
         --> Dockerfile:2:29
          |
        2 | ENV a=${one:-x} b=${two-} c=${three:+x}
          |                             ^^^^^^^ its value is empty
          |
          = note: https://docs.docker.com/go/dockerfile/rule/undefined-var/
    "#]],
    );
}

#[test]
fn a_front_end_that_is_not_run_is_told() {
    let project = Project::with("//- Dockerfile\n# syntax=example.org/front/end:1\nFROM scratch\n");
    told(
        &project,
        &["--check", "."],
        1,
        &expect![[r#"
        Check complete, 1 warning has been found!

        warning[ForeignFrontEnd]: the front end `example.org/front/end` is not run
         --> Dockerfile:1:10
          |
        1 | # syntax=example.org/front/end:1
          |          ^^^^^^^^^^^^^^^^^^^^^^^ the file is read as a Dockerfile
    "#]],
    );
}

#[test]
fn a_front_end_that_is_not_run_is_told_after_a_build_too() {
    let project = Project::with("//- Dockerfile\n# syntax=example.org/front/end:1\nFROM scratch\n");
    let ran = project.rbuild(["."]).run().success();
    assert!(ran.stderr.contains("warning[ForeignFrontEnd]"), "{}", ran.stderr);
}

#[test]
fn an_image_called_like_a_stage_further_down_is_explained() {
    let project = base::project("//- Dockerfile\nFROM later AS first\nFROM first AS later\n");
    let ran = project.rbuild(["."]).run().failure(3);
    let said = "note: the stage `later` begins below, so this is taken for an image";
    assert!(ran.stderr.contains(said) && !ran.stderr.contains("did you mean"), "{}", ran.stderr);
}

#[test]
fn a_shell_that_the_image_lacks_is_told_as_what_it_is() {
    let project = base::project("//- Dockerfile\nFROM scratch\n");
    for (instruction, said) in [
        ("RUN echo hi", "help: the image does not have this shell"),
        ("RUN <<end\necho hi\nend", "help: the image does not have this shell"),
        ("RUN --network=none [\"/sh\", \"-c\", \"x\"]", "help: the exec form runs a program without a shell"),
    ] {
        project.write(&format!("//- Dockerfile\nFROM scratch\n{instruction}\n"));
        let ran = project.rbuild(["."]).run().failure(127);
        assert!(ran.stderr.contains(said), "{instruction}: {}", ran.stderr);
    }
}

#[test]
fn words_that_are_no_paths_are_told_as_what_they_were_meant_to_be() {
    for (line, advice) in [
        ("COPY \u{2013}from=one a /b", "flags begin with two plain dashes: write `--from=one`"),
        ("COPY a /app/ # what is run", "a comment cannot follow an instruction: put it on a line of its own"),
    ] {
        let project = Project::with(&format!("//- Dockerfile\nFROM scratch AS one\nFROM scratch\n{line}\n//- a\n"));
        let checked = project.rbuild(["--check", "."]).run().failure(1);
        assert!(checked.stdout.contains(advice), "{}", checked.stdout);
        let built = project.rbuild(["."]).run().failure(1);
        assert!(built.stderr.contains("error[copy-failed]") && built.stderr.contains(advice), "{}", built.stderr);
        leaks::assert_none(&project);
    }
}
