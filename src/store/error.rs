//! What can go wrong in the store.

use std::path::PathBuf;

use crate::digest::BlobDigest;
use crate::fsx;

/// A failed store operation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file system call failed.
    #[error(transparent)]
    File(#[from] fsx::Error),
    /// The folder is a store of another version, or something else.
    #[error("`{}` is not an rbuild store of version {expected}: its `version` file says `{found}`", path.display())]
    Version {
        /// The store's folder.
        path: PathBuf,
        /// What this program writes.
        expected: u32,
        /// What the file holds.
        found: String,
    },
    /// The folder belongs to somebody else, or others may write to it.
    #[error("`{}` cannot be used as a store: {problem}", path.display())]
    Unsafe {
        /// The store's folder.
        path: PathBuf,
        /// Whose it is.
        problem: String,
    },
    /// A blob is not in the store.
    #[error("blob {digest} is not in the store")]
    NoBlob {
        /// Its name.
        digest: BlobDigest,
    },
    /// Bytes are not what their name says.
    #[error("blob {expected} is damaged: its bytes hash to {found}")]
    Damaged {
        /// Its name.
        expected: BlobDigest,
        /// The hash of what was read.
        found: BlobDigest,
    },
    /// Waiting for a lock was given up because the build was interrupted.
    #[error("interrupted while waiting for another build")]
    Interrupted,
}

/// The result of a store operation.
pub type Result<T> = std::result::Result<T, Error>;
