//! A layer's blob into a listing, and into a tree: what a registry or an archive sent is checked here.

use std::io::Read;

use super::decode::Decoder;
use super::disk::Disk;
use super::place::{Placement, Rules};
use super::read::{has_tree, is_packed, open_entry};
use super::reader::TarReader;
use super::record::{self, Blob, StoredBlob};
use super::sink::{HashOnly, Sink};
use super::{Error, Layer, Lower, Ownership, Result};
use crate::digest::{BlobDigest, ChainId, DiffId, HashingReader};
use crate::path::ImagePath;
use crate::store::{Store, TreeId};
use crate::tree::Listing;

/// Whether a layer is unpacked when it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unpack {
    /// Into a tree, as its bytes are read.
    Tree,
    /// Not until a command needs it.
    ListingOnly,
}

/// Reads the layer that a blob holds. `chain` names the stack that has it on top.
///
/// The blob's own hash and, if given, the diff id are checked before anything is kept. A layer that is known already is
/// not read again.
pub fn import(
    store: &Store,
    blob: &BlobDigest,
    media_type: &str,
    expected: Option<&DiffId>,
    lower: Lower<'_>,
    chain: &ChainId,
    unpack: Unpack,
) -> Result<Layer> {
    check_media_type(media_type)?;
    if let Some(layer) = expected.map_or(Ok(None), |diff_id| known(store, diff_id, chain))? {
        if unpack == Unpack::Tree {
            super::ensure_tree(store, &layer, lower)?;
        }
        return Ok(layer);
    }
    let size = store.blob_size(blob)?.ok_or(crate::store::Error::NoBlob { digest: *blob })?;
    let (layer, listing) = match unpack {
        Unpack::Tree => {
            let draft = store.tree_draft()?;
            let disk = disk(store, &draft.fs(), lower)?;
            let (layer, listing, disk) = read_blob(store, blob, expected, lower, chain, disk)?;
            disk.finish(&listing)?;
            record::commit_tree(store, draft, layer.tree, &listing)?;
            (layer, listing)
        }
        Unpack::ListingOnly => {
            let (layer, listing, HashOnly) = read_blob(store, blob, expected, lower, chain, HashOnly)?;
            (layer, listing)
        }
    };
    record::store_listing(store, layer.tree, &listing)?;
    let blob = Blob { digest: *blob, size, media_type: media_type.to_owned() };
    record::add_to_record(store, &layer, None, Some(StoredBlob { blob, made: None }))?;
    Ok(layer)
}

/// The media types of OCI and Docker; how the bytes are compressed they say themselves.
fn check_media_type(media_type: &str) -> Result<()> {
    let base = media_type.trim_end_matches("+gzip").trim_end_matches("+zstd").trim_end_matches(".gzip");
    match base {
        "application/vnd.oci.image.layer.v1.tar"
        | "application/vnd.oci.image.layer.nondistributable.v1.tar"
        | "application/vnd.docker.image.rootfs.diff.tar"
        | "application/vnd.docker.image.rootfs.foreign.diff.tar" => Ok(()),
        _ => Err(Error::MediaType { media_type: media_type.chars().take(100).collect() }),
    }
}

/// The layer as an earlier build left it, by itself or on the stack that `chain` names; its bytes are here in some form.
pub fn known(store: &Store, diff_id: &DiffId, chain: &ChainId) -> Result<Option<Layer>> {
    let Some(record) = record::record(store, diff_id)? else { return Ok(None) };
    for tree in [TreeId::Layer(*diff_id), TreeId::Chain(*chain)] {
        let listed = record.trees.contains(&tree.to_string()) && record::has_listing(store, tree)?;
        if listed && (is_packed(store, diff_id)? || has_tree(store, tree)?) {
            return Ok(Some(Layer { diff_id: *diff_id, size: record.size, tree }));
        }
    }
    Ok(None)
}

/// A sink that unpacks into `fs` and finds lower files in the store.
pub(super) fn disk<'a>(store: &Store, fs: &std::path::Path, lower: Lower<'a>) -> Result<Disk<'a>> {
    let store = store.clone();
    let open_lower = move |layer, entry: &_| open_entry(&store, lower.layers, layer, entry);
    Disk::new(fs, Ownership::of_process(), Box::new(open_lower))
}

fn read_blob<S: Sink>(
    store: &Store,
    blob: &BlobDigest,
    expected: Option<&DiffId>,
    lower: Lower<'_>,
    chain: &ChainId,
    sink: S,
) -> Result<(Layer, Listing, S)> {
    let (_, mut decoder) = Decoder::new(store.open_blob(blob)?)?;
    let (placed, diff_id, size) = read_tar(&mut decoder, lower, sink)?;
    decoder.finish()?;
    if let Some(expected) = expected.filter(|expected| **expected != diff_id) {
        return Err(Error::DiffId { expected: *expected, found: diff_id });
    }
    let tree = if placed.self_contained { TreeId::Layer(diff_id) } else { TreeId::Chain(*chain) };
    Ok((Layer { diff_id, size, tree }, placed.listing, placed.sink))
}

/// What a layer's tar holds, in its places.
pub(super) struct TarRead<S> {
    pub(super) listing: Listing,
    pub(super) self_contained: bool,
    pub(super) sink: S,
}

/// Reads a plain tar to the end of its stream.
pub(super) fn read_tar<S: Sink>(plain: &mut dyn Read, lower: Lower<'_>, sink: S) -> Result<(TarRead<S>, DiffId, u64)> {
    let mut reader = TarReader::new(HashingReader::new(plain));
    let mut placement = Placement::new(lower.stack, ImagePath::root(), Rules::Layer, sink);
    while let Some(member) = reader.next()? {
        placement.add(member, &mut reader)?;
    }
    let (_, diff_id, size) = reader.drain()?.finish::<DiffId>();
    let (placed, self_contained, sink) = placement.finish()?;
    let listing = Listing::new(placed.into_iter().map(|placed| placed.entry));
    Ok((TarRead { listing, self_contained, sink }, diff_id, size))
}
