//! How much room each kind takes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use super::roots::{Reason, roots};
use crate::build::error::Problem;
use crate::layer;
use crate::store::{Bucket, Object, Store};

/// What space in the store is used for, in the order in which it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UsageKind {
    /// Layers as folders.
    Trees,
    /// Layers as plain tars.
    PlainLayers,
    /// Layers, compressed, as they were pulled or pushed.
    CompressedLayers,
    /// Configs, manifests, and files from URLs.
    Documents,
    /// What commands left in cache mounts.
    CacheMounts,
    /// The records of one bucket.
    Records(Bucket),
    /// What is being made or removed, and what dead processes left.
    Temporary,
}

/// How much space one kind uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Which.
    pub kind: UsageKind,
    /// How many there are.
    pub objects: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// Bytes that `prune` with `Extent::Everything` frees: neither an image with a name nor a running build needs them.
    pub reclaimable: u64,
    /// When a build last used any of them.
    pub last_used: Option<SystemTime>,
}

/// What there is of each kind, in the order of the kinds; those without any are left out.
pub fn usage(store: &Store) -> Result<Vec<Usage>, Problem> {
    // First: measuring makes a file of its own there.
    let (temporary, temporary_bytes) = store.temporary_usage()?;
    let roots = roots(store)?;
    let firm = roots.into_iter().filter(|root| root.reason == Reason::Firm).flat_map(|root| root.needs);
    let needed: BTreeSet<Object> = firm.chain(store.held_objects()?).collect();
    let compressed = compressed_layers(store)?;
    let mut usage: BTreeMap<UsageKind, Usage> = BTreeMap::new();
    for stored in store.objects()? {
        let kind = match &stored.object {
            Object::Tree(_) => UsageKind::Trees,
            Object::Cache(_) => UsageKind::CacheMounts,
            Object::Record(bucket, _) => UsageKind::Records(*bucket),
            Object::Blob(_) => match compressed.get(&stored.object) {
                Some(kind) => *kind,
                None => UsageKind::Documents,
            },
        };
        let entry = usage.entry(kind).or_insert(Usage { kind, objects: 0, bytes: 0, reclaimable: 0, last_used: None });
        entry.objects += 1;
        entry.bytes += stored.size;
        entry.reclaimable += if needed.contains(&stored.object) { 0 } else { stored.size };
        entry.last_used = entry.last_used.max(Some(stored.last_used));
    }
    if temporary > 0 {
        let (kind, objects, bytes) = (UsageKind::Temporary, temporary, temporary_bytes);
        usage.insert(kind, Usage { kind, objects, bytes, reclaimable: 0, last_used: None });
    }
    Ok(usage.into_values().collect())
}

/// The blobs that hold layers.
fn compressed_layers(store: &Store) -> Result<BTreeMap<Object, UsageKind>, Problem> {
    let mut found = BTreeMap::new();
    for name in store.record_names(Bucket::Layers)? {
        let Ok(diff_id) = name.parse() else { continue };
        // A record that cannot be read names no blobs.
        let Ok(Some(record)) = layer::record(store, &diff_id) else { continue };
        for stored in record.blobs {
            found.insert(Object::Blob(stored.blob.digest), UsageKind::CompressedLayers);
        }
        found.insert(Object::Blob(diff_id.plain_blob()), UsageKind::PlainLayers);
    }
    Ok(found)
}
