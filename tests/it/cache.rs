//! What is used again and what is done again, and the reason that is told for it.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::{Duration, SystemTime};

use expect_test::{Expect, expect};

use crate::support::run::Project;
use crate::support::steps::steps;
use crate::support::{base, leaks};

/// A Dockerfile as people write them.
const APP: &str = "
    //- Dockerfile
    FROM busybox
    WORKDIR /app
    COPY requirements.txt .
    RUN cat requirements.txt >installed
    COPY . .
    ARG MODE=fast
    ENV LEVEL=1
    RUN echo $MODE $LEVEL >/tmp/built
    //- .dockerignore
    Dockerfile
    //- requirements.txt
    flask
    //- app.py
    print(1)
    //- lib/one.py
    1
";

/// Builds, and compares what became of each step.
#[track_caller]
fn check(project: &Project, expected: &Expect) {
    check_with(project, &[], expected);
}

/// The same with flags.
#[track_caller]
fn check_with(project: &Project, flags: &[&str], expected: &Expect) {
    let ran = project.rbuild(flags.iter().chain(&["."])).run().success();
    expected.assert_eq(&news(&ran.stderr));
    leaks::assert_none(project);
}

/// The steps that were not cached, with their reasons, and how many were.
fn news(stderr: &str) -> String {
    let steps = steps(stderr);
    let (cached, others): (Vec<&str>, Vec<&str>) = steps.lines().partition(|line| line.ends_with(": cached"));
    let mut told: String = others.iter().map(|line| format!("{line}\n")).collect();
    told.push_str(&format!("{} cached\n", cached.len()));
    told
}

/// A project that was built once.
#[track_caller]
fn built(fixture: &str) -> Project {
    let project = base::project(fixture);
    project.rbuild(["."]).run().success();
    project
}

/// Puts other text in place of some of the Dockerfile's.
#[track_caller]
fn edit(project: &Project, from: &str, to: &str) {
    let path = project.context().join("Dockerfile");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from));
    fs::write(&path, text.replace(from, to)).unwrap();
}

#[test]
fn a_second_build_runs_nothing_and_asks_no_registry() {
    let project = built(APP);
    project.write_registries_conf("");
    check(&project, &expect!["5 cached\n"]);
}

#[test]
fn an_edited_file_runs_what_takes_it_and_says_which() {
    let project = built(APP);
    project.write("//- app.py\nprint(2)\n");
    check(
        &project,
        &expect![[r#"
        COPY . .: ran because 1 file changed: app.py
        RUN echo $MODE $LEVEL >/tmp/built: ran because COPY . . changed (1 file: app.py)
        3 cached
    "#]],
    );
    project.write("//- requirements.txt\nflask\nrequests\n");
    check(
        &project,
        &expect![[r#"
        COPY requirements.txt .: ran because 1 file changed: requirements.txt
        RUN cat requirements.txt >installed: ran because COPY requirements.txt . changed (1 file: requirements.txt)
        COPY . .: ran because 1 file changed: requirements.txt
        RUN echo $MODE $LEVEL >/tmp/built: ran because COPY requirements.txt . changed (1 file: requirements.txt)
        1 cached
    "#]],
    );
}

#[test]
fn a_step_that_changes_nothing_makes_no_later_one_run() {
    let project = built(APP);
    let path = project.context().join("Dockerfile");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("COPY . .\n", "RUN true\nCOPY . .\n")).unwrap();
    check(&project, &expect!["RUN true: ran because it was not built here before\n5 cached\n"]);
    fs::write(&path, text.replace("COPY . .\n", "RUN : && true\nCOPY . .\n")).unwrap();
    check(&project, &expect!["RUN : && true: ran because the instruction changed\n5 cached\n"]);
    fs::write(&path, text).unwrap();
    check(&project, &expect!["5 cached\n"]);
}

#[test]
fn files_that_come_and_go_are_told() {
    let project = built(APP);
    project.write("//- lib/two.py\n2\n");
    check(
        &project,
        &expect![[r#"
        COPY . .: ran because 1 file changed: +lib/two.py
        RUN echo $MODE $LEVEL >/tmp/built: ran because COPY . . changed (1 file: +lib/two.py)
        3 cached
    "#]],
    );
    fs::remove_file(project.context().join("lib/two.py")).unwrap();
    check(&project, &expect!["5 cached\n"]);
    fs::remove_file(project.context().join("lib/one.py")).unwrap();
    check(
        &project,
        &expect![[r#"
        COPY . .: ran because 1 file changed: -lib/one.py
        RUN echo $MODE $LEVEL >/tmp/built: ran because COPY . . changed (1 file: -lib/one.py)
        3 cached
    "#]],
    );
    fs::rename(project.context().join("app.py"), project.context().join("main.py")).unwrap();
    check(
        &project,
        &expect![[r#"
        COPY . .: ran because 2 files changed: +main.py, -app.py
        RUN echo $MODE $LEVEL >/tmp/built: ran because COPY . . changed (2 files: +main.py, -app.py)
        3 cached
    "#]],
    );
}

#[test]
fn a_mode_is_part_of_a_file_and_a_time_is_not() {
    let project = built(APP);
    let app = project.context().join("app.py");
    fs::set_permissions(&app, fs::Permissions::from_mode(0o755)).unwrap();
    check(
        &project,
        &expect![[r#"
        COPY . .: ran because 1 file changed: app.py
        RUN echo $MODE $LEVEL >/tmp/built: ran because COPY . . changed (1 file: app.py)
        3 cached
    "#]],
    );
    let file = File::options().write(true).open(&app).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(86_400)).unwrap();
    fs::write(project.context().join("requirements.txt"), "flask\n").unwrap();
    check(&project, &expect!["5 cached\n"]);
}

#[test]
fn a_file_that_is_replaced_with_the_same_size_and_time_is_seen() {
    let project = built(APP);
    let app = project.context().join("app.py");
    let before = fs::metadata(&app).unwrap();
    let other = project.root().join("other");
    fs::write(&other, "print(9)\n").unwrap();
    File::options().write(true).open(&other).unwrap().set_modified(before.modified().unwrap()).unwrap();
    fs::rename(&other, &app).unwrap();
    let after = fs::metadata(&app).unwrap();
    assert_eq!((before.len(), before.mtime_nsec()), (after.len(), after.mtime_nsec()));
    check(
        &project,
        &expect![[r#"
        COPY . .: ran because 1 file changed: app.py
        RUN echo $MODE $LEVEL >/tmp/built: ran because COPY . . changed (1 file: app.py)
        3 cached
    "#]],
    );
    // In place, with the time put back: the change time tells.
    fs::write(&app, "print(8)\n").unwrap();
    File::options().write(true).open(&app).unwrap().set_modified(before.modified().unwrap()).unwrap();
    check(
        &project,
        &expect![[r#"
        COPY . .: ran because 1 file changed: app.py
        RUN echo $MODE $LEVEL >/tmp/built: ran because COPY . . changed (1 file: app.py)
        3 cached
    "#]],
    );
}

#[test]
fn comments_white_space_and_settings_of_the_image_run_nothing() {
    let project = built(APP);
    edit(&project, "COPY . .", "# everything\n\nCOPY   .   .");
    check(&project, &expect!["5 cached\n"]);
    edit(&project, "WORKDIR /app", "LABEL a=b\nEXPOSE 80\nWORKDIR /app\nCMD [\"x\"]");
    check_with(&project, &["--label", "c=d", "-t", "name"], &expect!["5 cached\n"]);
}

#[test]
fn arguments_and_variables_run_what_sees_them() {
    let project = built(APP);
    check_with(
        &project,
        &["--build-arg", "MODE=slow"],
        &expect![[r#"
        RUN echo $MODE $LEVEL >/tmp/built: ran because build argument MODE changed
        4 cached
    "#]],
    );
    edit(&project, "LEVEL=1", "LEVEL=2");
    check_with(
        &project,
        &["--build-arg", "MODE=slow"],
        &expect![[r#"
        RUN echo $MODE $LEVEL >/tmp/built: ran because environment variable LEVEL changed
        4 cached
    "#]],
    );
    // Both were built before.
    edit(&project, "LEVEL=2", "LEVEL=1");
    check(&project, &expect!["5 cached\n"]);
    check_with(&project, &["--build-arg", "NOBODY=asks"], &expect!["5 cached\n"]);
}

#[test]
fn edited_instructions_and_flags_are_told() {
    let project = built(APP);
    edit(&project, "COPY . .", "COPY --chown=daemon . .");
    check(
        &project,
        &expect![[r#"
        COPY --chown=daemon . .: ran because --chown is now daemon
        RUN echo $MODE $LEVEL >/tmp/built: ran because COPY --chown=daemon . . ran again: --chown is now daemon
        3 cached
    "#]],
    );
    edit(&project, "COPY --chown=daemon . .", "COPY --chown=nobody --chmod=640 . .");
    check(
        &project,
        &expect![[r#"
        COPY --chown=nobody --chmod=640 . .: ran because --chmod is now 640
        RUN echo $MODE $LEVEL >/tmp/built: ran because COPY --chown=nobody --chmod=640 . . ran again: --chmod is now 640
        3 cached
    "#]],
    );
    edit(&project, "cat requirements.txt", "cat ./requirements.txt");
    check(
        &project,
        &expect![[r#"
        RUN cat ./requirements.txt >installed: ran because the instruction changed
        4 cached
    "#]],
    );
    edit(&project, "RUN echo", "USER daemon\nRUN echo");
    check(
        &project,
        &expect![[r#"
        RUN echo $MODE $LEVEL >/tmp/built: ran because the user is now daemon
        4 cached
    "#]],
    );
}

#[test]
fn a_command_that_makes_the_same_again_leaves_later_steps_cached() {
    let project = built(APP);
    edit(&project, "RUN cat requirements.txt >installed", "RUN cp requirements.txt installed");
    check(
        &project,
        &expect![[r#"
        RUN cp requirements.txt installed: ran because the instruction changed
        4 cached
    "#]],
    );
    project.write("//- requirements.txt\nrequests\n//- .dockerignore\nDockerfile\nrequirements.txt\n");
    edit(&project, "COPY requirements.txt .\nRUN cp requirements.txt installed", "RUN echo flask >installed");
    check(
        &project,
        &expect![[r#"
            RUN echo flask >installed: ran because it was not built here before
            COPY . .: ran because 2 files changed: .dockerignore, -requirements.txt
            RUN echo $MODE $LEVEL >/tmp/built: ran because RUN echo flask >installed was not built before
            1 cached
        "#]],
    );
}

#[test]
fn a_step_above_does_not_make_copies_anew() {
    let project = built(APP);
    edit(&project, "WORKDIR /app", "WORKDIR /app\nRUN echo 1 >/etc/unrelated");
    check(
        &project,
        &expect![[r#"
            RUN echo 1 >/etc/unrelated: ran because it was not built here before
            RUN cat requirements.txt >installed: ran because RUN echo 1 >/etc/unrelated was not built before
            RUN echo $MODE $LEVEL >/tmp/built: ran because RUN echo 1 >/etc/unrelated was not built before
            3 cached
        "#]],
    );
    // The owner's name is looked up in a file of the image.
    edit(&project, "COPY . .", "COPY --chown=daemon . .");
    project.rbuild(["."]).run().success();
    edit(&project, "echo 1 >/etc/unrelated", "echo 'x:x:5:5::/:' >>/etc/passwd");
    check(
        &project,
        &expect![[r#"
        RUN echo 'x:x:5:5::/:' >>/etc/passwd: ran because the instruction changed
        RUN cat requirements.txt >installed: ran because RUN echo 'x:x:5:5::/:' >>/etc/passwd is new or was edited
        COPY --chown=daemon . .: ran because /etc/passwd is different in the image below it
        RUN echo $MODE $LEVEL >/tmp/built: ran because RUN echo 'x:x:5:5::/:' >>/etc/passwd is new or was edited
        2 cached
    "#]],
    );
}

#[test]
fn a_stage_that_is_not_needed_is_not_built_and_an_edit_of_another_stage_runs_nothing() {
    let project = built(
        "
        //- Dockerfile
        FROM busybox AS one
        RUN echo 1 >/one
        FROM busybox AS unused
        RUN false
        FROM busybox
        COPY --from=one /one /
        RUN cat /one
        ",
    );
    edit(&project, "RUN false", "RUN exit 2");
    check(
        &project,
        &expect![[r#"
        3 cached
    "#]],
    );
    // The stage's file is the same, made another way.
    edit(&project, "RUN echo 1 >/one", "RUN echo 1 >/one && echo x >/other");
    check(
        &project,
        &expect![[r#"
        RUN echo 1 >/one && echo x >/other: ran because the instruction changed
        2 cached
    "#]],
    );
    edit(&project, "echo 1 >/one", "echo 2 >/one");
    check(
        &project,
        &expect![[r#"
        RUN echo 2 >/one && echo x >/other: ran because the instruction changed
        COPY --from=one /one /: ran because 1 file changed: one
        RUN cat /one: ran because COPY --from=one /one / changed (1 file: one)
        0 cached
    "#]],
    );
}

#[test]
fn a_moved_base_makes_no_copy_anew() {
    let project = base::project(
        "//- Dockerfile\nFROM busybox AS base\nRUN echo 1 >/v\n//- app/Dockerfile\nFROM mine\nCOPY a /\nRUN cat /v\n//- app/a\n",
    );
    let build_base = || project.rbuild(["-t", "mine", "-o", "type=image", "."]).run().success();
    let app = project.context().join("app");
    let build = || news(&project.rbuild(["."]).current_dir(&app).run().success().stderr);
    build_base();
    expect![[r#"
        COPY a /: ran
        RUN cat /v: ran
        0 cached
    "#]]
    .assert_eq(&build());
    edit(&project, "echo 1", "echo 2");
    build_base();
    expect![[r#"
        RUN cat /v: ran because the base image mine:latest changed
        1 cached
    "#]]
    .assert_eq(&build());
}

#[test]
fn no_cache_runs_everything_and_what_it_made_is_used_later() {
    let project = built(APP);
    check_with(
        &project,
        &["--no-cache"],
        &expect![[r#"
            WORKDIR /app: ran because the cache is off (`--no-cache`)
            COPY requirements.txt .: ran because the cache is off (`--no-cache`)
            RUN cat requirements.txt >installed: ran because the cache is off (`--no-cache`)
            COPY . .: ran because the cache is off (`--no-cache`)
            RUN echo $MODE $LEVEL >/tmp/built: ran because the cache is off (`--no-cache`)
            0 cached
        "#]],
    );
    check(&project, &expect!["5 cached\n"]);
}

#[test]
fn a_failed_step_is_not_remembered_and_what_ran_before_it_is() {
    let project = base::project("//- Dockerfile\nFROM busybox\nRUN echo a >/a\nRUN test -e /b\n");
    project.rbuild(["."]).run().failure(1);
    expect![[r#"
        RUN test -e /b: failed
        1 cached
    "#]]
    .assert_eq(&news(&project.rbuild(["."]).run().failure(1).stderr));
}
