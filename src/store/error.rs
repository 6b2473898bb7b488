//! What can go wrong in the store.

use std::io::ErrorKind;
use std::path::PathBuf;

use crate::digest::BlobDigest;
use crate::fsx;

/// A failed store operation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file system call failed.
    #[error(transparent)]
    File(fsx::Error),
    /// There is no space left, or the quota is used up.
    #[error("{0}; hint: `rbuild prune` makes room in the store, also when nothing is free")]
    Full(fsx::Error),
    /// The store, or a part of it, may not be written.
    #[error("{0}; hint: the store must be a folder that you own and can write to; name another one with `--store DIR`")]
    Unwritable(fsx::Error),
    /// The folder is a store of another version, or something else.
    #[error("`{}` is not an rbuild store of version {expected}: its `version` file says `{found}`; name another folder", path.display())]
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
    #[error(
        "blob {expected} is damaged: its bytes hash to {found}; hint: build again, and it is made or fetched anew; `rbuild fsck` finds all that is damaged"
    )]
    Damaged {
        /// Its name.
        expected: BlobDigest,
        /// The hash of what was read.
        found: BlobDigest,
    },
    /// A record's name is empty or too long for a file name.
    #[error("a record cannot be named `{name}`: that takes {length} bytes as a file name, not 1 to {limit}")]
    Name {
        /// The name, cut to 100 characters.
        name: String,
        /// Its length after escaping.
        length: usize,
        /// The most a name may have.
        limit: usize,
    },
    /// A lease holds something that is not an object's name; nothing is collected, because it may be a newer program's.
    #[error("the lease `{}` holds `{line}`, which names no object; nothing was removed", path.display())]
    Lease {
        /// Its file.
        path: PathBuf,
        /// The line.
        line: String,
    },
    /// Waiting for a lock was given up because the build was interrupted.
    #[error("interrupted while waiting for another build")]
    Interrupted,
}

impl From<fsx::Error> for Error {
    fn from(error: fsx::Error) -> Self {
        match error.source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::Full(error),
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Self::Unwritable(error),
            _ => Self::File(error),
        }
    }
}

/// The result of a store operation.
pub type Result<T> = std::result::Result<T, Error>;
