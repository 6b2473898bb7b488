//! The room's door: blocking calls over a runtime that starts when it is first needed.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use super::credentials::Keyring;
use super::endpoint::Endpoint;
use super::http::Wire;
use super::registries::Place;
use super::under_way::UnderWay;
use super::{Error, Options, Registries, Result, pull, push};
use crate::digest::{BlobDigest, Canonical, ManifestDigest};
use crate::image::{Descriptor, LayerBlob, SealedConfig, SealedImage};
use crate::platform::Platform;
use crate::reference::Reference;
use crate::store::{Store, Waiting};

/// How often `Progress::cancelled` is asked.
const ASK: Duration = Duration::from_millis(25);

/// Hears of transfers, several of which are under way at once, and may end them. Calls come from the thread that waits.
pub trait Progress: Sync {
    /// A blob that was not there is about to be transferred.
    fn blob_started(&self, _digest: &BlobDigest, _total: u64) {}
    /// That many bytes more have been transferred; what is transferred twice counts once.
    fn bytes(&self, _digest: &BlobDigest, _count: u64) {}
    /// The blob is in its place.
    fn blob_done(&self, _digest: &BlobDigest) {}
    /// Whether to give up; asked about 40 times a second.
    fn cancelled(&self) -> bool {
        false
    }
}

/// Hears nothing and never gives up.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {}

/// What a reference is at its registry.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// What the tag names: an index, or the manifest itself.
    pub digest: ManifestDigest,
    /// The manifest of the image for the platform.
    pub manifest: ManifestDigest,
    /// Its config.
    pub config: Descriptor,
    /// Its layers, bottom first.
    pub layers: Vec<LayerBlob>,
}

/// An image whose documents are in the store; its layers need not be.
#[derive(Debug, Clone, PartialEq)]
pub struct Documents {
    /// What it is.
    pub resolved: Resolved,
    /// Its config.
    pub config: SealedConfig,
    /// What the user should know: mirrors that failed, another platform than the one asked for.
    pub notes: Vec<String>,
}

/// An image whose documents and layers are all in the store.
#[derive(Debug, Clone, PartialEq)]
pub struct PulledImage {
    /// As it was asked for.
    pub reference: Reference,
    /// What the tag names: an index, or the manifest itself.
    pub digest: ManifestDigest,
    /// The manifest of the image for the platform.
    pub manifest: ManifestDigest,
    /// Its config.
    pub config: SealedConfig,
    /// Its layers, bottom first.
    pub layers: Vec<LayerBlob>,
    /// What the user should know: mirrors that failed, another platform than the one asked for.
    pub notes: Vec<String>,
}

/// Speaks with registries. Making one costs nothing; cloning it is cheap, and clones share connections.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    registries: Registries,
    keyring: Arc<Keyring>,
    wire: Wire,
    under_way: UnderWay,
    runtime: OnceLock<Runtime>,
}

impl Client {
    /// Keeps the options; nothing is read, connected or started before the first request.
    pub fn new(options: Options) -> Self {
        let shared = Shared {
            keyring: Arc::new(Keyring::new(&options)),
            wire: Wire::new(&options),
            registries: options.registries,
            under_way: UnderWay::default(),
            runtime: OnceLock::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Finds out what a reference is for a platform. Reads documents only, and stores nothing.
    pub fn resolve(&self, reference: &Reference, platform: &Platform, progress: &dyn Progress) -> Result<Resolved> {
        let places = self.shared.registries.places(reference)?;
        let work = self.shared.at_first(places, async |endpoint| pull::resolve(endpoint, reference, platform).await);
        Ok(self.shared.block(progress, work)?.0)
    }

    /// Brings the documents of an image into the store, its layers not. A `pull` of what `Resolved::digest` names asks the
    /// registry for layers only.
    pub fn documents(
        &self,
        store: &Store,
        reference: &Reference,
        platform: &Platform,
        progress: &dyn Progress,
    ) -> Result<Documents> {
        let places = self.shared.registries.places(reference)?;
        let work =
            self.shared.at_first(places, async |endpoint| pull::documents(endpoint, store, reference, platform).await);
        let (mut documents, notes) = self.shared.block(progress, work)?;
        documents.notes.splice(0..0, notes);
        Ok(documents)
    }

    /// Brings an image into the store: its documents and its layers as they are, each verified. What is there already is
    /// not fetched; two processes that want the same image fetch it once, and so do two pulls of this client that have a layer
    /// in common.
    pub fn pull(
        &self,
        store: &Store,
        reference: &Reference,
        platform: &Platform,
        progress: &dyn Progress,
    ) -> Result<PulledImage> {
        let places = self.shared.registries.places(reference)?;
        let mut key = Canonical::new("pull-lock/1");
        key.text("reference", &reference.to_string());
        let lock = format!("pull-{}", key.finish::<BlobDigest>().short());
        let _held = store
            .lock(&lock, &mut |asked| asked != Waiting::StillWanted || !progress.cancelled())
            .map_err(|error| if progress.cancelled() { Error::Cancelled } else { error.into() })?;
        let in_store = (store, &self.shared.under_way);
        let work = self
            .shared
            .at_first(places, async |endpoint| pull::pull(endpoint, in_store, reference, platform, progress).await);
        let (mut image, notes) = self.shared.block(progress, work)?;
        image.notes.splice(0..0, notes);
        Ok(image)
    }

    /// Brings one layer of an image into the store, verified, unless it is there; `layer` is as `Resolved` names it.
    pub fn layer(
        &self,
        store: &Store,
        reference: &Reference,
        layer: &LayerBlob,
        progress: &dyn Progress,
    ) -> Result<()> {
        let places = self.shared.registries.places(reference)?;
        let (layer, in_store) = (std::slice::from_ref(layer), (store, &self.shared.under_way));
        let work =
            self.shared.at_first(places, async |endpoint| pull::layers(endpoint, in_store, layer, progress).await);
        self.shared.block(progress, work).map(|((), _notes)| ())
    }

    /// Sends an image, whose layers' blobs are in the store, and names it `to`. Blobs that the registry has are not sent;
    /// those that one of `mount_from` has at the same registry are taken from there.
    pub fn push(
        &self,
        store: &Store,
        image: &SealedImage,
        to: &Reference,
        mount_from: &[Reference],
        progress: &dyn Progress,
    ) -> Result<ManifestDigest> {
        let place = self.shared.registries.origin(to)?;
        let work = self
            .shared
            .at_first(vec![place], async |endpoint| push::push(endpoint, store, image, mount_from, progress).await);
        Ok(self.shared.block(progress, work)?.0)
    }
}

impl Shared {
    async fn at_first<T>(
        &self,
        places: Vec<Place>,
        mut work: impl AsyncFnMut(&Endpoint<'_>) -> Result<T>,
    ) -> Result<(T, Vec<String>)> {
        let count = places.len();
        let mut trail = pull::Trail::default();
        for (index, place) in places.into_iter().enumerate() {
            let timing = &self.wire.timing;
            let tries = if index + 1 == count { timing.tries } else { timing.few_tries };
            let name = place.reference.registry().to_owned();
            let outcome = match Endpoint::connect(&self.wire, &self.keyring, place, tries).await {
                Ok(endpoint) => work(&endpoint).await,
                Err(error) => Err(error),
            };
            match outcome {
                Ok(value) => return Ok((value, trail.notes())),
                Err(error) => trail.add(&name, error)?,
            }
        }
        Err(trail.into_error())
    }

    fn block<T>(&self, progress: &dyn Progress, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.runtime()?.block_on(async {
            tokio::select! {
                done = work => done,
                () = cancelled(progress) => Err(Error::Cancelled),
            }
        })
    }

    fn runtime(&self) -> Result<&Runtime> {
        if let Some(runtime) = self.runtime.get() {
            return Ok(runtime);
        }
        let made = Builder::new_multi_thread()
            .worker_threads(2)
            .max_blocking_threads(32)
            .thread_name("registry")
            .enable_io()
            .enable_time()
            .build()
            .map_err(|source| Error::Start { source })?;
        // If another thread was faster, its runtime is used and this one ends unused.
        Ok(self.runtime.get_or_init(|| made))
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Waiting for a thread that looks up a name or runs a helper could take a minute.
            runtime.shutdown_background();
        }
    }
}

async fn cancelled(progress: &dyn Progress) {
    while !progress.cancelled() {
        tokio::time::sleep(ASK).await;
    }
}
