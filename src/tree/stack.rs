//! Several layers read as one root filesystem.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Attributes, Entry, Kind, Listing};
use crate::path::ImagePath;

/// As many symlinks as Linux follows.
const MAX_SYMLINKS: usize = 40;

/// Listings, bottom first, that together are a root filesystem. Cloning costs one count a layer.
#[derive(Debug, Clone, Default)]
pub struct Stack {
    layers: Vec<Arc<Listing>>,
}

/// An entry and the layer it stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found<'a> {
    /// Counted from the bottom.
    pub layer: usize,
    /// What stands there.
    pub entry: &'a Entry,
}

/// Where a path leads after its symlinks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved<'a> {
    /// The path without symlinks in it, but for the last component if that was not to be followed.
    pub path: ImagePath,
    /// What stands there; none if nothing does.
    pub found: Option<Found<'a>>,
}

/// More symlinks in a path than Linux would follow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("too many levels of symbolic links in {path}")]
pub struct LoopError {
    /// The path being resolved.
    pub path: ImagePath,
}

/// What a path was found to be.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Seen {
    /// Nothing is there.
    Absent,
    /// A folder with these attributes; its time does not count.
    Directory {
        /// Permission bits.
        mode: u32,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
        /// Extended attributes, names and values as lists of bytes.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    },
    /// A symbolic link.
    Symlink {
        /// Where it points, as a list of bytes.
        target: Vec<u8>,
    },
    /// A regular file with this content.
    File {
        /// The hash of its content, 64 hexadecimal digits.
        digest: String,
    },
    /// Something else, of which no more counts: a device, a pipe, or a file whatever its content.
    Other,
}

/// A path and what it was found to be.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Fact {
    /// The path without a leading slash, as a list of bytes.
    pub path: Vec<u8>,
    /// What was there.
    pub seen: Seen,
}

impl Stack {
    /// A stack of `layers`, bottom first.
    pub fn new(layers: Vec<Arc<Listing>>) -> Self {
        Self { layers }
    }

    /// This stack with one more layer on top.
    #[must_use]
    pub fn pushed(&self, layer: Arc<Listing>) -> Self {
        let mut layers = self.layers.clone();
        layers.push(layer);
        Self { layers }
    }

    /// The listings, bottom first.
    pub fn layers(&self) -> &[Arc<Listing>] {
        &self.layers
    }

    /// What is at `path`, its own symlinks not followed. The root is found in a layer that lists it only.
    ///
    /// Costs a binary search in each layer for each component of the path.
    pub fn lookup(&self, path: &ImagePath) -> Option<Found<'_>> {
        let ancestors: Vec<ImagePath> = path.ancestors().collect();
        for (layer, listing) in self.layers.iter().enumerate().rev() {
            if let Some(entry) = listing.find(path) {
                return (entry.kind != Kind::Whiteout).then_some(Found { layer, entry });
            }
            let hidden = ancestors.iter().any(|ancestor| listing.find(ancestor).is_some_and(hides_what_is_below));
            let root_hidden = listing.find(&ImagePath::root()).is_some_and(hides_what_is_below);
            if hidden || (root_hidden && !path.is_root()) {
                return None;
            }
        }
        None
    }

    /// Where `path` leads when the symlinks in it are followed inside this tree, the last one too.
    pub fn resolve(&self, path: &ImagePath) -> Result<Resolved<'_>, LoopError> {
        self.walk(path, true)
    }

    /// As `resolve`, but a symlink at the very end stays.
    pub fn resolve_parent(&self, path: &ImagePath) -> Result<Resolved<'_>, LoopError> {
        self.walk(path, false)
    }

    fn walk(&self, path: &ImagePath, follow_last: bool) -> Result<Resolved<'_>, LoopError> {
        let mut pending: Vec<Vec<u8>> = reversed_components(path.as_bytes());
        let mut at = ImagePath::root();
        let mut followed = 0;
        while let Some(component) = pending.pop() {
            match component.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    at = at.parent().unwrap_or_default();
                    continue;
                }
                name => {
                    let next = at.child(name);
                    let is_last = pending.is_empty();
                    let found = self.lookup(&next).and_then(|found| self.content_of(found));
                    let target = match found.map(|found| &found.entry.kind) {
                        Some(Kind::Symlink { target }) if follow_last || !is_last => target,
                        _ => {
                            at = next;
                            continue;
                        }
                    };
                    followed += 1;
                    if followed > MAX_SYMLINKS {
                        return Err(LoopError { path: path.clone() });
                    }
                    if target.first() == Some(&b'/') {
                        at = ImagePath::root();
                    }
                    pending.extend(reversed_components(target));
                }
            }
        }
        let found = self.lookup(&at);
        Ok(Resolved { path: at, found })
    }

    /// The entry that holds what a hard link names, in the link's own layer; an entry that is no hard link is its own.
    pub fn content_of<'a>(&'a self, found: Found<'a>) -> Option<Found<'a>> {
        match &found.entry.kind {
            Kind::Hardlink { target } => {
                let entry = self.layers.get(found.layer)?.find(target)?;
                Some(Found { layer: found.layer, entry })
            }
            _ => Some(found),
        }
    }

    /// Every path of the root filesystem below `base` (and `base`), with its entry and layer, in path order.
    ///
    /// Whiteouts are applied and do not appear. Costs one pass over the subtree in every layer.
    pub fn merged(&self, base: &ImagePath) -> BTreeMap<ImagePath, Found<'_>> {
        let mut merged: BTreeMap<ImagePath, Found<'_>> = BTreeMap::new();
        for (layer, listing) in self.layers.iter().enumerate() {
            for above in std::iter::once(ImagePath::root()).chain(base.ancestors()) {
                if above != *base && listing.find(&above).is_some_and(hides_what_is_below) {
                    merged.clear();
                }
            }
            for entry in listing.subtree(base) {
                if hides_what_is_below(entry) {
                    remove_below(&mut merged, &entry.path);
                }
                if entry.kind == Kind::Whiteout {
                    merged.remove(&entry.path);
                } else {
                    merged.insert(entry.path.clone(), Found { layer, entry });
                }
            }
        }
        merged
    }

    /// What is at `path` now, to be compared with later.
    pub fn fact(&self, path: &ImagePath) -> Fact {
        let found = self.lookup(path).and_then(|found| self.content_of(found));
        let seen = match found.map(|found| found.entry) {
            None => Seen::Absent,
            Some(Entry { kind, attributes: Attributes { mode, uid, gid, xattrs, mtime: _ }, .. }) => match kind {
                Kind::Directory { .. } => {
                    let xattrs = xattrs.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
                    Seen::Directory { mode: *mode, uid: *uid, gid: *gid, xattrs }
                }
                Kind::Symlink { target } => Seen::Symlink { target: target.clone() },
                Kind::File { digest, .. } => Seen::File { digest: digest.hex() },
                Kind::Hardlink { .. }
                | Kind::Fifo
                | Kind::CharDevice { .. }
                | Kind::BlockDevice { .. }
                | Kind::Whiteout => Seen::Other,
            },
        };
        Fact { path: path.as_bytes().to_vec(), seen }
    }

    /// As `fact`, but a file's content does not count.
    pub fn shape(&self, path: &ImagePath) -> Fact {
        let fact = self.fact(path);
        if matches!(fact.seen, Seen::File { .. }) { Fact { seen: Seen::Other, ..fact } } else { fact }
    }

    /// Whether `fact` holds here too.
    pub fn holds(&self, fact: &Fact) -> bool {
        let path = ImagePath::new(&fact.path);
        self.fact(&path) == *fact || self.shape(&path) == *fact
    }
}

/// Whether what lower layers have below this entry's path cannot be seen.
fn hides_what_is_below(entry: &Entry) -> bool {
    !matches!(entry.kind, Kind::Directory { opaque: false })
}

fn remove_below(merged: &mut BTreeMap<ImagePath, Found<'_>>, path: &ImagePath) {
    let below: Vec<ImagePath> =
        merged.range(path.clone()..).map(|(p, _)| p).take_while(|p| p.is_within(path)).cloned().collect();
    for gone in below.iter().filter(|p| *p != path) {
        merged.remove(gone);
    }
}

fn reversed_components(path: &[u8]) -> Vec<Vec<u8>> {
    path.rsplit(|&b| b == b'/').map(<[u8]>::to_vec).collect()
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
