//! Mistakes in a Dockerfile and its context, and commands that fail.

use expect_test::expect;

use super::check::check;
use crate::support::base;
use crate::support::registry::Registry;
use crate::support::run::Project;

#[test]
fn the_tutorials_three_mistakes_are_one_report_before_anything_is_pulled() {
    let registry = Registry::start();
    let project = Project::with(
        r#"
        //- Dockerfile
        FROM python:3.8
        WORKDIR /app
        RUN pip install -r requirements.txt
        COPY requirements.txt.
        COPY..
        EXPOSE 8000
        CMD ["python","app.py"]
        //- requirements.txt
        flask
        //- app.py
        print("hello")
        "#,
    );
    project.write_registries_conf(&registry.mirror_of_docker_hub());
    check(
        &project,
        &["-t", "app", "."],
        1,
        &expect![[r#"
        warning[RunBeforeCopy]: `requirements.txt` is in the context but nothing has copied it yet
         --> Dockerfile:3:1
          |
        3 | RUN pip install -r requirements.txt
          | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ not copied yet
          |
          = help: copy it first: `COPY requirements.txt .` above this line

        error[missing-destination]: COPY needs a source and a destination
         --> Dockerfile:4:1
          |
        4 | COPY requirements.txt.
          | ^^^^^^^^^^^^^^^^^^^^^^ the `.` at the end belongs to the name
          |
        help: put a space before the `.`: `COPY requirements.txt .`
          |
        4 | COPY requirements.txt .
          |                      +

        error[unknown-instruction]: `COPY..` is not an instruction
         --> Dockerfile:5:1
          |
        5 | COPY..
          | ^^^^^^ a space is missing after `COPY`
          |
        help: write `COPY . .`
          |
        5 - COPY..
        5 + COPY . .
          |
    "#]],
    );
    assert!(!registry.log().contains("GET"), "{}", registry.log());
}

#[test]
fn a_command_that_fails_for_lack_of_a_copy_says_so() {
    let project = base::project(
        "
        //- Dockerfile
        FROM busybox
        WORKDIR /app
        RUN cat requirements.txt
        COPY requirements.txt .
        COPY . .
        //- requirements.txt
        flask
        ",
    );
    check(
        &project,
        &["-t", "app", "."],
        1,
        &expect![[r#"
        #1 [2/5] WORKDIR /app
        #1 DONE [ELAPSED]
        #2 [3/5] RUN cat requirements.txt
        #2 [ELAPSED] cat: can't open 'requirements.txt': No such file or directory
        #2 FAILED [ELAPSED]
        error[command-failed]: the command ended with status 1
         --> Dockerfile:3:1
          |
        3 | RUN cat requirements.txt
          | ^^^^^^^^^^^^^^^^^^^^^^^^ this command failed
          |
          = note: `requirements.txt` is in the context but nothing has copied it yet
          = help: copy it first: `COPY requirements.txt .` above this line
    "#]],
    );
}

#[test]
fn an_empty_dockerfile() {
    check(
        &Project::with("//- Dockerfile\n"),
        &["."],
        1,
        &expect![[r#"
        error[no-instructions]: the file has no instructions
        --> Dockerfile:1
         = help: a Dockerfile begins with `FROM`, for example `FROM alpine`
    "#]],
    );
}

#[test]
fn a_missing_source_is_told_with_the_nearest_name() {
    let project = Project::with("//- Dockerfile\nFROM scratch\nCOPY app.pyy data/ /app/\n//- app.py\n//- data/x\n");
    check(
        &project,
        &["."],
        1,
        &expect![[r#"
        #1 [1/1] COPY app.pyy data/ /app/
        #1 FAILED [ELAPSED]
        error[copy-failed]: cannot find `app.pyy`
         --> Dockerfile:2:6
          |
        2 | COPY app.pyy data/ /app/
          |      ^^^^^^^ this cannot be copied
          |
          = help: did you mean `app.py`?
    "#]],
    );
}

#[test]
fn an_ignored_source_is_told_with_the_line_that_hides_it() {
    let project =
        Project::with("//- Dockerfile\nFROM scratch\nCOPY app.py /\n//- app.py\n//- .dockerignore\n# sources\n*.py\n");
    check(
        &project,
        &["."],
        1,
        &expect![[r#"
        #1 [1/1] COPY app.py /
        #1 FAILED [ELAPSED]
        error[copy-failed]: cannot find `app.py`: line 2 of `.dockerignore` leaves it out of the context
         --> Dockerfile:2:6
          |
        2 | COPY app.py /
          |      ^^^^^^ this cannot be copied
          |
          = help: change that line, or add an exception below it, a line that begins with `!`
    "#]],
    );
}

#[test]
fn a_source_that_another_stage_does_not_have() {
    let project = Project::with(
        "//- Dockerfile\nFROM scratch AS one\nCOPY a /dir/a\nFROM scratch\nCOPY --from=one /dir/b /\n//- a\n",
    );
    check(
        &project,
        &["."],
        1,
        &expect![[r#"
        #1 [one 1/1] COPY a /dir/a
        #1 DONE [ELAPSED]
        #2 [stage-1 1/1] COPY --from=one /dir/b /
        #2 FAILED [ELAPSED]
        error[copy-failed]: cannot find `/dir/b`
         --> Dockerfile:4:17
          |
        4 | COPY --from=one /dir/b /
          |                 ^^^^^^ this cannot be copied
    "#]],
    );
}

#[test]
fn a_command_that_fails_gives_its_status_and_its_output_once() {
    let project = base::project("//- Dockerfile\nFROM busybox\nRUN echo one; echo two; exit 7\n");
    check(
        &project,
        &["-t", "app", "."],
        7,
        &expect![[r#"
            #1 [2/2] RUN echo one; echo two; exit 7
            #1 [ELAPSED] one
            #1 [ELAPSED] two
            #1 FAILED [ELAPSED]
            error[command-failed]: the command ended with status 7
             --> Dockerfile:2:1
              |
            2 | RUN echo one; echo two; exit 7
              | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ this command failed
        "#]],
    );
    check(
        &project,
        &["-q", "-t", "app", "."],
        7,
        &expect![[r#"
            ------
            output of [2/2] RUN echo one; echo two; exit 7:
            one
            two
            ------
            error[command-failed]: the command ended with status 7
             --> Dockerfile:2:1
              |
            2 | RUN echo one; echo two; exit 7
              | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ this command failed
        "#]],
    );
    assert!(!project.context().join("app.tar").exists());
}

#[test]
fn a_program_that_is_not_in_the_image() {
    let project = base::project("//- Dockerfile\nFROM busybox\nRUN pyhton app.py\n");
    check(
        &project,
        &["."],
        127,
        &expect![[r#"
        #1 [2/2] RUN pyhton app.py
        #1 [ELAPSED] /bin/sh: pyhton: not found
        #1 FAILED [ELAPSED]
        error[command-failed]: the command ended with status 127
         --> Dockerfile:2:1
          |
        2 | RUN pyhton app.py
          | ^^^^^^^^^^^^^^^^^ this command failed
          |
          = help: status 127 usually means that a program was not found: is it in the image?
    "#]],
    );
    project.write("//- Dockerfile\nFROM busybox\nRUN [\"pyhton\", \"app.py\"]\n");
    check(
        &project,
        &["."],
        127,
        &expect![[r##"
        #1 [2/2] RUN ["pyhton", "app.py"]
        #1 FAILED [ELAPSED]
        error[command-failed]: cannot run `pyhton`: no such file or directory
         --> Dockerfile:2:1
          |
        2 | RUN ["pyhton", "app.py"]
          | ^^^^^^^^^^^^^^^^^^^^^^^^ this command failed
          |
          = help: the exec form runs a program without a shell: is it in the image, and are its interpreter and libraries?
    "##]],
    );
    project.write("//- Dockerfile\nFROM busybox\nRUN [\"/etc/passwd\"]\n");
    check(
        &project,
        &["."],
        126,
        &expect![[r##"
        #1 [2/2] RUN ["/etc/passwd"]
        #1 FAILED [ELAPSED]
        error[command-failed]: cannot run `/etc/passwd`: permission denied
         --> Dockerfile:2:1
          |
        2 | RUN ["/etc/passwd"]
          | ^^^^^^^^^^^^^^^^^^^ this command failed
          |
          = help: is it an executable file for this machine? `RUN chmod +x FILE` makes a script executable
    "##]],
    );
}

#[test]
fn a_command_that_is_killed() {
    let project = base::project("//- Dockerfile\nFROM busybox\nRUN kill -9 $$\n");
    check(
        &project,
        &["."],
        137,
        &expect![[r#"
        #1 [2/2] RUN kill -9 $$
        #1 FAILED [ELAPSED]
        error[command-failed]: the command was killed by signal 9
         --> Dockerfile:2:1
          |
        2 | RUN kill -9 $$
          | ^^^^^^^^^^^^^^ this command failed
    "#]],
    );
}

#[test]
fn a_user_that_the_image_does_not_have() {
    let project = base::project("//- Dockerfile\nFROM busybox\nUSER app\nRUN true\n");
    check(
        &project,
        &["."],
        1,
        &expect![[r#"
        #1 [2/2] RUN true
        #1 FAILED [ELAPSED]
        error[step-failed]: user `app` is not in the image's /etc/passwd
         --> Dockerfile:3:1
          |
        3 | RUN true
          | ^^^^^^^^ this failed
          |
          = help: make the user with a RUN before, or give its number to USER
    "#]],
    );
}

#[test]
fn instructions_that_do_not_exist() {
    let project = Project::with("//- Dockerfile\nFROM scratch\nCOPPY a b\nINSTALL curl\nrun: make\n");
    check(
        &project,
        &["."],
        1,
        &expect![[r#"
            error[unknown-instruction]: `COPPY` is not an instruction
             --> Dockerfile:2:1
              |
            2 | COPPY a b
              | ^^^^^ unknown
              |
            help: did you mean `COPY`?
              |
            2 - COPPY a b
            2 + COPY a b
              |

            error[unknown-instruction]: `INSTALL` is not an instruction
             --> Dockerfile:3:1
              |
            3 | INSTALL curl
              | ^^^^^^^ an instruction is expected here
              |
              = note: the instructions are ADD, ARG, CMD, COPY, ENTRYPOINT, ENV, EXPOSE, FROM, HEALTHCHECK, LABEL, ONBUILD, RUN, SHELL, STOPSIGNAL, USER, VOLUME and WORKDIR; a line that belongs to the instruction before it needs a `\` at the end of the line before

            error[unknown-instruction]: `run:` is not an instruction
             --> Dockerfile:4:1
              |
            4 | run: make
              | ^^^^ there is no colon after an instruction
              |
            help: write `run make`
              |
            4 - run: make
            4 + run make
              |
        "#]],
    );
}

#[test]
fn a_target_that_does_not_exist() {
    let project = Project::with("//- Dockerfile\nFROM scratch AS build\nCOPY Dockerfile /\nFROM build AS test\n");
    check(
        &project,
        &["--target", "biuld", "."],
        1,
        &expect![[r#"
        error[unknown-target]: there is no stage called `biuld`, which `--target` asks for
         --> Dockerfile:3:1
          |
        3 | FROM build AS test
          | ^^^^^^^^^^^^^^^^^^
          |
          = help: did you mean `build`?
    "#]],
    );
}
