//! Records: small files, replaced whole, one name each.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

use super::{Error, Object, Result, Store, lock, owner};
use crate::digest::ContentDigest;
use crate::fsx::{self, At as _};

/// No record is larger than this; a larger file is an error.
const MAX_RECORD: u64 = 256 << 20;

/// The length of a seal: a line break, 64 digits, and another one.
const SEAL: usize = 66;

/// No name is longer than this after escaping; file systems take 255 bytes.
const MAX_NAME: usize = 250;

/// The record in `Bucket::Keys` that holds the store's secret.
const SECRET: &str = "secret";

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
    /// What URLs had when they were last fetched.
    Fetched,
    /// Secrets of this store, such as the key for hashed values.
    Keys,
}

impl Bucket {
    /// Every bucket.
    pub const ALL: [Bucket; 11] = [
        Bucket::Names,
        Bucket::Images,
        Bucket::Pulled,
        Bucket::Layers,
        Bucket::Listings,
        Bucket::Steps,
        Bucket::Builds,
        Bucket::Files,
        Bucket::Outputs,
        Bucket::Fetched,
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
            Bucket::Fetched => "fetched",
            Bucket::Keys => "keys",
        }
    }

    /// Whether a lost record costs nothing but time: its seal tells when it is damaged, and the next build makes it again.
    fn is_memory(self) -> bool {
        matches!(self, Bucket::Steps | Bucket::Builds | Bucket::Files)
    }

    pub(super) fn from_folder(folder: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|bucket| bucket.folder() == folder)
    }
}

impl Store {
    /// Writes a record: whole, or not at all. An older one of that name is replaced.
    ///
    /// It survives a power cut, unless it is of `Steps`, `Builds` or `Files`: what a power cut takes of these is as good as none.
    ///
    /// `name` may hold any character; it becomes a file name by escaping, which must not make it longer than 250 bytes.
    pub fn write_record(&self, bucket: Bucket, name: &str, bytes: &[u8]) -> Result<()> {
        let length = escape(name).len();
        if !fits(length) {
            return Err(Error::Name { name: name.chars().take(100).collect(), length, limit: MAX_NAME });
        }
        self.hold(&Object::Record(bucket, name.to_owned()))?;
        let folder = self.folder("records").join(bucket.folder());
        match DirBuilder::new().mode(0o700).create(&folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => {
                made.at("create the folder", &folder)?;
                fsx::sync_dir(&self.folder("records"))?;
            }
        }
        let sealed = [bytes, seal(bytes).as_bytes()].concat();
        let (temporary, target) = (self.temporary("record")?, self.record_path(bucket, name));
        match bucket.is_memory() {
            true => Ok(fsx::replace_unsynced(&temporary, &target, &sealed)?),
            false => Ok(fsx::replace(&temporary, &target, &sealed)?),
        }
    }

    /// Reads a record; none if there is none of that name, or if it is damaged.
    pub fn read_record(&self, bucket: Bucket, name: &str) -> Result<Option<Vec<u8>>> {
        self.hold_record(bucket, name)?;
        Ok(self.stored_record(bucket, name)?.and_then(unsealed))
    }

    /// Whether there is a record of that name; it is not read.
    pub fn has_record(&self, bucket: Bucket, name: &str) -> Result<bool> {
        self.hold_record(bucket, name)?;
        Ok(fits(escape(name).len()) && self.record_path(bucket, name).is_file())
    }

    /// Whether a record is as it was written; none if there is none of that name.
    pub fn verify_record(&self, bucket: Bucket, name: &str) -> Result<Option<bool>> {
        self.hold_record(bucket, name)?;
        Ok(self.stored_record(bucket, name)?.map(|bytes| unsealed(bytes).is_some()))
    }

    /// Removes a record that is damaged; whether it was.
    ///
    /// One that another process replaces in this very moment may go too: its name is then free, as if it had never been.
    pub fn discard_record(&self, bucket: Bucket, name: &str) -> Result<bool> {
        if self.verify_record(bucket, name)? != Some(false) {
            return Ok(false);
        }
        self.remove_record(bucket, name)?;
        Ok(true)
    }

    fn hold_record(&self, bucket: Bucket, name: &str) -> Result<()> {
        if fits(escape(name).len()) { self.hold(&Object::Record(bucket, name.to_owned())) } else { Ok(()) }
    }

    /// The bytes as they stand in the file, with their seal.
    fn stored_record(&self, bucket: Bucket, name: &str) -> Result<Option<Vec<u8>>> {
        if !fits(escape(name).len()) {
            return Ok(None);
        }
        let path = self.record_path(bucket, name);
        match fsx::open_own(&path) {
            Err(error) if error.is_not_found() => Ok(None),
            other => Ok(Some(fsx::read_open(&other?, &path, MAX_RECORD)?)),
        }
    }

    /// Removes a record; one that is gone is fine.
    pub fn remove_record(&self, bucket: Bucket, name: &str) -> Result<()> {
        if !fits(escape(name).len()) {
            return Ok(());
        }
        Ok(fsx::remove_file(&self.record_path(bucket, name))?)
    }

    /// The names of all records of a bucket, sorted.
    pub fn record_names(&self, bucket: Bucket) -> Result<Vec<String>> {
        let folder = self.folder("records").join(bucket.folder());
        let files = owner::names(&folder)?;
        let mut names: Vec<String> = files.iter().filter_map(|file| file.to_str().and_then(unescape)).collect();
        names.sort();
        Ok(names)
    }

    /// 32 random bytes that only this store knows, made at the first call and the same ever after.
    ///
    /// A file that lost bytes is replaced: what was keyed with it is then no longer found.
    pub fn secret(&self) -> Result<[u8; 32]> {
        if let Some(secret) = self.stored_secret()? {
            return Ok(secret);
        }
        let _one_maker = self.lock(SECRET, &mut |_| true)?;
        if let Some(secret) = self.stored_secret()? {
            return Ok(secret);
        }
        let mut secret = [0; 32];
        // Up to 256 bytes come whole once the system has entropy, or the call is interrupted.
        lock::uninterrupted(|| {
            let length = rustix::rand::getrandom(&mut secret, rustix::rand::GetRandomFlags::empty())?;
            if length == secret.len() { Ok(()) } else { Err(io::ErrorKind::Interrupted.into()) }
        })
        .at("get random bytes for", &self.record_path(Bucket::Keys, SECRET))?;
        self.write_record(Bucket::Keys, SECRET, &secret)?;
        Ok(secret)
    }

    fn stored_secret(&self) -> Result<Option<[u8; 32]>> {
        let bytes = self.read_record(Bucket::Keys, SECRET)?;
        Ok(bytes.and_then(|bytes| bytes.try_into().ok()))
    }

    pub(super) fn record_path(&self, bucket: Bucket, name: &str) -> PathBuf {
        self.folder("records").join(bucket.folder()).join(escape(name))
    }
}

/// What stands behind a record's bytes: a disk that lost or changed some is found out.
fn seal(bytes: &[u8]) -> String {
    format!("\n{}\n", ContentDigest::of(bytes).hex())
}

fn unsealed(mut bytes: Vec<u8>) -> Option<Vec<u8>> {
    let end = bytes.len().checked_sub(SEAL)?;
    let whole = seal(&bytes[..end]).as_bytes() == &bytes[end..];
    bytes.truncate(end);
    whole.then_some(bytes)
}

/// Letters, digits, `-`, `_` and inner dots stay; every other byte becomes `%xx`.
pub(super) fn escape(name: &str) -> String {
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

/// The name that `escape` made into `file`; none if it cannot have.
pub(super) fn unescape(file: &str) -> Option<String> {
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
    let name = String::from_utf8(name).ok()?;
    (fits(file.len()) && escape(&name) == file).then_some(name)
}

fn fits(length: usize) -> bool {
    (1..=MAX_NAME).contains(&length)
}
