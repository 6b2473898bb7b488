//! Where copied files land in a root filesystem, worked out on listings alone: nothing is mounted or written.
//!
//! Every look at the root filesystem is kept as a fact, so that the resulting layer can be used again wherever the same
//! facts hold.
//!
//! # References
//! fsutil `copy/copy.go` (destinations, parents, what replaces what); continuity `fs.RootPath` (symlinks).

use std::collections::BTreeMap;

use crate::context::Role;
use crate::path::ImagePath;
use crate::plan::Chmod;
use crate::tree::{Attributes, Entry, Fact, Kind, Stack, Timestamp};

const MAX_SYMLINKS: usize = 40;

/// Why a file cannot go where it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// A folder is in the way of a file.
    #[error("cannot replace the folder {path} by a file")]
    FolderInTheWay {
        /// Where.
        path: ImagePath,
    },
    /// A folder is to be made where something else is.
    #[error("cannot make the folder {path}: there is a file, link or device of that name")]
    NotAFolder {
        /// Where.
        path: ImagePath,
    },
    /// Symlinks lead in a circle.
    #[error("too many levels of symbolic links in {path}")]
    Loop {
        /// The path being resolved.
        path: ImagePath,
    },
}

/// One thing to be copied.
#[derive(Debug)]
pub struct Item<C> {
    /// Its place below the destination; the root is the source itself.
    pub relative: ImagePath,
    /// What it is. Hard links are given as what they name, with a group.
    pub kind: Kind,
    /// Its attributes at the source.
    pub attributes: Attributes,
    /// Why it is copied.
    pub role: Role,
    /// Items of one group are names of one file, within one `Placer::copy`.
    pub link_group: Option<u64>,
    /// Where a file's content comes from.
    pub content: Option<C>,
}

/// How copied things are changed on the way.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// Owner and group of everything copied or made.
    pub owner: Option<(u32, u32)>,
    /// Mode of everything copied or made, but for symlinks.
    pub chmod: Option<Chmod>,
}

#[derive(Debug)]
struct Placed<C> {
    entry: Entry,
    content: Option<C>,
    /// The number of the source, and the group in it.
    link_group: Option<(u64, u64)>,
    /// Nothing was there before, so nothing can be below it but what is placed here.
    fresh: bool,
}

/// The entries of a layer in the making.
#[derive(Debug)]
pub struct Placer<'a, C> {
    lower: Option<&'a Stack>,
    changes: Changes,
    placed: BTreeMap<ImagePath, Placed<C>>,
    facts: BTreeMap<ImagePath, Fact>,
    /// The other names of what an archive brought, by the name that holds it.
    names: BTreeMap<ImagePath, Vec<ImagePath>>,
    sources: u64,
}

enum Node {
    Directory,
    Symlink(Vec<u8>),
    Other,
}

impl<'a, C> Placer<'a, C> {
    /// Starts a layer over `lower`; none means that the layer must not depend on what is below it (`--link`).
    pub fn new(lower: Option<&'a Stack>, changes: Changes) -> Self {
        let (placed, facts, names) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { lower, changes, placed, facts, names, sources: 0 }
    }

    /// Copies one source: a file or link called `name`, or the content of a folder.
    ///
    /// `items` are in path order; the first is the source itself, with the root as its relative path. `destination` is
    /// absolute; a trailing slash says that it is a folder.
    pub fn copy(&mut self, name: &[u8], items: Vec<Item<C>>, destination: &[u8]) -> Result<(), PlaceError> {
        self.sources += 1;
        let source_is_folder = items.first().is_some_and(|item| matches!(item.kind, Kind::Directory { .. }));
        let target = self.prepare_target(name, source_is_folder, destination)?;
        for item in items {
            self.copy_item(&target, item)?;
        }
        Ok(())
    }

    /// Makes a folder and those above it, as far as they are missing. Symlinks on the way are followed.
    pub fn make_folder(&mut self, path: &[u8]) -> Result<ImagePath, PlaceError> {
        let resolved = self.resolve(path)?;
        self.make_folders(&resolved)?;
        Ok(resolved)
    }

    /// As `make_folder`, but what is made has the mode of every folder: `--chmod` does not reach archives.
    pub fn make_plain_folder(&mut self, path: &[u8]) -> Result<ImagePath, PlaceError> {
        let chmod = self.changes.chmod.take();
        let made = self.make_folder(path);
        self.changes.chmod = chmod;
        made
    }

    /// Puts an entry of an unpacked archive at its place, which was found on the same root filesystem.
    pub fn put(&mut self, entry: Entry, content: C) {
        let path = entry.path.clone();
        if !entry.is_directory() {
            self.forget_below(&path);
        }
        let fresh = self.look(&path).is_none();
        self.leave_names(&path);
        if let Kind::Hardlink { target } = &entry.kind {
            self.names.entry(target.clone()).or_default().push(path.clone());
        }
        self.placed.insert(path, Placed { entry, content: Some(content), link_group: None, fresh });
    }

    /// The finished entries, self-contained: parents as they are below, each group of hard links headed by its first name.
    /// And every fact that was used.
    pub fn finish(mut self) -> (Vec<(Entry, Option<C>)>, Vec<Fact>) {
        self.add_parents();
        self.join_links();
        let entries = self.placed.into_values().map(|placed| (placed.entry, placed.content)).collect();
        (entries, self.facts.into_values().collect())
    }

    /// Notes that the result depends on the file that `path` leads to. Comes before anything is placed.
    pub fn depend_on_file(&mut self, path: &ImagePath) -> Result<(), PlaceError> {
        let resolved = self.resolve(path.as_bytes())?;
        self.depend_on(&resolved);
        Ok(())
    }

    /// Notes that the result depends on what is at `path`.
    fn depend_on(&mut self, path: &ImagePath) {
        if let Some(lower) = self.lower {
            self.facts.insert(path.clone(), lower.fact(path));
        }
    }

    fn prepare_target(&mut self, name: &[u8], is_folder: bool, destination: &[u8]) -> Result<ImagePath, PlaceError> {
        let cut = destination.iter().rposition(|&b| b == b'/').map_or(0, |at| at + 1);
        let ensure = match &destination[cut..] {
            b"" | b"." => destination,
            _ => &destination[..cut],
        };
        let ensured = self.resolve(ensure)?;
        self.make_folders(&ensured)?;
        let mut target = self.resolve(destination)?;
        let there = self.look(&target);
        if !is_folder && (target.is_root() || matches!(there, Some(Node::Directory))) {
            target = target.child(name);
        }
        let needed = if is_folder && there.is_none() { Some(target.clone()) } else { target.parent() };
        self.make_folders(&needed.unwrap_or_default())?;
        Ok(target)
    }

    fn copy_item(&mut self, target: &ImagePath, item: Item<C>) -> Result<(), PlaceError> {
        let path = target.join(item.relative.as_bytes());
        let there = self.look(&path);
        let is_new = there.is_none();
        let is_folder = matches!(item.kind, Kind::Directory { .. });
        match (&there, is_folder) {
            // The source folder's own mode and owner are never carried over: its content is copied.
            (Some(Node::Directory), true) if item.relative.is_root() => return Ok(()),
            (Some(Node::Directory), false) => return Err(PlaceError::FolderInTheWay { path }),
            (Some(Node::Symlink(_) | Node::Other), true) => return Err(PlaceError::NotAFolder { path }),
            _ => {}
        }
        let attributes = match (there, item.role) {
            // Not `--chmod`, not `--chown`: BuildKit gives such a folder the source's mode and leaves the rest.
            (Some(Node::Directory), Role::Above) => Attributes { mode: item.attributes.mode, ..self.attributes(&path) },
            _ => self.changed(item.attributes, &item.kind, is_folder),
        };
        let kind = if is_folder { Kind::Directory { opaque: false } } else { item.kind };
        let link_group = item.link_group.map(|group| (self.sources, group));
        let fresh = self.placed.get(&path).map_or(is_new, |placed| placed.fresh);
        self.leave_names(&path);
        let entry = Entry { path: path.clone(), kind, attributes };
        self.placed.insert(path, Placed { entry, content: item.content, link_group, fresh });
        Ok(())
    }

    fn make_folders(&mut self, path: &ImagePath) -> Result<(), PlaceError> {
        let missing: Vec<ImagePath> = path.ancestors().chain(std::iter::once(path.clone())).collect();
        for folder in missing.into_iter().filter(|folder| !folder.is_root()) {
            match self.look(&folder) {
                Some(Node::Directory) => {}
                Some(Node::Symlink(_) | Node::Other) => return Err(PlaceError::NotAFolder { path: folder }),
                None => {
                    let made = Attributes { mtime: MADE, ..Attributes::of_root(0o755) };
                    let attributes = self.changed(made, &Kind::Directory { opaque: false }, true);
                    let mode = attributes.mode & 0o777;
                    let entry = Entry::directory(folder.clone(), Attributes { mode, ..attributes });
                    self.placed.insert(folder, Placed { entry, content: None, link_group: None, fresh: true });
                }
            }
        }
        Ok(())
    }

    fn changed(&self, mut attributes: Attributes, kind: &Kind, is_folder: bool) -> Attributes {
        if let Some((uid, gid)) = self.changes.owner {
            (attributes.uid, attributes.gid) = (uid, gid);
        }
        if let Some(chmod) = &self.changes.chmod
            && !matches!(kind, Kind::Symlink { .. })
        {
            attributes.mode = chmod.apply(attributes.mode, is_folder);
        }
        attributes
    }

    /// What is at `path` now, its own symlinks not followed.
    fn look(&mut self, path: &ImagePath) -> Option<Node> {
        if path.is_root() {
            return Some(Node::Directory);
        }
        if let Some(placed) = self.placed.get(path) {
            let kind = match &placed.entry.kind {
                Kind::Hardlink { target } => &self.placed.get(target).unwrap_or(placed).entry.kind,
                kind => kind,
            };
            return node(kind);
        }
        let above = path.ancestors();
        let mut placed_above = above.filter_map(|ancestor| self.placed.get(&ancestor));
        if placed_above.any(|placed| placed.fresh || !placed.entry.is_directory()) {
            return None;
        }
        let lower = self.lower?;
        self.facts.entry(path.clone()).or_insert_with(|| lower.shape(path));
        lower.lookup(path).and_then(|found| lower.content_of(found)).and_then(|found| node(&found.entry.kind))
    }

    /// The attributes of the folder at `path` as it is now.
    fn attributes(&self, path: &ImagePath) -> Attributes {
        let below = || Some(&self.lower?.lookup(path)?.entry.attributes);
        let found = self.placed.get(path).map(|placed| &placed.entry.attributes).or_else(below);
        found.cloned().unwrap_or(Attributes { mtime: MADE, ..Attributes::of_root(0o755) })
    }

    /// Where `path` leads when the symlinks in it are followed inside the root.
    fn resolve(&mut self, path: &[u8]) -> Result<ImagePath, PlaceError> {
        let reversed = |path: &[u8]| path.rsplit(|&b| b == b'/').map(<[u8]>::to_vec).collect::<Vec<_>>();
        let mut pending = reversed(path);
        let mut at = ImagePath::root();
        let mut followed = 0;
        while let Some(component) = pending.pop() {
            match component.as_slice() {
                b"" | b"." => {}
                b".." => at = at.parent().unwrap_or_default(),
                name => {
                    let next = at.child(name);
                    match self.look(&next) {
                        Some(Node::Symlink(target)) => {
                            followed += 1;
                            if followed > MAX_SYMLINKS {
                                return Err(PlaceError::Loop { path: ImagePath::new(path) });
                            }
                            if target.first() == Some(&b'/') {
                                at = ImagePath::root();
                            }
                            pending.extend(reversed(&target));
                        }
                        _ => at = next,
                    }
                }
            }
        }
        Ok(at)
    }

    fn forget_below(&mut self, path: &ImagePath) {
        let range = self.placed.range(path.clone()..);
        let below: Vec<ImagePath> = range.map(|(p, _)| p.clone()).take_while(|p| p.is_within(path)).collect();
        for gone in below.into_iter().filter(|p| p != path) {
            self.leave_names(&gone);
            self.placed.remove(&gone);
        }
    }

    /// What is at `path` goes; if it has other names, the first of them holds it from now on.
    fn leave_names(&mut self, path: &ImagePath) {
        let Some(mut names) = self.names.remove(path) else { return };
        let is_name = |kind: &Kind| matches!(kind, Kind::Hardlink { target } if target == path);
        names.retain(|name| self.placed.get(name).is_some_and(|placed| is_name(&placed.entry.kind)));
        let Some(gone) = self.placed.get_mut(path).filter(|_| !names.is_empty()) else { return };
        let (mut kind, mut content) = (gone.entry.kind.clone(), gone.content.take());
        let heir = names.remove(0);
        for name in std::iter::once(&heir).chain(&names) {
            if let Some(placed) = self.placed.get_mut(name) {
                placed.entry.kind = std::mem::replace(&mut kind, Kind::Hardlink { target: heir.clone() });
                placed.content = content.take();
            }
        }
        self.names.insert(heir, names);
    }

    fn add_parents(&mut self) {
        let mut parents: BTreeMap<ImagePath, Entry> = BTreeMap::new();
        for path in self.placed.keys() {
            for above in path.ancestors().filter(|above| !self.placed.contains_key(above)) {
                if !parents.contains_key(&above) {
                    let attributes = self.attributes(&above);
                    parents.insert(above.clone(), Entry::directory(above, attributes));
                }
            }
        }
        for (path, entry) in parents {
            self.depend_on(&path);
            self.placed.insert(path, Placed { entry, content: None, link_group: None, fresh: false });
        }
    }

    fn join_links(&mut self) {
        let mut heads: BTreeMap<(u64, u64), ImagePath> = BTreeMap::new();
        for (path, placed) in &mut self.placed {
            let Some(group) = placed.link_group else { continue };
            match heads.get(&group) {
                None => {
                    heads.insert(group, path.clone());
                }
                Some(head) => {
                    placed.entry.kind = Kind::Hardlink { target: head.clone() };
                    placed.content = None;
                }
            }
        }
    }
}

fn node(kind: &Kind) -> Option<Node> {
    match kind {
        Kind::Directory { .. } => Some(Node::Directory),
        Kind::Symlink { target } => Some(Node::Symlink(target.clone())),
        Kind::Whiteout => None,
        Kind::File { .. } | Kind::Hardlink { .. } | Kind::Fifo | Kind::CharDevice { .. } | Kind::BlockDevice { .. } => {
            Some(Node::Other)
        }
    }
}

/// The time of an entry that the build itself makes: it must not depend on the clock.
pub const MADE: Timestamp = Timestamp::from_secs(315_532_800);
