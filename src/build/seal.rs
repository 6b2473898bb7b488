//! An image with its layers compressed: what can be exported or pushed.

use super::catalog::StoredImage;
use super::error::Problem;
use crate::image::{LayerBlob, SealedImage};
use crate::layer::{self, Compression};
use crate::store::Store;

/// Fixes the manifest of an image. Layers that are not there in that compression are compressed now; those of a base keep
/// what they came with.
pub fn seal(store: &Store, image: &StoredImage, compression: Compression) -> Result<SealedImage, Problem> {
    let mut blobs = Vec::with_capacity(image.layers.len());
    for layer in &image.layers {
        let layer::Blob { digest, size, media_type } = layer::compressed(store, layer, compression)?;
        blobs.push(LayerBlob { digest, size, media_type });
    }
    Ok(image.config.clone().seal(blobs)?)
}
