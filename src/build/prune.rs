//! What of the store nothing needs any more.

use std::collections::BTreeSet;

use super::catalog;
use super::error::Problem;
use super::images::pulled_objects;
use super::request::Interrupt;
use crate::cache::Cache;
use crate::digest::CacheKey;
use crate::fetch;
use crate::layer::{self, Layer};
use crate::store::{Bucket, Collected, Object, Store, TreeId, Waiting};

/// How much is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// What neither a named image, nor the cache, nor a pulled base needs.
    Unused,
    /// The cache, the folders of cache mounts, and pulled bases too.
    Everything,
}

/// Removes what is not needed; what a running build uses stays in any case.
pub fn prune(store: &Store, extent: Extent, interrupt: &Interrupt) -> Result<Collected, Problem> {
    store.sweep()?;
    let mut ask = |asked| asked != Waiting::StillWanted || !interrupt.is_set();
    let collection = store.collection(&mut ask)?;
    let needed = needed(store, extent)?;
    Ok(collection.remove_unless(&|object, _last_used| needed.contains(object) || stays(object, extent))?)
}

/// Small records that say nothing about other objects stay unless everything goes.
fn stays(object: &Object, extent: Extent) -> bool {
    match object {
        Object::Record(Bucket::Outputs | Bucket::Keys | Bucket::Names, _) => true,
        Object::Record(Bucket::Builds | Bucket::Files, _) | Object::Cache(_) => extent == Extent::Unused,
        _ => false,
    }
}

fn needed(store: &Store, extent: Extent) -> Result<BTreeSet<Object>, Problem> {
    let mut needed = BTreeSet::new();
    for (_, id) in catalog::names(store)? {
        let Some(image) = catalog::image(store, &id)? else { continue };
        needed.insert(Object::Blob(id.blob()));
        needed.insert(Object::Record(Bucket::Images, id.to_string()));
        for layer in &image.layers {
            add_layer(store, layer, &mut needed)?;
        }
    }
    if extent == Extent::Unused {
        add_pulled(store, &mut needed)?;
        add_cache(store, &mut needed)?;
    }
    Ok(needed)
}

fn add_pulled(store: &Store, needed: &mut BTreeSet<Object>) -> Result<(), Problem> {
    for (name, objects) in pulled_objects(store)? {
        needed.insert(Object::Record(Bucket::Pulled, name));
        needed.extend(objects);
    }
    Ok(())
}

fn add_cache(store: &Store, needed: &mut BTreeSet<Object>) -> Result<(), Problem> {
    for (record, blob) in fetch::remembered(store)? {
        needed.extend([record, blob]);
    }
    let cache = Cache::new(store, [0; 32]);
    for name in store.record_names(Bucket::Steps)? {
        let Ok(key) = format!("sha256:{name}").parse::<CacheKey>() else { continue };
        needed.insert(Object::Record(Bucket::Steps, name));
        for output in cache.outputs(&key)? {
            let (diff_id, size) = (output.diff_id, output.size);
            add_layer(store, &Layer { diff_id, size, tree: TreeId::Layer(diff_id) }, needed)?;
        }
    }
    Ok(())
}

fn add_layer(store: &Store, layer: &Layer, needed: &mut BTreeSet<Object>) -> Result<(), Problem> {
    needed.insert(Object::Record(Bucket::Layers, layer.diff_id.to_string()));
    needed.insert(Object::Record(Bucket::Listings, layer.tree.to_string()));
    needed.insert(Object::Tree(layer.tree));
    needed.insert(Object::Blob(layer.diff_id.plain_blob()));
    for stored in layer::record(store, &layer.diff_id)?.into_iter().flat_map(|record| record.blobs) {
        needed.insert(Object::Blob(stored.blob.digest));
    }
    Ok(())
}
