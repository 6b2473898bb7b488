//! Marks of trees that were synced, which other processes trust.

use std::collections::BTreeSet;
use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::trees::{DURABLE, TreeId, tree_folder};
use super::{Result, Store};
use crate::fsx::{self, At as _};

/// So many bytes are worth a sync of their own: less takes no time that anyone would notice at the end.
const MANY_BYTES: u64 = 32 << 20;

/// A sync that goes on while the build does.
#[derive(Debug, Default)]
pub(super) struct Early {
    unsynced: u64,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Drop for Early {
    /// Nothing is written any more once the last `Store` is gone: its folder may be removed then.
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            // Trees that it could not mark are compared with their listings by the next build.
            let _unused = thread.join();
        }
    }
}

impl Store {
    /// Syncs the file system once and marks every tree that this process made or verified, so that others trust them.
    ///
    /// Costs one syncfs if there is such a tree, nothing otherwise. Waits for one that `sync_soon` began.
    pub fn mark_durable(&self) -> Result<()> {
        self.join_early()?;
        mark_all(self.root(), &self.own_trees)
    }

    /// Waits for what `sync_soon` began. Its failure counts: the kernel tells only once of bytes that it could not write.
    pub(super) fn join_early(&self) -> Result<()> {
        let thread = self.early.lock().unwrap_or_else(PoisonError::into_inner).thread.take();
        thread.map_or(Ok(()), outcome)
    }

    /// Notes that trees of so many bytes were made. Once there are many, they are synced and marked in the background, so
    /// that `mark_durable` has less to wait for: the disk works while the next steps compute.
    ///
    /// Fails if the last such sync did.
    pub fn sync_soon(&self, bytes: u64) -> Result<()> {
        let mut early = self.early.lock().unwrap_or_else(PoisonError::into_inner);
        early.unsynced = early.unsynced.saturating_add(bytes);
        if early.unsynced < MANY_BYTES || early.thread.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return Ok(());
        }
        early.thread.take().map_or(Ok(()), outcome)?;
        // It has no `Store`, which would keep this process's folder in tmp/ from being removed.
        let (root, own) = (self.root().to_path_buf(), Arc::clone(&self.own_trees));
        // Without a thread, everything waits for the end.
        if let Ok(thread) = Builder::new().name("sync".to_owned()).spawn(move || mark_all(&root, &own)) {
            early.unsynced = 0;
            early.thread = Some(thread);
        }
        Ok(())
    }
}

fn outcome(thread: JoinHandle<Result<()>>) -> Result<()> {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn mark_all(store: &Path, own: &Mutex<BTreeSet<TreeId>>) -> Result<()> {
    let unmarked = unmarked(store, own);
    if unmarked.is_empty() {
        return Ok(());
    }
    let root = fsx::open(store)?;
    rustix::fs::syncfs(&root).at("sync", store)?;
    mark_synced(unmarked)
}

pub(super) fn mark_synced(folders: Vec<(PathBuf, Made)>) -> Result<()> {
    for (folder, synced) in folders {
        // Another process may have removed the tree and made it again since: that one was not synced.
        let open = match fsx::open_own(&folder) {
            Err(error) if error.is_not_found() => continue,
            other => other?,
        };
        if Made::of(&open.metadata().at("stat", &folder)?) == synced {
            mark(&open).at("create", &folder.join(DURABLE))?;
        }
    }
    Ok(())
}

/// Tells a tree's folder from one that took its place. The inode number alone does not: ext4 gives it to the next folder
/// as soon as the old one is gone. Nothing is added to a tree's folder before its mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Made {
    inode: u64,
    modified: (i64, i64),
}

impl Made {
    fn of(metadata: &Metadata) -> Self {
        Self { inode: metadata.ino(), modified: (metadata.mtime(), metadata.mtime_nsec()) }
    }
}

/// The folders of trees without a mark, and what tells them from others.
pub(super) fn unmarked(store: &Path, own: &Mutex<BTreeSet<TreeId>>) -> Vec<(PathBuf, Made)> {
    let own: Vec<TreeId> = own.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect();
    let folders = own.into_iter().map(|id| tree_folder(store, id));
    let present = folders.filter_map(|folder| {
        let made = Made::of(&std::fs::symlink_metadata(&folder).ok()?);
        Some((folder, made))
    });
    present.filter(|(folder, _)| !folder.join(DURABLE).exists()).collect()
}

/// Creates the marker in an open folder; there already is fine, and so is a folder that was removed meanwhile.
fn mark(folder: &File) -> rustix::io::Result<()> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    match rustix::fs::openat(folder, DURABLE, flags, Mode::RUSR | Mode::WUSR) {
        Ok(_) | Err(Errno::EXIST | Errno::NOENT) => Ok(()),
        Err(error) => Err(error),
    }
}
