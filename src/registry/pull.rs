//! Brings an image into the store, from the first endpoint that can give all of it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use super::endpoint::{Call, Endpoint};
use super::manifest::{self, Chosen};
use super::under_way::UnderWay;
use super::{Documents, Error, Progress, PulledImage, Resolved, Result, blob, limits};
use crate::digest::BlobDigest;
use crate::image::{Descriptor, LayerBlob, SealedConfig, media_type};
use crate::platform::Platform;
use crate::reference::Reference;
use crate::store::Store;

const CONFIG: &str = "image config";

/// Docker's layers with `urls`, which are not looked at, and OCI's: the same bytes as the types on the right.
const OTHER_LAYER_TYPES: [(&str, &str); 5] = [
    ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", media_type::DOCKER_LAYER_GZIP),
    ("application/vnd.docker.image.rootfs.diff.tar.zstd", media_type::LAYER_ZSTD),
    ("application/vnd.oci.image.layer.nondistributable.v1.tar", media_type::LAYER),
    ("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", media_type::LAYER_GZIP),
    ("application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", media_type::LAYER_ZSTD),
];

/// What went wrong at the endpoints before this one.
#[derive(Default)]
pub(super) struct Trail {
    failed: Vec<(String, Error)>,
}

impl Trail {
    /// Remembers a failure; gives it back if another endpoint will do no better.
    pub(super) fn add(&mut self, registry: &str, error: Error) -> Result<()> {
        if !error.is_of_endpoint() {
            return Err(error);
        }
        self.failed.push((registry.to_owned(), error));
        Ok(())
    }

    /// One sentence for each endpoint that was left.
    pub(super) fn notes(&self) -> Vec<String> {
        self.failed.iter().map(|(name, error)| format!("`{name}` was skipped: {}", first_line(error))).collect()
    }

    /// The error of the last endpoint, with those before it.
    pub(super) fn into_error(mut self) -> Error {
        let (_, error) = self.failed.pop().expect("a reference has at least one place");
        if self.failed.is_empty() {
            return error;
        }
        Error::AfterMirrors { trail: self.notes().join("; "), source: Box::new(error) }
    }
}

fn first_line(error: &Error) -> String {
    error.to_string().lines().next().unwrap_or("").to_owned()
}

/// Finds out what a reference is, without its blobs.
pub(super) async fn resolve(endpoint: &Endpoint<'_>, reference: &Reference, platform: &Platform) -> Result<Resolved> {
    let chosen = manifest::choose(endpoint, None, reference, platform).await?;
    resolved(&chosen, reference)
}

/// Brings the documents of one endpoint's image into the store.
pub(super) async fn documents(
    endpoint: &Endpoint<'_>,
    store: &Store,
    reference: &Reference,
    platform: &Platform,
) -> Result<Documents> {
    let chosen = manifest::choose(endpoint, Some(store), reference, platform).await?;
    let resolved = resolved(&chosen, reference)?;
    let config = config(endpoint, store, &resolved.config, reference).await?;
    let diff_ids = config.config().rootfs.diff_ids.len();
    if diff_ids != resolved.layers.len() {
        return Err(Error::LayerCount { reference: reference.familiar(), diff_ids, layers: resolved.layers.len() });
    }
    for document in &chosen.documents {
        store.put_blob(&document.bytes)?;
    }
    let mut notes = Vec::new();
    let found = config.config().platform();
    if platform.distance(&found).is_none() {
        notes.push(format!("`{}` is for {found}, not for {platform}", reference.familiar()));
    }
    Ok(Documents { resolved, config, notes })
}

/// Brings one endpoint's image into the store.
pub(super) async fn pull(
    endpoint: &Endpoint<'_>,
    (store, under_way): (&Store, &UnderWay),
    reference: &Reference,
    platform: &Platform,
    progress: &dyn Progress,
) -> Result<PulledImage> {
    let Documents { resolved, config, notes } = documents(endpoint, store, reference, platform).await?;
    layers(endpoint, (store, under_way), &resolved.layers, progress).await?;
    Ok(PulledImage {
        reference: reference.clone(),
        digest: resolved.digest,
        manifest: resolved.manifest,
        config,
        layers: resolved.layers,
        notes,
    })
}

/// Checks that a manifest is one of a container image, and gives its layers their plain types.
fn resolved(chosen: &Chosen, reference: &Reference) -> Result<Resolved> {
    let not_image = |part, found: &str| {
        let media_type = found.chars().filter(|c| !c.is_control()).take(100).collect();
        Error::NotAnImage { reference: reference.familiar(), part, media_type }
    };
    let config = chosen.manifest.config.clone();
    if !matches!(config.media_type.as_str(), media_type::CONFIG | media_type::DOCKER_CONFIG) {
        return Err(not_image("config", &config.media_type));
    }
    let layers = chosen.manifest.layers.iter().map(|layer| {
        let media = layer_type(&layer.media_type).ok_or_else(|| not_image("layer", &layer.media_type))?;
        Ok(LayerBlob { digest: layer.digest, size: layer.size, media_type: media.to_owned() })
    });
    let layers = layers.collect::<Result<_>>()?;
    let first = chosen.documents.first().expect("there is at least the manifest");
    let last = chosen.documents.last().expect("there is at least the manifest");
    Ok(Resolved { digest: first.digest, manifest: last.digest, config, layers })
}

fn layer_type(media: &str) -> Option<&str> {
    use media_type::{DOCKER_LAYER, DOCKER_LAYER_GZIP, LAYER, LAYER_GZIP, LAYER_ZSTD};
    match media {
        LAYER | LAYER_GZIP | LAYER_ZSTD | DOCKER_LAYER | DOCKER_LAYER_GZIP => Some(media),
        other => OTHER_LAYER_TYPES.iter().find(|(name, _)| *name == other).map(|(_, plain)| *plain),
    }
}

async fn config(
    endpoint: &Endpoint<'_>,
    store: &Store,
    wanted: &Descriptor,
    reference: &Reference,
) -> Result<SealedConfig> {
    let host = endpoint.origin.to_string();
    if wanted.size > limits::CONFIG {
        return Err(Error::TooLarge { host, what: CONFIG, limit: limits::CONFIG });
    }
    let bytes = match store.read_blob(&wanted.digest, limits::CONFIG) {
        Ok(bytes) => bytes,
        // Not there, or damaged: the registry has it.
        Err(_absent) => {
            let call = Call::get(endpoint.url(&format!("blobs/{}", wanted.digest)), "fetching the image config");
            let read = async |response| endpoint.wire.body(response, wanted.size, CONFIG, call.action).await;
            let bytes = endpoint.ask(&call, read).await?;
            let found = BlobDigest::of(&bytes);
            if found != wanted.digest {
                return Err(Error::WrongDigest { host, what: CONFIG, expected: wanted.digest, found });
            }
            bytes
        }
    };
    if bytes.len() as u64 != wanted.size {
        return Err(wrong_size(host, CONFIG, wanted.digest, wanted.size, bytes.len() as u64));
    }
    store.put_blob(&bytes)?;
    SealedConfig::from_bytes(bytes).map_err(|source| Error::Document { reference: reference.familiar(), source })
}

/// Fetches the layers that the store lacks, several at a time; those that others are fetching are waited for.
pub(super) async fn layers(
    endpoint: &Endpoint<'_>,
    (store, under_way): (&Store, &UnderWay),
    layers: &[LayerBlob],
    progress: &dyn Progress,
) -> Result<()> {
    let host = endpoint.origin.to_string();
    let mut sizes = BTreeMap::new();
    let mut missing = VecDeque::new();
    for layer in layers {
        if let Some(other) = sizes.insert(layer.digest, layer.size) {
            if other != layer.size {
                return Err(wrong_size(host, "layer", layer.digest, layer.size, other));
            }
            continue;
        }
        match store.blob_size(&layer.digest)? {
            Some(found) if found == layer.size => {}
            Some(found) => return Err(wrong_size(host, "layer", layer.digest, layer.size, found)),
            None => missing.push_back(layer),
        }
    }
    let queue = Mutex::new(missing);
    let worker = async || -> Result<()> {
        while let Some(layer) = next(&queue) {
            let lock = under_way.lock_of(layer.digest);
            let _alone = lock.lock().await;
            if store.blob_size(&layer.digest)? == Some(layer.size) {
                continue;
            }
            progress.blob_started(&layer.digest, layer.size);
            blob::fetch(endpoint, store, layer.digest, layer.size, progress).await?;
            progress.blob_done(&layer.digest);
        }
        Ok(())
    };
    const { assert!(limits::PARALLEL == 4, "as many workers are joined below") };
    tokio::try_join!(worker(), worker(), worker(), worker())?;
    Ok(())
}

/// The next piece of work, if there is one.
pub(super) fn next<T>(queue: &Mutex<VecDeque<T>>) -> Option<T> {
    queue.lock().expect("no worker panics with the lock held").pop_front()
}

fn wrong_size(host: String, what: &'static str, digest: BlobDigest, expected: u64, found: u64) -> Error {
    Error::WrongSize { host, what, digest, expected, found }
}
