//! Base images: from the store if they are there, else from their registry.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::BuildEvent;
use super::catalog::{self, MAX_CONFIG, StoredImage};
use super::error::Problem;
use super::layouts;
use super::request::{Engine, Pull};
use super::rootfs::{Rootfs, hold};
use super::schedule::Flights;
use crate::digest::{BlobDigest, ConfigDigest, DiffId, ManifestDigest};
use crate::fsx::At as _;
use crate::image::{History, ImageConfig, LayerBlob, SealedConfig};
use crate::layer::{self, Compression, Layer, Unpack};
use crate::plan::ImageNeed;
use crate::platform::Platform;
use crate::reference::Reference;
use crate::registry::{PulledImage, Tally};
use crate::store::{Bucket, Lease, Object, Store};

/// A base image whose documents and layers are in the store.
#[derive(Debug, Clone)]
pub(super) struct BaseImage {
    pub(super) config: SealedConfig,
    layers: Layers,
}

#[derive(Debug, Clone)]
enum Layers {
    /// Built here.
    Made(Vec<Layer>),
    /// Pulled, possibly not looked into yet.
    Pulled(Vec<LayerBlob>),
    /// Still in their registry, as this reference names them; of the notes the user knows.
    Away { reference: Reference, told: Vec<String> },
}

impl BaseImage {
    /// One that another request of this build has made.
    pub(super) fn made(config: SealedConfig, layers: Vec<Layer>) -> Self {
        Self { config, layers: Layers::Made(layers) }
    }
}

/// A base's history with one line for each of its `layers` layers: images need not have one, and some tell of other layers.
///
/// As BuildKit does, missing lines are added at the end, and lines too many made ones without a layer.
pub(super) fn history(config: &ImageConfig, layers: usize) -> Vec<History> {
    let mut history = config.history.clone();
    let mut told = 0;
    for line in history.iter_mut().filter(|line| !line.empty_layer) {
        told += 1;
        line.empty_layer = told > layers;
    }
    history.extend((told..layers).map(|_| History::default()));
    history
}

/// What a reference was when it was last pulled.
#[derive(Debug, Serialize, Deserialize)]
struct PulledRecord {
    digest: ManifestDigest,
    manifest: ManifestDigest,
    config: ConfigDigest,
    layers: Vec<PulledLayer>,
}

#[derive(Debug, Serialize, Deserialize)]
struct PulledLayer {
    digest: BlobDigest,
    size: u64,
    media_type: String,
}

/// Brings an image as it is, from the store or its registry, and keeps it there.
pub fn bring_image(
    engine: &Engine<'_>,
    reference: &Reference,
    platform: &Platform,
    pull: Pull,
) -> Result<StoredImage, Problem> {
    let lease = engine.store.lease()?;
    let need = ImageNeed { reference: reference.clone(), platform: platform.clone(), layout: None };
    let image = match stored(engine.store, &lease, &need, pull)? {
        Some(image) => image,
        None => bring(engine, &need, ask(engine, &need)?)?.0,
    };
    let rootfs = rootfs(engine.store, &lease, &image, Some(LISTING))?.ok_or(Problem::BaseMismatch)?;
    catalog::keep_image(engine.store, &image.config, rootfs.layers())?;
    Ok(StoredImage { config: image.config, layers: rootfs.layers().to_vec() })
}

/// Finds an image in its folder, under its name in the store, or as it was pulled before; none if the registry must be asked.
pub(super) fn stored(store: &Store, lease: &Lease, need: &ImageNeed, pull: Pull) -> Result<Option<BaseImage>, Problem> {
    if let Some(layout) = &need.layout {
        let (config, blobs) = layouts::load(store, layout, need)?;
        return Ok(Some(BaseImage { config, layers: Layers::Pulled(blobs) }));
    }
    if pull == Pull::Always {
        return Ok(None);
    }
    match built_here(store, need)? {
        Some(image) => Ok(Some(image)),
        None => pulled_before(store, lease, need),
    }
}

/// Asks the registry of an image for its documents; its layers stay there.
pub(super) fn ask(engine: &Engine<'_>, need: &ImageNeed) -> Result<BaseImage, Problem> {
    let reference = need.reference.familiar();
    (engine.events)(BuildEvent::PullStarted { reference });
    let cancelled = || engine.interrupt.is_set();
    let progress = Tally::new(&|_, _| {}, &cancelled);
    let found = engine.registry.documents(engine.store, &need.reference, &need.platform, &progress)?;
    tell(engine, &found.notes);
    let reference = need.reference.with_digest(found.resolved.digest);
    Ok(BaseImage { config: found.config, layers: Layers::Away { reference, told: found.notes } })
}

/// Brings the layers of an image from its registry, unless they are here; also says how many were transferred.
pub(super) fn bring(engine: &Engine<'_>, need: &ImageNeed, image: BaseImage) -> Result<(BaseImage, usize), Problem> {
    let Layers::Away { reference, told } = &image.layers else { return Ok((image, 0)) };
    let name = need.reference.familiar();
    let tell_bytes = |done, total| (engine.events)(BuildEvent::PullProgress { reference: name.clone(), done, total });
    let cancelled = || engine.interrupt.is_set();
    let progress = Tally::new(&tell_bytes, &cancelled);
    let mut pulled = engine.registry.pull(engine.store, reference, &need.platform, &progress)?;
    let (bytes, blobs) = (progress.transferred(), progress.blobs());
    (engine.events)(BuildEvent::PullFinished { reference: name, bytes });
    pulled.notes.retain(|note| !told.contains(note));
    tell(engine, &pulled.notes);
    remember(engine.store, need, &pulled)?;
    Ok((BaseImage { config: pulled.config, layers: Layers::Pulled(pulled.layers) }, blobs))
}

fn tell(engine: &Engine<'_>, notes: &[String]) {
    for note in notes {
        (engine.events)(BuildEvent::Note { text: note.clone() });
    }
}

/// How layers that are new here are taken in.
#[derive(Clone, Copy)]
pub(super) struct Import<'a> {
    /// Whether they are unpacked on the way.
    pub(super) unpack: Unpack,
    /// Those that others are taking in at the same time.
    pub(super) under_way: Option<&'a Flights<DiffId>>,
}

/// Without trees, by one who is alone.
pub(super) const LISTING: Import<'static> = Import { unpack: Unpack::ListingOnly, under_way: None };

/// The root filesystem of a base image. Layers that are new here are taken in; without `import` there is none then.
pub(super) fn rootfs(
    store: &Store,
    lease: &Lease,
    image: &BaseImage,
    import: Option<Import<'_>>,
) -> Result<Option<Rootfs>, Problem> {
    let mut rootfs = Rootfs::empty();
    match &image.layers {
        Layers::Away { .. } => return Ok(None),
        Layers::Made(layers) => {
            for layer in layers {
                hold(store, lease, layer)?;
                rootfs = rootfs.pushed(layer.clone());
            }
        }
        Layers::Pulled(blobs) => {
            let diff_ids = &image.config.config().rootfs.diff_ids;
            if diff_ids.len() != blobs.len() {
                return Err(Problem::BaseMismatch);
            }
            for (blob, diff_id) in blobs.iter().zip(diff_ids) {
                let chain = rootfs.chain().push(diff_id);
                let layer = match (layer::known(store, diff_id, &chain)?, import) {
                    (Some(layer), _) => layer,
                    (None, None) => return Ok(None),
                    (None, Some(Import { unpack, under_way })) => {
                        // Another image may have the same layer: its tree is made once.
                        let _flight = under_way.map(|others| others.enter(*diff_id, &|| true));
                        match layer::known(store, diff_id, &chain)? {
                            Some(layer) => layer,
                            None => {
                                let (lower, media) = (rootfs.lower(store)?, &blob.media_type);
                                layer::import(store, &blob.digest, media, Some(diff_id), lower, &chain, unpack)?
                            }
                        }
                    }
                };
                hold(store, lease, &layer)?;
                rootfs = rootfs.pushed(layer);
            }
        }
    }
    Ok(Some(rootfs.into_image()))
}

fn built_here(store: &Store, need: &ImageNeed) -> Result<Option<BaseImage>, Problem> {
    let Some(id) = catalog::named(store, &need.reference)? else { return Ok(None) };
    let Some(image) = catalog::image(store, &id)? else { return Ok(None) };
    if need.platform.distance(&image.config.config().platform()).is_none() {
        return Ok(None);
    }
    Ok(Some(BaseImage { config: image.config, layers: Layers::Made(image.layers) }))
}

fn record_name(need: &ImageNeed) -> String {
    format!("{} {}", need.reference, need.platform)
}

fn pulled_before(store: &Store, lease: &Lease, need: &ImageNeed) -> Result<Option<BaseImage>, Problem> {
    let name = record_name(need);
    lease.hold(&Object::Record(Bucket::Pulled, name.clone()))?;
    let Some(bytes) = store.read_record(Bucket::Pulled, &name)? else { return Ok(None) };
    let Ok(record) = serde_json::from_slice::<PulledRecord>(&bytes) else { return Ok(None) };
    lease.hold(&Object::Blob(record.config.blob()))?;
    for layer in &record.layers {
        lease.hold(&Object::Blob(layer.digest))?;
        if store.blob_size(&layer.digest)? != Some(layer.size) {
            return Ok(None);
        }
    }
    if store.blob_size(&record.config.blob())?.is_none() {
        return Ok(None);
    }
    let config = SealedConfig::from_bytes(store.read_blob(&record.config.blob(), MAX_CONFIG)?)?;
    let blobs = record.layers.into_iter();
    let blobs = blobs.map(|layer| LayerBlob { digest: layer.digest, size: layer.size, media_type: layer.media_type });
    Ok(Some(BaseImage { config, layers: Layers::Pulled(blobs.collect()) }))
}

fn remember(store: &Store, need: &ImageNeed, pulled: &PulledImage) -> Result<(), Problem> {
    let layers = pulled.layers.iter();
    let layers = layers.map(|layer| PulledLayer {
        digest: layer.digest,
        size: layer.size,
        media_type: layer.media_type.clone(),
    });
    let record = PulledRecord {
        digest: pulled.digest,
        manifest: pulled.manifest,
        config: pulled.config.digest(),
        layers: layers.collect(),
    };
    let bytes = serde_json::to_vec(&record);
    let bytes = bytes.map_err(|source| crate::image::Error::Json { document: "record of a pull", source })?;
    Ok(store.write_record(Bucket::Pulled, &record_name(need), &bytes)?)
}

/// Brings a base image that is in one store into another one, so that it is found there as it was here.
pub(super) fn share(from: &Store, to: &Store, need: &ImageNeed, image: &BaseImage) -> Result<(), Problem> {
    let lease = to.lease()?;
    lease.hold(&Object::Blob(image.config.digest().blob()))?;
    to.put_blob(image.config.bytes())?;
    match &image.layers {
        // It was brought before.
        Layers::Away { .. } => return Err(Problem::BaseMismatch),
        Layers::Pulled(blobs) => {
            for blob in blobs {
                copy_blob(from, to, &blob.digest)?;
            }
            let name = record_name(need);
            if let Some(record) = from.read_record(Bucket::Pulled, &name)? {
                to.write_record(Bucket::Pulled, &name, &record)?;
            }
        }
        Layers::Made(layers) => {
            let mut blobs = Vec::with_capacity(layers.len());
            for layer in layers {
                let layer::Blob { digest, size, media_type } = layer::compressed(from, layer, Compression::None)?;
                copy_blob(from, to, &digest)?;
                blobs.push(LayerBlob { digest, size, media_type });
            }
            let image = BaseImage { config: image.config.clone(), layers: Layers::Pulled(blobs) };
            let rootfs = rootfs(to, &lease, &image, Some(LISTING))?.ok_or(Problem::BaseMismatch)?;
            catalog::keep_image(to, &image.config, rootfs.layers())?;
            catalog::name_image(to, &need.reference, &image.config.digest())?;
        }
    }
    Ok(())
}

fn copy_blob(from: &Store, to: &Store, digest: &BlobDigest) -> Result<(), Problem> {
    if to.blob_size(digest)?.is_some() {
        return Ok(());
    }
    let mut writer = to.blob_writer()?;
    let copied = std::io::copy(&mut from.open_blob(digest)?, &mut writer);
    copied.at("copy a layer into", to.root())?;
    writer.commit_expecting(digest)?;
    Ok(())
}

/// The objects that the records of pulled images name.
pub(super) fn pulled_objects(store: &Store) -> Result<BTreeMap<String, Vec<Object>>, Problem> {
    let mut found = BTreeMap::new();
    for name in store.record_names(Bucket::Pulled)? {
        let Some(bytes) = store.read_record(Bucket::Pulled, &name)? else { continue };
        let Ok(record) = serde_json::from_slice::<PulledRecord>(&bytes) else { continue };
        let mut objects = vec![Object::Blob(record.config.blob()), Object::Blob(record.manifest.blob())];
        objects.push(Object::Blob(record.digest.blob()));
        objects.extend(record.layers.iter().map(|layer| Object::Blob(layer.digest)));
        if let Ok(config) = store.read_blob(&record.config.blob(), MAX_CONFIG).map(SealedConfig::from_bytes)
            && let Ok(config) = config
        {
            let mut chain = crate::digest::ChainId::empty();
            for diff_id in &config.config().rootfs.diff_ids {
                chain = chain.push(diff_id);
                objects.push(Object::Record(Bucket::Layers, diff_id.to_string()));
                for tree in [crate::store::TreeId::Layer(*diff_id), crate::store::TreeId::Chain(chain)] {
                    objects.push(Object::Tree(tree));
                    objects.push(Object::Record(Bucket::Listings, tree.to_string()));
                }
            }
        }
        found.insert(name, objects);
    }
    Ok(found)
}
