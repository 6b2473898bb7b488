//! An image with its layers compressed: what can be exported or pushed.

use std::collections::BTreeSet;

use super::catalog::{StoredImage, keep_image};
use super::error::Problem;
use super::request::Built;
use crate::digest::DiffId;
use crate::image::{LayerBlob, SealedImage};
use crate::layer::{self, Compression, Pulled};
use crate::store::Store;

/// Fixes the manifest of an image. Layers that are not there in that compression are compressed now; `pulled` says whether
/// those of a base are too, or keep what they came with.
pub fn seal(
    store: &Store,
    image: &StoredImage,
    compression: Compression,
    pulled: Pulled,
) -> Result<SealedImage, Problem> {
    let blob_of = match pulled {
        Pulled::Kept => layer::compressed,
        Pulled::Recompressed => layer::recompressed,
    };
    let mut blobs = Vec::with_capacity(image.layers.len());
    for layer in &image.layers {
        let layer::Blob { digest, size, media_type } = blob_of(store, layer, compression)?;
        blobs.push(LayerBlob { digest, size, media_type });
    }
    Ok(image.config.clone().seal(blobs)?)
}

/// The image with no file in the layers of this build later than its creation time: `rewrite-timestamp`. Those of the base
/// stay as they are, as in BuildKit.
pub fn rewrite_times(store: &Store, built: Built, created: i64) -> Result<Built, Problem> {
    let made: BTreeSet<DiffId> = built.steps.iter().map(|step| step.layer).collect();
    let mut layers = Vec::with_capacity(built.layers.len());
    for layer in &built.layers {
        layers.push(match made.contains(&layer.diff_id) {
            true => layer::retimed(store, layer, created)?,
            false => layer.clone(),
        });
    }
    let mut config = built.config.config().clone();
    // The records name the layers as they were.
    config.forget_caches();
    config.rootfs.diff_ids = layers.iter().map(|layer| layer.diff_id).collect();
    let config = config.seal()?;
    keep_image(store, &config, &layers)?;
    Ok(Built { config, layers, ..built })
}
