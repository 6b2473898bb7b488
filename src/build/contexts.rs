//! The contexts that are open: folders, each with its ignore rules, and what was fetched.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::error::Problem;
use super::files::{self, Files, Told};
use super::request::{Engine, Request, StatCacheUse};
use crate::context::{DirectorySource, Ignore, StatCache, read_ignore};
use crate::digest::ContentDigest;
use crate::remote::Remote;
use crate::store::{Bucket, Store};

/// Requests that want the same folder with the same rules get the same source: it is listed and hashed once.
#[derive(Default)]
pub(super) struct Contexts {
    folders: Mutex<Vec<(Folder, Arc<DirectorySource>)>>,
    remotes: Mutex<Vec<(Remote, Place)>>,
}

/// Where fetched files are, once they are.
type Place = Arc<Mutex<Option<Files>>>;

/// What makes two sources the same.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Folder {
    root: PathBuf,
    ignore: Ignore,
    outputs: Vec<PathBuf>,
    stat_cache: StatCacheUse,
}

impl Contexts {
    /// The context folder of a request.
    pub(super) fn of_request(&self, store: &Store, request: &Request) -> Result<Arc<DirectorySource>, Problem> {
        let root = request.context.clone().unwrap_or_default();
        self.folder(store, request, &root, request.dockerfile_path.as_deref())
    }

    /// A folder, with the ignore rules for `dockerfile`, or its own, and what is known of its files.
    pub(super) fn folder(
        &self,
        store: &Store,
        request: &Request,
        root: &Path,
        dockerfile: Option<&Path>,
    ) -> Result<Arc<DirectorySource>, Problem> {
        let folder = Folder {
            root: root.to_path_buf(),
            ignore: read_ignore(root, dockerfile)?,
            outputs: request.outputs.clone(),
            stat_cache: request.stat_cache,
        };
        // Held while it is opened, which is quick.
        let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, source)) = folders.iter().find(|(known, _)| *known == folder) {
            return Ok(source.clone());
        }
        let cache = match request.stat_cache {
            StatCacheUse::Ignore => StatCache::disabled(),
            StatCacheUse::Use => known(store, root)?,
        };
        let opened = DirectorySource::open(root, folder.ignore.clone(), &request.outputs, cache)?;
        let source = Arc::new(opened);
        folders.push((folder, source.clone()));
        Ok(source)
    }

    /// Files from elsewhere, which are fetched once.
    pub(super) fn remote(&self, engine: &Engine<'_>, remote: &Remote) -> Result<Files, Problem> {
        let place = {
            let mut remotes = self.remotes.lock().unwrap_or_else(PoisonError::into_inner);
            match remotes.iter().find(|(known, _)| known == remote) {
                Some((_, place)) => place.clone(),
                None => {
                    let place = Place::default();
                    remotes.push((remote.clone(), Arc::clone(&place)));
                    place
                }
            }
        };
        // Only those that want the same files wait.
        let mut fetched = place.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(files) = &*fetched {
            return Ok(files.clone());
        }
        let files = files::fetch_named(engine.store, engine.fetcher, remote, &Told::new(engine, remote.shown()))?;
        Ok(fetched.insert(files).clone())
    }

    /// Keeps what is known of the files in folders for the next build. Nobody uses the sources any more.
    pub(super) fn keep(self, store: &Store) -> Result<(), Problem> {
        let mut caches: BTreeMap<PathBuf, StatCache> = BTreeMap::new();
        for (folder, source) in self.folders.into_inner().unwrap_or_else(PoisonError::into_inner) {
            if folder.stat_cache == StatCacheUse::Use
                && let Some(source) = Arc::into_inner(source)
            {
                let cache = source.into_stat_cache();
                let cache = match caches.remove(&folder.root) {
                    Some(other) => other.merged(cache),
                    None => cache,
                };
                caches.insert(folder.root, cache);
            }
        }
        for (root, cache) in caches {
            let (name, bytes) = (record_name(&root), cache.to_bytes());
            if store.read_record(Bucket::Files, &name)?.as_deref() != Some(bytes.as_slice()) {
                store.write_record(Bucket::Files, &name, &bytes)?;
            }
        }
        Ok(())
    }
}

fn known(store: &Store, root: &Path) -> Result<StatCache, Problem> {
    let known = store.read_record(Bucket::Files, &record_name(root))?;
    // A damaged one is as good as none.
    Ok(known.and_then(|bytes| StatCache::from_bytes(&bytes).ok()).unwrap_or_default())
}

fn record_name(root: &Path) -> String {
    ContentDigest::of(root.as_os_str().as_encoded_bytes()).hex()
}
