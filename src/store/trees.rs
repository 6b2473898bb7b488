//! Trees: unpacked layers, the lower folders of an overlay.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{MutexGuard, PoisonError};

use super::{Error, Object, Result, Store};
use crate::digest::{BlobDigest, ChainId, DiffId, Sha256Name as _};
use crate::fsx::{self, At as _};

/// What a tree unpacks.
///
/// A layer is self-contained if every parent folder has its own entry, no path crosses a symlink of a lower layer, and no
/// hard link's target lies below; its tree is the same on every base. Any other layer's tree belongs to its whole stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TreeId {
    /// A self-contained layer.
    Layer(DiffId),
    /// The top layer of this stack.
    Chain(ChainId),
}

impl TreeId {
    /// Reads what `Display` writes.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (kind, hex) = text.split_once('-')?;
        let digest: BlobDigest = format!("sha256:{hex}").parse().ok()?;
        match kind {
            "layer" => Some(TreeId::Layer(DiffId::from_sha256(*digest.as_bytes()))),
            "chain" => Some(TreeId::Chain(ChainId::from_sha256(*digest.as_bytes()))),
            _ => None,
        }
    }
}

impl fmt::Display for TreeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TreeId::Layer(diff_id) => write!(f, "layer-{}", diff_id.hex()),
            TreeId::Chain(chain_id) => write!(f, "chain-{}", chain_id.hex()),
        }
    }
}

/// The file beside `fs/` that says that the tree was synced.
pub(super) const DURABLE: &str = "durable";

/// Whether a tree's files can be used as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// This process made it, or a marker says that it was synced.
    Trusted,
    /// Another process made it and may have lost power: compare it with its listing before use.
    Unverified,
}

/// A tree in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// Its name.
    pub id: TreeId,
    /// The folder with the files.
    pub fs: PathBuf,
    /// Whether the files can be used as they are.
    pub trust: Trust,
}

/// A tree on its way into the store; dropped, it is removed.
#[must_use = "a tree that is not committed is removed"]
pub struct TreeDraft {
    store: Store,
    folder: PathBuf,
}

impl Store {
    /// Starts a tree: an empty folder `fs()`, mode 0755, and an empty `work()` beside it.
    pub fn tree_draft(&self) -> Result<TreeDraft> {
        let folder = self.temporary("tree")?;
        let draft = TreeDraft { store: self.clone(), folder };
        for path in [draft.folder.clone(), draft.fs(), draft.work()] {
            DirBuilder::new().mode(0o700).create(&path).at("create the folder", &path)?;
        }
        std::fs::set_permissions(draft.fs(), Permissions::from_mode(0o755)).at("change the mode of", &draft.fs())?;
        Ok(draft)
    }

    /// The tree of that name, if it is here.
    pub fn tree(&self, id: TreeId) -> Result<Option<Tree>> {
        self.hold(&Object::Tree(id))?;
        let folder = self.tree_folder(id);
        let fs = folder.join("fs");
        match std::fs::symlink_metadata(&fs) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).at("stat", &fs).map_err(Error::from),
        }
        let own = self.own().contains(&id);
        let trust = if own || folder.join(DURABLE).exists() { Trust::Trusted } else { Trust::Unverified };
        Ok(Some(Tree { id, fs, trust }))
    }

    /// Says that this process compared the tree with its listing, file by file: it is trusted, and marked at the next sync.
    pub fn trust_tree(&self, id: TreeId) {
        self.own().insert(id);
    }

    /// Removes a tree, by way of the trash, so that it is never seen half removed.
    pub fn remove_tree(&self, id: TreeId) -> Result<()> {
        self.own().remove(&id);
        let trash = self.trash_path();
        match fsx::rename(&self.tree_folder(id), &trash) {
            Err(error) if error.is_not_found() => return Ok(()),
            other => other?,
        }
        Ok(fsx::remove_tree(&trash)?)
    }

    pub(super) fn own(&self) -> MutexGuard<'_, BTreeSet<TreeId>> {
        self.own_trees.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tree_folder(&self, id: TreeId) -> PathBuf {
        tree_folder(self.root(), id)
    }
}

pub(super) fn tree_folder(store: &Path, id: TreeId) -> PathBuf {
    store.join("trees").join(id.to_string())
}

impl TreeDraft {
    /// The folder that becomes the tree.
    pub fn fs(&self) -> PathBuf {
        self.folder.join("fs")
    }

    /// An empty folder on the same file system, for overlayfs; it does not become part of the tree.
    pub fn work(&self) -> PathBuf {
        self.folder.join("work")
    }

    /// Names the tree. If one of that name is there already, that one stays and this one is removed.
    pub fn commit(self, id: TreeId) -> Result<Tree> {
        fsx::remove_tree(&self.work())?;
        if let Some(tree) = self.name(id)? {
            return Ok(tree);
        }
        // What has the name has no `fs/`: damaged by somebody, and in the way.
        self.store.remove_tree(id)?;
        self.name(id)?.ok_or_else(|| {
            let gone = io::Error::from(io::ErrorKind::NotFound);
            fsx::Error { action: "find", path: self.store.tree_folder(id), source: gone }.into()
        })
    }

    fn name(&self, id: TreeId) -> Result<Option<Tree>> {
        self.store.hold(&Object::Tree(id))?;
        let target = self.store.tree_folder(id);
        match std::fs::rename(&self.folder, &target) {
            Ok(()) => self.store.trust_tree(id),
            Err(error) if matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists) => {}
            Err(error) => return Err(error).at("rename to", &target).map_err(Error::from),
        }
        self.store.tree(id)
    }
}

impl Drop for TreeDraft {
    fn drop(&mut self) {
        // After a commit the folder has moved; otherwise a leftover in tmp/ is removed by a sweep.
        let _unused = fsx::remove_tree(&self.folder);
    }
}
