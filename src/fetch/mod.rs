//! Turns a remote into a file or a folder in the store: an http client for bodies, and a caller of `git` for repositories.
//!
//! A *download* is a body, a blob of the store, with the name and time that the server gave it. What a URL had last is
//! remembered with the server's tag for it, so that a server that says nothing has changed sends nothing. A *checkout* is a
//! private folder with the files of one commit.
//!
//! # Invariants
//! Only http and https are spoken, and the protocols of git that go over a network. At most `limits::REDIRECTS` redirects are
//! followed; none leads from https to http, and none from a public host to an address of a private network: the addresses
//! are looked up and checked before they are used. Credentials go to the origin that they were given for and no further, and
//! never into a record or a message; git follows no redirect with them. Every wait has an end, and every body a greatest length. No encoding is undone.
//! Git runs with none of the host's configuration, no hooks, and no protocol that reaches this machine's files; nothing that
//! came from outside stands where git takes options.
//!
//! # On disk
//! `Bucket::Fetched`: hash of a URL → `Known`, as JSON.
//!
//! # Failure
//! A download becomes a blob only when it is whole and has the hash that was asked for. A checkout is removed when it is
//! dropped.
//!
//! # Not here
//! What a text means: `remote`. Unpacking: `layer`. Registries, whose rules are others: `registry`.
//!
//! # References
//! BuildKit `source/http`, `source/git`, `util/gitutil`.

mod address;
mod credentials;
mod error;
mod fetcher;
mod git;
mod http;
mod known;
pub mod limits;
mod program;
mod transfer;

pub use credentials::Credentials;
pub use error::{Error, Result};
pub use fetcher::{Fetcher, Options, Watch};
pub use git::{Checkout, Commit};
pub use http::Download;
pub use known::remembered;

#[cfg(test)]
mod tests;
