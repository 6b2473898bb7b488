//! Why a text that begins like a remote is none.

use crate::path::Printable as _;

/// A remote that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is not a URL.
    #[error("`{shown}` is not a URL that can be fetched: {problem}")]
    Url {
        /// The start of it, up to where credentials may stand.
        shown: String,
        /// What is wrong.
        problem: String,
    },
    /// A part of a git source is not what it should be.
    #[error("the {part} `{value}` of a git repository cannot be used: {problem}")]
    Git {
        /// Which part.
        part: &'static str,
        /// As given, printable and cut short.
        value: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// Two parts of a git source contradict each other.
    #[error("`{shown}` says two different things about the {part}")]
    Conflict {
        /// The repository, without credentials.
        shown: String,
        /// Which part.
        part: &'static str,
    },
}

/// The result of this room.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(super) fn git(part: &'static str, value: &str, problem: &'static str) -> Self {
        let value = value.as_bytes().escape_ascii_utf8().chars().take(100).collect();
        Self::Git { part, value, problem }
    }
}
