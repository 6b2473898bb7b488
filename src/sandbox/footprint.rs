//! Notes which traces the mounts leave in a root filesystem, while they are made.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::fs::Stat;

use super::walk::{self, Maker};
use super::wire::{Doing as _, Failure, Footprint, Kind, Stub, Time, Touched};
use crate::path::ImagePath;

/// A folder above a mount point, open to be looked at again.
struct Above {
    path: ImagePath,
    fd: OwnedFd,
    before: (Time, Time),
}

/// Notes every mount point that is made in the root's own file system.
#[derive(Default)]
pub(super) struct Notes {
    stubs: Vec<Stub>,
    above: Vec<Above>,
}

impl Maker for Notes {
    fn before(
        &mut self,
        root: BorrowedFd<'_>,
        above: &[(ImagePath, OwnedFd)],
        path: &ImagePath,
        kind: Kind,
    ) -> Result<(), Failure> {
        let root_stat = rustix::fs::fstat(root).doing("stat", "/")?;
        let folder = above.last().map_or(root, |(_, fd)| fd.as_fd());
        let folder_stat = rustix::fs::fstat(folder).doing("stat", path.to_string())?;
        if !walk::same_device(&root_stat, &folder_stat) {
            return Ok(());
        }
        self.note(&ImagePath::root(), root, &root_stat)?;
        for (above, fd) in above {
            let stat = rustix::fs::fstat(fd).doing("stat", above.to_string())?;
            self.note(above, fd.as_fd(), &stat)?;
        }
        self.stubs.push(Stub { path: path.clone(), kind });
        Ok(())
    }
}

impl Notes {
    fn note(&mut self, path: &ImagePath, fd: BorrowedFd<'_>, stat: &Stat) -> Result<(), Failure> {
        if self.above.iter().any(|known| known.path == *path) || self.stubs.iter().any(|stub| stub.path == *path) {
            return Ok(());
        }
        let fd = fd.try_clone_to_owned().map_err(walk::raw).doing("open", path.to_string())?;
        self.above.push(Above { path: path.clone(), fd, before: (accessed(stat), modified(stat)) });
        Ok(())
    }

    /// The notes, with the state of the folders as it is now.
    pub(super) fn finish(self) -> Result<Footprint, Failure> {
        let Self { stubs, mut above } = self;
        above.sort_by(|one, other| one.path.cmp(&other.path));
        let touched = above.into_iter().map(|Above { path, fd, before }| {
            let stat = rustix::fs::fstat(fd).doing("stat", path.to_string())?;
            Ok(Touched { path, before, after: (modified(&stat), changed(&stat)) })
        });
        Ok(Footprint { stubs, touched: touched.collect::<Result<_, Failure>>()? })
    }
}

/// Notes nothing: what is made stays.
pub(super) struct Keep;

impl Maker for Keep {
    fn before(&mut self, _: BorrowedFd<'_>, _: &[(ImagePath, OwnedFd)], _: &ImagePath, _: Kind) -> Result<(), Failure> {
        Ok(())
    }
}

#[expect(clippy::unnecessary_cast, reason = "the types of these fields differ between machines")]
mod times {
    use super::{Stat, Time};

    pub(in super::super) fn accessed(stat: &Stat) -> Time {
        (stat.st_atime as i64, stat.st_atime_nsec as i64)
    }

    pub(in super::super) fn modified(stat: &Stat) -> Time {
        (stat.st_mtime as i64, stat.st_mtime_nsec as i64)
    }

    pub(in super::super) fn changed(stat: &Stat) -> Time {
        (stat.st_ctime as i64, stat.st_ctime_nsec as i64)
    }
}

pub(super) use times::{accessed, changed, modified};
