//! Follows paths through this layer and the ones below it, symbolic links included, without leaving the root.

use super::place::{Node, Placement, implied, under};
use super::sink::Sink;
use super::{Error, Result, limits};
use crate::path::ImagePath;
use crate::tree::{Entry, Kind};

/// Whether a walk makes the folders it passes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Walk {
    Make,
    Look,
}

/// What is at the next component.
enum Step {
    /// A folder, and whether a lower one shows through.
    Folder(ImagePath, bool),
    /// A symbolic link, and where it points.
    Symlink(Vec<u8>),
}

impl<'a, S: Sink> Placement<'a, S> {
    pub(super) fn parent(&mut self, folder: ImagePath) -> Result<ImagePath> {
        // Above a node are folders only, so its path leads through no symbolic link.
        if matches!(self.nodes.get(&folder), Some(Node::Directory { .. })) {
            return Ok(folder);
        }
        Ok(self.walk(&folder, Walk::Make)?.0)
    }

    /// Follows `path` to a folder, symbolic links included, without leaving the root. The folder, and whether a lower one
    /// shows through.
    pub(super) fn walk(&mut self, path: &ImagePath, walk: Walk) -> Result<(ImagePath, bool)> {
        let mut pending: Vec<Vec<u8>> = path.components().map(<[u8]>::to_vec).collect();
        pending.reverse();
        let mut at = (ImagePath::root(), self.root_covers());
        let mut followed = 0;
        let mut turned = true;
        loop {
            if std::mem::take(&mut turned) {
                at = self.jump(path, at, &mut pending)?;
            }
            let Some(name) = pending.pop() else { return Ok(at) };
            if name.is_empty() || name == b"." {
                turned = true;
                continue;
            }
            if name == b".." {
                turned = true;
                let parent = at.0.parent().unwrap_or_default();
                let covers = self.covers(&parent);
                at = (parent, covers);
                continue;
            }
            let next = at.0.child(&name);
            self.charge_walk(path, &next, at.1)?;
            let target = match self.step(next, at.1, walk)? {
                Step::Folder(next, covers) => {
                    at = (next, covers);
                    continue;
                }
                Step::Symlink(target) => target,
            };
            turned = true;
            followed += 1;
            if followed > limits::MAX_SYMLINKS {
                return Err(Error::limit(path, "the symbolic links in a path", limits::MAX_SYMLINKS));
            }
            if target.first() == Some(&b'/') {
                at = (ImagePath::root(), self.root_covers());
            }
            pending.extend(target.rsplit(|&b| b == b'/').map(<[u8]>::to_vec));
        }
    }

    /// Goes as far as this layer's own folders lead: above a folder are folders only, so halving finds the deepest one.
    fn jump(
        &mut self,
        whole: &ImagePath,
        at: (ImagePath, bool),
        pending: &mut Vec<Vec<u8>>,
    ) -> Result<(ImagePath, bool)> {
        let plain = pending.iter().rev().take_while(|name| !matches!(name.as_slice(), b"" | b"." | b"..")).count();
        // The ends of the paths after each of the plain names.
        let mut path = at.0.as_bytes().to_vec();
        let mut ends = Vec::with_capacity(plain);
        for name in pending.iter().rev().take(plain) {
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(name);
            ends.push(path.len());
        }
        let (mut known, mut unknown) = (0, plain);
        let mut found = at;
        while known < unknown {
            let middle = (known + unknown).div_ceil(2);
            let candidate = ImagePath::new(&path[..ends[middle - 1]]);
            self.charge_walk(whole, &candidate, false)?;
            match self.nodes.get(&candidate) {
                Some(Node::Directory { covers, .. }) => {
                    known = middle;
                    found = (candidate, *covers);
                }
                _ => unknown = middle - 1,
            }
        }
        pending.truncate(pending.len() - known);
        Ok(found)
    }

    /// Whether a lower folder shows through at `path`, which was passed on the way down.
    fn covers(&self, path: &ImagePath) -> bool {
        let mut at = path.clone();
        while !at.is_root() {
            if let Some(node) = self.nodes.get(&at) {
                let below = at == *path || self.lower_at(path).is_some_and(Entry::is_directory);
                return below && matches!(node, Node::Directory { covers: true, .. });
            }
            at = at.parent().unwrap_or_default();
        }
        self.root_covers() && (path.is_root() || self.lower_at(path).is_some_and(Entry::is_directory))
    }

    /// Counts a look at `next`. Without it, short names that lead far through symbolic links would cost minutes.
    fn charge_walk(&mut self, path: &ImagePath, next: &ImagePath, covers: bool) -> Result<()> {
        let length = next.as_bytes().len() as u64;
        let below = match self.nodes.contains_key(next) || !covers {
            true => 0,
            // Each lower layer is asked for each component.
            false => self.lower.layers().len() as u64 * next.components().count() as u64,
        };
        self.walked = self.walked.saturating_add(length * (1 + below));
        if self.walked > limits::MAX_WALK {
            return Err(Error::limit(path, "the bytes of all paths followed", limits::MAX_WALK));
        }
        Ok(())
    }

    /// Enters the folder `next`, or returns where the symbolic link there points.
    fn step(&mut self, next: ImagePath, covers: bool, walk: Walk) -> Result<Step> {
        let blocked = || Error::entry(&next, "something lies in it, but it is no folder");
        let (attributes, opaque, covers) = match self.nodes.get(&next) {
            Some(Node::Directory { covers, .. }) => {
                let covers = *covers;
                return Ok(Step::Folder(next, covers));
            }
            Some(Node::Inode(number)) => match &self.inodes[*number].kind {
                Kind::Symlink { target } => return Ok(Step::Symlink(target.clone())),
                _ => return Err(blocked()),
            },
            Some(Node::Whiteout) => (implied(), true, false),
            None => match self.lower_at(&next).filter(|_| covers) {
                Some(Entry { kind: Kind::Directory { .. }, attributes, .. }) => (attributes.clone(), false, true),
                Some(Entry { kind: Kind::Symlink { target }, .. }) => {
                    self.self_contained = false;
                    return Ok(Step::Symlink(target.clone()));
                }
                Some(_) => return Err(blocked()),
                None => (implied(), false, false),
            },
        };
        if walk == Walk::Make {
            // On another base this folder could look otherwise.
            self.self_contained = false;
            if matches!(self.nodes.get(&next), Some(Node::Whiteout)) {
                self.clear(&next)?;
            }
            self.sink.directory(&next)?;
            self.insert(next.clone(), Node::Directory { opaque, attributes, covers, named: false })?;
        }
        Ok(Step::Folder(next, covers))
    }

    pub(super) fn parent_covers(&self, path: &ImagePath) -> bool {
        match path.parent().filter(|parent| !parent.is_root()) {
            None => self.root_covers(),
            Some(parent) => matches!(self.nodes.get(&parent), Some(Node::Directory { covers: true, .. })),
        }
    }

    /// What is at `path` in the lower layers; of a hard link what it names.
    pub(super) fn lower_at(&self, path: &ImagePath) -> Option<&'a Entry> {
        let lower = self.lower;
        if lower.layers().is_empty() {
            return None;
        }
        let found = lower.lookup(&under(&self.base, path.clone()))?;
        lower.content_of(found).map(|found| found.entry)
    }
}
