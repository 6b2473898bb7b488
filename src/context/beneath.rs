//! Opens paths below a folder without following a symlink anywhere on the way.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::path::ContextPath;

/// Opens `path` below `root`; a symlink in it, the last component too, gives `LOOP`.
///
/// A symlink or folder that is swapped in while this runs cannot lead outside of `root`.
pub fn open(root: BorrowedFd<'_>, path: &ContextPath, flags: OFlags) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let relative = if path.is_root() { &b"."[..] } else { path.as_bytes() };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    loop {
        match rustix::fs::openat2(root, relative, flags, Mode::empty(), resolve) {
            // Kernels before 5.6 lack the call, and older container profiles refuse it.
            Err(Errno::NOSYS | Errno::PERM) => return open_by_component(root, path, flags),
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other,
        }
    }
}

/// As `open`, a folder at a time.
pub(super) fn open_by_component(root: BorrowedFd<'_>, path: &ContextPath, flags: OFlags) -> Result<OwnedFd, Errno> {
    let folder = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let Some(name) = path.file_name() else {
        return rustix::fs::openat(root, &b"."[..], flags, Mode::empty());
    };
    let mut above: Option<OwnedFd> = None;
    for component in path.parent().unwrap_or_default().components() {
        let at = above.as_ref().map_or(root, |fd| fd.as_fd());
        above = Some(rustix::fs::openat(at, component, folder, Mode::empty())?);
    }
    let at = above.as_ref().map_or(root, |fd| fd.as_fd());
    rustix::fs::openat(at, name, flags, Mode::empty())
}
