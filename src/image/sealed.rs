//! Images whose bytes are fixed.

use std::collections::BTreeMap;

use super::{Descriptor, DescriptorPlatform, Error, ImageConfig, Index, Manifest, Result, canonical_json, media_type};
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
    manifest_digest: ManifestDigest,
    /// The index around the manifest, if it has one.
    index: Option<(Vec<u8>, ManifestDigest)>,
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
        let manifest_digest = ManifestDigest::of(&manifest);
        Ok(SealedImage { manifest_digest, manifest, layers, config: self, index: None })
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

    /// The manifest's digest.
    pub fn manifest_digest(&self) -> ManifestDigest {
        self.manifest_digest
    }

    /// The exact index document around the manifest, if it has one.
    pub fn index(&self) -> Option<&[u8]> {
        self.index.as_ref().map(|(bytes, _)| bytes.as_slice())
    }

    /// What a registry names the image by: the digest of the index if there is one, else that of the manifest.
    pub fn digest(&self) -> ManifestDigest {
        self.index.as_ref().map_or(self.manifest_digest, |(_, digest)| *digest)
    }

    /// A descriptor of what names lead to: the index if there is one, else the manifest.
    pub fn descriptor(&self) -> Descriptor {
        match &self.index {
            Some((bytes, digest)) => Descriptor::new(media_type::INDEX, digest.blob(), bytes.len() as u64),
            None => Descriptor::new(media_type::MANIFEST, self.manifest_digest.blob(), self.manifest.len() as u64),
        }
    }

    /// The same image in an index of its own, which names its platform: the form of an image for several platforms.
    pub fn indexed(mut self) -> Result<Self> {
        let platform = self.config.config.platform();
        let manifest = Descriptor {
            platform: Some(DescriptorPlatform {
                architecture: platform.architecture().to_owned(),
                os: platform.os().to_owned(),
                variant: platform.variant().map(str::to_owned),
                extra: BTreeMap::new(),
            }),
            ..Descriptor::new(media_type::MANIFEST, self.manifest_digest.blob(), self.manifest.len() as u64)
        };
        let index = Index {
            schema_version: 2,
            media_type: Some(media_type::INDEX.to_owned()),
            manifests: vec![manifest],
            annotations: BTreeMap::new(),
            extra: BTreeMap::new(),
        };
        let bytes = canonical_json(&index, "image index")?;
        let digest = ManifestDigest::of(&bytes);
        self.index = Some((bytes, digest));
        Ok(self)
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
