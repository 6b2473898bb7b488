//! Turns what a build decided about an image into the exact bytes of its config and manifest.
//!
//! An *image config* says how a container starts and which layers it stands on; it is edited while a build goes on, and
//! *sealed* into bytes whose digest is the image's identity. A *manifest* names a sealed config and the layers' blobs as they
//! leave the store, so it is sealed once per export and compression.
//!
//! # Invariants
//! Equal values give equal bytes: every document goes through `canonical_json`, which sorts keys. Keys that this program does
//! not know survive a round trip. A `SealedImage` holds exactly the bytes its digests were computed from, and as many layer
//! blobs as its config has diff ids; only a sealed image can be exported or pushed.
//!
//! # Not here
//! Which instruction changes what: `plan`. Where images are kept: `store`, `build`.
//!
//! # References
//! image-spec `config.md`, `manifest.md`, `image-index.md`; Docker image spec v1.3 for Healthcheck, OnBuild and Shell.

mod config;
mod document;
mod error;
mod sealed;

pub use config::{CACHE_FIELDS, Empty, Healthcheck, History, ImageConfig, RootFs, RunConfig};
pub use document::{Descriptor, DescriptorPlatform, Index, Manifest, canonical_json, media_type};
pub use error::{Error, Result};
pub use sealed::{LayerBlob, SealedConfig, SealedImage};

#[cfg(test)]
mod tests;
