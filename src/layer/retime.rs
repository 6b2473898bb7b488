//! A layer once more, with no time later than a given one.

use super::reader::TarReader;
use super::record::{self, Blob, StoredBlob};
use super::{Compression, Error, Layer, Result, TarWriter, TimePolicy, plain_tar};
use crate::digest::DiffId;
use crate::store::{Store, TreeId};
use crate::tree::{Kind, Listing, Timestamp};

/// Writes a layer that was made here again, with each time that is later than `latest`, in seconds since 1970, replaced by
/// that one. The same layer comes back if there is none.
///
/// Costs a pass over the layer's tar. Nothing else of it changes.
pub fn retimed(store: &Store, layer: &Layer, latest: i64) -> Result<Layer> {
    let listing = record::listing(store, layer.tree)?;
    let policy = record::record(store, &layer.diff_id)?.and_then(|record| record.times);
    let latest = Timestamp::from_secs(latest);
    let mut is_later = false;
    let entries = listing.entries().iter().cloned().map(|mut entry| {
        let time = policy.map_or(entry.attributes.mtime, |policy| policy.apply(entry.attributes.mtime));
        is_later |= time > latest;
        entry.attributes.mtime = time.min(latest);
        entry
    });
    let listing = Listing::new(entries.collect::<Vec<_>>());
    if !is_later {
        return Ok(layer.clone());
    }
    let mut reader = TarReader::new(plain_tar(store, layer)?);
    let mut writer = TarWriter::new(store.blob_writer()?, TimePolicy::Preserve);
    for entry in listing.entries() {
        // Layers are written in the order of their listings.
        if reader.next()?.is_none() {
            return Err(Error::Changed { path: entry.path.clone() });
        }
        match entry.kind {
            Kind::File { size, digest } if size > 0 => {
                if writer.file(entry, &mut reader)? != digest {
                    return Err(Error::Changed { path: entry.path.clone() });
                }
            }
            _ => writer.entry(entry)?,
        }
    }
    let (blob, _) = writer.finish()?;
    let (digest, size) = blob.commit()?;
    let diff_id = DiffId::from_plain_blob(digest);
    let made = Layer { diff_id, size, tree: TreeId::Layer(diff_id) };
    record::store_listing(store, made.tree, &listing)?;
    let blob = Blob { digest, size, media_type: Compression::None.media_type().to_owned() };
    let stored = StoredBlob { blob, made: Some(Compression::None) };
    record::add_to_record(store, &made, Some(TimePolicy::Preserve), Some(stored))?;
    Ok(made)
}
