//! What files and folders held when they were last read, valid while their `statx` says the same.

use std::collections::HashMap;
use std::sync::Arc;

use super::contents::PathHash;
use super::stat::{Name, Stat};
use crate::digest::{ContentDigest, Hasher, Sha256Name as _};
use crate::tree::Timestamp;

/// The first line of the stored form; it changes with the format.
pub const STAT_CACHE_VERSION: &[u8] = b"rbuild-stat-cache 1\n";

/// One tick of the clock that file systems stamp with, at the slowest rate of a kernel (100 Hz).
const TICK_NANOS: i128 = 10_000_000;

/// Records that this many builds in a row had no use for are dropped.
const MAX_AGE: u8 = 32;

/// The bytes of a stored record of a file: device, inode, size, two times, age, a letter, a hash.
const LEAST_RECORD: usize = 3 * 8 + 2 * 12 + 2 + 32;

/// More records than this are not stored.
const MAX_RECORDS: usize = 4_000_000;

/// Known contents by device and inode. It stores nothing itself: see `to_bytes`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatCache {
    records: HashMap<(u64, u64), Record, PathHash>,
    enabled: bool,
    /// Whether something was learnt or forgotten since it was stored.
    changed: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Record {
    size: u64,
    mtime: Timestamp,
    ctime: Timestamp,
    age: u8,
    known: Known,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Known {
    File(ContentDigest),
    Folder(Arc<Vec<Name>>),
}

/// Stored bytes that are no stat cache of this version, or damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stored stat cache is damaged or of another version")]
pub struct Damaged;

impl Default for StatCache {
    fn default() -> Self {
        Self { records: HashMap::default(), enabled: true, changed: false }
    }
}

impl StatCache {
    /// A cache that never knows anything.
    pub fn disabled() -> Self {
        Self { enabled: false, ..Self::default() }
    }

    /// What this one and `other` know, which began as the same; what was of use stands before what was not.
    #[must_use]
    pub fn merged(mut self, other: Self) -> Self {
        self.changed |= other.changed;
        // In any order: of two records of one key the younger stands.
        other.records.into_iter().for_each(|(key, record)| match self.records.get(&key) {
            Some(own) if own.age <= record.age => {}
            _ => drop(self.records.insert(key, record)),
        });
        self
    }

    /// Whether its stored form is another one than that it was read from.
    pub fn is_changed(&self) -> bool {
        // A record that was of use is stored with the age 1; one that was not is older than it was.
        self.changed || self.records.values().any(|record| record.age > 0)
    }

    /// How many files and folders are known.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    pub(super) fn find_file(&mut self, stat: &Stat) -> Option<ContentDigest> {
        match self.find(stat)? {
            Known::File(digest) => Some(*digest),
            Known::Folder(_) => None,
        }
    }

    pub(super) fn find_folder(&mut self, stat: &Stat) -> Option<Arc<Vec<Name>>> {
        match self.find(stat)? {
            Known::Folder(names) => Some(Arc::clone(names)),
            Known::File(_) => None,
        }
    }

    fn find(&mut self, stat: &Stat) -> Option<&Known> {
        let record = self.records.get_mut(&(stat.device, stat.inode))?;
        let Record { size, mtime, ctime, age, known } = record;
        if (*size, *mtime, *ctime) != (stat.size, stat.mtime, stat.ctime) {
            return None;
        }
        *age = 0;
        Some(known)
    }

    pub(super) fn insert_file(&mut self, stat: &Stat, read_at: Timestamp, digest: ContentDigest) {
        self.insert(stat, read_at, Known::File(digest));
    }

    pub(super) fn insert_folder(&mut self, stat: &Stat, read_at: Timestamp, names: Arc<Vec<Name>>) {
        self.insert(stat, read_at, Known::Folder(names));
    }

    /// Keeps what was read from `stat` after the time `read_at`, unless a later change could leave the same times.
    fn insert(&mut self, stat: &Stat, read_at: Timestamp, known: Known) {
        let key = (stat.device, stat.inode);
        if !self.enabled || is_racy(stat, read_at) {
            self.changed |= self.records.remove(&key).is_some();
            return;
        }
        self.changed = true;
        let record = Record { size: stat.size, mtime: stat.mtime, ctime: stat.ctime, age: 0, known };
        self.records.insert(key, record);
    }

    /// The stored form. Records that have long been of no use are left out.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = STAT_CACHE_VERSION.to_vec();
        let mut kept: Vec<_> = self.records.iter().filter(|(_, record)| record.age < MAX_AGE).collect();
        kept.sort_unstable_by_key(|(key, _)| **key);
        for ((device, inode), Record { size, mtime, ctime, age, known }) in kept.into_iter().take(MAX_RECORDS) {
            for number in [*device, *inode, *size] {
                out.extend(number.to_le_bytes());
            }
            for time in [mtime, ctime] {
                out.extend(time.secs.to_le_bytes());
                out.extend(time.nanos.to_le_bytes());
            }
            // Whoever finds the record again sets it back to 0.
            out.push(age + 1);
            match known {
                Known::File(digest) => {
                    out.push(b'f');
                    out.extend(digest.as_bytes());
                }
                Known::Folder(names) => write_names(&mut out, names),
            }
        }
        let mut hasher = Hasher::new();
        hasher.update(&out);
        out.extend(hasher.finish::<ContentDigest>().as_bytes());
        out
    }

    /// Reads the stored form back; anything but what `to_bytes` writes is an error.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Damaged> {
        let (body, seal) = bytes.split_last_chunk::<32>().ok_or(Damaged)?;
        if ContentDigest::of(body).as_bytes() != seal {
            return Err(Damaged);
        }
        let mut rest = Rest(body.strip_prefix(STAT_CACHE_VERSION).ok_or(Damaged)?);
        let mut cache = Self::default();
        cache.records.reserve(rest.0.len() / LEAST_RECORD);
        while !rest.0.is_empty() {
            let (key, record) = read_record(&mut rest).ok_or(Damaged)?;
            cache.changed |= record.age != 1;
            cache.records.insert(key, record);
        }
        Ok(cache)
    }
}

/// Whether a change after `read_at` could leave the times as they are: the clock may not have moved on since.
fn is_racy(stat: &Stat, read_at: Timestamp) -> bool {
    let nanos = |t: Timestamp| i128::from(t.secs) * 1_000_000_000 + i128::from(t.nanos);
    nanos(stat.ctime.max(stat.mtime)) + TICK_NANOS > nanos(read_at)
}

fn write_names(out: &mut Vec<u8>, names: &[Name]) {
    out.push(b'd');
    out.extend((names.len() as u64).to_le_bytes());
    for Name { bytes, is_directory } in names {
        out.push(u8::from(*is_directory));
        out.extend((bytes.len() as u64).to_le_bytes());
        out.extend(bytes);
    }
}

fn read_record(rest: &mut Rest<'_>) -> Option<((u64, u64), Record)> {
    let key = (rest.number()?, rest.number()?);
    let size = rest.number()?;
    let (mtime, ctime) = (rest.time()?, rest.time()?);
    let age = rest.byte()?;
    let known = match rest.byte()? {
        b'f' => Known::File(ContentDigest::from_sha256(rest.take()?)),
        b'd' => Known::Folder(Arc::new(read_names(rest)?)),
        _ => return None,
    };
    Some((key, Record { size, mtime, ctime, age, known }))
}

fn read_names(rest: &mut Rest<'_>) -> Option<Vec<Name>> {
    let count = rest.number()?;
    let mut names: Vec<Name> = Vec::new();
    for _ in 0..count {
        let is_directory = rest.byte()? == 1;
        let length = usize::try_from(rest.number()?).ok()?;
        let (bytes, after) = rest.0.split_at_checked(length)?;
        rest.0 = after;
        let is_name = !bytes.is_empty() && bytes != b"." && bytes != b".." && !bytes.iter().any(|b| b"/\0".contains(b));
        let in_order = names.last().is_none_or(|last| last.bytes.as_slice() < bytes);
        if !is_name || !in_order {
            return None;
        }
        names.push(Name { bytes: bytes.to_vec(), is_directory });
    }
    Some(names)
}

/// Bytes that are still to be read.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn number(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn time(&mut self) -> Option<Timestamp> {
        let secs = self.take().map(i64::from_le_bytes)?;
        let nanos = self.take().map(u32::from_le_bytes)?;
        Some(Timestamp { secs, nanos })
    }
}
