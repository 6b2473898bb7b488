//! One cache that a build may take results from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use super::super::BuildEvent;
use super::super::error::Problem;
use super::super::layouts::{self, LayoutError};
use super::super::request::{Engine, Request};
use super::super::rootfs::{hold, is_stored};
use super::super::step::{Session, layer_of};
use super::contents::{CACHE_CONFIG, CACHE_TAG};
use super::document::{Document, Listed};
use crate::cache::Portable;
use crate::digest::{BlobDigest, ChainId, DiffId};
use crate::fsx;
use crate::image::{CACHE_FIELDS, Descriptor, Index, LayerBlob, Manifest};
use crate::layer::{self, Lower, Unpack};
use crate::plan::LayoutImage;
use crate::reference::Reference;
use crate::registry::Tally;
use crate::store::{Object, Store, TreeId};
use crate::tree::Stack;

/// No document of a cache is longer, in bytes.
const MAX_DOCUMENT: u64 = 64 << 20;
/// The annotation that holds a tag.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// A cache whose list was read.
#[derive(Debug)]
pub(super) struct Import {
    pub listed: Listed,
    place: Place,
}

/// Where its layers are.
#[derive(Debug)]
enum Place {
    Folder(PathBuf),
    Image {
        /// As it was given.
        name: String,
        /// With the digest that the tag led to.
        reference: Reference,
        layers: BTreeMap<DiffId, LayerBlob>,
    },
}

impl Import {
    /// Reads the list of a cache in a folder.
    pub fn of_folder(folder: &Path) -> Result<Self, Problem> {
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
        Ok(Self { listed: document.listed()?, place: Place::Folder(folder.to_path_buf()) })
    }

    /// Reads the list in the config of an image, which its registry is asked for; its layers stay there. None, which is
    /// told, if there is no such image, or no cache in it.
    pub fn of_image(engine: &Engine<'_>, request: &Request, name: &Reference) -> Result<Option<Self>, Problem> {
        let note = |text| (engine.events)(BuildEvent::Note { text });
        let cancelled = || engine.interrupt.is_set();
        let progress = Tally::new(&|_, _| {}, &cancelled);
        let found = match engine.registry.documents(engine.store, name, &request.inputs.platform, &progress) {
            Ok(found) => found,
            Err(error) if error.is_absent() => {
                note(format!("there is no image `{}` yet to take a cache from", name.familiar()));
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        found.notes.into_iter().for_each(note);
        let config = found.config.config();
        let Some(list) = config.extra.get(CACHE_FIELDS[0]) else {
            note(format!("the image `{}` holds no cache: `--cache-to type=inline` puts one there", name.familiar()));
            return Ok(None);
        };
        let unreadable = "the list of its records cannot be read";
        let document: Document =
            serde_json::from_value(list.clone()).map_err(|_unreadable| Problem::BadCache { problem: unreadable })?;
        let mut listed = document.listed()?;
        // What the image's manifest says of its layers is what counts.
        listed.blobs.clear();
        let reference = name.with_digest(found.resolved.digest);
        let layers = config.rootfs.diff_ids.iter().copied().zip(found.resolved.layers).collect();
        Ok(Some(Self { listed, place: Place::Image { name: name.familiar(), reference, layers } }))
    }

    /// How messages call it.
    pub fn name(&self) -> String {
        match &self.place {
            Place::Folder(folder) => folder.display().to_string(),
            Place::Image { name, .. } => name.clone(),
        }
    }

    /// Brings the layer of a record, unless it is here; its length.
    pub fn bring(&self, session: &Session<'_>, record: &Portable) -> Result<u64, Problem> {
        let (store, output) = (session.engine.store, record.output());
        let layer = layer_of(&output);
        hold(store, session.lease, &layer)?;
        let known = || -> Result<Option<u64>, Problem> {
            Ok(match is_stored(store, &layer)? {
                true => Some(layer::record(store, &output.diff_id)?.map_or(output.size, |known| known.size)),
                false => None,
            })
        };
        if let Some(size) = known()? {
            return Ok(size);
        }
        match &self.place {
            Place::Folder(folder) => self.copy_layer(store, folder, output.diff_id),
            Place::Image { name, reference, layers } => {
                // Several steps, and a base image, may want the same.
                let is_wanted = || !session.engine.interrupt.is_set();
                let flight = session.shared.unpacking.enter(output.diff_id, &is_wanted);
                let Some(_flight) = flight else { return Err(Problem::Interrupted) };
                match known()? {
                    Some(size) => Ok(size),
                    None => pull_layer(session, (name, reference), layers, output.diff_id),
                }
            }
        }
    }

    /// Copies a layer's blob into the store and reads it there, where it must turn out to be that layer.
    fn copy_layer(&self, store: &Store, folder: &Path, diff_id: DiffId) -> Result<u64, Problem> {
        let bad = |problem| LayoutError::Document { folder: folder.to_path_buf(), problem };
        let blob = self.listed.blobs.get(&diff_id).ok_or_else(|| bad("a layer of a record is not listed"))?;
        let layout = LayoutImage { folder: folder.to_path_buf(), tag: None, digest: None };
        layouts::copy_blob(store, &layout, &Descriptor::new(&blob.media_type, blob.digest, blob.size))?;
        read_layer(store, &blob.digest, &blob.media_type, diff_id)?.ok_or_else(|| bad(NOT_BY_ITSELF).into())
    }
}

const NOT_BY_ITSELF: &str = "a layer does not stand by itself";

/// Brings a layer of an image from its registry, with the same certainty.
fn pull_layer(
    session: &Session<'_>,
    (name, image): (&str, &Reference),
    layers: &BTreeMap<DiffId, LayerBlob>,
    diff_id: DiffId,
) -> Result<u64, Problem> {
    let Session { engine, lease, .. } = session;
    let missing = Problem::BadCache { problem: "a layer of a record is not in the image" };
    let layer = layers.get(&diff_id).ok_or(missing)?;
    lease.hold(&Object::Blob(layer.digest))?;
    let reference = format!("layer {} of {name}", layer.digest.short());
    (engine.events)(BuildEvent::PullStarted { reference: reference.clone() });
    let tell = |done, total| {
        (engine.events)(BuildEvent::PullProgress { reference: reference.clone(), done, total });
    };
    let cancelled = || engine.interrupt.is_set();
    let progress = Tally::new(&tell, &cancelled);
    engine.registry.layer(engine.store, image, layer, &progress)?;
    let bytes = progress.transferred();
    session.shared.blobs.fetch_add(progress.blobs(), Ordering::Relaxed);
    (engine.events)(BuildEvent::PullFinished { reference, bytes });
    let read = read_layer(engine.store, &layer.digest, &layer.media_type, diff_id)?;
    read.ok_or(Problem::BadCache { problem: NOT_BY_ITSELF })
}

/// Reads a blob, which must turn out to be that layer; its length, or none if it does not stand by itself.
fn read_layer(store: &Store, blob: &BlobDigest, media: &str, diff_id: DiffId) -> Result<Option<u64>, Problem> {
    let (nothing, chain) = (Stack::default(), ChainId::empty().push(&diff_id));
    let lower = Lower { layers: &[], stack: &nothing };
    let read = layer::import(store, blob, media, Some(&diff_id), lower, &chain, Unpack::ListingOnly)?;
    Ok(matches!(read.tree, TreeId::Layer(_)).then_some(read.size))
}
