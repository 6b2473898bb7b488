//! Objects: what a lease can name and gc can remove.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};
use rustix::io::Errno;

use super::measure::Sizes;
use super::{Bucket, CacheName, Result, Store, TreeId, owner, record};
use crate::digest::BlobDigest;
use crate::fsx::At as _;

/// Anything the store keeps under a name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Object {
    /// A record of a bucket.
    Record(Bucket, String),
    /// An unpacked layer.
    Tree(TreeId),
    /// Bytes.
    Blob(BlobDigest),
    /// A folder that commands write to.
    Cache(CacheName),
}

/// An object with its size and age.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its name.
    pub object: Object,
    /// The bytes it takes on disk; hard links within it count once.
    pub size: u64,
    /// When a lease held it first, or else when it was written.
    pub last_used: SystemTime,
}

/// One word for the kind, one or two for the name: a line of a lease.
impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Object::Record(bucket, name) => write!(f, "record {} {}", bucket.folder(), record::escape(name)),
            Object::Tree(id) => write!(f, "tree {id}"),
            Object::Blob(digest) => write!(f, "blob {}", digest.hex()),
            Object::Cache(name) => write!(f, "cache {name}"),
        }
    }
}

impl Object {
    /// Reads what `Display` writes.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let (kind, name) = line.split_once(' ')?;
        match kind {
            "record" => {
                let (bucket, file) = name.split_once(' ')?;
                Some(Object::Record(Bucket::from_folder(bucket)?, record::unescape(file)?))
            }
            "tree" => TreeId::parse(name).map(Object::Tree),
            "cache" => CacheName::parse(name).map(Object::Cache),
            "blob" => format!("sha256:{name}").parse().ok().map(Object::Blob),
            _ => None,
        }
    }
}

impl Store {
    /// Every object with its size and last use: records, trees, cache folders, then blobs, each in the order of their names.
    ///
    /// Objects that others add or remove meanwhile may be listed or not. Walks the cache folders, and each tree once in its life.
    pub fn objects(&self) -> Result<Vec<Stored>> {
        let mut stored = Vec::new();
        let mut sizes = Sizes::read(self);
        for object in self.names()? {
            let path = self.object_path(&object);
            let Some(metadata) = found(fs::symlink_metadata(&path), &path)? else { continue };
            let size = match &object {
                // Not the outer folder: listing it would change its time of last access, which is ours.
                Object::Tree(id) => {
                    let below = sizes.of(*id, metadata.ino(), || size_below(&path.join("fs")))?;
                    metadata.blocks() * 512 + below
                }
                Object::Cache(_) => metadata.blocks() * 512 + size_below(&path.join("fs"))?,
                Object::Record(..) | Object::Blob(_) => metadata.blocks() * 512,
            };
            stored.push(Stored { object, size, last_used: last_used(&metadata) });
        }
        sizes.write(self);
        Ok(stored)
    }

    /// What is being made or removed, and what dead processes left: how many things, and their bytes on disk.
    pub fn temporary_usage(&self) -> Result<(u64, u64)> {
        let (mut count, mut bytes) = (0, 0);
        for folder in [self.folder("tmp"), self.folder("trash")] {
            for name in owner::names(&folder)? {
                if !name.as_encoded_bytes().ends_with(b".lock") {
                    count += 1;
                    bytes += size_below(&folder.join(name))?;
                }
            }
        }
        Ok((count, bytes))
    }

    /// When a lease held an object first, or else when it was written; none if it is not here.
    pub fn last_used(&self, object: &Object) -> Result<Option<SystemTime>> {
        let path = self.object_path(object);
        Ok(found(fs::symlink_metadata(&path), &path)?.map(|metadata| last_used(&metadata)))
    }

    /// The names of all objects, without looking at them: records, trees, cache folders, then blobs.
    pub fn names(&self) -> Result<Vec<Object>> {
        let mut objects = Vec::new();
        for bucket in Bucket::ALL {
            objects.extend(self.record_names(bucket)?.into_iter().map(|name| Object::Record(bucket, name)));
        }
        let trees = owner::names(&self.folder("trees"))?;
        objects.extend(trees.iter().filter_map(|name| TreeId::parse(name.to_str()?)).map(Object::Tree));
        let caches = owner::names(&self.folder("caches"))?;
        objects.extend(caches.iter().filter_map(|name| CacheName::parse(name.to_str()?)).map(Object::Cache));
        let blobs = self.folder("blobs");
        for shard in owner::names(&blobs)? {
            let shard_path = blobs.join(&shard);
            if !found(fs::symlink_metadata(&shard_path), &shard_path)?.is_some_and(|metadata| metadata.is_dir()) {
                continue;
            }
            for name in owner::names(&shard_path)? {
                let digest = name.to_str().and_then(|hex| format!("sha256:{hex}").parse::<BlobDigest>().ok());
                objects.extend(digest.filter(|digest| *shard == digest.hex()[..2]).map(Object::Blob));
            }
        }
        Ok(objects)
    }

    pub(super) fn object_path(&self, object: &Object) -> PathBuf {
        match object {
            Object::Record(bucket, name) => self.record_path(*bucket, name),
            Object::Tree(id) => self.tree_folder(*id),
            Object::Blob(digest) => self.blob_path(digest),
            Object::Cache(name) => self.cache_path(name),
        }
    }

    /// Makes now the object's last use: its time of last access, which nothing else in the store changes.
    pub(super) fn touch(&self, object: &Object) -> Result<()> {
        let path = self.object_path(object);
        let at = |tv_nsec| Timespec { tv_sec: 0, tv_nsec };
        let times = Timestamps { last_access: at(UTIME_NOW), last_modification: at(UTIME_OMIT) };
        match rustix::fs::utimensat(CWD, &path, &times, AtFlags::SYMLINK_NOFOLLOW) {
            // It is held before it is made.
            Err(Errno::NOENT | Errno::NAMETOOLONG) => Ok(()),
            other => Ok(other.at("set the time of", &path)?),
        }
    }
}

pub(super) fn last_used(metadata: &fs::Metadata) -> SystemTime {
    let written = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    metadata.accessed().map_or(written, |used| used.max(written))
}

/// None for what another process has removed since it was listed.
pub(super) fn found<T>(outcome: io::Result<T>, path: &Path) -> Result<Option<T>> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => Ok(Some(other.at("stat", path)?)),
    }
}

/// The bytes on disk of a file or of a folder with everything in it. What may not be looked into counts nothing.
fn size_below(path: &Path) -> Result<u64> {
    let mut bytes = 0;
    let mut linked = BTreeSet::new();
    for entry in walkdir::WalkDir::new(path) {
        let metadata = match entry.and_then(|entry| entry.metadata()) {
            Ok(metadata) => metadata,
            Err(error) => match error.io_error().map(io::Error::kind) {
                // Removed meanwhile; closed to us; or deeper than a path can say.
                Some(io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidFilename) => {
                    continue;
                }
                _ => return Err(io::Error::from(error)).at("list", path).map_err(Into::into),
            },
        };
        if metadata.is_dir() || metadata.nlink() == 1 || linked.insert((metadata.dev(), metadata.ino())) {
            bytes += metadata.blocks() * 512;
        }
    }
    Ok(bytes)
}
