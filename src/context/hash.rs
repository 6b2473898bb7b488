//! Reads and hashes one file of the host.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rustix::fs::{FileType, FsWord, OFlags};
use rustix::time::{ClockId, clock_gettime};

use super::beneath;
use super::error::{Error, Result};
use super::source::Content;
use super::stat::{Stat, stat_at};
use crate::digest::Hasher;
use crate::fsx::At as _;
use crate::path::ContextPath;
use crate::tree::Timestamp;

/// A pipe that took the file's place must not be waited for, a terminal not taken.
pub const READ_FLAGS: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// How often a file that changes meanwhile is read.
const ATTEMPTS: usize = 3;

const BUFFER: u64 = 128 * 1024;

/// A file system's number: see `statfs(2)`.
const KEEP_CHANGE_TIMES: [FsWord; 8] = [
    0xef53,      // ext2, ext3, ext4
    0x5846_5342, // xfs
    0x9123_683e, // btrfs
    0x0102_1994, // tmpfs
    0x794c_7630, // overlayfs: hands on the times of the file below it
    0xf2f5_2010, // f2fs
    0x2fc1_2fc1, // zfs
    0xca45_1a4e, // bcachefs
];

/// The outcome of reading a file once, unchanged from beginning to end.
pub struct Hashed {
    /// Its length and hash.
    pub content: Content,
    /// Its state while it was read.
    pub stat: Stat,
    /// A time before it was read.
    pub read_at: Timestamp,
    /// Whether its file system keeps change times.
    pub is_trusted: bool,
}

/// Hashes the regular file at `path` below `root`; one that changes meanwhile is read again, then refused.
pub fn file(root: &OwnedFd, path: &ContextPath, host: &Path, devices: &Devices) -> Result<Hashed> {
    for _ in 0..ATTEMPTS {
        let read_at = now();
        let fd = beneath::open(root.as_fd(), path, READ_FLAGS).at("open", host)?;
        let stat = stat_at(fd.as_fd(), b"").at("stat", host)?;
        if stat.file_type() != FileType::RegularFile {
            return Err(Error::NotAFile { path: path.clone() });
        }
        let is_trusted = devices.keep_change_times(&stat, fd.as_fd());
        let file = File::from(fd);
        let content = read_all(&file, stat.size).at("read", host)?;
        let after = stat_at(file.as_fd(), b"").at("stat", host)?;
        if stat.is_unchanged(&after) && content.size == stat.size {
            return Ok(Hashed { content, stat, read_at, is_trusted });
        }
    }
    Err(Error::Changing { path: path.clone() })
}

fn read_all(mut file: &File, expected: u64) -> std::io::Result<Content> {
    let mut buffer = vec![0; usize::try_from((expected + 1).min(BUFFER)).unwrap_or(1)];
    let mut hasher = Hasher::new();
    let mut size: u64 = 0;
    loop {
        let count = match file.read(&mut buffer) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            count => count?,
        };
        hasher.update(&buffer[..count]);
        size += count as u64;
        // There is no need to read its end: the caller sees by the times whether it grew.
        if count == 0 || size >= expected {
            return Ok(Content { size, digest: hasher.finish() });
        }
    }
}

/// The time as file systems stamp it, or a little earlier.
pub fn now() -> Timestamp {
    let time = clock_gettime(ClockId::RealtimeCoarse);
    Timestamp { secs: time.tv_sec, nanos: u32::try_from(time.tv_nsec).unwrap_or(0) }
}

/// Which of the file systems of a context keep change times: each is asked once.
#[derive(Default)]
pub struct Devices(Mutex<BTreeMap<u64, bool>>);

impl Devices {
    /// Whether every change of the file moves its change time.
    pub fn keep_change_times(&self, stat: &Stat, fd: BorrowedFd<'_>) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *known.entry(stat.device).or_insert_with(|| keeps_change_times(fd))
    }
}

/// Whether every change of a file moves its change time here. Network file systems and FUSE promise nothing.
fn keeps_change_times(fd: BorrowedFd<'_>) -> bool {
    rustix::fs::fstatfs(fd).is_ok_and(|stat| KEEP_CHANGE_TIMES.contains(&stat.f_type))
}
