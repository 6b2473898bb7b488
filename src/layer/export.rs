//! A layer's compressed blob: the one it came with, or one made here.

use std::io::Write as _;

use super::compress::compress;
use super::read::plain_tar;
use super::record::{self, Blob, StoredBlob, blobs_here};
use super::{Compression, Layer, Result};
use crate::store::Store;

/// What a layer that was pulled leaves the store as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pulled {
    /// The compressed blob it came with, in whatever compression that is.
    #[default]
    Kept,
    /// The blob that compressing its plain tar here gives.
    Recompressed,
}

/// The blob with which a layer leaves the store.
///
/// A layer that was pulled keeps the blob it came with, whatever compression is asked for, unless it is to be plain. A
/// blob made here is made once for each compression; equal layers give equal blobs.
pub fn compressed(store: &Store, layer: &Layer, compression: Compression) -> Result<Blob> {
    let here = blobs_here(store, &layer.diff_id)?;
    let plain = layer.diff_id.plain_blob();
    let fits = |stored: &&StoredBlob| match (compression, stored.made) {
        (Compression::None, _) => stored.blob.digest == plain,
        (_, None) => stored.blob.digest != plain,
        (wanted, Some(made)) => made == wanted,
    };
    // One that was pulled goes first.
    let mut fitting: Vec<&StoredBlob> = here.iter().filter(fits).collect();
    fitting.sort_by_key(|stored| stored.made);
    if let Some(stored) = fitting.first() {
        return Ok(stored.blob.clone());
    }
    made(store, layer, compression)
}

/// The blob that compressing a layer's plain tar gives, whatever blob the layer came with.
///
/// Its bytes follow from the plain tar and the compression alone. It is made once and kept beside the others.
pub fn recompressed(store: &Store, layer: &Layer, compression: Compression) -> Result<Blob> {
    let plain = layer.diff_id.plain_blob();
    let fits = |stored: &StoredBlob| match compression {
        Compression::None => stored.blob.digest == plain,
        Compression::Gzip { .. } | Compression::Zstd { .. } => stored.made == Some(compression),
    };
    match blobs_here(store, &layer.diff_id)?.into_iter().find(fits) {
        // A plain tar that was pulled may have Docker's name for what it is, or a wrong one.
        Some(stored) => Ok(Blob { media_type: compression.media_type().to_owned(), ..stored.blob }),
        None => made(store, layer, compression),
    }
}

fn made(store: &Store, layer: &Layer, compression: Compression) -> Result<Blob> {
    let mut writer = store.blob_writer()?;
    compress(&mut plain_tar(store, layer)?, &mut writer, compression)?;
    writer.flush().map_err(|source| super::Error::Write { source })?;
    let (digest, size) = writer.commit()?;
    let blob = Blob { digest, size, media_type: compression.media_type().to_owned() };
    let stored = StoredBlob { blob: blob.clone(), made: Some(compression) };
    record::add_to_record(store, layer, None, Some(stored))?;
    Ok(blob)
}
