//! A layer, and what the store knows about it: its listings, and the forms in which its bytes are there.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Compression, Error, Result, TimePolicy};
use crate::digest::{BlobDigest, DiffId};
use crate::store::{Bucket, KeyLock, Store, Tree, TreeDraft, TreeId};
use crate::tree::{Listing, Stack};

/// A layer whose listing and record are in the store.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Layer {
    /// The hash of its plain tar.
    pub diff_id: DiffId,
    /// The length of its plain tar.
    pub size: u64,
    /// Its tree, which has a listing, and files only once `ensure_tree` was called.
    #[serde(with = "tree_id")]
    pub tree: TreeId,
}

impl Layer {
    /// Whether it changes nothing: the layer of a command that left no trace.
    pub fn is_empty(&self) -> bool {
        self.size == 1024 && self.diff_id == DiffId::of(&[0; 1024])
    }
}

/// A blob that holds a layer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Blob {
    /// The hash of its bytes.
    pub digest: BlobDigest,
    /// Their number.
    pub size: u64,
    /// What they are.
    pub media_type: String,
}

/// A blob and how it came to be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct StoredBlob {
    /// The blob.
    #[serde(flatten)]
    pub blob: Blob,
    /// How it was compressed here; none if it was pulled, and then it is what leaves the store again.
    pub made: Option<Compression>,
}

/// What the store knows about one layer. A blob or tree it names may be gone.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LayerRecord {
    /// The length of the plain tar.
    pub size: u64,
    /// The policy by which the plain tar follows from a tree and its listing; none if it came from elsewhere.
    pub times: Option<TimePolicy>,
    /// The trees that unpack it, each with a listing.
    pub trees: BTreeSet<String>,
    /// The blobs that hold it, the plain one included.
    pub blobs: BTreeSet<StoredBlob>,
}

/// The layers that lie under another one, and their listings.
#[derive(Debug, Clone, Copy)]
pub struct Lower<'a> {
    /// The layers, bottom first.
    pub layers: &'a [Layer],
    /// Their listings, in the same order.
    pub stack: &'a Stack,
}

/// What the store knows about a layer; none if it knows nothing.
pub fn record(store: &Store, diff_id: &DiffId) -> Result<Option<LayerRecord>> {
    let Some(bytes) = store.read_record(Bucket::Layers, &diff_id.to_string())? else { return Ok(None) };
    match serde_json::from_slice(&bytes) {
        Ok(record) => Ok(Some(record)),
        Err(source) => Err(Error::Record { diff_id: *diff_id, source }),
    }
}

/// The entries of a tree.
///
/// A listing that is damaged is removed, so that the step that made it runs again in the next build; if the layer's tar is
/// here it is made from that now, and a tree that may have other times goes.
pub fn listing(store: &Store, tree: TreeId) -> Result<Arc<Listing>> {
    let Some(bytes) = store.read_record(Bucket::Listings, &tree.to_string())? else {
        if !store.discard_record(Bucket::Listings, &tree.to_string())? {
            return Err(Error::NoListing { tree });
        }
        let TreeId::Layer(diff_id) = tree else { return Err(Error::LostListing { tree }) };
        let Some(listing) = super::check::listing_of(store, &diff_id)? else { return Err(Error::LostListing { tree }) };
        let _held = lock_tree(store, tree)?;
        store.remove_tree(tree)?;
        replace_listing(store, tree, &listing)?;
        return Ok(Arc::new(listing));
    };
    match Listing::from_bytes(&bytes) {
        Ok(listing) => Ok(Arc::new(listing)),
        Err(source) => Err(Error::Listing { tree, source }),
    }
}

/// Stores a listing. Of two for one tree the first stays, as the tree that may be there has its times.
pub(super) fn store_listing(store: &Store, tree: TreeId, listing: &Listing) -> Result<()> {
    if has_listing(store, tree)? {
        return Ok(());
    }
    replace_listing(store, tree, listing)
}

/// Makes a draft the tree of that name, and the listing that tree's. If there is a tree, it and its listing stay.
pub(super) fn commit_tree(store: &Store, draft: TreeDraft, tree: TreeId, listing: &Listing) -> Result<Tree> {
    // One that lost power, or whose maker did, must not stay in the place of what was made just now.
    if has_listing(store, tree)? {
        super::tree_is_whole(store, tree)?;
    }
    let _held = lock_tree(store, tree)?;
    if store.tree(tree)?.is_none() || !has_listing(store, tree)? {
        // Without its tree a listing of other times may be there: the files come with their own.
        store.remove_tree(tree)?;
        replace_listing(store, tree, listing)?;
    }
    let tree = draft.commit(tree)?;
    store.add_growth(listing.content_size());
    store.sync_soon(listing.content_size())?;
    Ok(tree)
}

fn replace_listing(store: &Store, tree: TreeId, listing: &Listing) -> Result<()> {
    let (name, bytes) = (tree.to_string(), listing.to_bytes());
    if store.read_record(Bucket::Listings, &name)?.as_deref() == Some(bytes.as_slice()) {
        return Ok(());
    }
    Ok(store.write_record(Bucket::Listings, &name, &bytes)?)
}

pub(super) fn has_listing(store: &Store, tree: TreeId) -> Result<bool> {
    Ok(store.has_record(Bucket::Listings, &tree.to_string())?)
}

/// Held while a tree and its listing are put in place: they must have the same times.
fn lock_tree(store: &Store, tree: TreeId) -> Result<KeyLock> {
    // Few locks for many trees, as lock files stay for good.
    let hex = match tree {
        TreeId::Layer(diff_id) => diff_id.hex(),
        TreeId::Chain(chain) => chain.hex(),
    };
    Ok(store.lock(&format!("trees-{}", &hex[..2]), &mut |_| true)?)
}

/// Adds to a layer's record, or starts it. Locked: builds in flight add to it too.
pub(super) fn add_to_record(
    store: &Store,
    layer: &Layer,
    times: Option<TimePolicy>,
    blob: Option<StoredBlob>,
) -> Result<()> {
    // Few locks for many layers, as lock files stay for good.
    let lock = format!("layers-{}", &layer.diff_id.hex()[..2]);
    let _held = store.lock(&lock, &mut |_| true)?;
    let known = record(store, &layer.diff_id)?;
    let mut updated = known.clone().unwrap_or_else(|| LayerRecord {
        size: layer.size,
        times,
        trees: BTreeSet::new(),
        blobs: BTreeSet::new(),
    });
    updated.times = updated.times.or(times);
    updated.trees.insert(layer.tree.to_string());
    updated.blobs.extend(blob);
    if known.as_ref() == Some(&updated) {
        return Ok(());
    }
    let bytes = serde_json::to_vec(&updated).map_err(|source| Error::Record { diff_id: layer.diff_id, source })?;
    Ok(store.write_record(Bucket::Layers, &layer.diff_id.to_string(), &bytes)?)
}

/// The blobs of a layer that are in the store.
pub(super) fn blobs_here(store: &Store, diff_id: &DiffId) -> Result<Vec<StoredBlob>> {
    let mut here = Vec::new();
    for stored in record(store, diff_id)?.into_iter().flat_map(|record| record.blobs) {
        if store.blob_size(&stored.blob.digest)? == Some(stored.blob.size) {
            here.push(stored);
        }
    }
    Ok(here)
}

/// A tree id as the name that its `Display` gives.
mod tree_id {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    use crate::store::TreeId;

    pub(super) fn serialize<S: Serializer>(tree: &TreeId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(tree)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TreeId, D::Error> {
        let text = String::deserialize(deserializer)?;
        let parsed = match text.split_once('-') {
            Some(("layer", hex)) => format!("sha256:{hex}").parse().map(TreeId::Layer),
            Some(("chain", hex)) => format!("sha256:{hex}").parse().map(TreeId::Chain),
            _ => return Err(D::Error::custom("not the name of a tree")),
        };
        parsed.map_err(D::Error::custom)
    }
}
