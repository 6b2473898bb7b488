//! Records: small files, replaced whole, one name each.

use std::fs;
use std::io;
use std::path::PathBuf;

use super::{Result, Store};
use crate::fsx::{self, At as _};

/// No record is larger than this; a larger file is an error.
const MAX_RECORD: u64 = 256 << 20;

/// A kind of record, and the folder that holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bucket {
    /// Image names: reference → image.
    Names,
    /// Images: config digest → what is needed beside the config.
    Images,
    /// What a registry said a reference is: reference and platform → manifest.
    Pulled,
    /// Layers: diff id → the forms in which it is stored.
    Layers,
    /// Listings: tree id → entries.
    Listings,
    /// Cache records: key → result and ingredients.
    Steps,
    /// The keys of the last build of each Dockerfile and stage, for explaining misses.
    Builds,
    /// Stat cache: context → digests of its files.
    Files,
    /// Output files that are ours to replace.
    Outputs,
    /// Secrets of this store, such as the key for hashed values.
    Keys,
}

impl Bucket {
    /// Every bucket.
    pub const ALL: [Bucket; 10] = [
        Bucket::Names,
        Bucket::Images,
        Bucket::Pulled,
        Bucket::Layers,
        Bucket::Listings,
        Bucket::Steps,
        Bucket::Builds,
        Bucket::Files,
        Bucket::Outputs,
        Bucket::Keys,
    ];

    /// The folder's name below `records/`.
    pub fn folder(self) -> &'static str {
        match self {
            Bucket::Names => "names",
            Bucket::Images => "images",
            Bucket::Pulled => "pulled",
            Bucket::Layers => "layers",
            Bucket::Listings => "listings",
            Bucket::Steps => "steps",
            Bucket::Builds => "builds",
            Bucket::Files => "files",
            Bucket::Outputs => "outputs",
            Bucket::Keys => "keys",
        }
    }
}

impl Store {
    /// Writes a record: whole and synced, or not at all. An older one of that name is replaced.
    ///
    /// `name` may hold any character; it becomes a file name by escaping, and 180 bytes are enough for anybody.
    pub fn write_record(&self, bucket: Bucket, name: &str, bytes: &[u8]) -> Result<()> {
        let target = self.record_path(bucket, name);
        let folder = self.folder("records").join(bucket.folder());
        if !folder.is_dir() {
            fsx::create_dir_all(&folder)?;
            fsx::sync_dir(&self.folder("records"))?;
        }
        Ok(fsx::replace(&self.temporary("record"), &target, bytes)?)
    }

    /// Reads a record; none if there is none of that name.
    pub fn read_record(&self, bucket: Bucket, name: &str) -> Result<Option<Vec<u8>>> {
        Ok(fsx::read_if_exists(&self.record_path(bucket, name), MAX_RECORD)?)
    }

    /// Removes a record; one that is gone is fine.
    pub fn remove_record(&self, bucket: Bucket, name: &str) -> Result<()> {
        Ok(fsx::remove_file(&self.record_path(bucket, name))?)
    }

    /// The names of all records of a bucket, sorted.
    pub fn record_names(&self, bucket: Bucket) -> Result<Vec<String>> {
        let folder = self.folder("records").join(bucket.folder());
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.at("list", &folder)?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let file = entry.at("list", &folder)?.file_name();
            if let Some(name) = file.to_str().and_then(unescape) {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// The host path of a record, for its age and size.
    pub fn record_path(&self, bucket: Bucket, name: &str) -> PathBuf {
        self.folder("records").join(bucket.folder()).join(escape(name))
    }
}

/// Letters, digits, `-`, `_` and inner dots stay; every other byte becomes `%xx`.
fn escape(name: &str) -> String {
    let mut file = String::with_capacity(name.len());
    for (index, byte) in name.bytes().enumerate() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') || (byte == b'.' && index > 0) {
            file.push(char::from(byte));
        } else {
            file.push_str(&format!("%{byte:02x}"));
        }
    }
    file
}

fn unescape(file: &str) -> Option<String> {
    let mut name = Vec::with_capacity(file.len());
    let mut rest = file.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        if byte == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            name.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &after[2..];
        } else {
            name.push(byte);
            rest = after;
        }
    }
    String::from_utf8(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_never_leaves_its_folder_and_comes_back() {
        for name in ["../../etc/passwd", ".", "..", "docker.io/library/python:3.8", "a%b", "x@sha256:00"] {
            let file = escape(name);
            assert!(!file.contains('/') && !file.starts_with('.'), "{file}");
            assert_eq!(unescape(&file).as_deref(), Some(name));
        }
    }
}
