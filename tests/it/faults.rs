//! Short versions of the torture scripts (tests/torture): kills, broken system calls, edits, crowds, power cuts.

use std::path::Path;

use crate::support::run::Project;
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
