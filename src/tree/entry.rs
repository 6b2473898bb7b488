//! One path of a layer and everything that is true of it.

use std::collections::BTreeMap;

use crate::digest::ContentDigest;
use crate::path::ImagePath;

/// Seconds and nanoseconds since 1970, possibly before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp {
    /// Whole seconds, rounded towards the past.
    pub secs: i64,
    /// The rest, below 1,000,000,000.
    pub nanos: u32,
}

impl Timestamp {
    /// A whole second.
    pub const fn from_secs(secs: i64) -> Self {
        Self { secs, nanos: 0 }
    }
}

/// What an entry has beside its path and kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attributes {
    /// The twelve permission bits: setuid, setgid, sticky and rwx three times.
    pub mode: u32,
    /// The owner inside the image.
    pub uid: u32,
    /// The group inside the image.
    pub gid: u32,
    /// The true time of last change.
    pub mtime: Timestamp,
    /// Extended attributes, without those of overlayfs and SELinux.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Attributes {
    /// Owned by root, at time 0, without extended attributes.
    pub fn of_root(mode: u32) -> Self {
        Self { mode, uid: 0, gid: 0, mtime: Timestamp::default(), xattrs: BTreeMap::new() }
    }
}

/// What kind of thing is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A folder; an opaque one hides everything that lower layers have in it.
    Directory {
        /// Whether lower layers are hidden.
        opaque: bool,
    },
    /// A regular file.
    File {
        /// Length in bytes.
        size: u64,
        /// The hash of its content.
        digest: ContentDigest,
    },
    /// A symbolic link.
    Symlink {
        /// Where it points, as written.
        target: Vec<u8>,
    },
    /// Another name of a file, symbolic link, pipe or device that stands in the same layer, earlier or later in path order.
    Hardlink {
        /// The name that holds the file.
        target: ImagePath,
    },
    /// A named pipe.
    Fifo,
    /// A character device.
    CharDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// The path, and all below it, is gone from here on up.
    Whiteout,
}

impl Kind {
    /// Whether hard links can name it: it is neither a folder, nor a hard link itself, nor gone.
    pub fn can_have_names(&self) -> bool {
        !matches!(self, Kind::Directory { .. } | Kind::Hardlink { .. } | Kind::Whiteout)
    }
}

/// A path, what is there, and its attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where in the image.
    pub path: ImagePath,
    /// What is there.
    pub kind: Kind,
    /// Mode, owner, time and extended attributes. Those of a whiteout mean nothing.
    pub attributes: Attributes,
}

impl Entry {
    /// A plain folder.
    pub fn directory(path: ImagePath, attributes: Attributes) -> Self {
        Self { path, kind: Kind::Directory { opaque: false }, attributes }
    }

    /// A whiteout.
    pub fn whiteout(path: ImagePath) -> Self {
        Self { path, kind: Kind::Whiteout, attributes: Attributes::of_root(0) }
    }

    /// Whether a folder is here.
    pub fn is_directory(&self) -> bool {
        matches!(self.kind, Kind::Directory { .. })
    }
}
