//! Files that were brought from elsewhere, as a place to copy from: an archive, a download, a repository.

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

use super::BuildEvent;
use super::error::Problem;
use super::request::{Engine, Interrupt};
use crate::context::{self, Source};
use crate::context::{Chooser, Content, DirectorySource, Hidden, Ignore, LayerContents, Meta, StackSource, StatCache};
use crate::digest::{BlobDigest, ContentDigest, Sha256Name as _};
use crate::fetch::{Checkout, Commit, Download, Fetcher, Watch};
use crate::layer::{self, SpooledArchive};
use crate::path::{ContextPath, ImagePath};
use crate::remote::{GitSource, Remote};
use crate::store::Store;
use crate::tree::{Attributes, Entry, Kind, Listing, Stack, Timestamp};

/// The name of the file that a context is whose URL gives no archive.
const PLAIN_CONTEXT: &str = "context";

/// Files from elsewhere: all of them, for ignore rules are not for these.
#[derive(Clone)]
pub struct Files {
    name: String,
    source: Arc<dyn Source>,
}

impl Files {
    /// Where they came from, as messages show it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The files.
    pub fn source(&self) -> &Arc<dyn Source> {
        &self.source
    }
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Files({:?})", self.name)
    }
}

/// What a build context turned out to be.
#[derive(Debug, Clone)]
pub enum Brought {
    /// Files.
    Files(Files),
    /// One text, which can only be a Dockerfile: a blob of the store, and its length.
    Text(BlobDigest, u64),
}

/// Looks at bytes that are given as a context: the files of an archive, or a text.
pub fn context_of_blob(store: &Store, blob: &BlobDigest, size: u64, name: &str) -> Result<Brought, Problem> {
    if layer::sniff(&mut store.open_blob(blob)?).is_none() {
        return Ok(Brought::Text(*blob, size));
    }
    let archive = layer::spool_archive(store, &mut store.open_blob(blob)?)?;
    let stack = Stack::new(vec![archive.listing().clone()]);
    let source = StackSource::new(stack, Box::new(Spooled(archive)));
    Ok(Brought::Files(Files { name: name.to_owned(), source: Arc::new(source) }))
}

/// Fetches a build context.
pub fn fetch_context(store: &Store, fetcher: &Fetcher, remote: &Remote, watch: &dyn Watch) -> Result<Brought, Problem> {
    match remote {
        Remote::Http(url) => {
            let download = fetcher.download(store, url, None, watch)?;
            context_of_blob(store, &download.blob, download.size, &url.shown())
        }
        Remote::Git(source) => {
            let commit = fetcher.commit_of(store, source, watch)?;
            check_out(store, fetcher, source, &commit, watch).map(Brought::Files)
        }
    }
}

/// When what a remote has was last changed, in seconds since 1970: a commit, a download; none if nobody tells.
pub fn time_of(
    store: &Store,
    fetcher: &Fetcher,
    remote: &Remote,
    checksum: Option<&BlobDigest>,
    watch: &dyn Watch,
) -> Result<Option<i64>, Problem> {
    match remote {
        Remote::Http(url) => {
            let download = fetcher.download(store, url, checksum, watch)?;
            match (download.modified, context_of_blob(store, &download.blob, download.size, &url.shown())?) {
                (Some(modified), _) => Ok(Some(modified)),
                (None, Brought::Files(files)) => newest(&files),
                (None, Brought::Text(..)) => Ok(None),
            }
        }
        Remote::Git(source) => {
            let commit = fetcher.commit_of(store, source, watch)?;
            Ok(Some(fetcher.time_of_commit(store, source, &commit, watch)?))
        }
    }
}

/// The latest time of a regular file, in seconds since 1970.
pub fn newest(files: &Files) -> Result<Option<i64>, Problem> {
    let all = files.source.walk(&ContextPath::root(), &mut |_, _| context::Choice { take: true, descend: true })?;
    let regular = all.iter().filter(|(_, meta)| matches!(meta.kind, context::Kind::File { .. }));
    Ok(regular.map(|(_, meta)| meta.mtime.secs).max())
}

/// Fetches a named context: as a build context, but what is no archive is one file.
pub(super) fn fetch_named(
    store: &Store,
    fetcher: &Fetcher,
    remote: &Remote,
    watch: &dyn Watch,
) -> Result<Files, Problem> {
    match fetch_context(store, fetcher, remote, watch)? {
        Brought::Files(files) => Ok(files),
        Brought::Text(blob, size) => {
            Ok(one_file(store, &Download { blob, size, modified: None }, PLAIN_CONTEXT, &remote.shown()))
        }
    }
}

/// A commit's files, checked out.
pub(super) fn check_out(
    store: &Store,
    fetcher: &Fetcher,
    source: &GitSource,
    commit: &Commit,
    watch: &dyn Watch,
) -> Result<Files, Problem> {
    let checkout = fetcher.check_out(store, source, commit, watch)?;
    let folder = DirectorySource::open(checkout.folder(), Ignore::nothing(), &[], StatCache::disabled())?;
    Ok(Files { name: source.shown(), source: Arc::new(CheckedOut { folder, _checkout: checkout }) })
}

/// A download as a folder that holds only it: mode 0600, and the time that the server told.
pub(super) fn one_file(store: &Store, download: &Download, name: &str, shown: &str) -> Files {
    let mtime = Timestamp::from_secs(download.modified.unwrap_or(0));
    let digest = ContentDigest::from_sha256(*download.blob.as_bytes());
    let entry = Entry {
        path: ImagePath::root().child(name.as_bytes()),
        kind: Kind::File { size: download.size, digest },
        attributes: Attributes { mtime, ..Attributes::of_root(0o600) },
    };
    let stack = Stack::new(vec![Arc::new(Listing::new([entry]))]);
    let contents = Blob { store: store.clone(), blob: download.blob };
    Files { name: shown.to_owned(), source: Arc::new(StackSource::new(stack, Box::new(contents))) }
}

struct Spooled(SpooledArchive);

impl LayerContents for Spooled {
    fn open(&self, _layer: usize, entry: &Entry) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(self.0.open(entry)?))
    }
}

struct Blob {
    store: Store,
    blob: BlobDigest,
}

impl LayerContents for Blob {
    fn open(&self, _layer: usize, _entry: &Entry) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(self.store.open_blob(&self.blob).map_err(io::Error::other)?))
    }
}

/// A checkout as a source; the files stay until nobody copies from it any more.
struct CheckedOut {
    folder: DirectorySource,
    _checkout: Checkout,
}

impl Source for CheckedOut {
    fn lookup(&self, path: &ContextPath) -> context::Result<Option<Meta>> {
        self.folder.lookup(path)
    }

    fn list(&self, path: &ContextPath) -> context::Result<Vec<Vec<u8>>> {
        self.folder.list(path)
    }

    fn walk(&self, base: &ContextPath, choose: &mut Chooser<'_>) -> context::Result<Vec<(ContextPath, Meta)>> {
        self.folder.walk(base, choose)
    }

    fn open(&self, path: &ContextPath) -> context::Result<Box<dyn Read + Send>> {
        self.folder.open(path)
    }

    fn content(&self, path: &ContextPath) -> context::Result<Content> {
        self.folder.content(path)
    }

    fn hidden_by(&self, path: &ContextPath) -> context::Result<Option<Hidden>> {
        self.folder.hidden_by(path)
    }
}

/// Follows a fetch before there is anybody to tell of it.
#[derive(Clone, Copy)]
pub struct Silently<'a>(pub &'a Interrupt);

impl Watch for Silently<'_> {
    fn bytes(&self, _done: u64, _total: Option<u64>) {}

    fn cancelled(&self) -> bool {
        self.0.is_set()
    }
}

/// Follows a fetch of a step and tells of it once something comes.
pub(super) struct Told<'a> {
    engine: &'a Engine<'a>,
    name: String,
    done: std::sync::Mutex<Option<u64>>,
}

impl<'a> Told<'a> {
    pub(super) fn new(engine: &'a Engine<'a>, name: String) -> Self {
        Self { engine, name, done: std::sync::Mutex::default() }
    }
}

impl Watch for Told<'_> {
    fn bytes(&self, done: u64, total: Option<u64>) {
        let mut known = self.done.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if known.replace(done).is_none() {
            (self.engine.events)(BuildEvent::PullStarted { reference: self.name.clone() });
        }
        let total = total.unwrap_or(done);
        (self.engine.events)(BuildEvent::PullProgress { reference: self.name.clone(), done, total });
    }

    fn cancelled(&self) -> bool {
        self.engine.interrupt.is_set()
    }
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if let Some(bytes) = *self.done.lock().unwrap_or_else(std::sync::PoisonError::into_inner) {
            (self.engine.events)(BuildEvent::PullFinished { reference: self.name.clone(), bytes });
        }
    }
}
