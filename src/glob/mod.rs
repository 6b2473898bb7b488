//! Turns patterns into what tells which paths match.
//!
//! A *pattern* is a path with wildcards. There are two dialects: that of `.dockerignore` and `--exclude`, where `**` crosses
//! folders, and that of the sources of COPY and ADD, where it does not.
//!
//! # Invariants
//! Pure. Matching never backtracks: it costs at most the pattern's length times the path's.
//!
//! # Not here
//! Which of several patterns decides, and which files there are: `context`.
//!
//! # References
//! Go `filepath.Match`; `moby/patternmatcher`.

mod error;
mod pattern;

#[cfg(test)]
mod tests;

pub use error::BadPattern;
pub use pattern::{Dialect, Glob, clean, has_wildcards, trim};
