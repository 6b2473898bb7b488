//! How large the store is, without walking all of it each time.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::atomic::Ordering;

use super::{Result, Store, TreeId};
use crate::fsx::{self, At as _};

/// The file with the bytes that were added since gc last measured.
pub(super) const GROWN: &str = "grown";

/// The file with the sizes of trees.
pub(super) const SIZES: &str = "sizes";

/// No file of sizes is longer, in bytes: half a million trees.
const MAX_SIZES: u64 = 64 << 20;

/// The file system that the store lies on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes in all.
    pub total: u64,
    /// Bytes that this process may still use.
    pub free: u64,
    /// How many files it can hold; 0 if it has no such limit.
    pub files: u64,
    /// How many more files it can hold.
    pub free_files: u64,
}

impl Store {
    /// What the file system of the store says of itself. Costs one call.
    pub fn space(&self) -> Result<Space> {
        let found = rustix::fs::statvfs(self.root()).at("ask for the free space of", self.root())?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        Ok(Space {
            total: bytes(found.f_blocks),
            free: bytes(found.f_bavail),
            files: found.f_files,
            free_files: found.f_favail,
        })
    }

    /// Notes that this process added so many bytes.
    pub fn add_growth(&self, bytes: u64) {
        self.grown.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The bytes that were added since the last `reset_growth`, by this process and those before it; none if nobody knows.
    ///
    /// A rough figure: of two processes that end at once one may be forgotten. Costs two small file operations, and none at
    /// all if this process added nothing: then the answer is 0.
    pub fn total_growth(&self) -> Result<Option<u64>> {
        let own = self.grown.swap(0, Ordering::Relaxed);
        if own == 0 {
            return Ok(Some(0));
        }
        let path = self.folder(GROWN);
        let text = fsx::read_if_exists(&path, 100)?.unwrap_or_default();
        let Some(before) = std::str::from_utf8(&text).ok().and_then(|text| text.trim().parse::<u64>().ok()) else {
            return Ok(None);
        };
        let grown = before.saturating_add(own);
        write_number(&path, grown)?;
        Ok(Some(grown))
    }

    /// Begins to count anew: what there is was measured just now.
    pub fn reset_growth(&self) -> Result<()> {
        self.grown.store(0, Ordering::Relaxed);
        write_number(&self.folder(GROWN), 0)
    }
}

/// In place, as a file that appears by rename costs more; a number cut short by a kill means only that gc comes early or late.
pub(super) fn write_number(path: &Path, number: u64) -> Result<()> {
    let mut options = OpenOptions::new();
    let opened = options.write(true).create(true).truncate(true).mode(0o600).open(path);
    let written = opened.and_then(|mut file| file.write_all(format!("{number}\n").as_bytes()));
    Ok(written.at("write", path)?)
}

/// What trees take on disk, by their names and the inodes of their folders: a tree never changes.
#[derive(Debug, Default)]
pub(super) struct Sizes {
    known: BTreeMap<String, (u64, u64)>,
    /// Those that are still there.
    used: BTreeMap<String, (u64, u64)>,
}

impl Sizes {
    /// Reads them; a file that is damaged or not there is empty.
    pub(super) fn read(store: &Store) -> Self {
        let bytes = fsx::read_if_exists(&store.folder(SIZES), MAX_SIZES).ok().flatten().unwrap_or_default();
        let line = |line: &str| {
            let mut words = line.split(' ');
            let (name, inode, size) = (words.next()?, words.next()?.parse().ok()?, words.next()?.parse().ok()?);
            Some((name.to_owned(), (inode, size)))
        };
        let text = String::from_utf8_lossy(&bytes);
        Self { known: text.lines().filter_map(line).collect(), used: BTreeMap::new() }
    }

    /// The size of a tree, measured if it is not known.
    pub(super) fn of(&mut self, id: TreeId, inode: u64, measure: impl FnOnce() -> Result<u64>) -> Result<u64> {
        let name = id.to_string();
        let size = match self.known.get(&name) {
            Some((known, size)) if *known == inode => *size,
            _ => measure()?,
        };
        self.used.insert(name, (inode, size));
        Ok(size)
    }

    /// Keeps them, if there is anything new to keep and it can be written.
    pub(super) fn write(self, store: &Store) {
        if self.used == self.known {
            return;
        }
        let lines: String = self.used.iter().map(|(name, (inode, size))| format!("{name} {inode} {size}\n")).collect();
        let Ok(temporary) = store.temporary("sizes") else { return };
        // On a full disk, or in a store that may only be read, they are measured again the next time.
        let made = fsx::create_new(&temporary).map_err(|error| error.source);
        let written = made.and_then(|mut file| file.write_all(lines.as_bytes()));
        let written = written.and_then(|()| fs::rename(&temporary, store.folder(SIZES)));
        if written.is_err() {
            let _unused = fs::remove_file(&temporary);
        }
    }
}
