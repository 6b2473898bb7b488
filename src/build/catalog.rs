//! Images in the store, and their names.

use serde::{Deserialize, Serialize};

use super::error::Problem;
use crate::digest::ConfigDigest;
use crate::image::SealedConfig;
use crate::layer::Layer;
use crate::reference::Reference;
use crate::store::{Bucket, Object, Store};

/// No config is longer, in bytes.
pub const MAX_CONFIG: u64 = 8 << 20;

/// An image of the store: its config and its layers.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredImage {
    /// The config.
    pub config: SealedConfig,
    /// The layers, bottom first.
    pub layers: Vec<Layer>,
}

#[derive(Debug, Serialize, Deserialize)]
struct ImageRecord {
    layers: Vec<Layer>,
}

#[derive(Debug, Serialize, Deserialize)]
struct NameRecord {
    image: ConfigDigest,
}

/// Keeps an image: its config as a blob, its layers by name. Idempotent.
pub fn keep_image(store: &Store, config: &SealedConfig, layers: &[Layer]) -> Result<(), Problem> {
    let lease = store.lease()?;
    lease.hold(&Object::Blob(config.digest().blob()))?;
    lease.hold(&Object::Record(Bucket::Images, config.digest().to_string()))?;
    store.put_blob(config.bytes())?;
    let record = ImageRecord { layers: layers.to_vec() };
    let bytes =
        serde_json::to_vec(&record).map_err(|source| crate::image::Error::Json { document: "image record", source })?;
    if store.read_record(Bucket::Images, &config.digest().to_string())?.as_deref() != Some(bytes.as_slice()) {
        store.write_record(Bucket::Images, &config.digest().to_string(), &bytes)?;
    }
    Ok(())
}

/// The image of that id; none if it is not here, or not whole.
pub fn image(store: &Store, id: &ConfigDigest) -> Result<Option<StoredImage>, Problem> {
    let Some(bytes) = store.read_record(Bucket::Images, &id.to_string())? else { return Ok(None) };
    let Ok(record) = serde_json::from_slice::<ImageRecord>(&bytes) else { return Ok(None) };
    if store.blob_size(&id.blob())?.is_none() {
        return Ok(None);
    }
    let config = SealedConfig::from_bytes(store.read_blob(&id.blob(), MAX_CONFIG)?)?;
    Ok(Some(StoredImage { config, layers: record.layers }))
}

/// Gives an image a name; an older image of that name loses it.
pub fn name_image(store: &Store, name: &Reference, id: &ConfigDigest) -> Result<(), Problem> {
    if named(store, name)? == Some(*id) {
        return Ok(());
    }
    let record = serde_json::to_vec(&NameRecord { image: *id });
    let bytes = record.map_err(|source| crate::image::Error::Json { document: "name", source })?;
    Ok(store.write_record(Bucket::Names, &name.to_string(), &bytes)?)
}

/// The image that has this name.
pub fn named(store: &Store, name: &Reference) -> Result<Option<ConfigDigest>, Problem> {
    let bytes = store.read_record(Bucket::Names, &name.to_string())?;
    let record = bytes.and_then(|bytes| serde_json::from_slice::<NameRecord>(&bytes).ok());
    Ok(record.map(|record| record.image))
}

/// Takes a name away; whether it was there.
pub fn remove_name(store: &Store, name: &Reference) -> Result<bool, Problem> {
    let was_there = named(store, name)?.is_some();
    store.remove_record(Bucket::Names, &name.to_string())?;
    Ok(was_there)
}

/// All names with their images, sorted.
pub fn names(store: &Store) -> Result<Vec<(Reference, ConfigDigest)>, Problem> {
    let mut found = Vec::new();
    for name in store.record_names(Bucket::Names)? {
        let Ok(reference) = name.parse::<Reference>() else { continue };
        if let Some(image) = named(store, &reference)? {
            found.push((reference, image));
        }
    }
    Ok(found)
}

/// The ids of all images, sorted.
pub fn image_ids(store: &Store) -> Result<Vec<ConfigDigest>, Problem> {
    let names = store.record_names(Bucket::Images)?;
    Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
}
