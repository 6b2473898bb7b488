//! Base images that several stages or requests want: asked for once, pulled once, unpacked once.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::error::Problem;
use super::images::{self, BaseImage};
use super::request::{Engine, Pull};
use super::rootfs::Rootfs;
use super::step::Shared;
use crate::image::SealedConfig;
use crate::layer::{Layer, Unpack};
use crate::plan::ImageNeed;
use crate::store::Lease;

/// The base images that are known.
#[derive(Default)]
pub(super) struct Bases {
    known: Mutex<BTreeMap<(ImageNeed, Pull), Arc<Base>>>,
}

/// One base image. Who asks for something that another one is bringing waits; if that fails, the next one tries.
pub(super) struct Base {
    need: ImageNeed,
    pull: Pull,
    image: Mutex<Option<BaseImage>>,
    rootfs: Mutex<Option<Rootfs>>,
    /// Whether another request of this build has made it.
    is_made: bool,
}

impl Bases {
    /// The image of that name. Asks nobody.
    pub(super) fn base(&self, need: &ImageNeed, pull: Pull) -> Arc<Base> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry((need.clone(), pull)).or_insert_with(|| Arc::new(Base::new(need, pull, None, false))).clone()
    }
}

impl Base {
    fn new(need: &ImageNeed, pull: Pull, image: Option<BaseImage>, is_made: bool) -> Self {
        Self { need: need.clone(), pull, image: Mutex::new(image), rootfs: Mutex::default(), is_made }
    }

    /// An image that another request of this build has made, in the place of `need`.
    pub(super) fn made(need: &ImageNeed, config: SealedConfig, layers: Vec<Layer>) -> Self {
        Self::new(need, Pull::Missing, Some(BaseImage::made(config, layers)), true)
    }

    /// Whether another request of this build has made it.
    pub(super) fn is_made(&self) -> bool {
        self.is_made
    }

    /// The image, as far as it is known.
    pub(super) fn image(&self) -> Option<BaseImage> {
        lock(&self.image).clone()
    }

    /// The config, if no registry must be asked for it.
    pub(super) fn stored(&self, engine: &Engine<'_>, lease: &Lease) -> Result<Option<SealedConfig>, Problem> {
        let mut image = lock(&self.image);
        if image.is_none() {
            *image = images::stored(engine.store, lease, &self.need, self.pull)?;
        }
        Ok(image.as_ref().map(|image| image.config.clone()))
    }

    /// The config, from the registry if need be.
    pub(super) fn config(&self, engine: &Engine<'_>) -> Result<SealedConfig, Problem> {
        let mut image = lock(&self.image);
        if let Some(image) = &*image {
            return Ok(image.config.clone());
        }
        Ok(image.insert(images::ask(engine, &self.need)?).config.clone())
    }

    /// The root filesystem, if all layers are here and listed. Waits for nobody.
    pub(super) fn known(&self, engine: &Engine<'_>, lease: &Lease) -> Result<Option<Rootfs>, Problem> {
        let Ok(mut rootfs) = self.rootfs.try_lock() else { return Ok(None) };
        if rootfs.is_none()
            && let Some(image) = lock(&self.image).clone()
        {
            *rootfs = images::rootfs(engine.store, lease, &image, None)?;
        }
        Ok(rootfs.clone())
    }

    /// The root filesystem. If layers must be pulled or read, `call` is called first: others have time for their work.
    pub(super) fn rootfs(
        &self,
        engine: &Engine<'_>,
        lease: &Lease,
        unpack: Unpack,
        shared: &Shared,
        call: &dyn Fn(),
    ) -> Result<Rootfs, Problem> {
        let mut rootfs = lock(&self.rootfs);
        if let Some(rootfs) = &*rootfs {
            return Ok(rootfs.clone());
        }
        let image = lock(&self.image).clone().ok_or(Problem::BaseMismatch)?;
        let made = match images::rootfs(engine.store, lease, &image, None)? {
            Some(made) => made,
            None => {
                call();
                let (image, blobs) = images::bring(engine, &self.need, image)?;
                shared.blobs.fetch_add(blobs, Ordering::Relaxed);
                *lock(&self.image) = Some(image.clone());
                let import = images::Import { unpack, under_way: Some(&shared.unpacking) };
                let made = shared.cores.take(|| images::rootfs(engine.store, lease, &image, Some(import)))?;
                made.ok_or(Problem::BaseMismatch)?
            }
        };
        Ok(rootfs.insert(made).clone())
    }
}

/// Whoever panicked left no image, or a whole one.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
