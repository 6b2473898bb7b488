//! What two file trees hold differently.

use std::collections::BTreeMap;
use std::fmt;

use crate::digest::ContentDigest;
use crate::path::ImagePath;
use crate::tree::{Attributes, Entry, Kind, Listing, Stack, Timestamp};

/// A path that is not the same on both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// Where.
    pub path: ImagePath,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a path from left to right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It is only on the right.
    Added,
    /// It is only on the left.
    Removed,
    /// It is on both, and these differ; never empty.
    Changed(Vec<Aspect>),
}

/// One thing in which two entries differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Aspect {
    /// What kind of thing it is.
    Kind(&'static str, &'static str),
    /// The length of a file, in bytes.
    Size(u64, u64),
    /// The content of a file, of equal length.
    Content(ContentDigest, ContentDigest),
    /// Permission bits.
    Mode(u32, u32),
    /// User and group.
    Owner((u32, u32), (u32, u32)),
    /// The time of last change.
    Time(Timestamp, Timestamp),
    /// Where a link leads, or which file it is a name of.
    Target(Vec<u8>, Vec<u8>),
    /// The numbers of a device.
    Device((u32, u32), (u32, u32)),
    /// An extended attribute, by name.
    Attribute(Vec<u8>),
}

/// In words, for example `mode 644 → 755`. Bytes of names are shown as text, as far as they are.
impl fmt::Display for Aspect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match self {
            Aspect::Kind(left, right) => write!(f, "{left} → {right}"),
            Aspect::Size(left, right) => write!(f, "size {left} → {right}"),
            Aspect::Content(left, right) => write!(f, "content {} → {}", left.short(), right.short()),
            Aspect::Mode(left, right) => write!(f, "mode {left:o} → {right:o}"),
            Aspect::Owner(left, right) => write!(f, "owner {}:{} → {}:{}", left.0, left.1, right.0, right.1),
            Aspect::Time(left, right) => write!(f, "time {} → {}", time(left), time(right)),
            Aspect::Target(left, right) => write!(f, "target {} → {}", text(left), text(right)),
            Aspect::Device(left, right) => write!(f, "device {}:{} → {}:{}", left.0, left.1, right.0, right.1),
            Aspect::Attribute(name) => write!(f, "extended attribute {}", text(name)),
        }
    }
}

fn time(time: &Timestamp) -> String {
    match jiff::Timestamp::new(time.secs, i32::try_from(time.nanos).unwrap_or(0)) {
        Ok(time) => time.to_string(),
        Err(_out_of_range) => format!("{}s", time.secs),
    }
}

/// What differs between the root filesystems of two images. Costs a pass over both.
pub fn file_changes(left: &Stack, right: &Stack) -> Vec<FileChange> {
    let merged = |stack: &Stack| -> BTreeMap<ImagePath, Entry> {
        let found = stack.merged(&ImagePath::root()).into_iter();
        found.map(|(path, found)| (path, found.entry.clone())).collect()
    };
    changes(&merged(left), &merged(right))
}

/// What differs between two layers, whiteouts included.
pub fn layer_changes(left: &Listing, right: &Listing) -> Vec<FileChange> {
    let entries = |listing: &Listing| -> BTreeMap<ImagePath, Entry> {
        listing.entries().iter().map(|entry| (entry.path.clone(), entry.clone())).collect()
    };
    changes(&entries(left), &entries(right))
}

fn changes(left: &BTreeMap<ImagePath, Entry>, right: &BTreeMap<ImagePath, Entry>) -> Vec<FileChange> {
    let mut paths: Vec<&ImagePath> = left.keys().chain(right.keys()).collect();
    paths.sort();
    paths.dedup();
    let change = |path: &ImagePath| {
        let fate = match (left.get(path), right.get(path)) {
            (None, _) => Fate::Added,
            (_, None) => Fate::Removed,
            (Some(left), Some(right)) => Fate::Changed(aspects(left, right)),
        };
        (fate != Fate::Changed(Vec::new())).then(|| FileChange { path: path.clone(), fate })
    };
    paths.into_iter().filter_map(change).collect()
}

fn aspects(left: &Entry, right: &Entry) -> Vec<Aspect> {
    let mut found = Vec::new();
    kinds(&left.kind, &right.kind, &mut found);
    if left.kind == Kind::Whiteout || right.kind == Kind::Whiteout {
        return found;
    }
    let Attributes { mode, uid, gid, mtime, xattrs } = &left.attributes;
    let other = &right.attributes;
    if *mode != other.mode {
        found.push(Aspect::Mode(*mode, other.mode));
    }
    if (*uid, *gid) != (other.uid, other.gid) {
        found.push(Aspect::Owner((*uid, *gid), (other.uid, other.gid)));
    }
    if *mtime != other.mtime {
        found.push(Aspect::Time(*mtime, other.mtime));
    }
    let mut names: Vec<&Vec<u8>> = xattrs.keys().chain(other.xattrs.keys()).collect();
    names.sort();
    names.dedup();
    let differing = names.into_iter().filter(|name| xattrs.get(*name) != other.xattrs.get(*name));
    found.extend(differing.map(|name| Aspect::Attribute(name.clone())));
    found
}

fn kinds(left: &Kind, right: &Kind, found: &mut Vec<Aspect>) {
    match (left, right) {
        (Kind::File { size: a, digest: x }, Kind::File { size: b, digest: y }) => {
            if a != b {
                found.push(Aspect::Size(*a, *b));
            } else if x != y {
                found.push(Aspect::Content(*x, *y));
            }
        }
        (Kind::Symlink { target: a }, Kind::Symlink { target: b }) if a != b => {
            found.push(Aspect::Target(a.clone(), b.clone()));
        }
        (Kind::Hardlink { target: a }, Kind::Hardlink { target: b }) if a != b => {
            found.push(Aspect::Target(a.as_bytes().to_vec(), b.as_bytes().to_vec()));
        }
        (Kind::CharDevice { major: a, minor: b }, Kind::CharDevice { major: x, minor: y })
        | (Kind::BlockDevice { major: a, minor: b }, Kind::BlockDevice { major: x, minor: y })
            if (a, b) != (x, y) =>
        {
            found.push(Aspect::Device((*a, *b), (*x, *y)));
        }
        (left, right) if word(left) != word(right) => found.push(Aspect::Kind(word(left), word(right))),
        _ => {}
    }
}

fn word(kind: &Kind) -> &'static str {
    match kind {
        Kind::Directory { opaque: false } => "folder",
        Kind::Directory { opaque: true } => "folder that hides what is below it",
        Kind::File { .. } => "file",
        Kind::Symlink { .. } => "symbolic link",
        Kind::Hardlink { .. } => "hard link",
        Kind::Fifo => "pipe",
        Kind::CharDevice { .. } => "character device",
        Kind::BlockDevice { .. } => "block device",
        Kind::Whiteout => "removal",
    }
}
