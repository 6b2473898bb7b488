//! The content of a root filesystem as layers.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use super::error::Problem;
use crate::digest::{ChainId, DiffId};
use crate::layer::{self, Layer, Lower};
use crate::path::ImagePath;
use crate::store::{Bucket, Lease, Object, Store};
use crate::tree::{Listing, Stack};

/// Where an image lists its users.
pub(super) const PASSWD: &str = "/etc/passwd";
/// Where it lists its groups.
pub(super) const GROUP: &str = "/etc/group";
/// Such files are not read if they are larger, in bytes.
pub(super) const MAX_USER_FILE: u64 = 10 << 20;

/// Layers, what they hold together, and the name of that.
///
/// Listings are read when somebody looks into the root filesystem first: a build that finds every step in the cache reads
/// none, and unpacks none. Clones share what was read and unpacked.
#[derive(Debug, Clone)]
pub(super) struct Rootfs {
    layers: Vec<Layer>,
    listings: Vec<Arc<OnceLock<Arc<Listing>>>>,
    trees: Vec<Arc<OnceLock<PathBuf>>>,
    stack: OnceLock<Stack>,
    chain: ChainId,
    /// How many of the layers, from the bottom, are those of an image.
    of_image: usize,
}

impl Rootfs {
    /// `FROM scratch`.
    pub(super) fn empty() -> Self {
        Self {
            layers: Vec::new(),
            listings: Vec::new(),
            trees: Vec::new(),
            stack: OnceLock::new(),
            chain: ChainId::empty(),
            of_image: 0,
        }
    }

    /// This with one more layer.
    #[must_use]
    pub(super) fn pushed(&self, layer: Layer) -> Self {
        let (mut layers, mut listings, mut trees) = (self.layers.clone(), self.listings.clone(), self.trees.clone());
        let chain = if layer.diff_id == DiffId::EMPTY { self.chain } else { self.chain.push(&layer.diff_id) };
        layers.push(layer);
        listings.push(Arc::default());
        trees.push(Arc::default());
        Self { layers, listings, trees, stack: OnceLock::new(), chain, of_image: self.of_image }
    }

    /// This, all of it being an image.
    pub(super) fn into_image(self) -> Self {
        Self { of_image: self.layers.len(), ..self }
    }

    /// How many of the layers, from the bottom, no step of this build made.
    pub(super) fn of_image(&self) -> usize {
        self.of_image
    }

    pub(super) fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// What the layers hold together; reads the listings that nobody has read yet.
    pub(super) fn stack(&self, store: &Store) -> Result<&Stack, Problem> {
        if let Some(stack) = self.stack.get() {
            return Ok(stack);
        }
        let mut listings = Vec::with_capacity(self.layers.len());
        for (layer, read) in self.layers.iter().zip(&self.listings) {
            listings.push(match read.get() {
                Some(listing) => listing.clone(),
                None => {
                    let listing = layer::listing(store, layer.tree)?;
                    read.get_or_init(|| listing).clone()
                }
            });
        }
        Ok(self.stack.get_or_init(|| Stack::new(listings)))
    }

    /// What the layers hold, as far as they hold anything: the chain id of those that do.
    pub(super) fn chain(&self) -> ChainId {
        self.chain
    }

    /// The folder in which the layer with this number, from the bottom, is unpacked; it is made if need be.
    pub(super) fn tree(&self, store: &Store, layer: usize) -> Result<PathBuf, Problem> {
        let known = self.trees.get(layer).ok_or(Problem::BaseMismatch)?;
        if let Some(fs) = known.get() {
            return Ok(fs.clone());
        }
        let below = Stack::new(self.stack(store)?.layers().iter().take(layer).cloned().collect());
        let lower = Lower { layers: self.layers.get(..layer).unwrap_or_default(), stack: &below };
        let wanted = self.layers.get(layer).ok_or(Problem::BaseMismatch)?;
        let fs = layer::ensure_tree(store, wanted, lower)?.fs;
        Ok(known.get_or_init(|| fs).clone())
    }

    /// The folders of all layers, bottom first, each once: of equal layers the highest stands for all of them, since it decides
    /// about every path that they hold. (The kernel mounts no folder twice over itself.) `go_on` is asked before each.
    pub(super) fn trees(
        &self,
        store: &Store,
        go_on: &dyn Fn() -> Result<(), Problem>,
    ) -> Result<Vec<PathBuf>, Problem> {
        let mut trees = Vec::with_capacity(self.layers.len());
        for (index, layer) in self.layers.iter().enumerate() {
            let is_covered = self.layers.iter().skip(index + 1).any(|above| above.tree == layer.tree);
            if !is_covered {
                go_on()?;
                trees.push(self.tree(store, index)?);
            }
        }
        Ok(trees)
    }

    pub(super) fn lower(&self, store: &Store) -> Result<Lower<'_>, Problem> {
        Ok(Lower { layers: &self.layers, stack: self.stack(store)? })
    }

    /// A small file's content; none if nothing or something else is there, or if it is larger than `limit` bytes.
    pub(super) fn read(&self, store: &Store, path: &str, limit: u64) -> Result<Option<Vec<u8>>, Problem> {
        use std::io::Read as _;
        let Some(reader) = layer::open_file(store, &self.layers, self.stack(store)?, &ImagePath::new(path))? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        let read = reader.take(limit + 1).read_to_end(&mut bytes);
        read.map_err(|source| layer::Error::Content { path: ImagePath::new(path), source })?;
        Ok((bytes.len() as u64 <= limit).then_some(bytes))
    }
}

/// Names a layer and all its forms in the lease: whatever of it is there stays.
pub(super) fn hold(store: &Store, lease: &Lease, layer: &Layer) -> Result<(), Problem> {
    lease.hold(&Object::Record(Bucket::Layers, layer.diff_id.to_string()))?;
    lease.hold(&Object::Record(Bucket::Listings, layer.tree.to_string()))?;
    lease.hold(&Object::Tree(layer.tree))?;
    lease.hold(&Object::Blob(layer.diff_id.plain_blob()))?;
    if let Some(record) = layer::record(store, &layer.diff_id)? {
        for stored in record.blobs {
            lease.hold(&Object::Blob(stored.blob.digest))?;
        }
    }
    Ok(())
}

/// Whether a layer can be used, and exported: its listing is there, and its tar, or a tree that the tar follows from.
///
/// A tree that nobody vouches for, as its maker was killed or lost power, is compared with its listing: better a step that runs
/// again than one that fails on it.
pub(super) fn is_stored(store: &Store, layer: &Layer) -> Result<bool, Problem> {
    match form(store, layer)? {
        Form::Packed => Ok(true),
        Form::Tree => Ok(layer::tree_is_whole(store, layer.tree)?),
        Form::Lost => Ok(false),
    }
}

/// As `is_stored`, but no tree is read.
pub(super) fn seems_stored(store: &Store, layer: &Layer) -> Result<bool, Problem> {
    Ok(form(store, layer)? != Form::Lost)
}

/// How a layer is in the store.
#[derive(PartialEq)]
enum Form {
    /// As a blob.
    Packed,
    /// As a tree alone.
    Tree,
    /// Not at all.
    Lost,
}

fn form(store: &Store, layer: &Layer) -> Result<Form, Problem> {
    if !store.has_record(Bucket::Listings, &layer.tree.to_string())? {
        return Ok(Form::Lost);
    }
    if store.blob_size(&layer.diff_id.plain_blob())?.is_some() {
        return Ok(Form::Packed);
    }
    let Some(record) = layer::record(store, &layer.diff_id)? else { return Ok(Form::Lost) };
    for stored in record.blobs {
        if store.blob_size(&stored.blob.digest)? == Some(stored.blob.size) {
            return Ok(Form::Packed);
        }
    }
    let has_tree = record.times.is_some() && store.tree(layer.tree)?.is_some();
    Ok(if has_tree { Form::Tree } else { Form::Lost })
}
