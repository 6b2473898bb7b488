//! What the host's file system says about a path, and the names in a folder.

use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;

use rustix::fs::{AtFlags, FileType, RawDir, StatxFlags};
use rustix::io::Errno;

use crate::tree::Timestamp;

/// The folders of one `getdents64` call; a name has at most 255 bytes.
const DENTS_BUFFER: usize = 32 * 1024;

/// The fields of `statx` that matter here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Device number.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
    /// Type and permission bits.
    pub mode: u32,
    /// Number of names.
    pub names: u32,
    /// Length in bytes.
    pub size: u64,
    /// Time of the last change of the content.
    pub mtime: Timestamp,
    /// Time of the last change of anything.
    pub ctime: Timestamp,
    /// Device numbers of a device node.
    pub special: (u32, u32),
}

impl Stat {
    /// The type.
    pub fn file_type(&self) -> FileType {
        FileType::from_raw_mode(self.mode)
    }

    /// Whether this is the same file in the same state.
    pub fn is_unchanged(&self, later: &Self) -> bool {
        let key = |s: &Self| (s.device, s.inode, s.size, s.mtime, s.ctime);
        key(self) == key(later)
    }
}

/// One `statx` of a name in the folder `dir`, a symlink not followed; an empty name means `dir` itself.
pub fn stat_at(dir: BorrowedFd<'_>, name: &[u8]) -> Result<Stat, Errno> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | if name.is_empty() { AtFlags::EMPTY_PATH } else { AtFlags::empty() };
    let raw = rustix::fs::statx(dir, name, flags, StatxFlags::BASIC_STATS)?;
    let time = |t: rustix::fs::StatxTimestamp| Timestamp { secs: t.tv_sec, nanos: t.tv_nsec };
    Ok(Stat {
        device: u64::from(raw.stx_dev_major) << 32 | u64::from(raw.stx_dev_minor),
        inode: raw.stx_ino,
        mode: u32::from(raw.stx_mode),
        names: raw.stx_nlink,
        size: raw.stx_size,
        mtime: time(raw.stx_mtime),
        ctime: time(raw.stx_ctime),
        special: (raw.stx_rdev_major, raw.stx_rdev_minor),
    })
}

/// A name in a folder and whether it is a folder itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Whether a folder has it.
    pub is_directory: bool,
}

/// The names in a folder in byte order, but for sockets: they exist only while their server runs, and are never copied.
pub fn read_names(dir: BorrowedFd<'_>) -> Result<Vec<Name>, Errno> {
    let mut buffer = vec![MaybeUninit::uninit(); DENTS_BUFFER];
    let mut entries = RawDir::new(dir, &mut buffer);
    let mut names = Vec::new();
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let bytes = entry.file_name().to_bytes();
        if bytes == b"." || bytes == b".." {
            continue;
        }
        let file_type = match entry.file_type() {
            FileType::Unknown => match stat_at(dir, bytes) {
                Ok(stat) => stat.file_type(),
                Err(Errno::NOENT) => continue,
                Err(errno) => return Err(errno),
            },
            known => known,
        };
        if file_type != FileType::Socket {
            names.push(Name { bytes: bytes.to_vec(), is_directory: file_type == FileType::Directory });
        }
    }
    names.sort_by(|a, b| a.bytes.cmp(&b.bytes));
    Ok(names)
}
