//! An image layout as a folder.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::contents::{
    Blob, Contents, IMAGE_NAME, LAYOUT_VERSION, NamedImage, REF_NAME, blob_path, check_present, index_json, layout_json,
};
use super::temporary::{Replace, Temporary};
use super::{Error, Result};
use crate::digest::{BlobDigest, HashingReader};
use crate::fsx::{self, At as _};
use crate::image::{Descriptor, Index, SealedImage};
use crate::reference::Reference;
use crate::store::Store;

/// No `index.json` is larger; registries refuse manifests above 4 MiB.
const MAX_INDEX: u64 = 4 << 20;
/// `oci-layout` holds one short object.
const MAX_MARKER: u64 = 4 << 10;

/// Writes `image` into the image layout at `folder`, which is created if it is absent or empty.
///
/// A layout that is there is extended, as BuildKit does: its other images stay, and names that are given now lead to this
/// image. Any other folder that is not empty is refused. `index.json` is replaced last, so a reader never sees a name whose
/// blobs are missing.
pub fn write_layout(store: &Store, image: &SealedImage, names: &[Reference], folder: &Path) -> Result<()> {
    let contents = Contents::of(&[NamedImage { image, names }])?;
    check_present(store, &contents.blobs)?;
    extend_layout(store, &contents.blobs, contents.descriptors, folder)
}

/// Writes blobs, and then the index with these descriptors more.
pub(super) fn extend_layout(
    store: &Store,
    blobs: &BTreeMap<BlobDigest, Blob<'_>>,
    descriptors: Vec<Descriptor>,
    folder: &Path,
) -> Result<()> {
    let _lock = open_layout(folder)?;
    let before = read_index(folder)?;
    for part in ["blobs", "blobs/sha256"] {
        create_dir(&folder.join(part), folder)?;
    }
    for (digest, blob) in blobs {
        write_blob(store, digest, blob, folder)?;
    }
    let index = index_json(merge(before, descriptors))?;
    write_whole(folder, "index.json", &index)
}

/// The marker file of the layout, locked: others who write to it wait.
fn open_layout(folder: &Path) -> Result<File> {
    if let Err(error) = fs::metadata(folder) {
        if error.kind() != io::ErrorKind::NotFound {
            return Err(error).at("stat", folder).map_err(Error::from);
        }
        fsx::create_dir_all(folder)?;
    }
    let path = folder.join("oci-layout");
    if fs::read_dir(folder).at("list", folder)?.next().is_none() {
        write_new_marker(folder)?;
    }
    let mut marker = match OpenOptions::new().read(true).write(true).custom_flags(no_follow()).open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(refuse(folder, "it holds other files and no `oci-layout`"));
        }
        other => other.at("open", &path)?,
    };
    if !marker.metadata().at("stat", &path)?.is_file() {
        return Err(refuse(folder, "its `oci-layout` is not a regular file"));
    }
    marker.lock().at("lock", &path)?;
    let mut text = Vec::new();
    (&mut marker).take(MAX_MARKER).read_to_end(&mut text).at("read", &path)?;
    let version = serde_json::from_slice::<serde_json::Value>(&text).ok();
    let version = version.as_ref().and_then(|value| value.get("imageLayoutVersion")).and_then(|value| value.as_str());
    if version == Some(LAYOUT_VERSION) {
        return Ok(marker);
    }
    Err(refuse(folder, &format!("its `oci-layout` is not of version {LAYOUT_VERSION}")))
}

/// Several first processes may race here: all write the same.
fn write_new_marker(folder: &Path) -> Result<()> {
    let mut temporary = Temporary::create(folder)?;
    let path = folder.join("oci-layout");
    temporary.write_all(&layout_json()).at("write", &path)?;
    temporary.sync(&path)?;
    match temporary.publish(&path, Replace::No) {
        Err(error) if error.source.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => Ok(other?),
    }
}

/// Does not follow a symlink, and does not wait for the other end of a FIFO.
fn no_follow() -> i32 {
    (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits().cast_signed()
}

/// The descriptors that are there already.
fn read_index(folder: &Path) -> Result<Vec<Descriptor>> {
    let path = folder.join("index.json");
    let file = match OpenOptions::new().read(true).custom_flags(no_follow()).open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.at("open", &path)?,
    };
    if !file.metadata().at("stat", &path)?.is_file() {
        return Err(refuse(folder, "its `index.json` is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_INDEX + 1).read_to_end(&mut bytes).at("read", &path)?;
    if bytes.len() as u64 > MAX_INDEX {
        return Err(refuse(folder, &format!("its `index.json` is larger than {MAX_INDEX} bytes")));
    }
    let index = Index::parse(&bytes).map_err(|error| refuse(folder, &error.to_string()))?;
    Ok(index.manifests)
}

/// The new descriptors after those of the old that they do not replace.
fn merge(before: Vec<Descriptor>, added: Vec<Descriptor>) -> Vec<Descriptor> {
    let stays = |old: &Descriptor| !added.iter().any(|new| same_name(old, new));
    let mut merged: Vec<Descriptor> = before.into_iter().filter(stays).collect();
    merged.extend(added);
    merged
}

/// Whether both answer to one name; nameless ones do if they are the same image.
fn same_name(old: &Descriptor, new: &Descriptor) -> bool {
    let whole = |descriptor: &Descriptor| descriptor.annotations.get(IMAGE_NAME).cloned();
    let tag = |descriptor: &Descriptor| descriptor.annotations.get(REF_NAME).cloned();
    match (whole(old), whole(new)) {
        (Some(old), Some(new)) => old == new,
        _ => match (tag(old), tag(new)) {
            // A tag alone may stand for any image of that tag, so it would lead two ways.
            (Some(old_tag), Some(new_tag)) => whole(old).is_none() && old_tag == new_tag,
            (None, None) => old.digest == new.digest,
            _ => false,
        },
    }
}

fn write_blob(store: &Store, digest: &BlobDigest, blob: &Blob<'_>, folder: &Path) -> Result<()> {
    let path = folder.join(blob_path(digest));
    if is_whole(&path, digest, blob.size())? {
        return Ok(());
    }
    let mut temporary = Temporary::create(&folder.join("blobs/sha256"))?;
    blob.copy(store, digest, &mut temporary).map_err(|error| match error {
        Error::Write { source } => fsx::Error { action: "write", path: path.clone(), source }.into(),
        other => other,
    })?;
    temporary.sync(&path)?;
    Ok(temporary.publish(&path, Replace::Yes)?)
}

/// Whether the blob is there already, with the bytes of its name.
fn is_whole(path: &Path, digest: &BlobDigest, size: u64) -> Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() && metadata.len() == size => {}
        Ok(metadata) if metadata.is_dir() => return Err(refuse(path, "a folder has the name of a blob")),
        _ => return Ok(false),
    }
    let mut reader = HashingReader::new(fsx::open(path)?);
    io::copy(&mut reader, &mut io::sink()).at("read", path)?;
    Ok(reader.finish::<BlobDigest>().1 == *digest)
}

fn create_dir(path: &Path, folder: &Path) -> Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        other => other.at("create the folder", path)?,
    }
    if fs::symlink_metadata(path).at("stat", path)?.is_dir() {
        return Ok(());
    }
    Err(refuse(folder, "its `blobs` is not a folder"))
}

fn write_whole(folder: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let path: PathBuf = folder.join(name);
    let mut temporary = Temporary::create(folder)?;
    temporary.write_all(bytes).at("write", &path)?;
    temporary.sync(&path)?;
    Ok(temporary.publish(&path, Replace::Yes)?)
}

fn refuse(path: &Path, problem: &str) -> Error {
    Error::Layout { path: path.to_path_buf(), problem: problem.to_owned() }
}
