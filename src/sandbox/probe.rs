//! Finds out, by trying, what a machine lacks for running steps.

use std::os::fd::AsFd as _;
use std::path::Path;

use rustix::io::Errno;

use super::error::Error;
use super::furnish::{self, Room};
use super::init;
use super::mounts;
use super::overlay::{self, Place, Writable};
use super::run::Sandbox;
use super::seccomp::{self, Machine};
use super::spec::{Network, Spec};
use super::sys;
use super::wire::{Doing as _, Failure};

const OVERLAY_MAGIC: u64 = 0x794c_7630;

/// Something that keeps steps from running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong.
    pub what: String,
    /// What a person can do about it.
    pub cure: String,
}

impl Sandbox {
    /// What keeps a step from running with its root filesystem in `folder`, a writable folder; nothing if none does.
    ///
    /// Makes namespaces and mounts as a step would, in a process of its own; leaves nothing behind. Takes a few milliseconds.
    pub fn probe(&self, folder: &Path) -> Vec<Problem> {
        let mut problems = known_problems(folder);
        if !problems.is_empty() {
            return problems;
        }
        let place = folder.join(format!("probe-{}-{:?}", std::process::id(), std::thread::current().id()));
        let tried = match std::fs::create_dir(&place) {
            Ok(()) => self.try_in(&place),
            Err(error) => {
                let what = format!("cannot create a folder in `{}`: {error}", folder.display());
                problems.push(Problem { what, cure: "use a store on a disk that can be written to".to_owned() });
                return problems;
            }
        };
        // What is left behind is an empty folder; the answer matters more.
        let _left_behind = crate::fsx::remove_tree(&place);
        problems.extend(tried.err().map(|error| explain(&error)));
        problems
    }
}

fn problem(what: &str, cure: &str) -> Problem {
    Problem { what: what.to_owned(), cure: cure.to_owned() }
}

/// What can be told without trying.
fn known_problems(folder: &Path) -> Vec<Problem> {
    let mut problems = Vec::new();
    if !rustix::process::geteuid().is_root() {
        problems.push(problem("RUN needs root, and this is another user", "run rbuild as root, for example with sudo"));
    }
    if Path::new("/proc/self/exe").symlink_metadata().is_err() {
        problems.push(problem("/proc is not mounted", "mount it: mount -t proc proc /proc"));
    }
    if Machine::native().is_none() {
        problems.push(problem(
            "there is no system call filter for this processor",
            "build on an x86-64 or 64-bit ARM machine",
        ));
    }
    if rustix::fs::statfs(folder).is_ok_and(|system| u64::try_from(system.f_type) == Ok(OVERLAY_MAGIC)) {
        problems.push(problem(
            "the store lies on an overlay file system, which cannot hold the layers of another one",
            "put the store on a volume: in a container, mount one (docker run -v rbuild:/var/lib/rbuild) and use it as the store",
        ));
    }
    problems
}

/// The cure that fits what failed.
fn explain(error: &Error) -> Problem {
    let errno = match error {
        Error::Setup { source, .. } | Error::Start { source, .. } => Errno::from_io_error(source),
        _ => None,
    };
    let text = error.to_string();
    let cure = match errno {
        Some(Errno::PERM | Errno::ACCESS) => {
            "allow rbuild to make namespaces and mounts: in a container give it CAP_SYS_ADMIN and a seccomp and AppArmor profile that \
             lets them through (docker run --privileged, or --cap-add SYS_ADMIN with --security-opt seccomp=unconfined and \
             --security-opt apparmor=unconfined)"
        }
        Some(Errno::NODEV) if text.contains("overlay") => "load the kernel's overlay module (modprobe overlay)",
        Some(Errno::NODEV) => "use a kernel with the file system that is named",
        Some(Errno::NOSYS) => "use Linux 5.12 or later, and a container runtime that lets its system calls through",
        Some(Errno::INVAL | Errno::OPNOTSUPP | Errno::NOTSUP) if text.contains("overlay") => {
            "put the store on a disk whose file system can hold overlay layers (ext4, xfs with ftype=1, btrfs)"
        }
        Some(Errno::NOSPC | Errno::USERS) => {
            "raise the kernel's limits on namespaces and mounts (user.max_*_namespaces, fs.mount-max)"
        }
        Some(Errno::MFILE | Errno::NFILE) => "raise the limit on open files (ulimit -n)",
        _ => "look at the kernel's log (dmesg) for the reason",
    };
    Problem { what: text, cure: cure.to_owned() }
}

/// The helper's side: everything a step's sandbox needs of this machine.
pub(super) fn try_out(folder: &Path) -> Result<(), Failure> {
    init::namespaces(Network::Host)?;
    let place = furnish::open_folder(rustix::fs::CWD, folder)?;
    let [lower, upper, work] = ["lower", "upper", "work"].map(|name| init::fresh(&place, name));
    let (lower, upper, work) = (lower?, upper?, work?);
    let staging = init::staging(&place)?;
    init::fresh(&staging, "root")?;
    let target = Place { folder: staging.as_fd(), name: "root" };
    let root = overlay::mount(&[lower], Some(&Writable { upper: &upper, work: &work }), target)?;
    let mut room = Room { root: root.as_fd(), staging: staging.as_fd(), notes: Default::default(), staged: 0 };
    let spec = Spec::new(Vec::new(), folder.join("upper"), folder.join("work"), Vec::new());
    for op in mounts::plan(&spec).outside {
        room.carry_out(&op)?;
    }
    furnish::enter(root.as_fd())?;
    let machine = Machine::native().ok_or(Errno::NOSYS).doing("filter the system calls of this machine", "")?;
    sys::install_filter(&seccomp::filter(machine)).doing("filter system calls", "")
}
