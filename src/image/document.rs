//! Manifests, indexes, descriptors, and the one way their JSON is written.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Error, Result};
use crate::digest::BlobDigest;

/// The media types of the image specification and Docker's older ones.
pub mod media_type {
    /// An OCI manifest.
    pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// An OCI index.
    pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// An OCI image config.
    pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// A plain layer tar.
    pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
    /// A layer tar in gzip.
    pub const LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// A layer tar in zstd.
    pub const LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
    /// Docker's manifest, schema 2.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker's manifest list.
    pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// Docker's image config.
    pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
    /// Docker's layer tar in gzip.
    pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    /// Docker's plain layer tar.
    pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
}

/// A blob and what is said of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the fields are those of the image specification, under its names")]
pub struct Descriptor {
    pub media_type: String,
    pub digest: BlobDigest,
    pub size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<DescriptorPlatform>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

/// The platform of a manifest in an index.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of the image specification, under its names")]
pub struct DescriptorPlatform {
    pub architecture: String,
    pub os: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

/// One image: a config and its layers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the fields are those of the image specification, under its names")]
pub struct Manifest {
    pub schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    pub config: Descriptor,
    #[serde(default)]
    pub layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

/// Several images under one name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the fields are those of the image specification, under its names")]
pub struct Index {
    pub schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    #[serde(default)]
    pub manifests: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

impl Descriptor {
    /// A descriptor of a blob, with nothing more said of it.
    pub fn new(media_type: &str, digest: BlobDigest, size: u64) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest,
            size,
            platform: None,
            annotations: BTreeMap::new(),
            extra: BTreeMap::new(),
        }
    }
}

impl Manifest {
    /// Reads a manifest document. One that also has `manifests` is refused: readers would disagree about what it is.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let read: Self = parse(bytes, "image manifest")?;
        if read.extra.contains_key("manifests") {
            return Err(ambiguous("image manifest"));
        }
        Ok(read)
    }
}

impl Index {
    /// Reads an index document. One that also has `layers` or `config` is refused.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let read: Self = parse(bytes, "image index")?;
        if read.extra.contains_key("layers") || read.extra.contains_key("config") {
            return Err(ambiguous("image index"));
        }
        Ok(read)
    }
}

/// Writes `value` as JSON with sorted keys and no white space: equal values give equal bytes.
pub fn canonical_json<T: Serialize>(value: &T, document: &'static str) -> Result<Vec<u8>> {
    let sorted = serde_json::to_value(value).map_err(|source| Error::Json { document, source })?;
    serde_json::to_vec(&sorted).map_err(|source| Error::Json { document, source })
}

fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8], document: &'static str) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|source| Error::Json { document, source })
}

fn ambiguous(document: &'static str) -> Error {
    let source = serde::de::Error::custom("it is a manifest and an index at once");
    Error::Json { document, source }
}
