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
        let ignore = read_ignore(&root, request.dockerfile_path.as_deref(), request.ignore_file.as_deref())?;
        self.folder(store, request, &root, ignore)
    }

    /// A folder with its own ignore rules, and what is known of its files.
    pub(super) fn named(&self, store: &Store, request: &Request, root: &Path) -> Result<Arc<DirectorySource>, Problem> {
        self.folder(store, request, root, read_ignore(root, None, None)?)
    }

    fn folder(
        &self,
        store: &Store,
        request: &Request,
        root: &Path,
        ignore: Ignore,
    ) -> Result<Arc<DirectorySource>, Problem> {
        let folder = Folder {
            root: root.to_path_buf(),
            ignore,
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
        for (root, cache) in caches.into_iter().filter(|(_, cache)| cache.is_changed()) {
            store.write_record(Bucket::Files, &record_name(&root), &cache.to_bytes())?;
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::build::{CacheUse, CommandOptions, Detail, InlineCache, Pull, Times};
    use crate::context::Source as _;
    use crate::path::ContextPath;
    use crate::plan::{Inputs, Insecure, Network, Scope};
    use crate::platform::Platform;

    fn request(root: &Path, dockerfile: &str) -> Request {
        let host = Platform::host();
        let inputs = Inputs {
            scope: Scope::Target,
            unknown_bases: std::collections::BTreeSet::new(),
            build_args: BTreeMap::new(),
            target: None,
            labels: BTreeMap::new(),
            platform: host.clone(),
            build_platform: host,
            network: Network::None,
            insecure: Insecure::Refused,
            named_contexts: BTreeMap::new(),
            secret_files: BTreeMap::new(),
        };
        Request {
            check: None,
            dockerfile_name: dockerfile.to_owned(),
            dockerfile: Vec::new(),
            dockerfile_path: Some(root.join(dockerfile)),
            context: Some(root.to_path_buf()),
            ignore_file: None,
            context_files: None,
            named: BTreeMap::new(),
            outputs: Vec::new(),
            leaving: None,
            inputs,
            cache: CacheUse::Use,
            uncached_stages: Vec::new(),
            cache_from: Vec::new(),
            inline_cache: InlineCache::Absent,
            detail: Detail::Reason,
            pull: Pull::Missing,
            times: Times::Fixed,
            created: 0,
            stat_cache: StatCacheUse::Use,
            resolv_conf: Vec::new(),
            commands: CommandOptions::default(),
        }
    }

    #[test]
    fn a_folder_with_the_same_rules_is_opened_once_and_what_is_known_of_its_files_is_kept_together() {
        let folder = tempfile::tempdir().expect("there is room");
        let (root, store) = (folder.path().join("context"), folder.path().join("store"));
        fs::create_dir(&root).expect("it is new");
        for (name, text) in [("a", "a"), ("b", "b"), ("One.dockerignore", "b\n")] {
            fs::write(root.join(name), text).expect("the folder is writable");
        }
        let store = Store::open(&store).expect("it is new");
        let kept = || {
            let contexts = Contexts::default();
            let open = |dockerfile: &str| {
                contexts.of_request(&store, &request(&root, dockerfile)).expect("the folder can be opened")
            };
            let [one, two, three] = ["One", "Two", "Three"].map(open);
            assert!(Arc::ptr_eq(&two, &three) && !Arc::ptr_eq(&one, &two));
            one.content(&ContextPath::new("a")).expect("it is there");
            two.content(&ContextPath::new("b")).expect("it is there");
            drop((one, two, three));
            contexts.keep(&store).expect("the store is writable");
            let bytes = store.read_record(Bucket::Files, &record_name(&root)).expect("it can be read");
            bytes.map_or(0, |bytes| StatCache::from_bytes(&bytes).expect("it is whole").len())
        };
        // What was written a moment ago is not trusted until the clock has moved on.
        while kept() < 2 {
            assert!(kept() <= 2);
        }
    }
}
