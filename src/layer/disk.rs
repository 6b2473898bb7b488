//! Unpacks what has found its place: into the folder of a tree.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use super::beneath::{Root, through_proc};
use super::sink::Sink;
use super::writer::{BUFFER, read_some};
use super::{Error, Result};
use crate::digest::{ContentDigest, Hasher};
use crate::fsx::{self, At as _};
use crate::path::ImagePath;
use crate::tree::{Attributes, Entry, Kind, Listing, Timestamp};

/// Whether files on disk have the owners, and the devices, that their entries name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    /// They have: this process is root.
    Real,
    /// Everything belongs to this process; owners, devices and privileged attributes are in the listing only.
    Listed,
}

impl Ownership {
    /// What this process can do.
    pub fn of_process() -> Self {
        if rustix::process::geteuid().is_root() { Ownership::Real } else { Ownership::Listed }
    }

    /// The attribute that marks an opaque folder for an overlay of such trees.
    pub(super) fn opaque_xattr(self) -> &'static str {
        match self {
            Ownership::Real => "trusted.overlay.opaque",
            Ownership::Listed => "user.overlay.opaque",
        }
    }

    /// The mode a file has on disk. Without privilege its owner must be able to read it back.
    pub(super) fn mode(self, entry: &Entry) -> u32 {
        match (self, entry.is_directory()) {
            (Ownership::Real, _) => entry.attributes.mode,
            (Ownership::Listed, true) => entry.attributes.mode | 0o700,
            (Ownership::Listed, false) => entry.attributes.mode | 0o600,
        }
    }
}

/// Reads a file of a lower layer, counted from the bottom.
pub(super) type OpenLower<'a> = Box<dyn Fn(usize, &Entry) -> Result<Box<dyn Read>> + 'a>;

/// A tree being filled.
pub(super) struct Disk<'a> {
    root: Root,
    ownership: Ownership,
    open_lower: OpenLower<'a>,
    buffer: Vec<u8>,
}

impl<'a> Disk<'a> {
    /// Unpacks into the empty folder `fs`.
    pub(super) fn new(fs: &Path, ownership: Ownership, open_lower: OpenLower<'a>) -> Result<Self> {
        Ok(Self { root: Root::open(fs)?, ownership, open_lower, buffer: vec![0; BUFFER] })
    }

    /// Gives everything its owner, attributes, mode and time, in this order, and makes the whiteouts; folders come last.
    pub(super) fn finish(mut self, listing: &Listing) -> Result<()> {
        self.root.forget();
        for entry in listing.entries() {
            match entry.kind {
                Kind::Whiteout => self.whiteout(&entry.path)?,
                Kind::Directory { .. } | Kind::Hardlink { .. } => {}
                Kind::CharDevice { .. } | Kind::BlockDevice { .. } if self.ownership == Ownership::Listed => {}
                Kind::File { .. }
                | Kind::Symlink { .. }
                | Kind::Fifo
                | Kind::CharDevice { .. }
                | Kind::BlockDevice { .. } => self.metadata(entry)?,
            }
        }
        // Making something in a folder changes its time, and its mode may forbid it.
        for entry in listing.entries().iter().rev().filter(|entry| entry.is_directory()) {
            self.metadata(entry)?;
        }
        Ok(())
    }

    fn whiteout(&mut self, path: &ImagePath) -> Result<()> {
        let (folder, name) = self.root.parent(path)?;
        rustix::fs::mknodat(folder, name, FileType::CharacterDevice, Mode::empty(), 0).map_err(Error::call(
            "create the whiteout",
            self.root.path(),
            path,
        ))
    }

    fn metadata(&mut self, entry: &Entry) -> Result<()> {
        let Entry { path, kind, attributes: Attributes { uid, gid, mtime, xattrs, .. } } = entry;
        let (ownership, host) = (self.ownership, self.root.path().to_path_buf());
        let mode = Mode::from_raw_mode(ownership.mode(entry));
        let (folder, name) = self.root.parent(path)?;
        if ownership == Ownership::Real {
            let (uid, gid) = (Uid::from_raw(*uid), Gid::from_raw(*gid));
            rustix::fs::chownat(folder, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW).map_err(Error::call(
                "change the owner of",
                &host,
                path,
            ))?;
        }
        let opaque = (ownership.opaque_xattr().as_bytes().to_vec(), b"y".to_vec());
        let opaque = (*kind == Kind::Directory { opaque: true }).then_some((&opaque.0, &opaque.1));
        for (key, value) in xattrs.iter().chain(opaque) {
            let set = rustix::fs::lsetxattr(through_proc(folder, name), key.as_slice(), value, XattrFlags::empty());
            match set {
                Ok(()) => {}
                // The listing has it, so the layer keeps it; this file system, or this user, cannot.
                Err(Errno::OPNOTSUPP | Errno::PERM | Errno::INVAL | Errno::NOSPC) if keeps_without(key) => {}
                Err(errno) => return Err(Error::call("set an extended attribute of", &host, path)(errno)),
            }
        }
        if !matches!(kind, Kind::Symlink { .. }) {
            rustix::fs::chmodat(folder, name, mode, AtFlags::empty()).map_err(Error::call(
                "change the mode of",
                &host,
                path,
            ))?;
        }
        let time = Timestamps { last_access: timespec(*mtime), last_modification: timespec(*mtime) };
        rustix::fs::utimensat(folder, name, &time, AtFlags::SYMLINK_NOFOLLOW).map_err(Error::call(
            "change the time of",
            &host,
            path,
        ))
    }

    /// Creates a file and fills it; runs of zeros become holes.
    fn fill(&mut self, path: &ImagePath, content: &mut dyn Read) -> Result<(u64, ContentDigest)> {
        let host = path.in_dir(self.root.path());
        let (folder, name) = self.root.parent(path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file =
            File::from(rustix::fs::openat(folder, name, flags, Mode::from_raw_mode(0o600)).at("create", &host)?);
        let mut hasher = Hasher::new();
        let mut size = 0;
        loop {
            let count = read_some(content, &mut self.buffer);
            let count = count.map_err(|source| Error::Content { path: path.clone(), source })?;
            if count == 0 {
                break;
            }
            let bytes = &self.buffer[..count];
            hasher.update(bytes);
            size += count as u64;
            write_sparse(&mut file, bytes).at("write", &host)?;
        }
        if file.stream_position().at("write", &host)? > 0 {
            file.set_len(size).at("write", &host)?;
        }
        Ok((size, hasher.finish()))
    }
}

impl Sink for Disk<'_> {
    fn directory(&mut self, path: &ImagePath) -> Result<()> {
        let (folder, name) = self.root.parent(path)?;
        match rustix::fs::mkdirat(folder, name, Mode::from_raw_mode(0o700)) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(errno) => Err(Error::call("create the folder", self.root.path(), path)(errno)),
        }
    }

    fn file(&mut self, path: &ImagePath, content: &mut dyn Read) -> Result<(u64, ContentDigest)> {
        self.fill(path, content)
    }

    fn node(&mut self, path: &ImagePath, kind: &Kind) -> Result<()> {
        let ownership = self.ownership;
        let (folder, name) = self.root.parent(path)?;
        let mode = Mode::from_raw_mode(0o600);
        let made = match kind {
            Kind::Symlink { target } => rustix::fs::symlinkat(target.as_slice(), folder, name),
            Kind::Fifo => rustix::fs::mknodat(folder, name, FileType::Fifo, mode, 0),
            Kind::CharDevice { .. } | Kind::BlockDevice { .. } if ownership == Ownership::Listed => Ok(()),
            Kind::CharDevice { major, minor } => {
                let device = rustix::fs::makedev(*major, *minor);
                rustix::fs::mknodat(folder, name, FileType::CharacterDevice, mode, device)
            }
            Kind::BlockDevice { major, minor } => {
                let device = rustix::fs::makedev(*major, *minor);
                rustix::fs::mknodat(folder, name, FileType::BlockDevice, mode, device)
            }
            Kind::Directory { .. } | Kind::File { .. } | Kind::Hardlink { .. } | Kind::Whiteout => Err(Errno::INVAL),
        };
        made.map_err(Error::call("create", self.root.path(), path))
    }

    fn link(&mut self, existing: &ImagePath, path: &ImagePath) -> Result<()> {
        let (from, old) = self.root.parent(existing)?;
        let from = from.try_clone_to_owned().at("open", &existing.in_dir(self.root.path()))?;
        let ownership = self.ownership;
        let (folder, name) = self.root.parent(path)?;
        match rustix::fs::linkat(from, old, folder, name, AtFlags::empty()) {
            // A device that only the listing has.
            Err(Errno::NOENT) if ownership == Ownership::Listed => Ok(()),
            other => other.map_err(Error::call("link", self.root.path(), path)),
        }
    }

    fn copy_up(&mut self, path: &ImagePath, layer: usize, source: &Entry) -> Result<()> {
        let mut content = (self.open_lower)(layer, source)?;
        let (size, digest) = self.fill(path, &mut content)?;
        if source.kind == (Kind::File { size, digest }) { Ok(()) } else { Err(Error::Changed { path: path.clone() }) }
    }

    fn remove(&mut self, path: &ImagePath, directory: bool) -> Result<()> {
        self.root.forget();
        let flags = if directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
        let ownership = self.ownership;
        let (folder, name) = self.root.parent(path)?;
        match rustix::fs::unlinkat(folder, name, flags) {
            Err(Errno::NOENT) if ownership == Ownership::Listed => Ok(()),
            other => other.map_err(Error::call("remove", self.root.path(), path)),
        }
    }
}

/// Whether a tree can do without the attribute: it is no marker that an overlay obeys.
fn keeps_without(key: &[u8]) -> bool {
    super::place::keeps_xattr(key)
}

fn timespec(time: Timestamp) -> Timespec {
    Timespec { tv_sec: time.secs, tv_nsec: time.nanos.into() }
}

fn write_sparse(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    if fsx::is_hole(bytes) {
        let length = i64::try_from(bytes.len()).map_err(io::Error::other)?;
        file.seek(SeekFrom::Current(length))?;
        return Ok(());
    }
    file.write_all(bytes)
}
