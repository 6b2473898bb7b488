//! A layer's bytes from whichever form is in the store, and single files out of a stack.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::sync::Arc;

use super::beneath::Root;
use super::decode::Decoder;
use super::header::{self, BLOCK};
use super::reader::{MemberKind, TarReader};
use super::record::{blobs_here, record};
use super::{Error, Layer, Result, TimePolicy, listing};
use crate::digest::{ContentDigest, DiffId, Hasher, Sha256Name};
use crate::path::ImagePath;
use crate::store::{BlobReader, Store, Tree, TreeId};
use crate::tree::{Entry, Kind, Listing, Stack};

/// A layer's plain tar. Reading to the end fails if the bytes are not those of the diff id.
pub struct PlainTar {
    source: Box<dyn Read>,
}

impl Read for PlainTar {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.source.read(buffer)
    }
}

/// Opens a layer's plain tar: a blob if there is one, else a compressed blob, else written anew from a tree.
pub fn plain_tar(store: &Store, layer: &Layer) -> Result<PlainTar> {
    let plain = layer.diff_id.plain_blob();
    if store.blob_size(&plain)?.is_some() {
        // The diff id is this blob's own digest: its reader compares it already.
        return Ok(PlainTar { source: Box::new(store.open_blob(&plain)?) });
    }
    let source: Box<dyn Read> = match packed(store, layer)? {
        Some(reader) => reader,
        None => Box::new(from_tree(store, layer)?),
    };
    Ok(PlainTar { source: Box::new(Verified::new(source, layer.diff_id)) })
}

/// The plain tar from a blob, decompressed; none if no blob is there.
pub(super) fn packed(store: &Store, layer: &Layer) -> Result<Option<Box<dyn Read>>> {
    let plain = layer.diff_id.plain_blob();
    if store.blob_size(&plain)?.is_some() {
        return Ok(Some(Box::new(store.open_blob(&plain)?)));
    }
    let Some(stored) = blobs_here(store, &layer.diff_id)?.into_iter().next() else { return Ok(None) };
    let (_, decoder) = Decoder::<BlobReader>::new(store.open_blob(&stored.blob.digest)?)?;
    Ok(Some(Box::new(decoder)))
}

fn from_tree(store: &Store, layer: &Layer) -> Result<impl Read + use<>> {
    let missing = || Error::Missing { diff_id: layer.diff_id };
    let tree = store.tree(layer.tree)?.ok_or_else(missing)?;
    let times = record(store, &layer.diff_id)?.and_then(|record| record.times).ok_or_else(missing)?;
    tree_tar(&tree, listing(store, layer.tree)?, times)
}

/// The tar that follows from a tree and its listing.
pub(super) fn tree_tar(tree: &Tree, listing: Arc<Listing>, times: TimePolicy) -> Result<impl Read + use<>> {
    let root = Root::open(&tree.fs)?;
    Ok(TreeTar { root, listing, times, next: 0, pending: Cursor::new(Vec::new()), file: None, padding: 0 })
}

/// A tar written anew from a tree and its listing, read as it is made.
struct TreeTar {
    root: Root,
    listing: Arc<Listing>,
    times: TimePolicy,
    next: usize,
    /// Headers and padding.
    pending: Cursor<Vec<u8>>,
    /// The content after the pending bytes.
    file: Option<io::Take<File>>,
    padding: usize,
}

impl Read for TreeTar {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.pending.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            if let Some(file) = &mut self.file {
                let count = file.read(buffer)?;
                if count > 0 {
                    return Ok(count);
                }
                if file.limit() > 0 {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a file of the tree lost its end"));
                }
                self.file = None;
                self.pending = Cursor::new(vec![0; self.padding]);
                continue;
            }
            if !self.advance().map_err(io::Error::other)? {
                return Ok(0);
            }
        }
    }
}

impl TreeTar {
    /// Goes on to the next entry, or to the end of the tar; false after that.
    fn advance(&mut self) -> Result<bool> {
        let at = self.next;
        self.next += 1;
        let Some(entry) = self.listing.entries().get(at) else {
            let ended = at > self.listing.entries().len();
            self.pending = Cursor::new(if ended { Vec::new() } else { vec![0; 2 * BLOCK] });
            return Ok(!ended);
        };
        self.pending = Cursor::new(header::encode(entry, self.times)?);
        if let Kind::File { size, .. } = entry.kind {
            self.file = Some(self.root.file(&entry.path)?.take(size));
            self.padding = header::padding(size);
        }
        Ok(true)
    }
}

/// Content that is compared with its name at its end.
struct Verified<R, D> {
    inner: R,
    hasher: Hasher,
    expected: D,
    done: bool,
}

impl<R: Read, D> Verified<R, D> {
    fn new(inner: R, expected: D) -> Self {
        Self { inner, hasher: Hasher::new(), expected, done: false }
    }
}

impl<R: Read, D: Sha256Name + Copy + PartialEq + std::fmt::Display> Read for Verified<R, D> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.done {
            return Ok(0);
        }
        let count = self.inner.read(buffer)?;
        if count == 0 && !buffer.is_empty() {
            let found: D = std::mem::take(&mut self.hasher).finish();
            if found != self.expected {
                let text = format!("the content hashes to {found}, not to {}", self.expected);
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
            self.done = true;
        }
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}

/// Opens the regular file that `path` leads to in a stack, symbolic links followed; none if no file is there.
///
/// From a tree if there is one, else found in a tar, which costs reading it. The end is reached only if the content is
/// what the listing says.
pub fn open_file(store: &Store, layers: &[Layer], stack: &Stack, path: &ImagePath) -> Result<Option<Box<dyn Read>>> {
    let found = match stack.resolve(path) {
        Ok(resolved) => resolved.found.and_then(|found| stack.content_of(found)),
        Err(_) => return Err(Error::entry(path, "too many symbolic links lead there")),
    };
    match found {
        Some(found) if matches!(found.entry.kind, Kind::File { .. }) => {
            open_entry(store, layers, found.layer, found.entry).map(Some)
        }
        _ => Ok(None),
    }
}

/// Opens the file of an entry of one layer, counted from the bottom.
pub(super) fn open_entry(store: &Store, layers: &[Layer], at: usize, entry: &Entry) -> Result<Box<dyn Read>> {
    let Kind::File { size, digest } = entry.kind else {
        return Err(Error::entry(&entry.path, "it is no regular file"));
    };
    let layer = layers.get(at).ok_or_else(|| Error::entry(&entry.path, "the layer it lies in was not given"))?;
    if let Some(tree) = store.tree(layer.tree)? {
        let file = open_in_tree(&tree, &entry.path)?;
        return Ok(Box::new(Verified::new(BufReader::with_capacity(128 << 10, file), digest)));
    }
    // A link to a file of a lower layer has its content there.
    for layer in layers[..=at].iter().rev() {
        if let Some(content) = find_content(store, layer, size, &digest)? {
            return Ok(Box::new(Verified::new(content, digest)));
        }
    }
    Err(Error::Missing { diff_id: layer.diff_id })
}

/// Opens a file of a tree.
fn open_in_tree(tree: &Tree, path: &ImagePath) -> Result<File> {
    Root::open(&tree.fs)?.file(path)
}

/// The member of a layer's tar that has this content: by content, as a name may lead through symbolic links.
fn find_content(store: &Store, layer: &Layer, size: u64, digest: &ContentDigest) -> Result<Option<Box<dyn Read>>> {
    let open = || Ok::<_, Error>(packed(store, layer)?.map(TarReader::new));
    let Some(mut reader) = open()? else { return Ok(None) };
    let mut number = 0;
    loop {
        let Some(member) = reader.next()? else { return Ok(None) };
        if member.kind == MemberKind::File && member.size == size && hash(&mut reader)? == *digest {
            break;
        }
        number += 1;
    }
    let Some(mut reader) = open()? else { return Ok(None) };
    for _ in 0..=number {
        reader.next()?;
    }
    Ok(Some(Box::new(reader)))
}

fn hash(reader: &mut dyn Read) -> Result<ContentDigest> {
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; super::writer::BUFFER];
    loop {
        let count = super::writer::read_some(reader, &mut buffer);
        match count.map_err(|source| Error::Read { what: "the layer", source })? {
            0 => return Ok(hasher.finish()),
            count => hasher.update(&buffer[..count]),
        }
    }
}

/// Hashes a file of an open tree.
pub(super) fn hash_file(root: &mut Root, path: &ImagePath) -> Result<ContentDigest> {
    hash(&mut root.file(path)?)
}

/// Whether a layer's tar is in the store in some form.
pub(super) fn is_packed(store: &Store, diff_id: &DiffId) -> Result<bool> {
    Ok(store.blob_size(&diff_id.plain_blob())?.is_some() || !blobs_here(store, diff_id)?.is_empty())
}

/// Whether the tree of that name is in the store.
pub(super) fn has_tree(store: &Store, tree: TreeId) -> Result<bool> {
    Ok(store.tree(tree)?.is_some())
}
