//! Leases: what living builds use, one file each.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::root::{COLLECTING, HOLDING};
use super::{Error, Object, Result, Store, lock, owner};
use crate::fsx::{self, At as _};

/// Keeps gc away from the objects it names; dropped, or its process gone, they are free again.
///
/// While it lives, the store it came from and that store's clones name in it every object they put, find or read, before
/// they look whether it is there: what was found stays.
#[must_use = "dropping the lease lets gc remove what the build uses"]
#[derive(Debug)]
pub struct Lease {
    store: Store,
    inner: Arc<Inner>,
}

/// The lease that the clones of a store write to.
#[derive(Debug, Default)]
pub(super) struct Current(Weak<Inner>);

#[derive(Debug)]
struct Inner {
    store_folder: PathBuf,
    path: PathBuf,
    /// Locked, shared, for the moment of a write: gc never decides in the middle of one.
    gate: File,
    written: Mutex<Written>,
}

#[derive(Debug)]
struct Written {
    file: File,
    length: u64,
    held: BTreeSet<Object>,
}

impl Store {
    /// A lease for this build. While one of this store or of a clone lives, the same one is returned again.
    pub fn lease(&self) -> Result<Lease> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(inner) = current.0.upgrade() {
            return Ok(Lease { store: self.clone(), inner });
        }
        let gate = lock::open(&self.folder(HOLDING))?;
        loop {
            let path = self.folder("leases").join(owner::unique_name());
            let Some(file) = owner::create_locked(&path)? else { continue };
            let written = Mutex::new(Written { file, length: 0, held: BTreeSet::new() });
            let inner = Arc::new(Inner { store_folder: self.root().to_path_buf(), path, gate, written });
            current.0 = Arc::downgrade(&inner);
            return Ok(Lease { store: self.clone(), inner });
        }
    }

    /// Names `object` in the lease of this store, if there is one. Comes before every look at whether an object is there.
    pub(super) fn hold(&self, object: &Object) -> Result<()> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner).0.upgrade();
        match current {
            Some(inner) if inner.hold(object)? => self.touch(object),
            _ => Ok(()),
        }
    }

    /// Everything that the lease files name, of living processes or not.
    pub fn held_objects(&self) -> Result<BTreeSet<Object>> {
        let folder = self.folder("leases");
        let mut held = BTreeSet::new();
        for name in owner::names(&folder)? {
            let path = folder.join(name);
            let file = match fsx::open_own(&path) {
                Err(error) if error.is_not_found() => continue,
                other => other?,
            };
            read_lines(file, &path, &mut held)?;
        }
        Ok(held)
    }
}

fn read_lines(file: File, path: &Path, held: &mut BTreeSet<Object>) -> Result<()> {
    let mut file = BufReader::new(file);
    let mut line = String::new();
    while file.read_line(&mut line).at("read", path)? > 0 {
        // A kill may have cut the last line; whoever wrote it did not get to use the object.
        let Some(text) = line.strip_suffix('\n') else { break };
        let Some(object) = Object::parse(text) else {
            return Err(Error::Lease { path: path.to_path_buf(), line: text.to_owned() });
        };
        held.insert(object);
        line.clear();
    }
    Ok(())
}

impl Lease {
    /// Names an object, which need not be there yet. Idempotent; costs a look-up if it is named already.
    ///
    /// To use an object that exists: first hold it, then look whether it is there.
    pub fn hold(&self, object: &Object) -> Result<()> {
        if self.inner.hold(object)? { self.store.touch(object) } else { Ok(()) }
    }
}

impl Inner {
    /// Returns whether it was not held before.
    fn hold(&self, object: &Object) -> Result<bool> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if written.held.contains(object) {
            return Ok(false);
        }
        let line = format!("{object}\n");
        if Object::parse(line.trim_end_matches('\n')).as_ref() != Some(object) {
            // A record whose name no file can have: there is nothing to hold, and gc could not read the line.
            return Ok(false);
        }
        lock::uninterrupted(|| self.gate.lock_shared()).at("lock", &self.store_folder.join(HOLDING))?;
        let mut outcome = written.file.write_all_at(line.as_bytes(), written.length);
        if outcome.is_err() {
            // Half a line, on a full disk, would spoil the next one.
            let restored = written.file.set_len(written.length);
            outcome = outcome.and(restored);
        }
        self.gate.unlock().at("unlock", &self.store_folder.join(HOLDING))?;
        outcome.at("write", &self.path)?;
        written.length += line.len() as u64;
        written.held.insert(object.clone());
        Ok(true)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // A collection that began while this lease lived decides by it: then the file stays, and the collection removes what
        // is not locked when it ends. If it ended before this one was unlocked, the second look finds that.
        let path = self.store_folder.join(COLLECTING);
        let Ok(collecting) = lock::open(&path) else { return };
        let is_free = || matches!(lock::try_shared(&collecting, &path), Ok(true));
        let mut unlock = || self.written.get_mut().unwrap_or_else(PoisonError::into_inner).file.unlock();
        if is_free() || (unlock().is_ok() && is_free()) {
            let _unused = fs::remove_file(&self.path);
        }
    }
}
