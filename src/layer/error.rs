//! What can go wrong between entries, tars and trees.

use std::io;
use std::path::Path;

use crate::digest::DiffId;
use crate::fsx;
use crate::path::ImagePath;
use crate::store::{self, TreeId};
use crate::tree;

/// A failed operation on a layer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A store operation failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A file system call failed.
    #[error(transparent)]
    File(#[from] fsx::Error),
    /// An archive's bytes are no tar, or one that readers do not agree on.
    #[error("the archive is damaged at byte {offset}: {problem}")]
    Tar {
        /// Where in the plain tar the header in question starts.
        offset: u64,
        /// What is wrong there.
        problem: &'static str,
    },
    /// The compressed bytes, or the source they come from, cannot be read.
    #[error("cannot read {what}: {source}")]
    Read {
        /// What was being read.
        what: &'static str,
        /// What the decoder or the system said.
        source: io::Error,
    },
    /// A tar or blob cannot be written.
    #[error("cannot write the layer: {source}")]
    Write {
        /// What the system said.
        source: io::Error,
    },
    /// An entry cannot be in a layer.
    #[error("`{path}` cannot be in a layer: {problem}")]
    Entry {
        /// The entry.
        path: ImagePath,
        /// Why not.
        problem: &'static str,
    },
    /// The layer asks for more than a limit allows.
    #[error("`{path}` goes beyond a limit: {what} may be at most {limit}")]
    Limit {
        /// The entry that does.
        path: ImagePath,
        /// What is counted.
        what: &'static str,
        /// How much is allowed.
        limit: u64,
    },
    /// A file's content cannot be read.
    #[error("cannot read the content of `{path}`: {source}")]
    Content {
        /// The file.
        path: ImagePath,
        /// What its source said.
        source: io::Error,
    },
    /// A file does not hold the bytes its entry names.
    #[error("`{path}` changed while it was read")]
    Changed {
        /// The file.
        path: ImagePath,
    },
    /// A plain tar is not the one that the image names.
    #[error("the layer's content hashes to {found}, but the image says {expected}")]
    DiffId {
        /// As the image's config says.
        expected: DiffId,
        /// As its bytes say.
        found: DiffId,
    },
    /// A media type that is no layer this program can read.
    #[error("layers of media type `{media_type}` cannot be read")]
    MediaType {
        /// As the manifest says.
        media_type: String,
    },
    /// A layer that nothing knows the content of.
    #[error("layer {diff_id} is not in the store in any form")]
    Missing {
        /// Its name.
        diff_id: DiffId,
    },
    /// A tree whose listing is not in the store.
    #[error("the listing of `{tree}` is not in the store")]
    NoListing {
        /// Its name.
        tree: TreeId,
    },
    /// A tree whose listing was damaged.
    #[error("the listing of `{tree}` was damaged and is removed; hint: build again, and what it was of is made again")]
    LostListing {
        /// Its name.
        tree: TreeId,
    },
    /// A listing that cannot be read back.
    #[error("the listing of `{tree}` is damaged: {source}")]
    Listing {
        /// The tree it lists.
        tree: TreeId,
        /// What is wrong.
        source: tree::Error,
    },
    /// A layer record that cannot be read back.
    #[error("the record of layer {diff_id} is damaged: {source}")]
    Record {
        /// The layer.
        diff_id: DiffId,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// A tree that is not what its listing says.
    #[error("`{tree}` is damaged at `{path}`: {problem}")]
    DamagedTree {
        /// The tree.
        tree: TreeId,
        /// Where.
        path: ImagePath,
        /// What differs.
        problem: &'static str,
    },
}

/// The result of an operation on a layer.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A refused entry.
    pub(super) fn entry(path: &ImagePath, problem: &'static str) -> Self {
        Self::Entry { path: path.clone(), problem }
    }

    /// An entry beyond a limit.
    pub(super) fn limit(path: &ImagePath, what: &'static str, limit: u64) -> Self {
        Self::Limit { path: path.clone(), what, limit }
    }

    /// A failed call on a path of an image inside `root`.
    pub(super) fn call(action: &'static str, root: &Path, path: &ImagePath) -> impl FnOnce(rustix::io::Errno) -> Self {
        let path = path.in_dir(root);
        move |errno| Self::File(fsx::Error { action, path, source: errno.into() })
    }
}
