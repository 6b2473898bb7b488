//! Little room, closed streams, and more output than anybody reads.

use crate::support::run::{Call, Project};
use crate::support::validate::{Rules, validate};
use crate::support::{base, leaks};

const APP: &str = "
    //- Dockerfile
    FROM busybox
    RUN echo a >/a
    COPY . /app
    //- f
    f
";

/// rbuild under a shell, as `$0`.
fn under_shell<'a>(project: &'a Project, script: &str) -> Call<'a> {
    project.program("/bin/sh", ["-c", script, env!("CARGO_BIN_EXE_rbuild")])
}

#[test]
fn it_works_with_64_file_descriptors() {
    let project = base::project(APP);
    for folder in 0..100 {
        project.write(&format!("//- d{folder}/a/b/c/file\n{folder}\n//- d{folder}/other\n"));
    }
    project.write("//- Dockerfile\nFROM busybox\nRUN echo a >/a\nRUN cat /a\nCOPY . /app\nCOPY --from=busybox / /bb/\nRUN cat /app/d7/other\n");
    under_shell(&project, "ulimit -n 64; exec \"$0\" -t app .").run().success();
    validate(&project.context().join("app.tar"), Rules { base_layers: 1, fixed_times: true });
    leaks::assert_none(&project);
}

#[test]
fn streams_that_take_nothing_are_an_error_and_no_panic() {
    let project = base::project(APP);
    let script = "\"$0\" . 2>/dev/full; echo $?; \"$0\" -q . >/dev/full; echo $?; \
                  \"$0\" -o type=docker,dest=- . >/dev/full; echo $?; \"$0\" images >/dev/full; echo $?";
    let ran = under_shell(&project, script).run().success();
    let statuses: Vec<&str> = ran.stdout.lines().filter(|line| line.parse::<i32>().is_ok()).collect();
    assert_eq!(statuses, ["5", "5", "5", "5"], "{}{}", ran.stdout, ran.stderr);
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
    leaks::assert_none(&project);
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    let project = base::project(APP);
    project.rbuild(["-t", "app", "."]).run().success();
    for args in ["images", "inspect app", "du", "--help", "-q .", "-o type=docker,dest=- .", "--progress=plain ."] {
        let script = format!("{{ \"$0\" {args} 2>&1 3>&1; echo $? >&2; }} | :");
        let ran = under_shell(&project, &script).run().success();
        assert!(!ran.stderr.contains("101") && !ran.stderr.contains("panicked"), "{args}: {}", ran.stderr);
    }
    leaks::assert_none(&project);
}

#[test]
fn it_works_without_standard_streams() {
    let project = base::project(APP);
    let ran = under_shell(&project, "\"$0\" -t app . <&-; echo $?").run().success();
    assert_eq!(ran.stdout, "0\n", "{}", ran.stderr);
    let ran = under_shell(&project, "\"$0\" --no-cache -t app . <&- >&- 2>&-; echo $?").run().success();
    // What cannot be told may be an error, but what was written is right.
    assert!(["0\n", "5\n"].contains(&ran.stdout.as_str()), "{}", ran.stdout);
    validate(&project.context().join("app.tar"), Rules { base_layers: 1, fixed_times: true });
    leaks::assert_none(&project);
}

#[test]
fn ten_megabytes_of_output_are_not_ten_megabytes_of_log() {
    let project = base::project("//- Dockerfile\nFROM busybox\nRUN yes 0123456789 | head -c 10000000; echo the end\n");
    let ran = project.rbuild(["."]).run().success();
    assert!(ran.stderr.len() < 3 << 20, "{} bytes of log", ran.stderr.len());
    // One line without an end.
    project.write("//- Dockerfile\nFROM busybox\nRUN head -c 10000000 /dev/zero | tr '\\\\0' x; exit 3\n");
    let ran = project.rbuild(["-q", "."]).run().failure(3);
    assert!(ran.stderr.len() < 2 << 20, "{} bytes of log", ran.stderr.len());
}
