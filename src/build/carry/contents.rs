//! What goes into a cache in a folder.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use super::super::error::Problem;
use super::super::request::Built;
use super::super::step::layer_of;
use super::document::Document;
use crate::cache::{Cache, Hiding, JournalStep, KEY_VERSION, Portable};
use crate::digest::DiffId;
use crate::image::canonical_json;
use crate::layer::{self, Compression};
use crate::store::Store;

/// The media type of the document that lists the records.
pub const CACHE_CONFIG: &str = "application/vnd.rbuild.cache.config.v1+json";
/// The tag of the manifest.
pub const CACHE_TAG: &str = "rbuild-cache";

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

/// The records and layers of a build's steps.
///
/// Layers are compressed as far as they are not yet. Nothing of it holds a secret, or a value of an argument or variable.
pub fn cache_contents(
    store: &Store,
    built: &Built,
    carried: Carried,
    compression: Compression,
) -> Result<CacheContents, Problem> {
    let of_image: BTreeSet<DiffId> = built.layers.iter().map(|layer| layer.diff_id).collect();
    let is_wanted = |step: &&JournalStep| carried == Carried::All || of_image.contains(&step.layer);
    let journal: Vec<JournalStep> = built.steps.iter().filter(is_wanted).cloned().collect();
    let records = records(store, &journal, &built.borrowed)?;
    let mut blobs = BTreeMap::new();
    for record in &records {
        if let Entry::Vacant(entry) = blobs.entry(record.output().diff_id) {
            entry.insert(layer::compressed(store, &layer_of(&record.output()), compression)?);
        }
    }
    let mut layers: Vec<layer::Blob> = blobs.values().cloned().collect();
    layers.sort();
    layers.dedup();
    let document = Document { key_version: KEY_VERSION, records, blobs, journal };
    Ok(CacheContents { config: canonical_json(&document, "cache")?, layers })
}

/// The records of steps, each once, in the order of the steps. What this store does not know comes from what was borrowed: a
/// cache that is written over the one that was read has all that the old one had.
pub(super) fn records(store: &Store, steps: &[JournalStep], borrowed: &[Portable]) -> Result<Vec<Portable>, Problem> {
    let cache = Cache::new(store, Hiding::new(store.secret()?, []));
    let (mut records, mut seen) = (Vec::new(), BTreeSet::new());
    for step in steps.iter().filter(|step| seen.insert((step.key, step.layer))) {
        let is_it = |record: &&Portable| record.key() == step.key && record.output().diff_id == step.layer;
        let own = cache.portable(&step.key, &step.layer)?;
        records.extend(own.or_else(|| borrowed.iter().find(is_it).cloned()));
    }
    Ok(records)
}
