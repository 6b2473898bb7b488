//! Why something could not be fetched.

use std::io;

use crate::digest::BlobDigest;
use crate::fsx;
use crate::store;

/// A failed fetch. `shown` is a URL or repository without user name, password and query.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A file system call failed.
    #[error(transparent)]
    File(#[from] fsx::Error),
    /// The HTTP library could not be set up.
    #[error("cannot set up http: {problem}")]
    Setup {
        /// What it says.
        problem: String,
    },
    /// The server could not be reached, or broke off.
    #[error("cannot fetch `{shown}`: {problem}")]
    Transport {
        /// What was fetched.
        shown: String,
        /// What the library says.
        problem: String,
    },
    /// The server sent nothing for too long, or too little.
    #[error("cannot fetch `{shown}`: the server sent too little within {seconds} s")]
    Slow {
        /// What was fetched.
        shown: String,
        /// How long it was waited for.
        seconds: u64,
    },
    /// The server refused.
    #[error("cannot fetch `{shown}`: the server answered with status {status}")]
    Status {
        /// What was fetched.
        shown: String,
        /// The status.
        status: u16,
    },
    /// A redirect that is not followed.
    #[error("cannot fetch `{shown}`: it leads to `{target}`, and {problem}")]
    Redirect {
        /// What was fetched.
        shown: String,
        /// Scheme and host of where it leads.
        target: String,
        /// Why it is not followed.
        problem: &'static str,
    },
    /// The body is too long.
    #[error("cannot fetch `{shown}`: it is larger than {limit} bytes")]
    TooLarge {
        /// What was fetched.
        shown: String,
        /// The limit.
        limit: u64,
    },
    /// The body ended before the length that the server had told.
    #[error("cannot fetch `{shown}`: it ended after {got} of {expected} bytes")]
    Short {
        /// What was fetched.
        shown: String,
        /// Bytes that came.
        got: u64,
        /// Bytes that were told.
        expected: u64,
    },
    /// The content is not what was asked for.
    #[error("`{shown}` has the digest {found}, but {expected} is asked for")]
    Checksum {
        /// What was fetched.
        shown: String,
        /// As asked for.
        expected: BlobDigest,
        /// As it is.
        found: BlobDigest,
    },
    /// Git is not there, or could not be started.
    #[error("cannot run git for `{shown}`: {source}")]
    NoGit {
        /// What was fetched.
        shown: String,
        /// What the system says.
        source: io::Error,
    },
    /// Git failed.
    #[error("git failed to {action} `{shown}`: {said}")]
    Git {
        /// What it was to do.
        action: &'static str,
        /// With which repository.
        shown: String,
        /// Its own words.
        said: String,
    },
    /// There is no such branch, tag or commit.
    #[error("`{shown}` has no branch, tag or commit `{reference}`")]
    NoRef {
        /// The repository.
        shown: String,
        /// What was asked for.
        reference: String,
    },
    /// The commit is not the one that was asked for.
    #[error("`{shown}` is at commit {found}, but {expected} is asked for")]
    Commit {
        /// The repository.
        shown: String,
        /// As asked for.
        expected: String,
        /// As it is.
        found: String,
    },
    /// The folder that is meant is not there, or is no folder.
    #[error("`{shown}` has no folder `{folder}`, or a symbolic link on the way to it")]
    NoFolder {
        /// The repository.
        shown: String,
        /// The folder.
        folder: String,
    },
    /// A secret for a server that cannot be sent.
    #[error("the secret `{id}` cannot stand in a header: it holds a control character, or another than those of ASCII")]
    Credential {
        /// The id of the secret.
        id: String,
    },
    /// The user asked to stop.
    #[error("interrupted")]
    Interrupted,
}

/// The result of this room.
pub type Result<T> = std::result::Result<T, Error>;
