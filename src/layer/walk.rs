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
        let mut above: Vec<(ImagePath, bool)> = vec![(ImagePath::root(), self.root_covers())];
        let mut followed = 0;
        while let Some(name) = pending.pop() {
            if name.is_empty() || name == b"." {
                continue;
            }
            if name == b".." {
                above.truncate(above.len().max(2) - 1);
                continue;
            }
            let (here, covers) = above.last().expect("the root is never taken away");
            let (next, covers) = (here.child(&name), *covers);
            self.charge_walk(path, &next, covers)?;
            let Some(target) = self.step(&next, covers, walk, &mut above)? else { continue };
            followed += 1;
            if followed > limits::MAX_SYMLINKS {
                return Err(Error::limit(path, "the symbolic links in a path", limits::MAX_SYMLINKS));
            }
            if target.first() == Some(&b'/') {
                above.truncate(1);
            }
            pending.extend(target.rsplit(|&b| b == b'/').map(<[u8]>::to_vec));
        }
        Ok(above.pop().expect("the root is never taken away"))
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
    fn step(
        &mut self,
        next: &ImagePath,
        covers: bool,
        walk: Walk,
        above: &mut Vec<(ImagePath, bool)>,
    ) -> Result<Option<Vec<u8>>> {
        let blocked = || Error::entry(next, "something lies in it, but it is no folder");
        let (attributes, opaque, covers) = match self.nodes.get(next) {
            Some(Node::Directory { covers, .. }) => {
                above.push((next.clone(), *covers));
                return Ok(None);
            }
            Some(Node::Inode(number)) => match &self.inodes[*number].kind {
                Kind::Symlink { target } => return Ok(Some(target.clone())),
                _ => return Err(blocked()),
            },
            Some(Node::Whiteout) => (implied(), true, false),
            None => match self.lower_at(next).filter(|_| covers) {
                Some(Entry { kind: Kind::Directory { .. }, attributes, .. }) => (attributes.clone(), false, true),
                Some(Entry { kind: Kind::Symlink { target }, .. }) => {
                    self.self_contained = false;
                    return Ok(Some(target.clone()));
                }
                Some(_) => return Err(blocked()),
                None => (implied(), false, false),
            },
        };
        if walk == Walk::Make {
            // On another base this folder could look otherwise.
            self.self_contained = false;
            if matches!(self.nodes.get(next), Some(Node::Whiteout)) {
                self.clear(next)?;
            }
            self.sink.directory(next)?;
            self.insert(next.clone(), Node::Directory { opaque, attributes, covers, named: false })?;
        }
        above.push((next.clone(), covers));
        Ok(None)
    }

    pub(super) fn parent_covers(&self, path: &ImagePath) -> bool {
        match path.parent().filter(|parent| !parent.is_root()) {
            None => self.root_covers(),
            Some(parent) => matches!(self.nodes.get(&parent), Some(Node::Directory { covers: true, .. })),
        }
    }

    pub(super) fn lower_at(&self, path: &ImagePath) -> Option<&'a Entry> {
        let lower = self.lower;
        if lower.layers().is_empty() {
            return None;
        }
        lower.lookup(&under(&self.base, path.clone())).map(|found| found.entry)
    }
}
