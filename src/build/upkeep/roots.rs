//! What is kept for its own sake, and what that needs.

use std::collections::BTreeSet;
use std::time::SystemTime;

use crate::build::catalog;
use crate::build::error::Problem;
use crate::build::images::pulled_objects;
use crate::build::rootfs::seems_stored;
use crate::cache::{Cache, Hiding, Journal};
use crate::digest::{CacheKey, ConfigDigest};
use crate::fetch;
use crate::layer::{self, Layer};
use crate::store::{Bucket, Object, Store, TreeId};

/// Why something is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// It stays in any case: a name, the record of an output, a secret.
    Firm,
    /// An image without a name.
    Nameless,
    /// A result that a last build used.
    Result,
    /// A result that no last build of any Dockerfile used.
    Superseded,
    /// A result whose layer is gone: of no use.
    Lost,
    /// A pulled image, what a URL had, or what a command left in a cache mount.
    Fetched,
    /// A journal, or the digests of a context's files: small, and says nothing about other objects.
    Note,
}

/// A root.
#[derive(Debug)]
pub(super) struct Root {
    pub(super) object: Object,
    pub(super) reason: Reason,
    pub(super) last_used: SystemTime,
    /// Itself included.
    pub(super) needs: Vec<Object>,
}

/// All roots of the store. Cheap records are read, no layer is.
pub(super) fn roots(store: &Store) -> Result<Vec<Root>, Problem> {
    let mut roots = Vec::new();
    let named = add_images(store, &mut roots)?;
    for (name, mut needs) in pulled_objects(store)? {
        let object = Object::Record(Bucket::Pulled, name);
        needs.push(object.clone());
        roots.extend(root(store, object, Reason::Fetched, needs)?);
    }
    for (record, blob) in fetch::remembered(store)? {
        roots.extend(root(store, record.clone(), Reason::Fetched, vec![record, blob])?);
    }
    add_results(store, &mut roots)?;
    for object in store.names()? {
        let reason = match &object {
            Object::Record(Bucket::Names, name) if named.contains(name) => continue,
            Object::Record(Bucket::Names | Bucket::Outputs | Bucket::Keys, _) => Reason::Firm,
            Object::Record(Bucket::Builds | Bucket::Files, _) => Reason::Note,
            Object::Cache(_) => Reason::Fetched,
            _ => continue,
        };
        roots.extend(root(store, object.clone(), reason, vec![object])?);
    }
    Ok(roots)
}

/// The names with their images, and images without one; returns the names of records that it took.
fn add_images(store: &Store, roots: &mut Vec<Root>) -> Result<BTreeSet<String>, Problem> {
    let (mut taken, mut with_name) = (BTreeSet::new(), BTreeSet::new());
    for (name, id) in catalog::names(store)? {
        let Some(mut needs) = image(store, &id)? else { continue };
        let object = Object::Record(Bucket::Names, name.to_string());
        needs.push(object.clone());
        roots.extend(root(store, object, Reason::Firm, needs)?);
        taken.insert(name.to_string());
        with_name.insert(id);
    }
    for id in catalog::image_ids(store)?.into_iter().filter(|id| !with_name.contains(id)) {
        let Some(needs) = image(store, &id)? else { continue };
        let object = Object::Record(Bucket::Images, id.to_string());
        roots.extend(root(store, object, Reason::Nameless, needs)?);
    }
    Ok(taken)
}

fn image(store: &Store, id: &ConfigDigest) -> Result<Option<Vec<Object>>, Problem> {
    // One that is damaged is nobody's: fsck removes it, and so does gc.
    let Ok(Some(image)) = catalog::image(store, id) else { return Ok(None) };
    let mut needs = vec![Object::Blob(id.blob()), Object::Record(Bucket::Images, id.to_string())];
    for layer in &image.layers {
        add_layer(store, layer, &mut needs);
    }
    Ok(Some(needs))
}

fn add_results(store: &Store, roots: &mut Vec<Root>) -> Result<(), Problem> {
    let mut current = BTreeSet::new();
    for id in store.record_names(Bucket::Builds)? {
        current.extend(Journal::read(store, &id)?.steps().iter().map(|step| step.key.hex()));
    }
    let cache = Cache::new(store, Hiding::new([0; 32], []));
    for name in store.record_names(Bucket::Steps)? {
        let Ok(key) = format!("sha256:{name}").parse::<CacheKey>() else { continue };
        let mut needs = vec![Object::Record(Bucket::Steps, name.clone())];
        let mut is_lost = true;
        for output in cache.outputs(&key)? {
            let (diff_id, size) = (output.diff_id, output.size);
            let layer = Layer { diff_id, size, tree: TreeId::Layer(diff_id) };
            is_lost &= !seems_stored(store, &layer)?;
            add_layer(store, &layer, &mut needs);
        }
        let reason = match (is_lost, current.contains(&name)) {
            (true, _) => Reason::Lost,
            (false, true) => Reason::Result,
            (false, false) => Reason::Superseded,
        };
        roots.extend(root(store, Object::Record(Bucket::Steps, name), reason, needs)?);
    }
    Ok(())
}

/// None if the object has gone meanwhile.
fn root(store: &Store, object: Object, reason: Reason, needs: Vec<Object>) -> Result<Option<Root>, Problem> {
    let last_used = store.last_used(&object)?;
    Ok(last_used.map(|last_used| Root { object, reason, last_used, needs }))
}

/// All forms of a layer.
fn add_layer(store: &Store, layer: &Layer, needs: &mut Vec<Object>) {
    needs.push(Object::Record(Bucket::Layers, layer.diff_id.to_string()));
    needs.push(Object::Record(Bucket::Listings, layer.tree.to_string()));
    needs.push(Object::Tree(layer.tree));
    needs.push(Object::Blob(layer.diff_id.plain_blob()));
    // A record that cannot be read names no blobs.
    let record = layer::record(store, &layer.diff_id).ok().flatten();
    needs.extend(record.into_iter().flat_map(|record| record.blobs).map(|stored| Object::Blob(stored.blob.digest)));
}
