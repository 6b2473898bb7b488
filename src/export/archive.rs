//! One tar that every tool reads.

use std::io::Write;

use super::contents::{Contents, NamedImage, blob_path, check_present, index_json, layout_json};
use super::header::{Member, header, padding};
use super::{Error, Result};
use crate::store::Store;

/// Two blocks of zeros end a tar.
const END: [u8; 1024] = [0; 1024];

/// Writes images under their names as an OCI image layout that Docker can load, too; layers that they share are in it once.
///
/// The same images and names in the same order give the same bytes. Layers stream from the store and are verified while they are copied, so an
/// error may come after some bytes are out: what was written is then no archive. No names is fine.
pub fn write_archive(store: &Store, images: &[NamedImage<'_>], out: &mut dyn Write) -> Result<()> {
    let contents = Contents::of(images)?;
    check_present(store, &contents.blobs)?;
    write_bytes(out, &header("blobs/", Member::Folder))?;
    write_bytes(out, &header("blobs/sha256/", Member::Folder))?;
    for (digest, blob) in &contents.blobs {
        write_bytes(out, &header(&blob_path(digest), Member::File(blob.size())))?;
        blob.copy(store, digest, out)?;
        write_bytes(out, &END[..padding(blob.size())])?;
    }
    for (name, bytes) in documents(contents)? {
        write_bytes(out, &header(name, Member::File(bytes.len() as u64)))?;
        write_bytes(out, &bytes)?;
        write_bytes(out, &END[..padding(bytes.len() as u64)])?;
    }
    write_bytes(out, &END)?;
    out.flush().map_err(|source| Error::Write { source })
}

/// How many bytes `write_archive` will write.
pub fn archive_size(images: &[NamedImage<'_>]) -> Result<u64> {
    let contents = Contents::of(images)?;
    let mut size = END.len() as u64 + 2 * header("blobs/", Member::Folder).len() as u64;
    let mut add = |name: &str, bytes: u64| {
        size += header(name, Member::File(bytes)).len() as u64 + bytes + padding(bytes) as u64;
    };
    for (digest, blob) in &contents.blobs {
        add(&blob_path(digest), blob.size());
    }
    for (name, bytes) in documents(contents)? {
        add(name, bytes.len() as u64);
    }
    Ok(size)
}

/// What follows the blobs, in the order of names.
fn documents(contents: Contents<'_>) -> Result<[(&'static str, Vec<u8>); 3]> {
    Ok([
        ("index.json", index_json(contents.descriptors)?),
        ("manifest.json", contents.docker_manifest),
        ("oci-layout", layout_json()),
    ])
}

fn write_bytes(out: &mut dyn Write, bytes: &[u8]) -> Result<()> {
    out.write_all(bytes).map_err(|source| Error::Write { source })
}
