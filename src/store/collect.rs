//! Gc, and tidying up after dead processes.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::root::{COLLECTING, HOLDING};
use super::{Bucket, Error, Object, Result, Store, Waiting, lock, object, owner};
use crate::fsx::{self, At as _};

/// So many objects go to the trash while leases wait; then they are deleted, and leases go on.
const BATCH: usize = 64;

/// A collection that has begun: from here on, whatever any lease holds or has held stays.
///
/// Read what is to be kept (names, images) after it began: what a build finished before is then among what is read, and
/// what it finishes later is in its lease. A lease of the process that collects counts like any other.
#[must_use = "nothing is removed before `remove_unless`"]
#[derive(Debug)]
pub struct Collection {
    store: Store,
    failed: Option<Error>,
    collecting: File,
}

/// What a collection removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Collected {
    /// How many objects.
    pub objects: u64,
    /// Bytes on disk that they took.
    pub bytes: u64,
}

/// What a sweep removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Leases, locks, temporary files and trash of dead processes.
    pub leftovers: u64,
    /// Bytes on disk that they took.
    pub bytes: u64,
}

impl Store {
    /// Begins a collection, after sweeping; waits for another process's, asking as `Store::lock` does.
    pub fn collection(&self, ask: &mut dyn FnMut(Waiting) -> bool) -> Result<Collection> {
        let collecting = lock::acquire(&self.folder(COLLECTING), ask)?;
        // A leftover that cannot be removed is no reason to keep the rest.
        let failed = self.sweep_locked().err();
        Ok(Collection { store: self.clone(), failed, collecting })
    }

    /// Removes what dead processes left: costs a few folder listings where there is nothing.
    ///
    /// Returns at once if another process collects; several may sweep at once, and a lease may end meanwhile. What cannot
    /// be removed does not keep the rest from being removed; the first such error is returned.
    pub fn sweep(&self) -> Result<Swept> {
        let path = self.folder(COLLECTING);
        let collecting = lock::open(&path)?;
        if lock::try_shared(&collecting, &path)? { self.sweep_locked() } else { Ok(Swept::default()) }
    }

    fn sweep_locked(&self) -> Result<Swept> {
        let mut sweep = Sweep { swept: Swept::default(), failed: None };
        for folder in [self.folder("leases"), self.folder("locks")] {
            sweep.dead_files(&folder)?;
        }
        let trash = self.folder("trash");
        for name in owner::names(&trash)? {
            sweep.note(fsx::remove_counting(&trash.join(name)).map(Some).map_err(Error::from));
        }
        let tmp = self.folder("tmp");
        for name in owner::names(&tmp)? {
            sweep.note(sweep_temporary(&tmp, &name));
        }
        match sweep.failed {
            Some(error) => Err(error),
            None => Ok(sweep.swept),
        }
    }
}

impl Collection {
    /// Removes every object that no lease holds and that `keep`, asked with its last use, does not want.
    ///
    /// The secrets of the store (`Bucket::Keys`) are never asked about. What cannot be removed does not stop the rest; the
    /// first such error is returned. Killed, it leaves only trash.
    pub fn remove_unless(mut self, keep: &dyn Fn(&Object, SystemTime) -> bool) -> Result<Collected> {
        let mut unwanted = Vec::new();
        for object in self.store.names()? {
            let path = self.store.object_path(&object);
            let Some(metadata) = object::found(fs::symlink_metadata(&path), &path)? else { continue };
            let secret = matches!(object, Object::Record(Bucket::Keys, _));
            if !secret && !keep(&object, object::last_used(&metadata)) {
                unwanted.push(object);
            }
        }
        let failed = self.failed.take();
        let mut removal = Removal { store: &self.store, collected: Collected::default(), failed };
        let mut stuck = Vec::new();
        for batch in unwanted.chunks(BATCH) {
            stuck.extend(removal.batch(batch)?);
        }
        // On a full disk the trash may not take a tree until something else has been deleted.
        for object in &stuck {
            if !removal.batch(std::slice::from_ref(object))?.is_empty() && removal.failed.is_none() {
                let full = io::Error::from(io::ErrorKind::StorageFull);
                let path = self.store.object_path(object);
                removal.failed = Some(fsx::Error { action: "move to the trash", path, source: full }.into());
            }
        }
        match removal.failed {
            Some(error) => Err(error),
            None => Ok(removal.collected),
        }
    }
}

impl Drop for Collection {
    /// Removes the leases of the builds that ended meanwhile; they left them, as these counted until now.
    ///
    /// Looks after the lock is free: a lease that ends from here on removes its own file, and one that found the lock taken
    /// gave up its file before it looked again. What cannot be removed waits for the next sweep.
    fn drop(&mut self) {
        let path = self.store.folder(COLLECTING);
        let mut ended = Sweep { swept: Swept::default(), failed: None };
        if self.collecting.unlock().is_ok()
            && let Ok(true) = lock::try_shared(&self.collecting, &path)
        {
            let _unused = ended.dead_files(&self.store.folder("leases"));
        }
    }
}

struct Removal<'a> {
    store: &'a Store,
    collected: Collected,
    failed: Option<Error>,
}

impl Removal<'_> {
    /// Removes a batch; returns the trees for whose names the trash had no space.
    fn batch(&mut self, batch: &[Object]) -> Result<Vec<Object>> {
        let mut stuck = Vec::new();
        for trashed in self.take_names(batch, &mut stuck)? {
            match fsx::remove_counting(&trashed) {
                Ok(bytes) => {
                    self.collected.objects += 1;
                    self.collected.bytes += bytes;
                }
                Err(error) => self.fail(error),
            }
        }
        Ok(stuck)
    }

    /// Takes the names from all objects that are not held. No lease grows meanwhile, so there is nothing to put back.
    fn take_names(&mut self, batch: &[Object], stuck: &mut Vec<Object>) -> Result<Vec<PathBuf>> {
        let path = self.store.folder(HOLDING);
        let gate = lock::open(&path)?;
        lock::uninterrupted(|| gate.lock()).at("lock", &path)?;
        let held = self.store.held_objects()?;
        let mut trashed = Vec::new();
        for object in batch.iter().filter(|object| !held.contains(object)) {
            let path = self.store.object_path(object);
            let trash = self.store.trash_path();
            match fs::rename(&path, &trash) {
                Ok(()) => trashed.push(trash),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
                    match object {
                        Object::Tree(_) | Object::Cache(_) => stuck.push(object.clone()),
                        // A file goes at once or not at all, with or without the trash.
                        Object::Record(..) | Object::Blob(_) => self.unlink(&path),
                    }
                }
                Err(source) => self.fail(fsx::Error { action: "move to the trash", path, source }),
            }
        }
        Ok(trashed)
    }

    fn unlink(&mut self, path: &Path) {
        match fsx::remove_counting(path) {
            Ok(bytes) => {
                self.collected.objects += 1;
                self.collected.bytes += bytes;
            }
            Err(error) => self.fail(error),
        }
    }

    fn fail(&mut self, error: fsx::Error) {
        self.failed.get_or_insert(error.into());
    }
}

struct Sweep {
    swept: Swept,
    failed: Option<Error>,
}

impl Sweep {
    /// Removes the files of a folder that nobody has locked.
    fn dead_files(&mut self, folder: &Path) -> Result<()> {
        for name in owner::names(folder)? {
            let path = folder.join(name);
            self.note(if_dead(&path, || Ok(0)));
        }
        Ok(())
    }

    fn note(&mut self, outcome: Result<Option<u64>>) {
        match outcome {
            Ok(Some(bytes)) => {
                self.swept.leftovers += 1;
                self.swept.bytes += bytes;
            }
            Ok(None) => {}
            Err(error) => drop(self.failed.get_or_insert(error)),
        }
    }
}

/// An entry of `tmp/`: a lock and the folder it stands for go together; anything without a lock is nobody's.
fn sweep_temporary(tmp: &Path, name: &OsStr) -> Result<Option<u64>> {
    let path = tmp.join(name);
    if path.extension() == Some(OsStr::new("lock")) {
        return if_dead(&path, || Ok(fsx::remove_counting(&path.with_extension(""))?));
    }
    // Asked now, not from the listing: the lock is there before the folder, but the listing may have missed it.
    if object::found(fs::symlink_metadata(path.with_extension("lock")), &path)?.is_some() {
        return Ok(None);
    }
    Ok(Some(fsx::remove_counting(&path)?))
}

/// If nobody holds the lock at `path`: does `first`, removes the file while holding it, and returns the bytes freed.
fn if_dead(path: &Path, first: impl FnOnce() -> Result<u64>) -> Result<Option<u64>> {
    let file = match fsx::open_own(path) {
        Err(error) if error.is_not_found() => return Ok(None),
        other => other?,
    };
    if !lock::try_exclusive(&file, path)? {
        return Ok(None);
    }
    // Its holder may have removed it, and another made a new one of that name, since it was opened.
    if file.metadata().at("stat", path)?.nlink() == 0 {
        return Ok(None);
    }
    let bytes = first()?;
    let own = file.metadata().at("stat", path)?.blocks() * 512;
    fsx::remove_tree(path)?;
    Ok(Some(bytes + own))
}
