//! What can go wrong when an image leaves the store.

use std::io;
use std::path::{Path, PathBuf};

use crate::digest::BlobDigest;
use crate::fsx;
use crate::image;
use crate::store;

/// A failed export.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file system call failed.
    #[error(transparent)]
    File(#[from] fsx::Error),
    /// The store failed, or a blob in it is damaged.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A document of the image could not be written.
    #[error(transparent)]
    Document(#[from] image::Error),
    /// A layer could not be read from the store.
    #[error("cannot read blob {digest} from the store: {source}")]
    Read {
        /// The layer's blob.
        digest: BlobDigest,
        /// What the system said.
        source: io::Error,
    },
    /// Whoever takes the bytes took no more.
    #[error("cannot write the archive: {source}")]
    Write {
        /// What the system said.
        source: io::Error,
    },
    /// The store's blob is not as long as the manifest says.
    #[error("blob {digest} has {found} bytes in the store, but the image's manifest says {expected}")]
    Size {
        /// The layer's blob.
        digest: BlobDigest,
        /// In the manifest.
        expected: u64,
        /// In the store.
        found: u64,
    },
    /// A name under which nothing can be loaded.
    #[error("an image cannot be exported as `{name}`: the name needs a tag and no digest")]
    Name {
        /// As it was given.
        name: String,
    },
    /// Two images of one export have the same name.
    #[error("two different images cannot both be exported as `{name}`")]
    TwoImages {
        /// The name.
        name: String,
    },
    /// There is no image to export.
    #[error("there is no image to export")]
    Nothing,
    /// The output is somebody else's file.
    #[error("`{}` is not replaced: rbuild did not write it, or it was changed since; hint: remove it, replace it with `-o {}`, or write elsewhere with `-o FILE.tar`", path.display(), name_of(path))]
    Foreign {
        /// The output.
        path: PathBuf,
    },
    /// The output's path is that of something which is never replaced.
    #[error("cannot write the image to `{}`: {problem}", path.display())]
    Destination {
        /// The output.
        path: PathBuf,
        /// What is there.
        problem: &'static str,
    },
    /// The folder is not one that an image layout can be written to.
    #[error("cannot write an image layout to `{}`: {problem}", path.display())]
    Layout {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Docker cannot be reached.
    #[error("cannot reach Docker at `{}`: {}", socket.display(), reach(source, socket))]
    Connect {
        /// Its socket.
        socket: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The connection to Docker broke, or what came over it is not an answer.
    #[error("cannot load the image into Docker: {problem}")]
    Protocol {
        /// What was wrong.
        problem: String,
    },
    /// Docker refused the image.
    #[error("Docker did not load the image: {message}")]
    Docker {
        /// Its own words.
        message: String,
    },
}

/// The result of an export.
pub type Result<T> = std::result::Result<T, Error>;

/// How the command line names an output that has no other name than its own.
fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Why a socket cannot be reached, and what to do about it.
fn reach(source: &io::Error, socket: &Path) -> String {
    match source.kind() {
        io::ErrorKind::NotFound => "no such socket; is Docker running?".to_owned(),
        io::ErrorKind::ConnectionRefused => "nobody answers; is Docker running?".to_owned(),
        io::ErrorKind::PermissionDenied => {
            format!(
                "permission denied; join the group that owns `{}` (usually `docker`), or run as root",
                socket.display()
            )
        }
        io::ErrorKind::InvalidInput => "the path is too long for a socket".to_owned(),
        _ => source.to_string(),
    }
}
