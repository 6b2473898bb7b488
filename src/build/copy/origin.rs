//! What COPY copies from: the context, or the root filesystem of a stage or image.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::build::BuildEvent;
use crate::build::error::Problem;
use crate::build::request::{NamedFiles, Request};
use crate::build::rootfs::Rootfs;
use crate::build::step::Session;
use crate::context::{DirectorySource, LayerContents, Source, StackSource};
use crate::fsx;
use crate::plan::Origin;
use crate::store::Store;
use crate::tree::Entry;

/// What is known of the places that files can come from.
pub(in crate::build) struct Origins<'a> {
    pub(in crate::build) request: &'a Request,
    /// The root filesystems of images and stages. Nothing asks for one that is not there yet: the step would wait for it.
    pub(in crate::build) rootfs: &'a dyn Fn(&Origin) -> Option<Rootfs>,
    pub(in crate::build) context: &'a OnceLock<Arc<DirectorySource>>,
    pub(in crate::build) named: &'a NamedSources,
}

/// A place that files come from, open.
#[derive(Clone)]
pub(in crate::build) struct Open {
    pub(in crate::build) source: Arc<dyn Source>,
}

impl Origins<'_> {
    /// The layers of the place; none if it is files.
    pub(in crate::build) fn rootfs(&self, origin: &Origin) -> Result<Option<Rootfs>, Problem> {
        match origin {
            Origin::Context | Origin::Named(_) => Ok(None),
            Origin::Stage(_) | Origin::Image(_) => Ok(Some((self.rootfs)(origin).ok_or(Problem::BaseMismatch)?)),
        }
    }

    /// Opens the place; a context only once.
    pub(in crate::build) fn open(&self, session: &Session<'_>, origin: &Origin) -> Result<Open, Problem> {
        let store = session.engine.store;
        match origin {
            Origin::Named(name) => Ok(Open { source: self.named.open(session, name)? }),
            Origin::Context if let Some(files) = &self.request.context_files => {
                Ok(Open { source: files.source().clone() })
            }
            // Without a context COPY finds nothing, as in an empty folder.
            Origin::Context if self.request.context.is_none() => of_rootfs(store, Rootfs::empty()),
            Origin::Context => {
                let source = self.context(session)?;
                tell_outputs(session, &source);
                Ok(Open { source })
            }
            Origin::Stage(_) | Origin::Image(_) => {
                of_rootfs(store, (self.rootfs)(origin).ok_or(Problem::BaseMismatch)?)
            }
        }
    }

    fn context(&self, session: &Session<'_>) -> Result<Arc<DirectorySource>, Problem> {
        if let Some(open) = self.context.get() {
            return Ok(open.clone());
        }
        let opened = session.contexts.of_request(session.engine.store, self.request)?;
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

/// The named contexts that a request has opened.
#[derive(Default)]
pub(in crate::build) struct NamedSources {
    open: Mutex<BTreeMap<String, Arc<dyn Source>>>,
}

impl NamedSources {
    /// Opens a named context, only once.
    fn open(&self, session: &Session<'_>, name: &str) -> Result<Arc<dyn Source>, Problem> {
        let open = || self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = open().get(name) {
            return Ok(known.clone());
        }
        let Session { engine, request, contexts, .. } = session;
        let source: Arc<dyn Source> = match request.named.get(name).ok_or(Problem::BaseMismatch)? {
            NamedFiles::Folder(root) => contexts.named(engine.store, request, root)?,
            NamedFiles::Remote(remote) => contexts.remote(engine, remote)?.source().clone(),
        };
        Ok(open().entry(name.to_owned()).or_insert(source).clone())
    }
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
