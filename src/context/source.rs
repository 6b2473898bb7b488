//! What a COPY selects from, whatever it is kept in.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};

use super::error::{Error, Result};
use crate::digest::{ContentDigest, Hasher};
use crate::path::ContextPath;
use crate::tree::Timestamp;

/// As many symlinks as Linux follows.
const MAX_SYMLINKS: usize = 40;

/// What is at a path, without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// What kind of thing it is.
    pub kind: Kind,
    /// The twelve permission bits.
    pub mode: u32,
    /// The owner that a copy keeps; 0 in a context.
    pub uid: u32,
    /// The group that a copy keeps; 0 in a context.
    pub gid: u32,
    /// When it was last changed.
    pub mtime: Timestamp,
    /// Extended attributes that a copy keeps; none in a context.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Equal for the names of one file; none for a file of one name.
    pub link_group: Option<LinkGroup>,
}

/// What kind of thing is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Directory,
    /// A regular file.
    File {
        /// Length in bytes.
        size: u64,
    },
    /// A symbolic link.
    Symlink {
        /// Where it points, as written.
        target: Vec<u8>,
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
}

impl Kind {
    /// Whether a folder is here.
    pub fn is_directory(&self) -> bool {
        matches!(self, Self::Directory)
    }
}

/// Names a file that has several names, within one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkGroup {
    /// The device, or the layer.
    pub volume: u64,
    /// The inode, or the place in the layer.
    pub number: u64,
}

/// A file's content: its length and hash, from one read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content {
    /// Length in bytes.
    pub size: u64,
    /// The hash.
    pub digest: ContentDigest,
}

/// Why a path that exists is not in a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hidden {
    /// A line of an ignore file leaves it out.
    Ignored {
        /// The ignore file as the user knows it.
        file: String,
        /// Counted from 1.
        line: usize,
    },
    /// It is an output of an earlier build.
    Output,
}

impl fmt::Display for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ignored { file, line } => write!(f, "line {line} of `{file}` leaves it out of the context"),
            Self::Output => f.write_str("it is the output of an earlier build, which is left out of the context"),
        }
    }
}

/// What a folder holds at a name, as far as the listing of the folder tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A folder.
    Directory,
    /// Anything else.
    Other,
}

/// What a walk does with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// Whether the path is wanted.
    pub take: bool,
    /// Whether what is below it is looked at.
    pub descend: bool,
}

/// Decides about the paths of a walk; a folder is shown before what it holds, the rest is in no order.
pub type Chooser<'a> = dyn FnMut(&ContextPath, Shape) -> Choice + 'a;

/// A file tree that files are copied from. Paths given to it are taken literally: a symlink on the way is not followed.
pub trait Source: Send + Sync {
    /// What is at `path`; none if nothing is, or if a component above it is no folder.
    fn lookup(&self, path: &ContextPath) -> Result<Option<Meta>>;

    /// The names in the folder `path`, sorted; none in what is no folder.
    fn list(&self, path: &ContextPath) -> Result<Vec<Vec<u8>>>;

    /// What `choose` takes below the folder `base`, in path order. Only folders it descends into are listed.
    fn walk(&self, base: &ContextPath, choose: &mut Chooser<'_>) -> Result<Vec<(ContextPath, Meta)>>;

    /// Opens a regular file; anything else is an error, also if it took the file's place just now.
    ///
    /// The bytes may differ from those that `content` hashed, if the file was written to in between: see `Verified`.
    fn open(&self, path: &ContextPath) -> Result<Box<dyn Read + Send>>;

    /// The length and hash of a regular file. Costs nothing but the lookup if it is known already.
    fn content(&self, path: &ContextPath) -> Result<Content>;

    /// As `content`, of those files whose content is known without reading them; the walk has seen them before.
    fn known_contents(&self, paths: &[&ContextPath]) -> Vec<Option<Content>> {
        vec![None; paths.len()]
    }

    /// What hides `path`, if that is why `lookup` finds nothing.
    fn hidden_by(&self, path: &ContextPath) -> Result<Option<Hidden>>;
}

/// Where `path` leads when every symlink in it is followed inside `source`, the last one too, and what is there.
pub fn resolve(source: &dyn Source, path: &ContextPath) -> Result<(ContextPath, Option<Meta>)> {
    let mut pending: Vec<Vec<u8>> = reversed_components(path.as_bytes());
    let mut at = ContextPath::root();
    let mut found = None;
    let mut followed = 0;
    while let Some(component) = pending.pop() {
        match component.as_slice() {
            b"" | b"." => continue,
            b".." => {
                at = at.parent().unwrap_or_default();
                found = None;
                continue;
            }
            name => {
                let next = at.child(name);
                match source.lookup(&next)? {
                    Some(Meta { kind: Kind::Symlink { target }, .. }) => {
                        followed += 1;
                        if followed > MAX_SYMLINKS {
                            return Err(Error::SymlinkLoop { path: path.clone() });
                        }
                        if target.first() == Some(&b'/') {
                            at = ContextPath::root();
                        }
                        found = None;
                        pending.extend(reversed_components(&target));
                    }
                    meta => {
                        at = next;
                        found = meta;
                    }
                }
            }
        }
    }
    let found = if found.is_some() { found } else { source.lookup(&at)? };
    Ok((at, found))
}

fn reversed_components(path: &[u8]) -> Vec<Vec<u8>> {
    // A NUL cannot stand in a path of any source but a damaged one.
    path.split(|b| *b == b'/').rev().map(|part| part.iter().copied().filter(|b| *b != 0).collect()).collect()
}

/// A reader that fails at the end of a file whose bytes are not those that were hashed.
pub struct Verified<R> {
    inner: R,
    path: ContextPath,
    expected: Content,
    hasher: Option<Hasher>,
    read: u64,
}

impl<R: Read> Verified<R> {
    /// Reads `inner`, the file at `path`, of which `expected` is known.
    pub fn new(inner: R, path: ContextPath, expected: Content) -> Self {
        Self { inner, path, expected, hasher: Some(Hasher::new()), read: 0 }
    }

    fn changed(&self) -> io::Error {
        io::Error::other(format!("`{}` was changed while the build was reading it", self.path))
    }
}

impl<R: Read> Read for Verified<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let count = self.inner.read(buffer)?;
        self.read += count as u64;
        if self.read > self.expected.size {
            return Err(self.changed());
        }
        if count > 0 {
            if let Some(hasher) = &mut self.hasher {
                hasher.update(&buffer[..count]);
            }
            return Ok(count);
        }
        // A reader that has ended may be asked again.
        let Some(hasher) = self.hasher.take() else { return Ok(0) };
        if hasher.finish::<ContentDigest>() == self.expected.digest { Ok(0) } else { Err(self.changed()) }
    }
}
