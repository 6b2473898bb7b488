//! A folder in memory that goes with its process.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, Metadata, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use crate::fsx;

/// A file system in memory: its folders list their files in another order than those of a disk.
pub const MEMORY: &str = "/dev/shm";
/// What the names of the folders begin with; the process id, for people, and random digits follow.
const PREFIX: &str = "rbuild-verify-";
/// So many names are tried.
const TRIES: usize = 8;

/// A folder that only this user can look into; dropped, it is removed.
///
/// It is locked, shared, from its first moment until it is gone: what nobody holds locked is of a dead process.
#[derive(Debug)]
pub struct MemoryFolder {
    path: PathBuf,
    _lock: File,
}

impl MemoryFolder {
    /// A new folder; none where others could put something else in its place, or nothing can be made.
    pub fn new(memory: &Path) -> Option<Self> {
        is_safe(memory).then(|| (0..TRIES).find_map(|_| Self::try_new(memory).ok().flatten())).flatten()
    }

    fn try_new(memory: &Path) -> io::Result<Option<Self>> {
        let mut random = [0; 8];
        rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())?;
        let path = memory.join(format!("{PREFIX}{}-{:016x}", std::process::id(), u64::from_le_bytes(random)));
        // What is there already is never used.
        DirBuilder::new().mode(0o700).create(&path)?;
        let lock = open(&path)?;
        // Whatever the umask left of the mode.
        lock.set_permissions(Permissions::from_mode(0o700))?;
        // A sweep may have come between, and has or had it for a dead process's.
        let is_ours = lock.try_lock_shared().is_ok() && is_same(&path, &lock);
        Ok(is_ours.then_some(Self { path, _lock: lock }))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for MemoryFolder {
    fn drop(&mut self) {
        // Memory that stays taken is not worth an error: the verdict is there, and the next verify removes it.
        let _left_behind = fsx::remove_tree(&self.path);
    }
}

/// Removes the folders of processes that are gone.
///
/// Only real folders of this user with mode 0700 whose lock is free. What cannot be removed stays for the next one.
pub fn sweep(memory: &Path) {
    let Ok(entries) = fs::read_dir(memory) else { return };
    if !is_safe(memory) {
        return;
    }
    for entry in entries.flatten().filter(|entry| is_name(&entry.file_name())) {
        let path = entry.path();
        let Ok(folder) = open(&path) else { continue };
        let is_ours = folder.metadata().is_ok_and(|found| is_mine(&found) && found.mode() & 0o7777 == 0o700);
        if is_ours && is_free(&folder) && is_same(&path, &folder) {
            // Still locked, so that nobody takes it for a living one's meanwhile.
            let _left_behind = fsx::remove_tree(&path);
        }
    }
}

fn is_name(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(PREFIX.as_bytes())
}

fn is_free(folder: &File) -> bool {
    match folder.try_lock() {
        Ok(()) => true,
        Err(TryLockError::WouldBlock | TryLockError::Error(_)) => false,
    }
}

fn is_mine(found: &Metadata) -> bool {
    found.uid() == rustix::process::geteuid().as_raw()
}

/// Whether the path still leads to what is open.
fn is_same(path: &Path, opened: &File) -> bool {
    let (Ok(there), Ok(here)) = (fs::symlink_metadata(path), opened.metadata()) else { return false };
    (there.dev(), there.ino()) == (here.dev(), here.ino())
}

/// Whether nobody else can move or replace what this user has in a folder.
fn is_safe(folder: &Path) -> bool {
    let Ok(found) = fs::metadata(folder) else { return false };
    let is_sticky = found.mode() & 0o1000 != 0;
    found.is_dir() && (found.uid() == 0 || is_mine(&found)) && (is_sticky || found.mode() & 0o022 == 0)
}

/// Opens a folder, and nothing that a symlink leads to.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?.into())
}
