//! Short versions of the torture scripts (tests/torture): kills, broken system calls, edits, crowds, power cuts.

use std::path::Path;

use crate::support::leaks;
use crate::support::run::{Project, Ran};
use crate::support::tools;

/// Runs a script of tests/torture against the program; it prints what it did and fails if anything was wrong.
#[track_caller]
fn check(script: &str, arguments: &[&str], expected: &str) {
    let project = Project::new();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/torture").join(script);
    for program in ["/usr/bin/python3", "/usr/bin/strace", "/usr/sbin/mkfs.ext4"] {
        tools::require(program);
    }
    let path = path.to_str().expect("the repository's path is text");
    let common = ["-B", path, "--rbuild", env!("CARGO_BIN_EXE_rbuild")];
    let ran = project.program("/usr/bin/python3", common.iter().chain(arguments)).run().success();
    assert!(ran.stdout.contains(expected) && ran.stdout.contains("problems 0"), "{}{}", ran.stdout, ran.stderr);
}

#[test]
fn killed_at_random_instants_builds_leave_nothing_and_the_next_is_right() {
    check("kill.py", &["--rounds", "12", "--seed", "1"], "rounds 12");
}

#[test]
fn killed_or_failed_at_a_system_call_a_build_never_gives_another_image() {
    check("syscalls.py", &["--every", "90", "--offset", "7"], "EMFILE points");
}

#[test]
fn no_edit_however_hidden_leaves_stale_bytes_in_an_image() {
    check("edits.py", &["--edits", "2500", "--files", "300"], "stale 0");
}

#[test]
fn builds_prunes_and_removals_beside_each_other_never_fail() {
    check("crowd.py", &["--processes", "4", "--builds", "12"], "builds 48");
}

#[test]
fn a_power_cut_loses_nothing_that_was_promised() {
    check("power.py", &["--cuts", "8"], "cuts 8");
}

#[test]
fn a_flipped_bit_anywhere_in_the_store_is_found_or_harmless() {
    check("rot.py", &["--flips", "12"], "flips 12");
}

#[test]
fn a_large_file_whose_bytes_do_not_reach_the_disk_while_it_is_written_fails_the_build() {
    let project = Project::with("//- Dockerfile\nFROM scratch\nCOPY large /\n");
    std::fs::write(project.context().join("large"), incompressible(40 << 20)).expect("the context is writable");
    let out = project.root().join("out.tar");
    let archive = format!("type=docker,compression=uncompressed,dest={}", out.display());

    let failed = unsynced(&project, &["-o", "type=image", "."]).failure(4);
    for words in ["cannot sync `[STORE]/tmp/", ": input/output error", "2 | COPY large /"] {
        assert!(failed.stderr.contains(words), "not `{words}`:\n{}", failed.stderr);
    }
    assert_eq!(project.rbuild(["-o", "type=image", "."]).run().success().counts(), (0, 1), "nothing of it was kept");

    let failed = unsynced(&project, &["-o", &archive, "."]).failure(5);
    assert!(failed.stderr.contains("cannot sync `[ROOT]/out.tar`: input/output error"), "{}", failed.stderr);
    assert!(!out.exists(), "an archive that may be cut has its name");
    assert_eq!(project.rbuild(["-o", &archive, "."]).run().success().counts(), (1, 0));
    assert!(out.exists());
    project.rbuild(["fsck"]).run().success();
    leaks::assert_none(&project);
}

/// Builds on a disk that takes no bytes while more are written.
fn unsynced(project: &Project, arguments: &[&str]) -> Ran {
    tools::require("/usr/bin/strace");
    let log = project.root().join("strace.log");
    let log = log.to_str().expect("the folder's path is text");
    let inject = ["-f", "-qq", "-o", log, "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO"];
    let command = inject.iter().chain(&[env!("CARGO_BIN_EXE_rbuild")]).chain(arguments);
    project.program("/usr/bin/strace", command).run()
}

/// That many bytes, which no compression makes fewer (xorshift).
fn incompressible(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..length / 8).flat_map(|_| next()).collect()
}
