//! Turns the text of a source into the place it has on a network: a URL, or a git repository and what of it.
//!
//! A *remote* is an http(s) URL whose body is a file, or a git source: a repository, a *ref* (branch, tag or commit) and a
//! folder in it. Whatever is neither is a path, and no concern of this room.
//!
//! # Invariants
//! Pure. User names and passwords of a URL are kept for the one who fetches, and shown by nothing: not by `Display`, not by
//! `Debug`. No part of a git source begins with a dash or holds a control character, so it can stand in a command line.
//!
//! # Not here
//! Fetching: `fetch`.
//!
//! # References
//! BuildKit `frontend/dockerfile/dfgitutil/git_ref.go`, `util/gitutil/git_url.go`, `dockerfile2llb/convert_copy.go` (names).

mod error;
mod git;
mod http;
mod location;
mod mask;

pub use error::{Error, Result};
pub use git::{GitSource, Submodules, Times};
pub use http::HttpUrl;
pub use location::Remote;
pub use mask::masked;

#[cfg(test)]
mod tests;
