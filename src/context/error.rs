//! What can go wrong between a context and a selection.

use crate::fsx;
use crate::glob::BadPattern;
use crate::path::ContextPath;

use super::Hidden;

/// An error of this room.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A call of the file system failed.
    #[error(transparent)]
    Io(#[from] fsx::Error),
    /// A line of an ignore file is no pattern.
    #[error("cannot read `{file}`: line {line}: {problem}")]
    IgnoreFile {
        /// The ignore file as the user knows it.
        file: String,
        /// Counted from 1.
        line: usize,
        /// What is wrong with the line.
        problem: BadPattern,
    },
    /// A source or `--exclude` of an instruction is no pattern.
    #[error(transparent)]
    Pattern(#[from] BadPattern),
    /// A source that must exist does not.
    #[error("cannot find `{pattern}`{}", explain_absence(nearest.as_deref(), hidden_by.as_ref()))]
    NotFound {
        /// The source as written.
        pattern: String,
        /// The most similar path that exists.
        nearest: Option<String>,
        /// What hides a path that exists on disk.
        hidden_by: Option<Hidden>,
    },
    /// A path leads through more symlinks than Linux follows.
    #[error("too many levels of symbolic links in `{path}`")]
    SymlinkLoop {
        /// The path being resolved.
        path: ContextPath,
    },
    /// A path that is to be read as a regular file is none.
    #[error("cannot read `{path}`: it is not a regular file")]
    NotAFile {
        /// The path.
        path: ContextPath,
    },
    /// A file was written to each time it was being read.
    #[error("cannot hash `{path}`: it changes while it is being read")]
    Changing {
        /// The path.
        path: ContextPath,
    },
    /// A file of an earlier layer cannot be opened.
    #[error("cannot open `{path}`: {source}")]
    Content {
        /// The path.
        path: ContextPath,
        /// What the layers' reader said.
        source: std::io::Error,
    },
}

/// The result of this room.
pub type Result<T> = std::result::Result<T, Error>;

fn explain_absence(nearest: Option<&str>, hidden_by: Option<&Hidden>) -> String {
    match (hidden_by, nearest) {
        (Some(hidden @ Hidden::Ignored { .. }), _) => {
            format!(": {hidden}; hint: change that line, or add an exception below it, a line that begins with `!`")
        }
        (Some(hidden @ Hidden::Output), _) => {
            format!(": {hidden}; hint: write the output elsewhere with `-o FILE.tar`, or give this file another name")
        }
        (None, Some(nearest)) => format!("; hint: did you mean `{nearest}`?"),
        (None, None) => String::new(),
    }
}
