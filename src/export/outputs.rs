//! The files that this program wrote, remembered so that it may replace them.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::contents::NamedImage;
use super::file::absolute;
use super::form::is_archive;
use super::{Error, Result};
use crate::digest::{ConfigDigest, ContentDigest, ManifestDigest};
use crate::fsx::At as _;
use crate::image::canonical_json;
use crate::reference::Reference;
use crate::store::{Bucket, Store};

/// What an output holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputRecord {
    /// The image.
    pub image: ConfigDigest,
    /// Its manifest, which also tells the compression.
    pub manifest: ManifestDigest,
    /// The names under which it was exported.
    pub names: Vec<String>,
    /// The file's length.
    pub size: u64,
    /// The images behind the first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<OutputImage>,
}

/// An image of an output that holds several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputImage {
    /// The image.
    pub image: ConfigDigest,
    /// Its manifest, which also tells the compression.
    pub manifest: ManifestDigest,
    /// The names under which it was exported.
    pub names: Vec<String>,
}

/// What is at an output's path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutputState {
    /// Nothing.
    Absent,
    /// A file as this program left it.
    Ours(OutputRecord),
    /// An archive that has this program's form, which another store wrote or this one forgot.
    Recognised,
    /// Anything else, be it a file of ours that somebody changed.
    Foreign,
}

/// One record: an output is replaced in two steps, so a kill between them must leave both files known.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Stored {
    /// Bytes, for a path need not be text.
    path: Vec<u8>,
    versions: Vec<Version>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Version {
    stamp: Stamp,
    record: OutputRecord,
}

/// A file that is still this one; the size is in the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    device: u64,
    inode: u64,
    mtime: (i64, i64),
    /// None until the file has its name: renaming changes it.
    ctime: Option<(i64, i64)>,
}

impl OutputRecord {
    /// Describes a file that is to hold these images; none if there are no images.
    pub(super) fn new(images: &[NamedImage<'_>], size: u64) -> Option<Self> {
        let mut all = images.iter().map(OutputImage::new);
        let OutputImage { image, manifest, names } = all.next()?;
        Some(Self { image, manifest, names, size, others: all.collect() })
    }
}

impl OutputImage {
    fn new(NamedImage { image, names }: &NamedImage<'_>) -> Self {
        Self {
            image: image.config().digest(),
            manifest: image.digest(),
            names: names.iter().map(Reference::to_string).collect(),
        }
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            mtime: (metadata.mtime(), metadata.mtime_nsec()),
            ctime: Some((metadata.ctime(), metadata.ctime_nsec())),
        }
    }

    fn matches(&self, found: &Self) -> bool {
        let same = (self.device, self.inode, self.mtime) == (found.device, found.inode, found.mtime);
        same && (self.ctime.is_none() || self.ctime == found.ctime)
    }
}

/// Looks at what is at `path`, which is absolute. A file without a record is read as far as its form goes.
pub fn check_output(store: &Store, path: &Path) -> Result<OutputState> {
    let Some(metadata) = stat(path)? else { return Ok(OutputState::Absent) };
    let stored = read(store, &record_name(path))?;
    match stored.and_then(|stored| stored.version_of(&metadata)) {
        Some(record) => Ok(OutputState::Ours(record)),
        None if metadata.is_file() && is_archive(path).at("read", path)? => Ok(OutputState::Recognised),
        None => Ok(OutputState::Foreign),
    }
}

/// The paths of all outputs that this program wrote, by their records or their form, and of such files among `destinations`;
/// sorted, each once.
pub fn outputs(store: &Store, destinations: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for destination in destinations {
        // What cannot be written there is told by who writes.
        if let Ok(path) = absolute(destination)
            && matches!(check_output(store, &path), Ok(OutputState::Recognised))
        {
            paths.push(path);
        }
    }
    for name in store.record_names(Bucket::Outputs)? {
        let Some(stored) = read(store, &name)? else { continue };
        let path = stored.path();
        // A folder that may no longer be searched holds nothing that a context could.
        if matches!(check_output(store, &path), Ok(OutputState::Ours(_) | OutputState::Recognised)) {
            paths.push(path);
        }
    }
    paths.sort();
    paths.dedup();
    Ok(paths)
}

/// Removes the records of outputs that are gone or no longer ours; for gc. Returns how many.
pub fn forget_absent_outputs(store: &Store) -> Result<usize> {
    let mut forgotten = 0;
    for name in store.record_names(Bucket::Outputs)? {
        let _lock = lock(store, &name)?;
        let known = match read(store, &name)? {
            Some(stored) => match stat(&stored.path())? {
                Some(metadata) => stored.version_of(&metadata).is_some(),
                None => false,
            },
            None => false,
        };
        if !known {
            store.remove_record(Bucket::Outputs, &name)?;
            forgotten += 1;
        }
    }
    Ok(forgotten)
}

/// Keeps others from replacing the same output while `check_output`, `announce`, rename and `confirm` go on.
pub(super) fn lock_output(store: &Store, path: &Path) -> Result<crate::store::KeyLock> {
    lock(store, &record_name(path))
}

/// Remembers, beside what is at `path` now, the file that is about to be renamed there.
pub(super) fn announce(store: &Store, path: &Path, coming: &Metadata, record: &OutputRecord) -> Result<()> {
    let name = record_name(path);
    let mut versions = Vec::new();
    if let (Some(stored), Some(metadata)) = (read(store, &name)?, stat(path)?) {
        versions.extend(stored.versions.into_iter().filter(|version| version.is(&metadata)));
    }
    let stamp = Stamp { ctime: None, ..Stamp::of(coming) };
    versions.push(Version { stamp, record: record.clone() });
    write(store, &name, path, versions)
}

/// Remembers the file at `path` alone.
pub(super) fn confirm(store: &Store, path: &Path, record: &OutputRecord) -> Result<()> {
    let metadata = fs::symlink_metadata(path).at("stat", path)?;
    let version = Version { stamp: Stamp::of(&metadata), record: record.clone() };
    write(store, &record_name(path), path, vec![version])
}

impl Stored {
    fn path(&self) -> PathBuf {
        PathBuf::from(OsString::from_vec(self.path.clone()))
    }

    fn version_of(&self, metadata: &Metadata) -> Option<OutputRecord> {
        self.versions.iter().find(|version| version.is(metadata)).map(|version| version.record.clone())
    }
}

impl Version {
    fn is(&self, metadata: &Metadata) -> bool {
        metadata.is_file() && metadata.len() == self.record.size && self.stamp.matches(&Stamp::of(metadata))
    }
}

/// A record that cannot be read is none: the file is then not ours to replace.
fn read(store: &Store, name: &str) -> Result<Option<Stored>> {
    let bytes = store.read_record(Bucket::Outputs, name)?;
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

fn write(store: &Store, name: &str, path: &Path, versions: Vec<Version>) -> Result<()> {
    let stored = Stored { path: path.as_os_str().as_bytes().to_vec(), versions };
    Ok(store.write_record(Bucket::Outputs, name, &canonical_json(&stored, "output record")?)?)
}

/// A path may be longer than a file name can be.
fn record_name(path: &Path) -> String {
    ContentDigest::of(path.as_os_str().as_bytes()).hex()
}

fn lock(store: &Store, name: &str) -> Result<crate::store::KeyLock> {
    // It is held for a rename, never for a whole export, so there is nobody to announce.
    store.lock(&format!("output-{name}"), &mut |_| true).map_err(Error::from)
}

fn stat(path: &Path) -> Result<Option<Metadata>> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error).at("stat", path).map_err(Error::from),
    }
}
