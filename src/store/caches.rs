//! Cache folders: what commands write to and find again.

use std::fmt;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::lock::{self, Waiting};
use super::{Error, KeyLock, Object, Result, Store};
use crate::digest::ContentDigest;
use crate::fsx::{self, At as _};

/// No note is larger, in bytes.
const MAX_NOTE: u64 = 1 << 30;

/// So many folders of one name there may be: as many builds use it at once without sharing.
const MAX_INSTANCES: u32 = 10_000;

/// Names a cache folder. What the user calls it is hashed, and never part of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CacheName {
    digest: ContentDigest,
    instance: u32,
}

impl CacheName {
    /// Reads what `Display` writes.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (hex, number) = text.split_once('-')?;
        let digest = format!("sha256:{hex}").parse().ok()?;
        let instance = number.parse().ok()?;
        let name = Self { digest, instance };
        (name.to_string() == text).then_some(name)
    }
}

impl fmt::Display for CacheName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.digest.hex(), self.instance)
    }
}

/// How those that use a cache folder at the same time get along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheSharing {
    /// All use one folder; one that is used alone is left to its user, and another one taken.
    Shared,
    /// Each takes a folder that nobody uses, and makes one if there is none.
    Private,
    /// Each uses the folder alone, and waits for it.
    Locked,
}

/// A cache folder in use; dropped, it is free again.
#[must_use = "dropping it lets others use the folder"]
#[derive(Debug)]
pub struct CacheFolder {
    store: Store,
    name: CacheName,
    lock: File,
}

impl Store {
    /// Takes a cache folder of the name that `digest` stands for.
    ///
    /// A new one is made by `fill`, given an empty folder of mode 0755, and appears whole or not at all. `ask` is called
    /// while waiting, as `Store::lock` does. The folder is named in the lease, so gc leaves it alone.
    pub fn cache_folder<E: From<Error>>(
        &self,
        digest: ContentDigest,
        sharing: CacheSharing,
        ask: &mut dyn FnMut(Waiting) -> bool,
        fill: &mut dyn FnMut(&Path) -> std::result::Result<(), E>,
    ) -> std::result::Result<CacheFolder, E> {
        for instance in 0..MAX_INSTANCES {
            let name = CacheName { digest, instance };
            self.hold(&Object::Cache(name))?;
            let is_new = !self.cache_path(&name).join("lock").exists();
            // One that is waited for is the first one: all that lock meet there.
            if is_new && instance > 0 && sharing == CacheSharing::Locked {
                break;
            }
            if is_new {
                self.make_cache(&name, fill)?;
            }
            if let Some(folder) = self.try_cache(name, sharing)? {
                return Ok(folder);
            }
        }
        let name = CacheName { digest, instance: 0 };
        loop {
            let lock = lock::acquire(&self.cache_path(&name).join("lock"), ask)?;
            if let Some(folder) = self.taken(name, lock)? {
                return Ok(folder);
            }
            self.make_cache(&name, fill)?;
        }
    }

    pub(super) fn cache_path(&self, name: &CacheName) -> PathBuf {
        self.folder("caches").join(name.to_string())
    }

    fn try_cache(&self, name: CacheName, sharing: CacheSharing) -> Result<Option<CacheFolder>> {
        let path = self.cache_path(&name).join("lock");
        let lock = lock::open(&path)?;
        let is_ours = match sharing {
            CacheSharing::Shared => lock::try_shared(&lock, &path)?,
            CacheSharing::Private | CacheSharing::Locked => lock::try_exclusive(&lock, &path)?,
        };
        if is_ours { self.taken(name, lock) } else { Ok(None) }
    }

    /// None if somebody removed the folder before it was locked.
    fn taken(&self, name: CacheName, lock: File) -> Result<Option<CacheFolder>> {
        let path = self.cache_path(&name).join("lock");
        let is_there = lock.metadata().at("stat", &path)?.nlink() > 0;
        Ok(is_there.then(|| CacheFolder { store: self.clone(), name, lock }))
    }

    fn make_cache<E: From<Error>>(
        &self,
        name: &CacheName,
        fill: &mut dyn FnMut(&Path) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let mut builder = DirBuilder::new();
        builder.mode(0o700);
        let make = |path: &Path| match builder.create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            made => made.at("create the folder", path).map_err(Error::from),
        };
        let draft = self.temporary("cache")?;
        let fs = draft.join("fs");
        // A store that was made before there were cache folders lacks the first one.
        [&self.folder("caches"), &draft, &fs].into_iter().try_for_each(|path| make(path))?;
        let opened = fs::set_permissions(&fs, Permissions::from_mode(0o755)).at("change the mode of", &fs);
        opened.map_err(Error::from)?;
        let filled = fill(&fs).and_then(|()| {
            lock::open(&draft.join("lock"))?;
            let target = self.cache_path(name);
            match fs::rename(&draft, &target) {
                // Another build was faster.
                Err(error) if matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty) => Ok(()),
                other => Ok(other.at("rename to", &target).map_err(Error::from)?),
            }
        });
        // Gone already unless it was not needed after all; then a leftover is removed by a sweep.
        let _unused = fsx::remove_tree(&draft);
        filled
    }
}

impl CacheFolder {
    /// The folder that commands write to.
    pub fn fs(&self) -> PathBuf {
        self.store.cache_path(&self.name).join("fs")
    }

    /// What `set_note` left; none if nobody did.
    pub fn note(&self) -> Result<Option<Vec<u8>>> {
        Ok(fsx::read_if_exists(&self.note_path(), MAX_NOTE)?)
    }

    /// Leaves a note for later users: whole, or the old one stays.
    pub fn set_note(&self, bytes: &[u8]) -> Result<()> {
        Ok(fsx::replace(&self.store.temporary("note")?, &self.note_path(), bytes)?)
    }

    /// Held while a note is read and replaced: users that share the folder do so at the same time.
    pub fn lock_note(&self) -> Result<KeyLock> {
        self.store.lock(&format!("note-{}", self.name), &mut |_| true)
    }

    /// Whether nobody else uses the folder now; from then on nobody else can until it is dropped.
    pub fn alone(&self) -> Result<bool> {
        lock::try_exclusive(&self.lock, &self.store.cache_path(&self.name).join("lock"))
    }

    fn note_path(&self) -> PathBuf {
        self.store.cache_path(&self.name).join("note")
    }
}
