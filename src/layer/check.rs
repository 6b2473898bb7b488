//! Judges what is stored of layers, all of it: for whoever doubts the disk.

use std::io::{self, BufReader, Read};

use super::decode::Decoder;
use super::import::read_tar;
use super::read::{packed, tree_tar};
use super::record::{LayerRecord, StoredBlob, listing};
use super::sink::HashOnly;
use super::unpack::{damaged, verify};
use super::{Error, Layer, Lower, Result};
use crate::digest::{DiffId, HashingReader};
use crate::path::ImagePath;
use crate::store::{Store, TreeId, Trust};
use crate::tree::{Listing, Stack};

/// Compares a tree with its listing, the content of every file included; none if there is no such tree.
///
/// `record` is what the store knows of the tree's layer: if the layer was made here, its bytes are made again from the tree
/// and must have its name. Whoever calls this may say `Store::trust_tree` afterwards.
pub fn check_tree(store: &Store, id: TreeId, record: Option<(&DiffId, &LayerRecord)>) -> Result<Option<Trust>> {
    let Some(tree) = store.tree(id)? else { return Ok(None) };
    let listing = listing(store, id)?;
    verify(&tree, &listing)?;
    if let Some((diff_id, LayerRecord { times: Some(times), .. })) = record
        && hashed(tree_tar(&tree, listing, *times)?, "the tree")?.0 != *diff_id
    {
        return Err(damaged(id, &ImagePath::root(), "its layer does not follow from it and its listing"));
    }
    Ok(Some(tree.trust))
}

/// Decompresses a layer's blobs: each must hold that layer. Those that are not here are skipped; returns those that are wrong.
pub fn check_blobs(store: &Store, diff_id: &DiffId, record: &LayerRecord) -> Result<Vec<(StoredBlob, Error)>> {
    let mut wrong = Vec::new();
    for stored in &record.blobs {
        if store.blob_size(&stored.blob.digest)? != Some(stored.blob.size) {
            continue;
        }
        match decompressed(store, stored) {
            Ok((found, size)) if found == *diff_id && size == record.size => {}
            Ok((found, _)) => wrong.push((stored.clone(), Error::DiffId { expected: *diff_id, found })),
            Err(error) => wrong.push((stored.clone(), error)),
        }
    }
    Ok(wrong)
}

fn decompressed(store: &Store, stored: &StoredBlob) -> Result<(DiffId, u64)> {
    // Not by the reader that removes what is damaged: that is for whoever asked to decide.
    let file = BufReader::with_capacity(1 << 17, store.open_blob_file(&stored.blob.digest)?);
    let (_, decoder) = Decoder::new(file)?;
    hashed(decoder, "the blob")
}

fn hashed(reader: impl Read, what: &'static str) -> Result<(DiffId, u64)> {
    let mut reader = HashingReader::new(reader);
    io::copy(&mut reader, &mut io::sink()).map_err(|source| Error::Read { what, source })?;
    let (_, diff_id, size) = reader.finish();
    Ok((diff_id, size))
}

/// The listing that follows from the tar of a self-contained layer; none if that is not here in any form.
pub(super) fn listing_of(store: &Store, diff_id: &DiffId) -> Result<Option<Listing>> {
    let layer = Layer { diff_id: *diff_id, size: 0, tree: TreeId::Layer(*diff_id) };
    let Some(mut plain) = packed(store, &layer)? else { return Ok(None) };
    let below = Stack::new(Vec::new());
    let (read, found, _) = read_tar(&mut plain, Lower { layers: &[], stack: &below }, HashOnly)?;
    Ok((found == *diff_id && read.self_contained).then_some(read.listing))
}
