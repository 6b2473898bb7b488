//! Documents and layers that are no image, in an image layout.

use std::collections::BTreeMap;
use std::path::Path;

use super::Result;
use super::contents::{Blob, REF_NAME, check_present};
use super::layout::extend_layout;
use crate::digest::BlobDigest;
use crate::image::{Descriptor, Manifest, canonical_json, media_type};
use crate::store::Store;

/// Writes a manifest over `config` and `layers`, blobs of the store, into the image layout at `folder`, under `tag`.
///
/// As `write_layout`: other images stay, blobs come first, and `index.json` is replaced last, so that a reader finds the
/// earlier manifest whole or this one. Writers wait for each other.
pub fn write_artifact(
    store: &Store,
    config: (&str, &[u8]),
    layers: Vec<Descriptor>,
    tag: &str,
    folder: &Path,
) -> Result<()> {
    let (config_type, config) = config;
    let config_digest = BlobDigest::of(config);
    let mut blobs: BTreeMap<BlobDigest, Blob<'_>> =
        layers.iter().map(|layer| (layer.digest, Blob::Stored(layer.size))).collect();
    check_present(store, &blobs)?;
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(media_type::MANIFEST.to_owned()),
        config: Descriptor::new(config_type, config_digest, config.len() as u64),
        layers,
        annotations: BTreeMap::new(),
        extra: BTreeMap::new(),
    };
    let manifest = canonical_json(&manifest, "manifest")?;
    let digest = BlobDigest::of(&manifest);
    let mut descriptor = Descriptor::new(media_type::MANIFEST, digest, manifest.len() as u64);
    descriptor.annotations.insert(REF_NAME.to_owned(), tag.to_owned());
    blobs.insert(config_digest, Blob::Bytes(config));
    blobs.insert(digest, Blob::Bytes(&manifest));
    extend_layout(store, &blobs, vec![descriptor], folder)
}
