//! The last moments before a step's program: its own mounts, its limits, its user, its filter.

use std::ffi::CString;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit};

use super::caps;
use super::init::{self, Helper};
use super::limits;
use super::mounts;
use super::seccomp::{self, Machine};
use super::spec::{Confinement, Spec};
use super::sys::{self, Closing};
use super::walk::{self, Links, Maker};
use super::wire::{Doing as _, Failure, Kind, Report};
use crate::path::ImagePath;

/// Becomes the step's program; ends this process if that fails.
pub(super) fn main(helper: &Helper, spec: &Spec) -> ! {
    let failure = prepare(spec).and_then(|()| execute(spec)).err();
    if let Some(failure) = failure {
        helper.tell(&Report::Failed(failure));
    }
    sys::exit_now(127)
}

fn prepare(spec: &Spec) -> Result<(), Failure> {
    rustix::process::setsid().doing("start a session", "")?;
    let root = init::root()?;
    let mut room = init::entered(root.as_fd());
    for op in mounts::plan(spec).inside {
        room.carry_out(&op)?;
    }
    rustix::process::umask(Mode::WGRP | Mode::WOTH);
    change_folder(spec, root.as_fd())?;
    let null =
        rustix::fs::open(c"/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).doing("open", "/dev/null")?;
    rustix::stdio::dup2_stdin(&null).doing("redirect standard input", "")?;
    let uid = Uid::from_raw(spec.user.uid);
    if !uid.is_root() {
        // Programs open /dev/stdout by its name, which only the owner of the pipe may.
        rustix::fs::fchown(rustix::stdio::stdout(), Some(uid), None).doing("chown standard output", "")?;
        rustix::fs::fchown(rustix::stdio::stderr(), Some(uid), None).doing("chown standard error", "")?;
    }
    match sys::new_session_keyring() {
        // A kernel without keyrings has none to leak.
        Ok(()) | Err(Errno::NOSYS) => {}
        Err(error) => return Err(error).doing("make a keyring", ""),
    }
    set_limits(spec)?;
    confine(spec)?;
    sys::default_signals();
    sys::unblock_signals().doing("unblock signals", "")?;
    sys::close_descriptors(Closing::OnExec).doing("close descriptors", "")
}

/// Gives what it makes to the step's user, as BuildKit does with a missing working folder.
struct ForUser {
    uid: u32,
    gid: u32,
}

impl Maker for ForUser {
    fn before(&mut self, _: BorrowedFd<'_>, _: &[(ImagePath, OwnedFd)], _: &ImagePath, _: Kind) -> Result<(), Failure> {
        Ok(())
    }

    fn after(&mut self, made: &OwnedFd, path: &ImagePath) -> Result<(), Failure> {
        walk::give(made, self.uid, self.gid).doing("chown", path.to_string())
    }
}

fn change_folder(spec: &Spec, root: BorrowedFd<'_>) -> Result<(), Failure> {
    let mut owner = ForUser { uid: spec.user.uid, gid: spec.user.gid };
    let reached = walk::make(root, &spec.cwd, Links::Followed, Kind::Folder, &mut owner)?;
    rustix::process::fchdir(&reached.fd).doing("enter", spec.cwd.to_string())?;
    // The kernel marks a folder that the root does not reach; no walk should ever end there.
    let here = rustix::process::getcwd(Vec::new()).doing("find the working folder", "")?;
    if here.as_bytes().starts_with(b"/") { Ok(()) } else { Err(Failure::rootfs(&spec.cwd, "is outside the container")) }
}

fn set_limits(spec: &Spec) -> Result<(), Failure> {
    for (resource, wanted) in limits::rows(&spec.limits) {
        match rustix::process::setrlimit(resource, wanted) {
            Err(Errno::PERM) => {
                // Without the right to raise a limit the caller's own is the most there can be.
                let most = rustix::process::getrlimit(resource).maximum;
                let current = least(wanted.current, most);
                let lowered = Rlimit { current, maximum: least(wanted.maximum, most) };
                rustix::process::setrlimit(resource, lowered).doing("set", name(resource))?;
            }
            other => other.doing("set", name(resource))?,
        }
    }
    Ok(())
}

fn name(resource: Resource) -> String {
    format!("the limit {resource:?}").to_lowercase()
}

fn least(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (only, None) | (None, only) => only,
    }
}

/// Gives up every right the step is not to have, in the order in which each is still needed.
fn confine(spec: &Spec) -> Result<(), Failure> {
    caps::bound(spec.capabilities).doing("drop capabilities", "")?;
    match spec.confinement {
        Confinement::Nothing => {}
        Confinement::Docker => {
            let machine = Machine::native().ok_or(Errno::NOSYS).doing("filter the system calls of this machine", "")?;
            sys::install_filter(&seccomp::filter(machine)).doing("filter system calls", "")?;
        }
    }
    let groups: Vec<Gid> = spec.user.groups.iter().map(|group| Gid::from_raw(*group)).collect();
    rustix::thread::set_thread_groups(&groups).doing("set the groups", "")?;
    let (uid, gid) = (Uid::from_raw(spec.user.uid), Gid::from_raw(spec.user.gid));
    rustix::thread::set_thread_res_gid(gid, gid, gid).doing("set the group", gid.as_raw().to_string())?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).doing("set the user", uid.as_raw().to_string())?;
    caps::drop_all_but(spec.capabilities, spec.user.uid).doing("drop capabilities", "")
}

fn execute(spec: &Spec) -> Result<(), Failure> {
    let program = &spec.argv[0];
    let failed = |error| Failure::exec(program, error);
    let strings = |list: &[Vec<u8>]| {
        list.iter()
            .map(|item| CString::new(item.as_slice()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_nul| failed(Errno::INVAL))
    };
    let (argv, env) = (strings(&spec.argv)?, strings(&spec.env)?);
    let mut worst = Errno::NOENT;
    for candidate in candidates(program, &spec.env) {
        let path = CString::new(candidate).map_err(|_nul| failed(Errno::INVAL))?;
        match sys::execute(&path, &argv, &env) {
            Errno::NOENT | Errno::NOTDIR => {}
            // As execvp does: a later folder may hold one that can be run.
            Errno::ACCESS => worst = Errno::ACCESS,
            error => return Err(failed(error)),
        }
    }
    Err(failed(worst))
}

/// Where a program may be.
pub(super) fn candidates(program: &[u8], env: &[Vec<u8>]) -> Vec<Vec<u8>> {
    if program.contains(&b'/') {
        return vec![program.to_vec()];
    }
    let path = env.iter().rev().find_map(|entry| entry.strip_prefix(b"PATH=")).unwrap_or(b"/bin:/usr/bin");
    let folders = path.split(|&b| b == b':').map(|folder| if folder.is_empty() { &b"."[..] } else { folder });
    folders.map(|folder| [folder, program].join(&b'/')).collect()
}
