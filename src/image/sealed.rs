//! Images whose bytes are fixed.

use std::collections::BTreeMap;

use super::{Descriptor, Error, ImageConfig, Manifest, Result, canonical_json, media_type};
use crate::digest::{BlobDigest, ConfigDigest, ManifestDigest};

/// A config whose bytes are fixed: an image's identity.
#[derive(Debug, Clone, PartialEq)]
pub struct SealedConfig {
    bytes: Vec<u8>,
    digest: ConfigDigest,
    config: ImageConfig,
}

/// A layer as it leaves the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerBlob {
    /// The hash of the bytes.
    pub digest: BlobDigest,
    /// Their number.
    pub size: u64,
    /// How they are to be read.
    pub media_type: String,
}

/// A config, its layers' blobs, and the manifest that names them: what can be exported or pushed.
#[derive(Debug, Clone, PartialEq)]
pub struct SealedImage {
    config: SealedConfig,
    layers: Vec<LayerBlob>,
    manifest: Vec<u8>,
    digest: ManifestDigest,
}

impl SealedConfig {
    pub(super) fn new(bytes: Vec<u8>, config: ImageConfig) -> Self {
        Self { digest: ConfigDigest::of(&bytes), bytes, config }
    }

    /// Takes the bytes of an existing config as they are: their digest stays what it was.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self> {
        let config = ImageConfig::parse(&bytes)?;
        Ok(Self::new(bytes, config))
    }

    /// The exact document.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Docker's image id.
    pub fn digest(&self) -> ConfigDigest {
        self.digest
    }

    /// What the document says.
    pub fn config(&self) -> &ImageConfig {
        &self.config
    }

    /// Fixes a manifest over these layer blobs, which must be as many as the config has diff ids, in that order.
    pub fn seal(self, layers: Vec<LayerBlob>) -> Result<SealedImage> {
        let diff_ids = self.config.rootfs.diff_ids.len();
        if diff_ids != layers.len() {
            return Err(Error::LayerCount { diff_ids, blobs: layers.len() });
        }
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(media_type::MANIFEST.to_owned()),
            config: Descriptor::new(media_type::CONFIG, self.digest.blob(), self.bytes.len() as u64),
            layers: layers.iter().map(|l| Descriptor::new(oci_type(&l.media_type), l.digest, l.size)).collect(),
            annotations: BTreeMap::new(),
            extra: BTreeMap::new(),
        };
        let manifest = canonical_json(&manifest, "image manifest")?;
        Ok(SealedImage { digest: ManifestDigest::of(&manifest), manifest, layers, config: self })
    }
}

impl SealedImage {
    /// The config.
    pub fn config(&self) -> &SealedConfig {
        &self.config
    }

    /// The layers' blobs, bottom first.
    pub fn layers(&self) -> &[LayerBlob] {
        &self.layers
    }

    /// The exact manifest document.
    pub fn manifest(&self) -> &[u8] {
        &self.manifest
    }

    /// The manifest's digest: what a registry names the image by.
    pub fn digest(&self) -> ManifestDigest {
        self.digest
    }

    /// A descriptor of the manifest.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(media_type::MANIFEST, self.digest.blob(), self.manifest.len() as u64)
    }
}

/// A manifest of OCI types may not hold Docker's: the bytes are the same, the names differ.
fn oci_type(media: &str) -> &str {
    match media {
        media_type::DOCKER_LAYER_GZIP => media_type::LAYER_GZIP,
        media_type::DOCKER_LAYER => media_type::LAYER,
        other => other,
    }
}
