//! The kernel, and the disk of the store.

use std::fs::{self, File};
use std::path::Path;

use super::report::Line;
use crate::cli::progress::show_size;
use crate::fsx;
use crate::sandbox::Sandbox;

/// No file of the kernel that is read here is longer, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// Below this a build of any size fails, in bytes.
const LITTLE_SPACE: u64 = 2 << 30;

/// rbuild works with so many descriptors, slowly with fewer than the second number.
const FEWEST_FILES: u64 = 64;
const FEW_FILES: u64 = 1024;

/// A clock before this (2025-01-01) makes every certificate invalid.
const EARLIEST: i64 = 1_735_689_600;

/// The kernel, the user, the clock, and the limit of open files.
pub(super) fn system() -> Vec<Line> {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy().into_owned();
    let machine = name.machine().to_string_lossy().into_owned();
    let mut lines = vec![match version(&release) {
        Some(found) if found < (5, 12) => {
            Line::failure("kernel", format!("Linux {release}, {machine}"), "use Linux 5.12 or later")
        }
        Some(found) if found < (6, 8) => Line::warning(
            "kernel",
            format!("Linux {release}, {machine}"),
            "before Linux 6.8 images of many layers may not be mounted: use a later one if a build says so",
        ),
        _ => Line::good("kernel", format!("Linux {release}, {machine}")),
    }];
    lines.push(clock());
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let files = limit.current.unwrap_or(u64::MAX);
    lines.push(match files {
        0..FEWEST_FILES => Line::failure("open files", format!("at most {files}"), "raise it: `ulimit -n 1024`"),
        FEWEST_FILES..FEW_FILES => {
            Line::warning("open files", format!("at most {files}"), "raise it: `ulimit -n 1024`")
        }
        u64::MAX => Line::good("open files", "no limit"),
        _ => Line::good("open files", format!("at most {files}")),
    });
    lines
}

fn clock() -> Line {
    let now = jiff::Timestamp::now();
    let shown = jiff::Timestamp::from_second(now.as_second()).map_or_else(|_| String::new(), |time| time.to_string());
    if now.as_second() < EARLIEST {
        return Line::warning(
            "clock",
            format!("{shown}, which is in the past"),
            "set it: certificates of registries are not valid yet",
        );
    }
    Line::good("clock", shown)
}

/// Major and minor number of a kernel's release.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// Whether steps can run with their root filesystem in `folder`, by trying it.
pub(super) fn steps(folder: &Path) -> Line {
    match Sandbox::new().probe(folder).as_slice() {
        [] => Line::good("steps (RUN)", "namespaces, overlayfs and the system call filter work"),
        problems => {
            let join = |part: &dyn Fn(&crate::sandbox::Problem) -> String| {
                problems.iter().map(part).collect::<Vec<_>>().join("; ")
            };
            Line::failure("steps (RUN)", join(&|problem| problem.what.clone()), join(&|problem| problem.cure.clone()))
        }
    }
}

/// The file system of the store.
pub(super) fn store_disk(folder: &Path, store: &str) -> Vec<Line> {
    let kind = kind_of(folder);
    let mut lines = vec![match kind.as_str() {
        "nfs" | "nfs4" | "cifs" | "smb3" | "9p" | "fuse" => Line::warning(
            "store",
            format!("{store}, on {kind}"),
            "put it on a local disk: locks and overlays may not work on this one",
        ),
        _ => Line::good("store", format!("{store}, on {kind}")),
    }];
    lines.extend(space(folder));
    lines.push(match reflink(folder) {
        true => Line::good("reflinks", "the store's file system shares blocks of copies"),
        false => Line::good("reflinks", "none: copies are copied (btrfs, and xfs with reflink=1, share them)"),
    });
    lines
}

fn space(folder: &Path) -> Vec<Line> {
    let Ok(found) = rustix::fs::statvfs(folder) else { return Vec::new() };
    let bytes = found.f_bavail.saturating_mul(found.f_frsize);
    let total = found.f_blocks.saturating_mul(found.f_frsize);
    let told = format!("{} of {} are free", show_size(bytes), show_size(total));
    let cure = "make room: `rbuild prune --all`, or put the store elsewhere with `--store DIR`";
    let mut lines = vec![match bytes {
        0..LITTLE_SPACE => Line::warning("space", told, cure),
        _ => Line::good("space", told),
    }];
    if found.f_files > 0 {
        let told = format!("{} of {} are free", found.f_favail, found.f_files);
        let few = found.f_favail < 100_000 || found.f_favail < found.f_files / 50;
        lines.push(if few { Line::warning("inodes", told, cure) } else { Line::good("inodes", told) });
    }
    lines
}

fn reflink(folder: &Path) -> bool {
    let tried = || {
        let [from, to] = ["reflink-from", "reflink-to"].map(|name| folder.join(name));
        fs::write(&from, [1; 4096]).ok()?;
        let shared = rustix::fs::ioctl_ficlone(File::create(&to).ok()?, File::open(&from).ok()?).is_ok();
        fs::remove_file(from).and_then(|()| fs::remove_file(to)).ok()?;
        Some(shared)
    };
    tried().unwrap_or(false)
}

/// The type of the file system that a folder lies on, as `mount` names it.
fn kind_of(folder: &Path) -> String {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf());
    let table = read("/proc/self/mountinfo");
    let mounts = table.lines().filter_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let point = left.split(' ').nth(4)?.replace("\\040", " ");
        folder.starts_with(&point).then(|| (point.len(), right.split(' ').next().unwrap_or_default().to_owned()))
    });
    // Of two mounts on one place the later one is seen.
    mounts.max_by_key(|(length, _)| *length).map_or_else(|| "an unknown file system".to_owned(), |(_, kind)| kind)
}

/// What the kernel has beside what the trial of a step shows.
pub(super) fn kernel() -> Vec<Line> {
    vec![overlay(), user_namespaces(), subordinate_ids(), cgroups(), seccomp()]
}

fn overlay() -> Line {
    let has = read("/proc/filesystems").lines().any(|line| line.split_whitespace().last() == Some("overlay"));
    if !has {
        return Line::failure("overlayfs", "the kernel does not have it, or not yet", "load it: `modprobe overlay`");
    }
    let on = |name: &&str| read(&format!("/sys/module/overlay/parameters/{name}")).trim() == "Y";
    let defaults: Vec<&str> = ["redirect_dir", "metacopy", "index"].into_iter().filter(on).collect();
    match defaults.as_slice() {
        [] => Line::good("overlayfs", "there"),
        defaults => {
            Line::good("overlayfs", format!("there; its defaults {} are switched off for steps", defaults.join(", ")))
        }
    }
}

fn user_namespaces() -> Line {
    let subject = "user namespaces";
    let number = |path: &str| read(path).trim().parse::<u64>().ok();
    if !Path::new("/proc/self/ns/user").exists() || number("/proc/sys/user/max_user_namespaces") == Some(0) {
        return Line::warning(subject, "none", "root needs none; for others: `sysctl user.max_user_namespaces=15000`");
    }
    if number("/proc/sys/kernel/unprivileged_userns_clone") == Some(0) {
        return Line::warning(
            subject,
            "for root only",
            "root needs none; for others: `sysctl kernel.unprivileged_userns_clone=1`",
        );
    }
    if number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == Some(1) {
        let cure = "root needs none; for others: `sysctl kernel.apparmor_restrict_unprivileged_userns=0`";
        return Line::warning(subject, "AppArmor restricts them", cure);
    }
    Line::good(subject, "there")
}

fn subordinate_ids() -> Line {
    let subject = "subordinate ids";
    if rustix::process::geteuid().is_root() {
        return Line::good(subject, "root needs none");
    }
    let tools = ["newuidmap", "newgidmap"].into_iter().filter(|tool| !super::surroundings::is_on_path(tool));
    let lacking: Vec<&str> = tools.collect();
    if !lacking.is_empty() {
        return Line::warning(
            subject,
            format!("{} is not installed", lacking.join(", ")),
            "install `uidmap` (Debian) or `shadow-utils`",
        );
    }
    let uid = rustix::process::getuid().as_raw();
    let name = read("/etc/passwd");
    let name = name.lines().find(|line| line.split(':').nth(2) == Some(&uid.to_string()));
    let name = name.and_then(|line| line.split(':').next()).unwrap_or_default().to_owned();
    let listed = |file: &str| {
        read(file)
            .lines()
            .filter_map(|line| line.split(':').next())
            .any(|owner| owner == name || owner == uid.to_string())
    };
    match listed("/etc/subuid") && listed("/etc/subgid") {
        true => Line::good(subject, "there"),
        false => Line::warning(
            subject,
            format!("/etc/subuid and /etc/subgid do not both name `{name}`"),
            format!("add a line to both: `{name}:100000:65536`"),
        ),
    }
}

fn cgroups() -> Line {
    let subject = "cgroups";
    let controllers = read("/sys/fs/cgroup/cgroup.controllers");
    if !controllers.trim().is_empty() {
        let has_memory = controllers.split_whitespace().any(|name| name == "memory");
        return match has_memory {
            true => Line::good(subject, "version 2, with memory"),
            false => Line::warning(
                subject,
                "version 2, without memory",
                "enable the memory controller: it tells why a step was killed",
            ),
        };
    }
    match Path::new("/sys/fs/cgroup/memory").is_dir() {
        true => Line::good(subject, "version 1, with memory"),
        false => Line::warning(subject, "none", "mount /sys/fs/cgroup: it tells why a step was killed"),
    }
}

fn seccomp() -> Line {
    match read("/proc/sys/kernel/seccomp/actions_avail") {
        actions if actions.contains("errno") => Line::good("seccomp", "there"),
        // Something may lie over /proc/sys: the steps above tried it.
        actions if actions.is_empty() => Line::warning(
            "seccomp",
            "/proc/sys/kernel/seccomp cannot be read",
            "see above whether steps run: they need it",
        ),
        _ => Line::failure("seccomp", "the kernel does not have it", "use a kernel with CONFIG_SECCOMP_FILTER"),
    }
}

/// A small text file; empty if it is not there or cannot be read.
pub(super) fn read(path: &str) -> String {
    let bytes = fsx::read_if_exists(Path::new(path), MAX_FILE).ok().flatten().unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_has_a_major_and_a_minor_number() {
        assert_eq!(version("6.18.44-fc"), Some((6, 18)));
        assert_eq!(version("5.10"), Some((5, 10)));
        assert_eq!(version("next"), None);
    }
}
