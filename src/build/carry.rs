//! The cache in a folder that travels: `--cache-to` and `--cache-from`.
//!
//! The folder is an OCI image layout with one manifest more, under the tag `rbuild-cache`: its config lists records, its
//! layers are those that the records name.
//!
//! # Trust
//! A folder is believed in what a step makes: whoever may write to it decides what is built, as with any cache. It is not
//! believed in anything else: every document and layer is read below the folder only, through no link, up to a limit, and
//! must hash to its name; a layer must stand by itself. What is wrong is told and left out, and the step runs. No record of it
//! is kept in the store: a build without `--cache-from` never uses what another one got by it.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::BuildEvent;
use super::error::Problem;
use super::layouts::{self, LayoutError};
use super::prepare::journal_id;
use super::request::{Built, Engine, Request};
use super::rootfs::{hold, is_stored};
use super::step::{Session, layer_of};
use crate::cache::{Cache, Journal, JournalStep, KEY_VERSION, Portable};
use crate::digest::{CacheKey, ChainId, DiffId};
use crate::fsx;
use crate::image::{Descriptor, Index, Manifest, canonical_json};
use crate::layer::{self, Compression, Lower, Unpack};
use crate::plan::LayoutImage;
use crate::store::{Lease, Store, TreeId};
use crate::tree::Stack;

/// The media type of the document that lists the records.
pub const CACHE_CONFIG: &str = "application/vnd.rbuild.cache.config.v1+json";
/// The tag of the manifest.
pub const CACHE_TAG: &str = "rbuild-cache";

/// No document of a cache is longer, in bytes.
const MAX_DOCUMENT: u64 = 64 << 20;
/// Of the records of one key no more are taken.
const MAX_RESULTS: usize = 16;
/// The annotation that holds a tag.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Which steps go into a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carried {
    /// Those whose layers are in the image.
    OfImage,
    /// All that the build had.
    All,
}

/// What a cache folder is to hold.
#[derive(Debug, Clone, PartialEq)]
pub struct CacheContents {
    /// The document that lists the records.
    pub config: Vec<u8>,
    /// The blobs of the layers, each once.
    pub layers: Vec<layer::Blob>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Document {
    key_version: u64,
    records: Vec<Portable>,
    /// The blob of each layer.
    blobs: BTreeMap<DiffId, layer::Blob>,
    /// The steps of the build, by which later misses are explained.
    journal: Vec<JournalStep>,
}

/// The records and layers of a build's steps.
///
/// Layers are compressed as far as they are not yet. Nothing of it holds a secret, or a value of an argument or variable.
pub fn cache_contents(
    store: &Store,
    built: &Built,
    carried: Carried,
    compression: Compression,
) -> Result<CacheContents, Problem> {
    let cache = Cache::new(store, store.secret()?);
    let of_image: BTreeSet<DiffId> = built.layers.iter().map(|layer| layer.diff_id).collect();
    let is_wanted = |step: &&JournalStep| carried == Carried::All || of_image.contains(&step.layer);
    let (mut records, mut blobs, mut seen) = (Vec::new(), BTreeMap::new(), BTreeSet::new());
    let journal: Vec<JournalStep> = built.steps.iter().filter(is_wanted).cloned().collect();
    for step in journal.iter().filter(|step| seen.insert((step.key, step.layer))) {
        let Some(record) = cache.portable(&step.key, &step.layer)? else { continue };
        if let Entry::Vacant(entry) = blobs.entry(step.layer) {
            entry.insert(layer::compressed(store, &layer_of(&record.output()), compression)?);
        }
        records.push(record);
    }
    let mut layers: Vec<layer::Blob> = blobs.values().cloned().collect();
    layers.sort();
    layers.dedup();
    let document = Document { key_version: KEY_VERSION, records, blobs, journal };
    Ok(CacheContents { config: canonical_json(&document, "cache")?, layers })
}

/// The caches that a build may take results from.
#[derive(Debug, Default)]
pub(super) struct Imports {
    caches: Vec<Import>,
    /// Layers that could not be brought, and of which this was told.
    told: Mutex<BTreeSet<DiffId>>,
}

#[derive(Debug)]
struct Import {
    folder: PathBuf,
    records: BTreeMap<CacheKey, Vec<Portable>>,
    blobs: BTreeMap<DiffId, layer::Blob>,
    journal: Journal,
}

impl Imports {
    /// Reads what the folders list. One that cannot be used is told and left out.
    pub(super) fn open(engine: &Engine<'_>, request: &Request) -> Self {
        let mut caches = Vec::new();
        for folder in &request.cache_from {
            match Import::open(folder) {
                Ok(import) => caches.push(import),
                Err(problem) => warn(engine, folder, &problem),
            }
        }
        Self { caches, told: Mutex::default() }
    }

    /// The steps of the last build: of this Dockerfile here, or else as a cache tells.
    pub(super) fn earlier(&self, store: &Store, request: &Request) -> Result<Journal, Problem> {
        let own = Journal::read(store, &journal_id(request))?;
        let others = self.caches.iter().map(|cache| &cache.journal).find(|journal| !journal.steps().is_empty());
        Ok(if own.steps().is_empty() { others.cloned().unwrap_or(own) } else { own })
    }

    /// The results that the caches have under a key, with the lengths of their layers, which are in the store from now on.
    pub(super) fn bring(&self, session: &Session<'_>, key: &CacheKey) -> Vec<(&Portable, u64)> {
        let mut brought = Vec::new();
        for import in &self.caches {
            for record in import.records.get(key).into_iter().flatten() {
                match import.bring(session.engine.store, session.lease, record) {
                    Ok(size) => brought.push((record, size)),
                    Err(problem) => self.tell(session, import, record, &problem),
                }
            }
        }
        brought
    }

    /// A record under a key, for comparison.
    pub(super) fn record(&self, key: &CacheKey) -> Option<&Portable> {
        self.caches.iter().find_map(|import| import.records.get(key)?.first())
    }

    /// Warns of a layer once.
    fn tell(&self, session: &Session<'_>, import: &Import, record: &Portable, problem: &Problem) {
        if self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(record.output().diff_id) {
            warn(&session.engine, &import.folder, problem);
        }
    }
}

fn warn(engine: &Engine<'_>, folder: &Path, problem: &Problem) {
    let text = format!("the cache in `{}` is not used: {problem}", folder.display());
    (engine.events)(BuildEvent::Warning { text });
}

impl Import {
    fn open(folder: &Path) -> Result<Self, Problem> {
        let layout = LayoutImage { folder: folder.to_path_buf(), tag: None, digest: None };
        let bad = |problem| LayoutError::Document { folder: folder.to_path_buf(), problem };
        let path = folder.join("index.json");
        let file = fsx::open_beneath(folder, Path::new("index.json")).map_err(LayoutError::from)?;
        if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
            return Err(bad("its `index.json` is not a regular file").into());
        }
        let index = Index::parse(&fsx::read_open(&file, &path, MAX_DOCUMENT).map_err(LayoutError::from)?)?;
        let is_cache = |entry: &&Descriptor| entry.annotations.get(REF_NAME).is_some_and(|tag| tag == CACHE_TAG);
        let entry = index.manifests.iter().find(is_cache).ok_or_else(|| bad("it holds no cache of rbuild"))?;
        let manifest = Manifest::parse(&layouts::read_blob(&layout, entry, MAX_DOCUMENT)?)?;
        if manifest.config.media_type != CACHE_CONFIG {
            return Err(bad("its manifest is not that of a cache").into());
        }
        let bytes = layouts::read_blob(&layout, &manifest.config, MAX_DOCUMENT)?;
        let document: Document =
            serde_json::from_slice(&bytes).map_err(|_unreadable| bad("the list of its records cannot be read"))?;
        if document.key_version != KEY_VERSION {
            return Err(bad("it was written by another version of rbuild").into());
        }
        let Document { records: listed, blobs, journal: steps, .. } = document;
        let mut records: BTreeMap<CacheKey, Vec<Portable>> = BTreeMap::new();
        for record in listed {
            let known = records.entry(record.key()).or_default();
            if known.len() < MAX_RESULTS {
                known.push(record);
            }
        }
        let mut journal = Journal::default();
        steps.into_iter().for_each(|step| journal.push(step));
        Ok(Self { folder: folder.to_path_buf(), records, blobs, journal })
    }

    /// Brings the layer of a record, unless it is here; its length.
    fn bring(&self, store: &Store, lease: &Lease, record: &Portable) -> Result<u64, Problem> {
        let output = record.output();
        let layer = layer_of(&output);
        hold(store, lease, &layer)?;
        match is_stored(store, &layer)? {
            true => Ok(layer::record(store, &output.diff_id)?.map_or(output.size, |known| known.size)),
            false => self.bring_layer(store, output.diff_id),
        }
    }

    /// Copies a layer's blob into the store and reads it there, where it must turn out to be that layer.
    fn bring_layer(&self, store: &Store, diff_id: DiffId) -> Result<u64, Problem> {
        let bad = |problem| LayoutError::Document { folder: self.folder.clone(), problem };
        let blob = self.blobs.get(&diff_id).ok_or_else(|| bad("a layer of a record is not listed"))?;
        let layout = LayoutImage { folder: self.folder.clone(), tag: None, digest: None };
        layouts::copy_blob(store, &layout, &Descriptor::new(&blob.media_type, blob.digest, blob.size))?;
        let (nothing, chain) = (Stack::default(), ChainId::empty().push(&diff_id));
        let lower = Lower { layers: &[], stack: &nothing };
        let media = &blob.media_type;
        let read = layer::import(store, &blob.digest, media, Some(&diff_id), lower, &chain, Unpack::ListingOnly)?;
        match read.tree {
            TreeId::Layer(_) => Ok(read.size),
            TreeId::Chain(_) => Err(bad("a layer does not stand by itself").into()),
        }
    }
}
