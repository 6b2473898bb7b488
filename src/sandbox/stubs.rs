//! Removes the traces of mounts from a step's changes when the step has ended and its mounts are gone.
//!
//! Works on the overlay's upper folder. What the step did there itself stays: a mount point that is no longer empty, a folder
//! with other entries, a time that was changed since.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps};
use rustix::io::Errno;

use super::footprint::{accessed, changed, modified};
use super::wire::{Footprint, Kind, Stub, Time, Touched};
use crate::fsx::{self, At as _};
use crate::path::ImagePath;

/// A folder above mount points, as it is after the step.
struct Folder<'a> {
    noted: &'a Touched,
    fd: OwnedFd,
    stat: Stat,
}

impl Folder<'_> {
    /// Whether the step changed none of its entries.
    fn is_unmodified(&self) -> bool {
        modified(&self.stat) == self.noted.after.0
    }

    /// Whether the step did not touch it in any way.
    fn is_untouched(&self) -> bool {
        self.is_unmodified() && changed(&self.stat) == self.noted.after.1
    }
}

/// Removes from `upper` what `footprint` tells, and gives folders their times back.
pub(super) fn clean(upper: &Path, footprint: &Footprint) -> fsx::Result<()> {
    if footprint.stubs.is_empty() {
        return Ok(());
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::openat(CWD, upper, flags, Mode::empty()).at("open", upper)?;
    let mut folders = Vec::new();
    for noted in &footprint.touched {
        if let Some(fd) = open(&root, &noted.path).at("open", &noted.path.in_dir(upper))? {
            let stat = rustix::fs::fstat(&fd).at("stat", &noted.path.in_dir(upper))?;
            folders.push(Folder { noted, fd, stat });
        }
    }
    for stub in footprint.stubs.iter().rev() {
        remove(&root, stub).at("remove", &stub.path.in_dir(upper))?;
    }
    // Deepest first: a folder that the overlay copied up only to hold mount points goes as well.
    for folder in folders.iter().rev() {
        let path = folder.noted.path.in_dir(upper);
        if folder.is_untouched() && remove_folder(&root, &folder.noted.path).at("remove", &path)? {
            continue;
        }
        let before = folder.noted.before;
        let times = if folder.is_unmodified() { before } else { (accessed(&folder.stat), modified(&folder.stat)) };
        restore(&folder.fd, times).at("set the times of", &path)?;
    }
    Ok(())
}

/// Opens a folder without following any symlink; none if it is not there or no folder any more.
fn open(root: &OwnedFd, path: &ImagePath) -> rustix::io::Result<Option<OwnedFd>> {
    let name = if path.is_root() { Path::new(".") } else { path.as_path() };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat2(root, name, flags, Mode::empty(), ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS) {
        Ok(fd) => Ok(Some(fd)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(error) => Err(error),
    }
}

fn remove(root: &OwnedFd, stub: &Stub) -> rustix::io::Result<()> {
    match stub.kind {
        Kind::Folder => remove_folder(root, &stub.path).map(|_gone| ()),
        Kind::File => {
            let Some((folder, name)) = split(root, &stub.path)? else { return Ok(()) };
            let stat = match rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                Err(Errno::NOENT) => return Ok(()),
                Err(error) => return Err(error),
            };
            if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && stat.st_size == 0 {
                rustix::fs::unlinkat(&folder, name, AtFlags::empty())?;
            }
            Ok(())
        }
    }
}

/// Removes a folder if it is empty; says whether it is gone.
fn remove_folder(root: &OwnedFd, path: &ImagePath) -> rustix::io::Result<bool> {
    let Some((folder, name)) = split(root, path)? else { return Ok(false) };
    match rustix::fs::unlinkat(&folder, name, AtFlags::REMOVEDIR) {
        Ok(()) => Ok(true),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
        Err(error) => Err(error),
    }
}

fn split<'a>(root: &OwnedFd, path: &'a ImagePath) -> rustix::io::Result<Option<(OwnedFd, &'a [u8])>> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(None) };
    Ok(open(root, &parent)?.map(|folder| (folder, name)))
}

fn restore(folder: &OwnedFd, (access, modification): (Time, Time)) -> rustix::io::Result<()> {
    let time = |(seconds, nanoseconds): Time| Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    let times = Timestamps { last_access: time(access), last_modification: time(modification) };
    // utimensat takes no empty path on a descriptor that was opened with O_PATH before Linux 5.8; "." works on all.
    rustix::fs::utimensat(folder, c".", &times, AtFlags::empty())
}
