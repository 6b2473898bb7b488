//! What an export holds, before it is known where it goes.

use std::collections::BTreeMap;
use std::io::{Read as _, Write};
use std::sync::mpsc;

use serde::{Deserialize, Serialize};

use super::{Error, Result};
use crate::digest::BlobDigest;
use crate::image::{Descriptor, Index, SealedImage, canonical_json, media_type};
use crate::reference::Reference;
use crate::store::{self, BlobReader, Store};

/// The version of the image layout that is written.
pub const LAYOUT_VERSION: &str = "1.0.0";

/// The annotation that holds a name's tag.
pub(super) const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The annotation that holds a whole name.
pub(super) const IMAGE_NAME: &str = "io.containerd.image.name";

/// Bytes are copied in pieces of this size.
const PIECE: usize = 256 << 10;

/// So many of them are in flight at most.
const PIECES: usize = 4;

/// From this length on a blob is read and hashed by another thread than the one that writes.
const LARGE: u64 = 4 << 20;

/// An image, and the names that lead to it.
#[derive(Debug, Clone, Copy)]
pub struct NamedImage<'a> {
    /// The image.
    pub image: &'a SealedImage,
    /// Its names; none is fine.
    pub names: &'a [Reference],
}

/// The documents and blobs of an export.
pub(super) struct Contents<'a> {
    /// Every blob once, in order of their digests.
    pub blobs: BTreeMap<BlobDigest, Blob<'a>>,
    /// A descriptor for each name; one without a name for an image that has none.
    pub descriptors: Vec<Descriptor>,
    /// Docker's `manifest.json`.
    pub docker_manifest: Vec<u8>,
}

/// Where a blob's bytes are.
pub(super) enum Blob<'a> {
    /// In memory.
    Bytes(&'a [u8]),
    /// In the store, this many of them.
    Stored(u64),
}

/// An image in Docker's `manifest.json`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct DockerManifest {
    /// The config's path in the archive.
    pub config: String,
    /// The paths of the layers, bottom first.
    pub layers: Vec<String>,
    /// The names in their familiar form.
    pub repo_tags: Vec<String>,
}

impl<'a> Contents<'a> {
    /// Lists what the images consist of, each blob once; fails if a name has no tag, or leads to two images.
    pub fn of(images: &[NamedImage<'a>]) -> Result<Self> {
        let mut blobs = BTreeMap::new();
        let mut descriptors = Vec::new();
        let mut manifests = Vec::new();
        for (image, names) in distinct(images)? {
            for layer in image.layers() {
                let known = blobs.insert(layer.digest, Blob::Stored(layer.size));
                if let Some(Blob::Stored(found)) = known
                    && found != layer.size
                {
                    return Err(Error::Size { digest: layer.digest, expected: layer.size, found });
                }
            }
            blobs.insert(image.config().digest().blob(), Blob::Bytes(image.config().bytes()));
            blobs.insert(image.manifest_digest().blob(), Blob::Bytes(image.manifest()));
            blobs.extend(image.index().map(|index| (image.digest().blob(), Blob::Bytes(index))));
            descriptors.extend(descriptors_of(image, &names));
            manifests.push(docker_manifest(image, &names));
        }
        Ok(Self { blobs, descriptors, docker_manifest: canonical_json(&manifests, "Docker manifest")? })
    }
}

impl Blob<'_> {
    /// The number of bytes.
    pub fn size(&self) -> u64 {
        match self {
            Blob::Bytes(bytes) => bytes.len() as u64,
            Blob::Stored(size) => *size,
        }
    }

    /// Copies exactly `size` bytes to `out`, verifying those of the store.
    pub fn copy(&self, store: &Store, digest: &BlobDigest, out: &mut dyn Write) -> Result<()> {
        match self {
            Blob::Bytes(bytes) => out.write_all(bytes).map_err(|source| Error::Write { source }),
            Blob::Stored(size) => copy_stored(store, digest, *size, out),
        }
    }
}

/// Fails before the first byte is written if a layer is missing or of another length.
pub(super) fn check_present(store: &Store, blobs: &BTreeMap<BlobDigest, Blob<'_>>) -> Result<()> {
    for (digest, blob) in blobs {
        let Blob::Stored(expected) = *blob else { continue };
        match store.blob_size(digest)? {
            Some(found) if found == expected => {}
            Some(found) => return Err(Error::Size { digest: *digest, expected, found }),
            None => return Err(store::Error::NoBlob { digest: *digest }.into()),
        }
    }
    Ok(())
}

/// `index.json` over these descriptors.
pub(super) fn index_json(manifests: Vec<Descriptor>) -> Result<Vec<u8>> {
    let index = Index {
        schema_version: 2,
        media_type: Some(media_type::INDEX.to_owned()),
        manifests,
        annotations: BTreeMap::new(),
        extra: BTreeMap::new(),
    };
    Ok(canonical_json(&index, "image index")?)
}

/// The content of `oci-layout`.
pub(super) fn layout_json() -> Vec<u8> {
    format!(r#"{{"imageLayoutVersion":"{LAYOUT_VERSION}"}}"#).into_bytes()
}

fn copy_stored(store: &Store, digest: &BlobDigest, size: u64, out: &mut dyn Write) -> Result<()> {
    let mut copied = 0;
    let mut write = |bytes: &[u8]| {
        copied += bytes.len() as u64;
        if copied > size {
            return Err(Error::Size { digest: *digest, expected: size, found: copied });
        }
        out.write_all(bytes).map_err(|source| Error::Write { source })
    };
    if size < LARGE || !pieces_beside(store.open_blob(digest)?, digest, &mut write)? {
        pieces(store.open_blob(digest)?, digest, &mut write)?;
    }
    if copied != size {
        return Err(Error::Size { digest: *digest, expected: size, found: copied });
    }
    Ok(())
}

/// Reads a blob, piece after piece.
fn pieces(mut reader: BlobReader, digest: &BlobDigest, write: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let mut buffer = vec![0; PIECE];
    loop {
        match reader.read(&mut buffer).map_err(|source| read_error(digest, source))? {
            0 => return Ok(()),
            count => write(&buffer[..count])?,
        }
    }
}

/// The same with a thread that reads and hashes beside the one that writes; false if there is no thread to be had.
fn pieces_beside(
    mut reader: BlobReader,
    digest: &BlobDigest,
    write: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<bool> {
    std::thread::scope(|scope| {
        let (full, pieces) = mpsc::sync_channel::<std::io::Result<Vec<u8>>>(PIECES);
        let (used, free) = mpsc::channel::<Vec<u8>>();
        let read = move || {
            loop {
                let mut buffer = free.try_recv().unwrap_or_default();
                buffer.resize(PIECE, 0);
                let read = reader.read(&mut buffer).map(|count| {
                    buffer.truncate(count);
                    buffer
                });
                let is_last = !matches!(&read, Ok(piece) if !piece.is_empty());
                // Who takes no more has failed to write.
                if full.send(read).is_err() || is_last {
                    return;
                }
            }
        };
        if std::thread::Builder::new().spawn_scoped(scope, read).is_err() {
            return Ok(false);
        }
        for piece in pieces {
            let piece = piece.map_err(|source| read_error(digest, source))?;
            write(&piece)?;
            // At the end nobody takes it back.
            let _unwanted = used.send(piece);
        }
        Ok(true)
    })
}

/// The reader says through an `io::Error` that a blob is damaged.
fn read_error(digest: &BlobDigest, source: std::io::Error) -> Error {
    match source.downcast::<store::Error>() {
        Ok(damaged) => Error::Store(damaged),
        Err(source) => Error::Read { digest: *digest, source },
    }
}

/// An image, and its names with their tags.
type Distinct<'a> = (&'a SealedImage, Vec<(&'a Reference, &'a str)>);

/// The images in their order, each once, with all of their names, each once.
fn distinct<'a>(images: &[NamedImage<'a>]) -> Result<Vec<Distinct<'a>>> {
    let mut distinct: Vec<Distinct<'a>> = Vec::new();
    let mut owners: BTreeMap<&Reference, usize> = BTreeMap::new();
    for NamedImage { image, names } in images {
        let at = distinct.iter().position(|(known, _)| known.digest() == image.digest());
        let at = at.unwrap_or_else(|| {
            distinct.push((*image, Vec::new()));
            distinct.len() - 1
        });
        for name in *names {
            let (Some(tag), None) = (name.tag(), name.digest()) else {
                return Err(Error::Name { name: name.familiar() });
            };
            match owners.insert(name, at) {
                None => distinct[at].1.push((name, tag)),
                Some(owner) if owner == at => {}
                Some(_) => return Err(Error::TwoImages { name: name.familiar() }),
            }
        }
    }
    Ok(distinct)
}

fn descriptors_of(image: &SealedImage, names: &[(&Reference, &str)]) -> Vec<Descriptor> {
    if names.is_empty() {
        return vec![image.descriptor()];
    }
    let named = |(name, tag): &(&Reference, &str)| {
        let mut descriptor = image.descriptor();
        descriptor.annotations.insert(REF_NAME.to_owned(), (*tag).to_owned());
        descriptor.annotations.insert(IMAGE_NAME.to_owned(), name.to_string());
        descriptor
    };
    names.iter().map(named).collect()
}

fn docker_manifest(image: &SealedImage, names: &[(&Reference, &str)]) -> DockerManifest {
    DockerManifest {
        config: blob_path(&image.config().digest().blob()),
        layers: image.layers().iter().map(|layer| blob_path(&layer.digest)).collect(),
        repo_tags: names.iter().map(|(name, _)| name.familiar()).collect(),
    }
}

/// Where a blob lies in an export.
pub(super) fn blob_path(digest: &BlobDigest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}
