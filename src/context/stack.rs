//! The root filesystem of a stage or an image as a source.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::sync::{Mutex, PoisonError};

use super::error::{Error, Result};
use super::source::{Chooser, Content, Hidden, Kind, LinkGroup, Meta, Shape, Source};
use crate::path::{ContextPath, ImagePath};
use crate::tree::{self, Attributes, Entry, Found, Stack};

/// Opens the files of the layers that a stack lists.
pub trait LayerContents: Send + Sync {
    /// Opens the content of `entry`, a regular file of the layer `layer`, counted from the bottom.
    fn open(&self, layer: usize, entry: &Entry) -> io::Result<Box<dyn Read + Send>>;
}

/// A stack of layers whose entries keep owner and extended attributes. Digests are known without reading.
pub struct StackSource {
    stack: Stack,
    contents: Box<dyn LayerContents>,
    /// For each layer the files that hard links of it point to, worked out when first needed.
    link_targets: Mutex<BTreeMap<usize, BTreeSet<ImagePath>>>,
}

/// The entries below one folder, of each layer that shows there, top first.
type Slices<'a> = Vec<(usize, &'a [Entry])>;

/// A path that exists: its entry, or none if only paths below it are listed.
struct Node<'a> {
    found: Option<Found<'a>>,
    below: Slices<'a>,
}

impl StackSource {
    /// A source of what `stack` lists and `contents` opens.
    pub fn new(stack: Stack, contents: Box<dyn LayerContents>) -> Self {
        Self { stack, contents, link_targets: Mutex::default() }
    }

    fn root(&self) -> Node<'_> {
        let whole = self.stack.layers().iter().enumerate().rev().map(|(layer, listing)| (layer, listing.entries()));
        merge(&ImagePath::root(), whole).unwrap_or(Node { found: None, below: Vec::new() })
    }

    fn node(&self, path: &ContextPath) -> Option<Node<'_>> {
        let mut at = ImagePath::root();
        let mut node = self.root();
        for component in path.components() {
            at = at.child(component);
            let slices = node.below.iter().map(|(layer, entries)| {
                let rest = &entries[entries.partition_point(|entry| entry.path < at)..];
                (*layer, &rest[..rest.partition_point(|entry| entry.path.is_within(&at))])
            });
            node = merge(&at, slices)?;
        }
        Some(node)
    }

    fn children<'a>(&self, dir: &ImagePath, node: &Node<'a>) -> Vec<(ImagePath, Node<'a>)> {
        let mut by_child: BTreeMap<ImagePath, Slices<'a>> = BTreeMap::new();
        for (layer, entries) in &node.below {
            let mut rest = *entries;
            while let Some(entry) = rest.first() {
                let below = entry.path.strip_prefix(dir).unwrap_or_default();
                let child = dir.child(below.split(|b| *b == b'/').next().unwrap_or(below));
                let (inside, after) = rest.split_at(rest.partition_point(|entry| entry.path.is_within(&child)));
                by_child.entry(child).or_default().push((*layer, inside));
                rest = after;
            }
        }
        let merged = by_child.into_iter().map(|(child, slices)| {
            let node = merge(&child, slices.into_iter());
            (child, node)
        });
        merged.filter_map(|(child, node)| Some((child, node?))).collect()
    }

    fn meta(&self, path: &ContextPath, node: &Node<'_>) -> Result<Meta> {
        let Some(found) = node.found else {
            return Ok(of_entry(Kind::Directory, &Attributes::of_root(0o755), None));
        };
        let content = self.stack.content_of(found).ok_or_else(|| Error::NotAFile { path: path.clone() })?;
        let kind = match &content.entry.kind {
            tree::Kind::Directory { .. } => Kind::Directory,
            tree::Kind::File { size, .. } => Kind::File { size: *size },
            tree::Kind::Symlink { target } => Kind::Symlink { target: target.clone() },
            tree::Kind::Fifo => Kind::Fifo,
            tree::Kind::CharDevice { major, minor } => Kind::CharDevice { major: *major, minor: *minor },
            tree::Kind::BlockDevice { major, minor } => Kind::BlockDevice { major: *major, minor: *minor },
            // A hard link to a hard link, or to nothing.
            tree::Kind::Hardlink { .. } | tree::Kind::Whiteout => {
                return Err(Error::NotAFile { path: path.clone() });
            }
        };
        Ok(of_entry(kind, &content.entry.attributes, self.link_group(found, content)))
    }

    fn link_group(&self, found: Found<'_>, content: Found<'_>) -> Option<LinkGroup> {
        let listing = self.stack.layers().get(content.layer)?;
        let is_link = matches!(found.entry.kind, tree::Kind::Hardlink { .. });
        if !is_link {
            let mut known = self.link_targets.lock().unwrap_or_else(PoisonError::into_inner);
            let targets = known.entry(content.layer).or_insert_with(|| {
                let targets = listing.entries().iter().filter_map(|entry| match &entry.kind {
                    tree::Kind::Hardlink { target } => Some(target.clone()),
                    _ => None,
                });
                targets.collect()
            });
            if !targets.contains(&content.entry.path) {
                return None;
            }
        }
        let place = listing.entries().partition_point(|entry| entry.path < content.entry.path);
        Some(LinkGroup { volume: content.layer as u64, number: place as u64 })
    }

    /// The layer and entry that hold the content of the regular file at `path`.
    fn file(&self, path: &ContextPath) -> Result<(usize, &Entry, Content)> {
        let found = self.node(path).and_then(|node| self.stack.content_of(node.found?));
        match found {
            Some(Found { layer, entry: entry @ Entry { kind: tree::Kind::File { size, digest }, .. } }) => {
                Ok((layer, entry, Content { size: *size, digest: *digest }))
            }
            _ => Err(Error::NotAFile { path: path.clone() }),
        }
    }
}

impl Source for StackSource {
    fn lookup(&self, path: &ContextPath) -> Result<Option<Meta>> {
        if path.is_root() {
            return self.meta(path, &self.root()).map(Some);
        }
        self.node(path).map(|node| self.meta(path, &node)).transpose()
    }

    fn list(&self, path: &ContextPath) -> Result<Vec<Vec<u8>>> {
        let Some(node) = self.node(path) else { return Ok(Vec::new()) };
        let children = self.children(&ImagePath::new(path.as_bytes()), &node);
        Ok(children.iter().filter_map(|(child, _)| child.file_name().map(<[u8]>::to_vec)).collect())
    }

    fn walk(&self, base: &ContextPath, choose: &mut Chooser<'_>) -> Result<Vec<(ContextPath, Meta)>> {
        let mut taken = Vec::new();
        let mut pending: Vec<(ImagePath, Node<'_>)> = Vec::new();
        pending.extend(self.node(base).map(|node| (ImagePath::new(base.as_bytes()), node)));
        while let Some((dir, node)) = pending.pop() {
            for (child, node) in self.children(&dir, &node) {
                let path = ContextPath::new(child.as_bytes());
                let is_directory = node.found.is_none_or(|found| found.entry.is_directory());
                let choice = choose(&path, if is_directory { Shape::Directory } else { Shape::Other });
                if choice.take {
                    taken.push((path.clone(), self.meta(&path, &node)?));
                }
                if choice.descend && is_directory {
                    pending.push((child, node));
                }
            }
        }
        taken.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(taken)
    }

    fn open(&self, path: &ContextPath) -> Result<Box<dyn Read + Send>> {
        let (layer, entry, _) = self.file(path)?;
        self.contents.open(layer, entry).map_err(|source| Error::Content { path: path.clone(), source })
    }

    fn content(&self, path: &ContextPath) -> Result<Content> {
        self.file(path).map(|(_, _, content)| content)
    }

    fn hidden_by(&self, _path: &ContextPath) -> Result<Option<Hidden>> {
        Ok(None)
    }
}

/// What several layers, top first, show at `path`, given their entries at and below it; none if nothing is there.
fn merge<'a>(path: &ImagePath, slices: impl Iterator<Item = (usize, &'a [Entry])>) -> Option<Node<'a>> {
    let mut found = None;
    let mut below: Slices<'a> = Vec::new();
    for (layer, entries) in slices {
        let Some(first) = entries.first() else { continue };
        if first.path != *path {
            below.push((layer, entries));
            continue;
        }
        if first.kind != tree::Kind::Whiteout && found.is_none() {
            found = Some(Found { layer, entry: first });
        }
        let is_merged = matches!(first.kind, tree::Kind::Directory { opaque: false });
        if first.is_directory() {
            below.push((layer, &entries[1..]));
        }
        if !is_merged {
            break;
        }
    }
    (found.is_some() || !below.is_empty()).then_some(Node { found, below })
}

fn of_entry(kind: Kind, attributes: &Attributes, link_group: Option<LinkGroup>) -> Meta {
    let Attributes { mode, uid, gid, mtime, xattrs } = attributes.clone();
    Meta { kind, mode, uid, gid, mtime, xattrs, link_group }
}
