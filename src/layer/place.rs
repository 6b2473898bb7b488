//! Finds the place of each member of an archive: in memory first, then in a sink that may unpack it.

use std::collections::BTreeMap;
use std::io::Read;

use super::header::{OPAQUE, WHITEOUT};
use super::reader::{Member, MemberKind};
use super::sink::Sink;
use super::walk::Walk;
use super::{Error, LAYER_EPOCH, Result, limits};
use crate::path::ImagePath;
use crate::tree::{Attributes, Entry, Kind, Stack, Timestamp};

/// What kind of archive is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rules {
    /// A layer: an entry for the root counts, extended attributes are kept.
    Layer,
    /// An archive to be added: the root stays as it is, of extended attributes only file capabilities are kept.
    Archive,
}

/// What stands at a path of this layer.
pub(super) enum Node {
    Directory {
        opaque: bool,
        attributes: Attributes,
        /// Whether a folder of a lower layer shows through.
        covers: bool,
        /// Whether the archive names it, or only something in it.
        named: bool,
    },
    Whiteout,
    /// A file by its number: hard links have the same.
    Inode(usize),
}

pub(super) struct Inode {
    pub(super) kind: Kind,
    pub(super) attributes: Attributes,
}

/// An entry and whether the archive named it, or only something below it.
pub(super) struct Placed {
    pub(super) entry: Entry,
    pub(super) named: bool,
}

/// The members of an archive by their places, over lower layers.
pub(super) struct Placement<'a, S> {
    pub(super) lower: &'a Stack,
    /// Where in the lower layers the archive's root is.
    pub(super) base: ImagePath,
    rules: Rules,
    pub(super) sink: S,
    pub(super) nodes: BTreeMap<ImagePath, Node>,
    pub(super) inodes: Vec<Inode>,
    pub(super) self_contained: bool,
    listing_size: u64,
    /// Bytes of paths looked at, so that no archive keeps the processor busy for long.
    pub(super) walked: u64,
}

impl<'a, S: Sink> Placement<'a, S> {
    /// An empty layer over `lower`, whose root is `base` there.
    pub(super) fn new(lower: &'a Stack, base: ImagePath, rules: Rules, sink: S) -> Self {
        let (nodes, inodes) = (BTreeMap::new(), Vec::new());
        Self { lower, base, rules, sink, nodes, inodes, self_contained: true, listing_size: 0, walked: 0 }
    }

    /// Adds the next member; `content` is read if it is a file.
    pub(super) fn add(&mut self, member: Member, content: &mut dyn Read) -> Result<()> {
        let path = clean(&member.name)?;
        let Some(name) = path.file_name() else { return self.root(member) };
        let is_marker = |name: &[u8]| name.starts_with(b".wh..wh.");
        if path.components().any(|name| is_marker(name) && name != OPAQUE) {
            // Notes that aufs left to itself; every reader leaves them out.
            return Ok(());
        }
        let parent = path.parent().unwrap_or_default();
        if parent.components().any(|name| name.starts_with(WHITEOUT)) {
            return Err(Error::entry(&path, "a folder's name starts with `.wh.`"));
        }
        let parent = self.parent(parent)?;
        match name.strip_prefix(WHITEOUT) {
            _ if name == OPAQUE => self.hide_lower(&parent),
            Some(b"" | b"." | b"..") => Err(Error::entry(&path, "it removes nothing that can have a name")),
            Some(removed) => self.whiteout(parent.child(removed)),
            None => self.place(parent.child(name), member, content),
        }
    }

    /// The entries in path order, whether they stand by themselves on any base, and the sink.
    pub(super) fn finish(mut self) -> Result<(Vec<Placed>, bool, S)> {
        if let Some(Node::Directory { opaque: opaque @ true, .. }) = self.nodes.get_mut(&ImagePath::root()) {
            // An overlay does not look at the marker on its root, so it is said child by child.
            *opaque = false;
            self.hide_root()?;
        }
        let Self { base, rules, sink, nodes, inodes, self_contained, .. } = self;
        let mut first: Vec<Option<ImagePath>> = vec![None; inodes.len()];
        let mut placed = Vec::with_capacity(nodes.len());
        for (path, node) in nodes {
            if path.is_root() && rules == Rules::Archive {
                continue;
            }
            let path = under(&base, path);
            let (entry, named) = match node {
                Node::Directory { opaque, attributes, named, .. } => {
                    (Entry { path, kind: Kind::Directory { opaque }, attributes }, named)
                }
                Node::Whiteout => (Entry::whiteout(path), true),
                Node::Inode(number) => {
                    let Inode { kind, attributes } = &inodes[number];
                    let kind = match &first[number] {
                        Some(target) => Kind::Hardlink { target: target.clone() },
                        None => kind.clone(),
                    };
                    first[number].get_or_insert_with(|| path.clone());
                    (Entry { path, kind, attributes: attributes.clone() }, true)
                }
            };
            placed.push(Placed { entry, named });
        }
        Ok((placed, self_contained, sink))
    }

    fn root(&mut self, member: Member) -> Result<()> {
        let root = ImagePath::root();
        if member.kind != MemberKind::Directory {
            return Err(Error::entry(&root, "the root is a folder"));
        }
        if self.rules == Rules::Layer {
            let attributes = self.attributes(&root, member.attributes)?;
            let opaque = matches!(self.nodes.get(&root), Some(Node::Directory { opaque: true, .. }));
            let covers = self.root_covers();
            self.insert(root, Node::Directory { opaque, attributes, covers, named: true })?;
        }
        Ok(())
    }

    pub(super) fn root_covers(&self) -> bool {
        let opaque = matches!(self.nodes.get(&ImagePath::root()), Some(Node::Directory { opaque: true, .. }));
        !opaque && !self.lower.layers().is_empty()
    }

    fn place(&mut self, path: ImagePath, member: Member, content: &mut dyn Read) -> Result<()> {
        let attributes = self.attributes(&path, member.attributes)?;
        let kind = match member.kind {
            MemberKind::Directory => return self.directory(path, attributes),
            MemberKind::Hardlink { target } => return self.hardlink(path, &target),
            MemberKind::File => {
                self.clear(&path)?;
                let (size, digest) = self.sink.file(&path, content)?;
                Kind::File { size, digest }
            }
            MemberKind::Symlink { target } if target.len() as u64 > limits::MAX_SYMLINK => {
                return Err(Error::limit(&path, "the bytes of a symbolic link", limits::MAX_SYMLINK));
            }
            MemberKind::Symlink { target } => Kind::Symlink { target },
            MemberKind::Fifo => Kind::Fifo,
            MemberKind::CharDevice { major: 0, minor: 0 } => {
                return Err(Error::entry(&path, "the character device 0:0 means that a file is removed"));
            }
            MemberKind::CharDevice { major, minor } => Kind::CharDevice { major, minor },
            MemberKind::BlockDevice { major, minor } => Kind::BlockDevice { major, minor },
        };
        if let Kind::CharDevice { major, minor } | Kind::BlockDevice { major, minor } = kind
            && (major > 0xfff || minor > 0xf_ffff)
        {
            return Err(Error::entry(&path, "its device number is out of range"));
        }
        if !matches!(kind, Kind::File { .. }) {
            self.clear(&path)?;
            self.sink.node(&path, &kind)?;
        }
        self.inodes.push(Inode { kind, attributes });
        self.insert(path, Node::Inode(self.inodes.len() - 1))
    }

    fn directory(&mut self, path: ImagePath, new: Attributes) -> Result<()> {
        match self.nodes.get_mut(&path) {
            Some(Node::Directory { attributes, named, .. }) => {
                *attributes = new;
                *named = true;
                Ok(())
            }
            Some(Node::Whiteout | Node::Inode(_)) => {
                self.clear(&path)?;
                self.sink.directory(&path)?;
                self.insert(path, Node::Directory { opaque: true, attributes: new, covers: false, named: true })
            }
            None => {
                let covers = self.parent_covers(&path) && self.lower_at(&path).is_some_and(Entry::is_directory);
                self.sink.directory(&path)?;
                self.insert(path, Node::Directory { opaque: false, attributes: new, covers, named: true })
            }
        }
    }

    fn hardlink(&mut self, path: ImagePath, target: &[u8]) -> Result<()> {
        let target = clean(target)?;
        let Some(name) = target.file_name() else { return Err(Error::entry(&path, "it is a hard link to a folder")) };
        let (parent, covers) = self.walk(&target.parent().unwrap_or_default(), Walk::Look)?;
        let target = parent.child(name);
        if target.is_within(&path) {
            return Err(Error::entry(&path, "it is a hard link to itself"));
        }
        let missing = || Error::entry(&path, "it is a hard link to a file that is not there yet");
        let number = match self.nodes.get(&target) {
            Some(Node::Inode(number)) => {
                let number = *number;
                self.clear(&path)?;
                self.sink.link(&target, &path)?;
                number
            }
            Some(Node::Directory { .. }) => return Err(Error::entry(&path, "it is a hard link to a folder")),
            Some(Node::Whiteout) => return Err(missing()),
            None if covers => {
                let full = under(&self.base, target);
                let lower = self.lower;
                let found = lower.lookup(&full).and_then(|found| lower.content_of(found)).ok_or_else(missing)?;
                if found.entry.is_directory() {
                    return Err(Error::entry(&path, "it is a hard link to a folder"));
                }
                self.self_contained = false;
                self.clear(&path)?;
                let Entry { kind, attributes, .. } = found.entry;
                match kind {
                    Kind::File { .. } => self.sink.copy_up(&path, found.layer, found.entry)?,
                    kind => self.sink.node(&path, kind)?,
                }
                self.inodes.push(Inode { kind: kind.clone(), attributes: attributes.clone() });
                self.inodes.len() - 1
            }
            None => return Err(missing()),
        };
        self.insert(path, Node::Inode(number))
    }

    fn whiteout(&mut self, path: ImagePath) -> Result<()> {
        match self.nodes.get_mut(&path) {
            // Only lower layers are meant: what this layer has there stays (image-spec, layer.md).
            Some(Node::Directory { opaque, covers, .. }) => {
                *opaque = true;
                *covers = false;
                Ok(())
            }
            Some(Node::Whiteout | Node::Inode(_)) => Ok(()),
            None => self.insert(path, Node::Whiteout),
        }
    }

    fn hide_lower(&mut self, folder: &ImagePath) -> Result<()> {
        if let Some(Node::Directory { opaque, covers, .. }) = self.nodes.get_mut(folder) {
            *opaque = true;
            *covers = false;
            return Ok(());
        }
        // Every folder above a member is a node, but for the root.
        let attributes = self.lower_at(folder).map_or_else(implied, |entry| entry.attributes.clone());
        self.insert(folder.clone(), Node::Directory { opaque: true, attributes, covers: false, named: false })
    }

    /// Hides every child of the lower root that this layer does not have itself.
    fn hide_root(&mut self) -> Result<()> {
        let entries = self.lower.layers().iter().flat_map(|listing| listing.entries());
        let children: Vec<ImagePath> =
            entries.map(|entry| &entry.path).filter(|path| path.components().count() == 1).cloned().collect();
        for child in children.into_iter().filter(|child| self.lower.lookup(child).is_some()) {
            self.self_contained = false;
            self.whiteout(child)?;
        }
        Ok(())
    }

    /// Takes away what this layer has at `path`, and below it.
    pub(super) fn clear(&mut self, path: &ImagePath) -> Result<()> {
        if !self.nodes.contains_key(path) {
            return Ok(());
        }
        let below = self.nodes.range(path.clone()..).map(|(at, _)| at).take_while(|at| at.is_within(path));
        let gone: Vec<ImagePath> = below.cloned().collect();
        for path in gone.into_iter().rev() {
            match self.nodes.remove(&path) {
                Some(Node::Directory { .. }) => self.sink.remove(&path, true)?,
                Some(Node::Inode(_)) => self.sink.remove(&path, false)?,
                // A sink makes whiteouts at the end.
                Some(Node::Whiteout) | None => {}
            }
        }
        Ok(())
    }

    pub(super) fn insert(&mut self, path: ImagePath, node: Node) -> Result<()> {
        if path.file_name().is_some_and(|name| name.starts_with(WHITEOUT)) {
            return Err(Error::entry(&path, "a name that starts with `.wh.` means that a file is removed"));
        }
        check_size(&path)?;
        self.charge(&path, path.as_bytes().len())?;
        self.nodes.insert(path, node);
        if self.nodes.len() as u64 > limits::MAX_ENTRIES {
            return Err(Error::limit(&ImagePath::root(), "the entries of a layer", limits::MAX_ENTRIES));
        }
        Ok(())
    }

    /// Counts what an entry adds to the listing. What is replaced stays counted: it was work too.
    fn charge(&mut self, path: &ImagePath, bytes: usize) -> Result<()> {
        self.listing_size += 64 + bytes as u64;
        if self.listing_size > limits::MAX_LISTING {
            return Err(Error::limit(path, "the bytes of a layer's listing", limits::MAX_LISTING));
        }
        Ok(())
    }

    /// The attributes that are kept.
    fn attributes(&mut self, path: &ImagePath, mut attributes: Attributes) -> Result<Attributes> {
        let rules = self.rules;
        attributes.xattrs.retain(|name, _| match rules {
            Rules::Layer => keeps_xattr(name),
            Rules::Archive => name == b"security.capability",
        });
        for (name, value) in &attributes.xattrs {
            if name.len() as u64 > limits::MAX_NAME {
                return Err(Error::limit(path, "the bytes of an extended attribute's name", limits::MAX_NAME));
            }
            if value.len() as u64 > limits::MAX_XATTR {
                return Err(Error::limit(path, "the bytes of an extended attribute", limits::MAX_XATTR));
            }
        }
        let bytes = attributes.xattrs.iter().map(|(name, value)| name.len() + value.len() * 3).sum();
        self.charge(path, bytes)?;
        Ok(attributes)
    }
}

/// Whether an extended attribute belongs to the image, and not to the file system it was kept on.
pub(super) fn keeps_xattr(name: &[u8]) -> bool {
    let foreign: [&[u8]; 3] = [b"trusted.overlay.", b"user.overlay.", b"security.selinux"];
    !foreign.iter().any(|prefix| name.starts_with(prefix))
}

/// A folder that follows from what lies in it.
pub(super) fn implied() -> Attributes {
    Attributes { mtime: Timestamp::from_secs(LAYER_EPOCH), ..Attributes::of_root(0o755) }
}

pub(super) fn under(base: &ImagePath, path: ImagePath) -> ImagePath {
    if base.is_root() { path } else { base.join(path.as_bytes()) }
}

/// A name in an archive as a path: `..` removes the component before it, and stops at the root.
fn clean(name: &[u8]) -> Result<ImagePath> {
    let path = ImagePath::new(name);
    if name.contains(&0) {
        return Err(Error::entry(&path, "its name has a NUL byte in it"));
    }
    if name.len() as u64 > limits::MAX_PATH {
        return Err(Error::limit(&path, "the bytes of a path", limits::MAX_PATH));
    }
    check_size(&path)?;
    Ok(path)
}

/// A path may have grown when symbolic links were followed.
fn check_size(path: &ImagePath) -> Result<()> {
    if path.as_bytes().len() as u64 > limits::MAX_PATH {
        return Err(Error::limit(path, "the bytes of a path", limits::MAX_PATH));
    }
    if path.components().any(|component| component.len() as u64 > limits::MAX_NAME) {
        return Err(Error::limit(path, "the bytes of a file name", limits::MAX_NAME));
    }
    if path.components().count() as u64 > limits::MAX_DEPTH {
        return Err(Error::limit(path, "the components of a path", limits::MAX_DEPTH));
    }
    Ok(())
}
