//! The sorted entries of one layer, in memory and as bytes.

use std::collections::BTreeMap;
use std::ops::Range;

use super::{Attributes, Entry, Kind, Timestamp};
use crate::path::ImagePath;

/// The first line of a stored listing; it changes with the format.
pub const LISTING_VERSION: &str = "rbuild-listing 1";

/// Stored bytes that are not a listing of this version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The first line is not `LISTING_VERSION`.
    #[error("the listing does not start with `{LISTING_VERSION}`")]
    Version,
    /// A line cannot be read.
    #[error("line {line} of the listing is damaged")]
    Line {
        /// Counted from 1.
        line: usize,
    },
    /// Paths are not in order, or one stands twice.
    #[error("line {line} of the listing is out of order")]
    Order {
        /// Counted from 1.
        line: usize,
    },
}

/// The entries of one layer: each path once, in path order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    entries: Vec<Entry>,
}

impl Listing {
    /// Sorts `entries`; of several with one path the last stands.
    pub fn new(entries: impl IntoIterator<Item = Entry>) -> Self {
        let by_path: BTreeMap<ImagePath, Entry> =
            entries.into_iter().map(|entry| (entry.path.clone(), entry)).collect();
        Self { entries: by_path.into_values().collect() }
    }

    /// The entries in path order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entry at exactly this path. Costs a binary search.
    pub fn find(&self, path: &ImagePath) -> Option<&Entry> {
        let at = self.entries.binary_search_by(|entry| entry.path.cmp(path)).ok()?;
        self.entries.get(at)
    }

    /// The entry at `path` and everything below it, in path order.
    pub fn subtree(&self, path: &ImagePath) -> &[Entry] {
        let Range { start, end } = self.subtree_range(path);
        &self.entries[start..end]
    }

    fn subtree_range(&self, path: &ImagePath) -> Range<usize> {
        let start = self.entries.partition_point(|entry| entry.path < *path);
        let length = self.entries[start..].partition_point(|entry| entry.path.is_within(path));
        start..start + length
    }

    /// The sum of all file sizes, each hard-linked file once.
    pub fn content_size(&self) -> u64 {
        let sizes = self.entries.iter().map(|entry| match entry.kind {
            Kind::File { size, .. } => size,
            _ => 0,
        });
        sizes.sum()
    }

    /// The stored form. Equal listings give equal bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.entries.len() * 96 + 32);
        out.extend_from_slice(LISTING_VERSION.as_bytes());
        out.push(b'\n');
        for entry in &self.entries {
            write_line(&mut out, entry);
        }
        out.extend_from_slice(end_line(self.entries.len()).as_bytes());
        out.push(b'\n');
        out
    }

    /// Reads the stored form back; anything but what `to_bytes` writes is an error.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let mut lines = bytes.split(|&b| b == b'\n');
        if lines.next() != Some(LISTING_VERSION.as_bytes()) {
            return Err(Error::Version);
        }
        let mut entries: Vec<Entry> = Vec::new();
        let mut index = 0;
        while let Some(line) = lines.next() {
            index += 1;
            let damaged = Error::Line { line: index + 1 };
            if line.starts_with(b"%end ") {
                let rest: Vec<&[u8]> = lines.collect();
                let complete = line == end_line(entries.len()).as_bytes() && rest == [b""];
                return if complete { Ok(Self { entries }) } else { Err(damaged) };
            }
            let entry = read_line(line).ok_or(damaged)?;
            if entries.last().is_some_and(|last| last.path >= entry.path) {
                return Err(Error::Order { line: index + 1 });
            }
            entries.push(entry);
        }
        Err(Error::Line { line: entries.len() + 2 })
    }
}

/// The last line: a stored listing that lost its end is noticed.
fn end_line(count: usize) -> String {
    format!("%end {count}")
}

fn write_line(out: &mut Vec<u8>, entry: &Entry) {
    let Entry { path, kind, attributes: Attributes { mode, uid, gid, mtime, xattrs } } = entry;
    encode(out, path.as_bytes());
    let kind = match kind {
        Kind::Directory { opaque: false } => "d".to_owned(),
        Kind::Directory { opaque: true } => "o".to_owned(),
        Kind::File { size, digest } => format!("f\t{size}\t{}", digest.hex()),
        Kind::Symlink { .. } => "l".to_owned(),
        Kind::Hardlink { .. } => "h".to_owned(),
        Kind::Fifo => "p".to_owned(),
        Kind::CharDevice { major, minor } => format!("c\t{major}\t{minor}"),
        Kind::BlockDevice { major, minor } => format!("b\t{major}\t{minor}"),
        Kind::Whiteout => "w".to_owned(),
    };
    let time = format!("{}.{:09}", mtime.secs, mtime.nanos);
    out.extend_from_slice(format!("\t{mode:o}\t{uid}\t{gid}\t{time}\t{kind}").as_bytes());
    match &entry.kind {
        Kind::Symlink { target } => {
            out.push(b'\t');
            encode(out, target);
        }
        Kind::Hardlink { target } => {
            out.push(b'\t');
            encode(out, target.as_bytes());
        }
        Kind::Directory { .. }
        | Kind::File { .. }
        | Kind::Fifo
        | Kind::CharDevice { .. }
        | Kind::BlockDevice { .. }
        | Kind::Whiteout => {}
    }
    for (name, value) in xattrs {
        out.push(b'\t');
        encode(out, name);
        out.push(b'=');
        encode(out, value);
    }
    out.push(b'\n');
}

fn read_line(line: &[u8]) -> Option<Entry> {
    let mut fields = line.split(|&b| b == b'\t');
    let raw_path = decode(fields.next()?)?;
    let path = ImagePath::new(&raw_path);
    if path.as_bytes() != raw_path {
        return None;
    }
    let mode = u32::from_str_radix(text(fields.next()?)?, 8).ok().filter(|mode| *mode <= 0o7777)?;
    let uid = text(fields.next()?)?.parse().ok()?;
    let gid = text(fields.next()?)?.parse().ok()?;
    let (secs, nanos) = text(fields.next()?)?.split_once('.')?;
    let mtime = Timestamp { secs: secs.parse().ok()?, nanos: nanos.parse().ok().filter(|n| *n < 1_000_000_000)? };
    let kind = read_kind(&mut fields)?;
    let mut xattrs = BTreeMap::new();
    for field in fields {
        let at = field.iter().position(|&b| b == b'=')?;
        xattrs.insert(decode(&field[..at])?, decode(&field[at + 1..])?);
    }
    Some(Entry { path, kind, attributes: Attributes { mode, uid, gid, mtime, xattrs } })
}

fn read_kind<'a>(fields: &mut impl Iterator<Item = &'a [u8]>) -> Option<Kind> {
    let kind = match fields.next()? {
        b"d" => Kind::Directory { opaque: false },
        b"o" => Kind::Directory { opaque: true },
        b"f" => {
            let size = text(fields.next()?)?.parse().ok()?;
            Kind::File { size, digest: format!("sha256:{}", text(fields.next()?)?).parse().ok()? }
        }
        b"l" => Kind::Symlink { target: decode(fields.next()?)? },
        b"h" => Kind::Hardlink { target: ImagePath::new(decode(fields.next()?)?) },
        b"p" => Kind::Fifo,
        b"c" => {
            Kind::CharDevice { major: text(fields.next()?)?.parse().ok()?, minor: text(fields.next()?)?.parse().ok()? }
        }
        b"b" => {
            Kind::BlockDevice { major: text(fields.next()?)?.parse().ok()?, minor: text(fields.next()?)?.parse().ok()? }
        }
        b"w" => Kind::Whiteout,
        _ => return None,
    };
    Some(kind)
}

fn text(field: &[u8]) -> Option<&str> {
    std::str::from_utf8(field).ok()
}

fn encode(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for &byte in bytes {
        if byte.is_ascii_graphic() && byte != b'%' && byte != b'=' {
            out.push(byte);
        } else {
            out.extend([b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
    }
}

fn decode(field: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        if byte == b'%' {
            let digits = text(after.get(..2)?)?;
            out.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &after[2..];
        } else {
            out.push(byte);
            rest = after;
        }
    }
    Some(out)
}
