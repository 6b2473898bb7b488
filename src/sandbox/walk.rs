//! Walks paths inside a root filesystem, one component and one descriptor at a time.
//!
//! No path string is ever given to the kernel whole, so nothing in the root filesystem, and nobody who changes it
//! meanwhile, can lead a walk out of it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::wire::{Doing as _, Failure, Kind};
use crate::path::ImagePath;

/// The most symlinks on one path; the kernel's limit.
const LINK_LIMIT: usize = 40;

const PROC_MAGIC: u64 = 0x9fa0;

/// What is done with symlinks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Links {
    /// They are followed inside the root.
    Followed,
    /// They are refused: the sandbox's own mount points have to be what they seem.
    Refused,
}

/// Somebody who is told about what a walk makes.
pub(super) trait Maker {
    /// `path`, below `above` (the folders from the root down, whose paths are its ancestors), does not exist.
    fn before(
        &mut self,
        root: BorrowedFd<'_>,
        above: &[(ImagePath, OwnedFd)],
        path: &ImagePath,
        kind: Kind,
    ) -> Result<(), Failure>;

    /// `path` was made.
    fn after(&mut self, _made: &OwnedFd, _path: &ImagePath) -> Result<(), Failure> {
        Ok(())
    }
}

/// The end of a walk.
#[derive(Debug)]
pub(super) struct Reached {
    /// An `O_PATH` descriptor.
    pub(super) fd: OwnedFd,
}

/// Finds what is at `path`.
pub(super) fn find(root: BorrowedFd<'_>, path: &ImagePath, links: Links) -> Result<Reached, Failure> {
    Walk { root, links, above: Vec::new(), link_count: 0 }.go(path, None)
}

/// Finds what is at `path`, made as `kind` together with the folders above if it is missing.
pub(super) fn make(
    root: BorrowedFd<'_>,
    path: &ImagePath,
    links: Links,
    kind: Kind,
    maker: &mut dyn Maker,
) -> Result<Reached, Failure> {
    Walk { root, links, above: Vec::new(), link_count: 0 }.go(path, Some((kind, maker)))
}

struct Walk<'a> {
    root: BorrowedFd<'a>,
    links: Links,
    above: Vec<(ImagePath, OwnedFd)>,
    link_count: usize,
}

impl Walk<'_> {
    fn go(mut self, path: &ImagePath, mut making: Option<(Kind, &mut dyn Maker)>) -> Result<Reached, Failure> {
        let mut pending: Vec<Vec<u8>> = path.components().map(<[u8]>::to_vec).collect();
        pending.reverse();
        while let Some(name) = pending.pop() {
            match name.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    self.above.pop();
                    continue;
                }
                _ => {}
            }
            let at = self.here().child(&name);
            let fd = match (self.open(&name), &mut making) {
                (Ok(fd), _) => fd,
                (Err(Errno::NOENT), Some((kind, maker))) => {
                    let last = pending.iter().all(|name| name.is_empty() || name == b".");
                    self.make(&name, &at, if last { *kind } else { Kind::Folder }, *maker)?
                }
                (Err(error), _) => return Err(error).doing("open", at.to_string()),
            };
            let stat = rustix::fs::fstat(&fd).doing("stat", at.to_string())?;
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Symlink => self.follow(&fd, &at, &mut pending)?,
                FileType::Directory => self.above.push((at, fd)),
                _ if pending.is_empty() => return Ok(Reached { fd }),
                _ => return Err(Failure::rootfs(&at, "is not a folder")),
            }
        }
        match self.above.pop() {
            Some((_path, fd)) => Ok(Reached { fd }),
            None => Ok(Reached { fd: self.root.try_clone_to_owned().map_err(raw).doing("open", "/")? }),
        }
    }

    fn here(&self) -> ImagePath {
        self.above.last().map_or_else(ImagePath::root, |(path, _)| path.clone())
    }

    fn folder(&self) -> BorrowedFd<'_> {
        self.above.last().map_or(self.root, |(_, fd)| fd.as_fd())
    }

    fn open(&self, name: &[u8]) -> rustix::io::Result<OwnedFd> {
        rustix::fs::openat(self.folder(), name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
    }

    fn make(&self, name: &[u8], at: &ImagePath, kind: Kind, maker: &mut dyn Maker) -> Result<OwnedFd, Failure> {
        maker.before(self.root, &self.above, at, kind)?;
        let folder = self.folder();
        match kind {
            Kind::Folder => {
                rustix::fs::mkdirat(folder, name, Mode::from_raw_mode(0o755)).doing("create", at.to_string())?
            }
            Kind::File => {
                let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                rustix::fs::openat(folder, name, flags, Mode::from_raw_mode(0o644)).doing("create", at.to_string())?;
            }
        }
        let made = self.open(name).doing("open", at.to_string())?;
        maker.after(&made, at)?;
        Ok(made)
    }

    fn follow(&mut self, link: &OwnedFd, at: &ImagePath, pending: &mut Vec<Vec<u8>>) -> Result<(), Failure> {
        if self.links == Links::Refused {
            return Err(Failure::rootfs(at, "is a symlink, where the sandbox needs a folder of its own"));
        }
        let system = rustix::fs::fstatfs(link).doing("stat", at.to_string())?;
        if u64::try_from(system.f_type) == Ok(PROC_MAGIC) {
            return Err(Failure::rootfs(at, "leads to the open files of a process, possibly outside the container"));
        }
        self.link_count += 1;
        if self.link_count > LINK_LIMIT {
            return Err(Failure::rootfs(at, "is a symlink in a loop"));
        }
        let target = rustix::fs::readlinkat(link, c"", Vec::new()).doing("read", at.to_string())?;
        if target.as_bytes().starts_with(b"/") {
            self.above.clear();
        }
        pending.extend(target.as_bytes().split(|&b| b == b'/').rev().map(<[u8]>::to_vec));
        Ok(())
    }
}

/// The errno of an error of the standard library.
pub(super) fn raw(error: std::io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}

/// Whether two things lie in the same file system.
pub(super) fn same_device(one: &Stat, other: &Stat) -> bool {
    one.st_dev == other.st_dev
}

/// Gives what a walk made to its owner, without following anything.
pub(super) fn give(fd: impl AsFd, uid: u32, gid: u32) -> rustix::io::Result<()> {
    let (uid, gid) = (rustix::fs::Uid::from_raw(uid), rustix::fs::Gid::from_raw(gid));
    rustix::fs::chownat(fd, c"", Some(uid), Some(gid), AtFlags::EMPTY_PATH)
}
