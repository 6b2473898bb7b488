//! Opens places below a tree's root: by file descriptors, one name at a time, through no symbolic link.
//!
//! Paths were resolved before, in a listing. Here a symbolic link on the way can only be an attack, and is an error.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::{Error, Result};
use crate::fsx::At as _;
use crate::path::ImagePath;

/// Linux takes paths up to 4096 bytes; longer ones are opened in parts.
const PART: usize = 4000;

/// A tree's root, and the folder that was opened last.
pub(super) struct Root {
    path: PathBuf,
    fd: OwnedFd,
    last: Option<(ImagePath, OwnedFd)>,
}

impl Root {
    /// Opens the folder at the host path `path`.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty()).at("open", path)?;
        Ok(Self { path: path.to_path_buf(), fd, last: None })
    }

    /// The host path, for messages.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The folder at `path`, kept until another one is asked for.
    pub(super) fn folder(&mut self, path: &ImagePath) -> Result<BorrowedFd<'_>> {
        if path.is_root() {
            return Ok(self.fd.as_fd());
        }
        if self.last.as_ref().is_none_or(|(last, _)| last != path) {
            let fd = self.open_folder(path).map_err(Error::call("open", &self.path, path))?;
            self.last = Some((path.clone(), fd));
        }
        let (_, fd) = self.last.as_ref().expect("it was just set");
        Ok(fd.as_fd())
    }

    /// Forgets the folder kept: it may have been removed.
    pub(super) fn forget(&mut self) {
        self.last = None;
    }

    /// The folder that `path` lies in, open, and its name there; the root lies in itself as `.`.
    pub(super) fn parent<'p>(&mut self, path: &'p ImagePath) -> Result<(BorrowedFd<'_>, &'p [u8])> {
        let name = path.file_name().unwrap_or(b".");
        let folder = self.folder(&path.parent().unwrap_or_default())?;
        Ok((folder, name))
    }

    /// Opens the regular file at `path` for reading; an error if it is anything else.
    pub(super) fn file(&mut self, path: &ImagePath) -> Result<File> {
        let (folder, name) = self.parent(path)?;
        // Without NONBLOCK a pipe would wait for its writer.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(folder, name, flags, Mode::empty()).map(File::from);
        let file = opened.map_err(Error::call("open", &self.path, path))?;
        let metadata = file.metadata().at("stat", &path.in_dir(&self.path))?;
        if metadata.is_file() { Ok(file) } else { Err(Error::entry(path, "it is no regular file any more")) }
    }

    fn open_folder(&self, path: &ImagePath) -> std::result::Result<OwnedFd, Errno> {
        let mut rest = path.as_bytes();
        let mut at: Option<OwnedFd> = None;
        while !rest.is_empty() {
            let part = match rest.get(..PART) {
                None => rest,
                Some(head) => &rest[..head.iter().rposition(|&b| b == b'/').ok_or(Errno::NAMETOOLONG)?],
            };
            rest = rest.get(part.len() + 1..).unwrap_or_default();
            let from = at.as_ref().map_or(self.fd.as_fd(), AsFd::as_fd);
            let opened = match open_part(from, part) {
                Err(Errno::NOSYS) => open_names(from, part)?,
                other => other?,
            };
            at = Some(opened);
        }
        at.ok_or(Errno::INVAL)
    }
}

/// The path by which calls that take no folder reach a name in it.
pub(super) fn through_proc(folder: BorrowedFd<'_>, name: &[u8]) -> Vec<u8> {
    let mut path = format!("/proc/self/fd/{}/", folder.as_raw_fd()).into_bytes();
    path.extend_from_slice(name);
    path
}

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

fn open_part(from: BorrowedFd<'_>, path: &[u8]) -> std::result::Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(from, path, FOLDER, Mode::empty(), resolve)
}

/// As `open_part`, for a kernel or a filter that has no `openat2`.
fn open_names(from: BorrowedFd<'_>, path: &[u8]) -> std::result::Result<OwnedFd, Errno> {
    let mut at: Option<OwnedFd> = None;
    for name in path.split(|&b| b == b'/') {
        let from = at.as_ref().map_or(from, AsFd::as_fd);
        at = Some(rustix::fs::openat(from, name, FOLDER, Mode::empty())?);
    }
    at.ok_or(Errno::INVAL)
}
