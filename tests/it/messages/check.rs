//! Runs the program and compares what it says.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use expect_test::Expect;

use crate::support::run::{Call, Project, Ran};
use crate::support::{base, leaks};

/// Runs `rbuild ARGS`, which must fail with this status and say this and nothing else.
#[track_caller]
pub fn check(project: &Project, args: &[&str], status: i32, expected: &Expect) {
    check_call(project, project.rbuild(args), status, expected);
}

/// The same for a call that has been prepared.
#[track_caller]
pub fn check_call(project: &Project, call: Call<'_>, status: i32, expected: &Expect) {
    let ran = call.run().failure(status);
    assert_eq!(ran.stdout, "");
    expected.assert_eq(&shown(&ran));
    leaks::assert_none(project);
}

/// Standard error without what depends on this machine: pulls of the base image, whose size is that of this machine's
/// busybox, times of output, and the port of the registry.
pub fn shown(ran: &Ran) -> String {
    let stderr = ran.stderr.replace(&base::registry().host(), "[REGISTRY]");
    let stderr = stderr.replace(&machine(), "[MACHINE]");
    let lines = stderr.lines().filter(|line| !line.starts_with("pull busybox:latest"));
    lines.map(|line| without_time(line) + "\n").collect()
}

/// `#1 0.012 text` has the time of a line of output, which ends in no unit.
fn without_time(line: &str) -> String {
    let mut words = line.splitn(3, ' ');
    match (words.next(), words.next(), words.next()) {
        (Some(step), Some(time), Some(text)) if step.starts_with('#') && time.parse::<f64>().is_ok() => {
            format!("{step} [ELAPSED] {text}")
        }
        _ => line.to_owned(),
    }
}

/// rbuild as the owner of all files, but without the right to read and write what their modes forbid.
pub fn bound_by_modes<'a>(project: &'a Project, args: &[&str]) -> Call<'a> {
    let rights = "-dac_override,-dac_read_search";
    let start = ["--bounding-set", rights, "--inh-caps", rights, env!("CARGO_BIN_EXE_rbuild")];
    project.program("setpriv", start.iter().chain(args))
}

/// Sets the mode of a file or folder.
pub fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// This machine's platform, as the program shows it.
fn machine() -> String {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("linux/{architecture}")
}
