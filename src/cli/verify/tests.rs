//! Folders in memory, tried in folders of other kinds; clocks that are set.
#![expect(clippy::unwrap_used, reason = "a failed precondition fails the test where it stands")]

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::super::signals::Received;
use super::memory::{MemoryFolder, sweep};
use super::run::wait;

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn dead(memory: &Path, name: &str, mode: u32) {
    fs::create_dir_all(memory.join(name).join("store/tmp")).unwrap();
    fs::write(memory.join(name).join("store/version"), "2").unwrap();
    fs::set_permissions(memory.join(name), Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_folder_is_private_and_goes_when_it_is_dropped() {
    let memory = tempfile::tempdir().unwrap();
    let (one, two) = (MemoryFolder::new(memory.path()).unwrap(), MemoryFolder::new(memory.path()).unwrap());
    assert_ne!(one.path(), two.path());
    assert_eq!(fs::metadata(one.path()).unwrap().mode() & 0o7777, 0o700);
    fs::write(one.path().join("a"), "a").unwrap();
    drop(one);
    assert_eq!(fs::read_dir(memory.path()).unwrap().count(), 1);
    drop(two);
    assert_eq!(names(memory.path()), Vec::<String>::new());
}

#[test]
fn a_sweep_takes_the_folders_of_the_dead_and_nothing_else() {
    let memory = tempfile::tempdir().unwrap();
    let living = MemoryFolder::new(memory.path()).unwrap();
    let other = tempfile::tempdir().unwrap();
    fs::set_permissions(other.path(), Permissions::from_mode(0o700)).unwrap();
    fs::write(other.path().join("kept"), "").unwrap();
    symlink(other.path(), memory.path().join("rbuild-verify-9-link")).unwrap();
    fs::write(memory.path().join("rbuild-verify-9-file"), "").unwrap();
    // By this process's number too: only the lock tells who lives.
    dead(memory.path(), &format!("rbuild-verify-{}-0", std::process::id()), 0o700);
    dead(memory.path(), "rbuild-verify-1", 0o700);
    dead(memory.path(), "rbuild-verify-1-open", 0o755);
    dead(memory.path(), "another", 0o700);
    sweep(memory.path());
    let living = living.path().file_name().unwrap().to_str().unwrap().to_owned();
    let mut expected = vec!["another", &living, "rbuild-verify-1-open", "rbuild-verify-9-file", "rbuild-verify-9-link"];
    expected.sort_unstable();
    assert_eq!(names(memory.path()), expected);
    assert_eq!(names(other.path()), ["kept"]);
}

#[test]
fn a_folder_of_another_user_stays() {
    let memory = tempfile::tempdir().unwrap();
    dead(memory.path(), "rbuild-verify-1-0", 0o700);
    chown(memory.path().join("rbuild-verify-1-0"), Some(12345), None).unwrap();
    sweep(memory.path());
    assert_eq!(names(memory.path()), ["rbuild-verify-1-0"]);
}

#[test]
fn where_others_can_replace_it_there_is_no_folder_and_no_sweep() {
    let memory = tempfile::tempdir().unwrap();
    dead(memory.path(), "rbuild-verify-1-0", 0o700);
    fs::set_permissions(memory.path(), Permissions::from_mode(0o777)).unwrap();
    assert!(MemoryFolder::new(memory.path()).is_none());
    sweep(memory.path());
    assert_eq!(names(memory.path()), ["rbuild-verify-1-0"]);
    fs::set_permissions(memory.path(), Permissions::from_mode(0o1777)).unwrap();
    assert!(MemoryFolder::new(memory.path()).is_some());
    sweep(memory.path());
    assert_eq!(names(memory.path()), Vec::<String>::new());
    assert!(MemoryFolder::new(&memory.path().join("none")).is_none());
}

#[test]
fn a_clock_that_was_set_back_into_the_first_build_is_told() {
    let (now, hour, moment) = (SystemTime::now(), Duration::from_secs(3600), Duration::from_millis(1));
    let told = |began, ended| wait(&Received::default(), moment, began, ended);
    assert_eq!(told(now - hour, now - moment), "at least 1.1 s later");
    assert_eq!(told(now - hour, now + hour), "the clock set back");
    assert_eq!(told(now + hour, now + hour), "the clock set back");
    // Set forth during the first build and back after it, or before 1970: no failure.
    assert_eq!(told(now + hour, now - hour), "at least 1.1 s later");
    assert_eq!(told(SystemTime::UNIX_EPOCH - hour, now - hour), "at least 1.1 s later");
}
