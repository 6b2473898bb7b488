//! What COPY copies from: the context, or the root filesystem of a stage or image.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::build::BuildEvent;
use crate::build::error::Problem;
use crate::build::files::{self, Files, Told};
use crate::build::images::BaseImage;
use crate::build::request::{Engine, NamedFiles, Request, StatCacheUse};
use crate::build::rootfs::Rootfs;
use crate::build::step::Session;
use crate::context::{DirectorySource, LayerContents, Source, StackSource, StatCache, read_ignore};
use crate::digest::ContentDigest;
use crate::fsx;
use crate::layer::Unpack;
use crate::plan::{ImageNeed, Origin, StageId};
use crate::store::{Bucket, Store};
use crate::tree::Entry;

/// What is known of the places that files can come from.
pub(in crate::build) struct Origins<'a> {
    pub(in crate::build) request: &'a Request,
    pub(in crate::build) images: &'a BTreeMap<ImageNeed, BaseImage>,
    pub(in crate::build) stages: &'a BTreeMap<StageId, Rootfs>,
    pub(in crate::build) context: &'a OnceLock<Arc<DirectorySource>>,
    pub(in crate::build) named: &'a NamedSources,
}

/// A place that files come from, open.
#[derive(Clone)]
pub(in crate::build) struct Open {
    pub(in crate::build) source: Arc<dyn Source>,
}

impl Origins<'_> {
    /// Opens the place; a context only once.
    pub(super) fn open(&self, session: &Session<'_>, origin: &Origin) -> Result<Open, Problem> {
        let Session { engine, lease, .. } = session;
        let store = engine.store;
        match origin {
            Origin::Named(name) => {
                let source = self.named.open(engine, self.request, name)?;
                Ok(Open { source })
            }
            Origin::Context if let Some(files) = &self.request.context_files => {
                Ok(Open { source: files.source().clone() })
            }
            // Without a context COPY finds nothing, as in an empty folder.
            Origin::Context if self.request.context.is_none() => of_rootfs(store, Rootfs::empty()),
            Origin::Context => {
                let source = self.context(store)?;
                tell_outputs(session, &source);
                Ok(Open { source })
            }
            Origin::Stage(stage) => {
                let rootfs = self.stages.get(stage).cloned().unwrap_or_else(Rootfs::empty);
                of_rootfs(store, rootfs)
            }
            Origin::Image(need) => {
                let image = self.images.get(need).ok_or(Problem::BaseMismatch)?;
                let rootfs = crate::build::images::rootfs(store, lease, image, Unpack::Tree)?;
                of_rootfs(store, rootfs)
            }
        }
    }

    fn context(&self, store: &Store) -> Result<Arc<DirectorySource>, Problem> {
        if let Some(open) = self.context.get() {
            return Ok(open.clone());
        }
        let opened = Arc::new(open_context(store, self.request)?);
        Ok(self.context.get_or_init(|| opened).clone())
    }
}

/// Says once which files are left out of the context because rbuild wrote them.
fn tell_outputs(session: &Session<'_>, context: &DirectorySource) {
    session.told_outputs.get_or_init(|| {
        for output in context.present_outputs() {
            let text = format!("`{output}` was written by rbuild and is left out of the context");
            (session.engine.events)(BuildEvent::Note { text });
        }
    });
}

/// Opens the context folder with its ignore rules and what is known of its files.
pub(in crate::build) fn open_context(store: &Store, request: &Request) -> Result<DirectorySource, Problem> {
    let root = request.context.clone().unwrap_or_default();
    open_folder(store, request, &root, request.dockerfile_path.as_deref())
}

fn open_folder(
    store: &Store,
    request: &Request,
    root: &Path,
    dockerfile: Option<&Path>,
) -> Result<DirectorySource, Problem> {
    let ignore = read_ignore(root, dockerfile)?;
    let cache = match request.stat_cache {
        StatCacheUse::Ignore => StatCache::disabled(),
        StatCacheUse::Use => {
            let known = store.read_record(Bucket::Files, &stat_cache_name(root))?;
            known.and_then(|bytes| StatCache::from_bytes(&bytes).ok()).unwrap_or_default()
        }
    };
    Ok(DirectorySource::open(root, ignore, &request.outputs, cache)?)
}

/// The named contexts that have been opened.
#[derive(Default)]
pub(in crate::build) struct NamedSources {
    open: Mutex<BTreeMap<String, Named>>,
}

#[derive(Clone)]
enum Named {
    Folder(PathBuf, Arc<DirectorySource>),
    Files(Files),
}

impl NamedSources {
    /// Opens a named context, only once.
    fn open(&self, engine: &Engine<'_>, request: &Request, name: &str) -> Result<Arc<dyn Source>, Problem> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let named = match open.get(name) {
            Some(named) => named.clone(),
            None => {
                let named = match request.named.get(name).ok_or(Problem::BaseMismatch)? {
                    NamedFiles::Folder(root) => {
                        let opened = open_folder(engine.store, request, root, None)?;
                        Named::Folder(root.clone(), Arc::new(opened))
                    }
                    NamedFiles::Remote(remote) => {
                        let watch = Told::new(engine, remote.shown());
                        Named::Files(files::fetch_named(engine.store, engine.fetcher, remote, &watch)?)
                    }
                };
                open.entry(name.to_owned()).or_insert(named).clone()
            }
        };
        Ok(match named {
            Named::Folder(_, folder) => folder,
            Named::Files(files) => files.source().clone(),
        })
    }

    /// Keeps what is known of the files in folders for the next build.
    pub(in crate::build) fn keep_stat_caches(self, store: &Store, request: &Request) -> Result<(), Problem> {
        for named in self.open.into_inner().unwrap_or_else(PoisonError::into_inner).into_values() {
            if let Named::Folder(root, folder) = named
                && let Some(folder) = Arc::into_inner(folder)
            {
                keep_stat_cache(store, request, &root, folder)?;
            }
        }
        Ok(())
    }
}

/// Keeps what is known of the context's files for the next build.
pub(in crate::build) fn keep_stat_cache(
    store: &Store,
    request: &Request,
    root: &Path,
    context: DirectorySource,
) -> Result<(), Problem> {
    if request.stat_cache == StatCacheUse::Ignore {
        return Ok(());
    }
    let name = stat_cache_name(root);
    let bytes = context.into_stat_cache().to_bytes();
    if store.read_record(Bucket::Files, &name)?.as_deref() != Some(bytes.as_slice()) {
        store.write_record(Bucket::Files, &name, &bytes)?;
    }
    Ok(())
}

fn stat_cache_name(root: &Path) -> String {
    ContentDigest::of(root.as_os_str().as_encoded_bytes()).hex()
}

fn of_rootfs(store: &Store, rootfs: Rootfs) -> Result<Open, Problem> {
    let stack = rootfs.stack(store)?.clone();
    let contents = TreeContents { store: store.clone(), rootfs, trees: Mutex::default() };
    Ok(Open { source: Arc::new(StackSource::new(stack, Box::new(contents))) })
}

/// Opens files of layers in their trees, which are unpacked when the first file of them is wanted.
struct TreeContents {
    store: Store,
    rootfs: Rootfs,
    trees: Mutex<BTreeMap<usize, PathBuf>>,
}

impl TreeContents {
    fn tree(&self, layer: usize) -> Result<PathBuf, Problem> {
        let mut trees = self.trees.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(fs) = trees.get(&layer) {
            return Ok(fs.clone());
        }
        let fs = self.rootfs.tree(&self.store, layer)?;
        trees.insert(layer, fs.clone());
        Ok(fs)
    }
}

impl LayerContents for TreeContents {
    fn open(&self, layer: usize, entry: &Entry) -> io::Result<Box<dyn Read + Send>> {
        let fs = self.tree(layer).map_err(io::Error::other)?;
        Ok(Box::new(fsx::open_beneath(&fs, entry.path.as_path()).map_err(io::Error::other)?))
    }
}
