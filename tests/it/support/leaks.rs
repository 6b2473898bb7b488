//! Finds what a program has left behind: mounts, processes and temporary files.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::run::Project;

/// No kill takes the kernel this long.
const LIMIT: Duration = Duration::from_secs(10);

/// Panics if a process or a mount of the project is left, or a file in its `TMPDIR` or the store's `tmp` folder.
///
/// Only the project's own folders are looked at: other tests run at the same time.
#[track_caller]
pub fn assert_none(project: &Project) {
    let mut found = mounts_below(project.root());
    found.extend(processes_of(project.root()));
    for dir in [project.temporary(), project.store().join("tmp")] {
        found.extend(files_below(&dir).into_iter().map(|path| format!("file {}", path.display())));
    }
    assert!(found.is_empty(), "left behind:\n{}", found.join("\n"));
}

/// Waits until no process of the project is left, which the kernel sees to after a kill.
#[track_caller]
pub fn wait_for_silence(project: &Project) {
    let start = Instant::now();
    loop {
        let left = processes_of(project.root());
        if left.is_empty() {
            return;
        }
        assert!(start.elapsed() < LIMIT, "left behind:\n{}", left.join("\n"));
        thread::yield_now();
    }
}

/// The mounts below a folder in the mount namespace of any process, a line each.
pub fn mounts_below(dir: &Path) -> Vec<String> {
    let prefix = format!("{}/", dir.display());
    let mut found = Vec::new();
    for process in processes() {
        // A process that has ended meanwhile has no mounts.
        let table = fs::read_to_string(process.join("mountinfo")).unwrap_or_default();
        let points = table.lines().filter_map(|line| line.split(' ').nth(4));
        found.extend(points.filter(|point| point.starts_with(&prefix)).map(|point| format!("mount {point}")));
    }
    found.sort();
    found.dedup();
    found
}

/// The processes, this one left out, that name a folder in their arguments or their environment or work below it.
pub fn processes_of(dir: &Path) -> Vec<String> {
    let needle = dir.display().to_string();
    let own = PathBuf::from(format!("/proc/{}", std::process::id()));
    let mut found = Vec::new();
    for process in processes().into_iter().filter(|process| *process != own) {
        let texts = ["cmdline", "environ"].map(|name| fs::read(process.join(name)).unwrap_or_default());
        let links = ["cwd", "root", "exe"].map(|name| fs::read_link(process.join(name)).unwrap_or_default());
        let named = texts.iter().any(|text| String::from_utf8_lossy(text).contains(&needle));
        if named || links.iter().any(|link| link.starts_with(dir)) {
            let line = String::from_utf8_lossy(&texts[0]).replace('\0', " ");
            found.push(format!("process {}: {line}", process.display()));
        }
    }
    found
}

/// Everything below a folder that is not a folder itself; nothing if it is not there.
pub fn files_below(dir: &Path) -> Vec<PathBuf> {
    let files = walkdir::WalkDir::new(dir).sort_by_file_name().into_iter();
    files.filter_map(Result::ok).filter(|entry| !entry.file_type().is_dir()).map(walkdir::DirEntry::into_path).collect()
}

fn processes() -> Vec<PathBuf> {
    let all = fs::read_dir("/proc").expect("/proc is mounted").filter_map(Result::ok);
    let is_process = |path: &PathBuf| path.file_name().is_some_and(|name| name.as_encoded_bytes()[0].is_ascii_digit());
    all.map(|entry| entry.path()).filter(is_process).collect()
}
