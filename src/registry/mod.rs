//! Speaks the distribution protocol: registry references become stored blobs, and sealed images become pushed ones.
//!
//! An *endpoint* is one repository at one registry; a reference has several of them, its mirrors first and its origin last.
//! An *origin* is scheme, host and port: what a credential is bound to. A *grant* is what a credential became after the
//! registry's challenge. The public functions block; tokio lives below them and nowhere else in the crate.
//!
//! # Invariants
//! Bytes enter the store only under the digest and the size that a verified document gave them. A credential travels to the
//! origin it was configured for or to the token server that `policy` allows it, never along a redirect. Plain HTTP is
//! spoken to loopback hosts and to registries marked `insecure = true`, never after HTTPS. Everything that is read has a
//! limit from `limits`, everything that is waited for a time from `Timing`. No message holds a secret or a query string.
//! Environment, home and working directory are read by `cli` and come in as values; only proxies and CA certificates are
//! looked up by the HTTP library.
//!
//! # Failure
//! A transfer that breaks is resumed where it stopped, after a pause that grows; a mirror that fails is left with a note for
//! the next one. Whatever was committed before an error stays in the store and is not fetched again.
//!
//! # Not here
//! What a reference was resolved to the last time: `build`. What a layer's bytes hold: `layer`.
//!
//! # References
//! distribution-spec; the distribution project's token and OAuth2 pages; RFC 9110 section 11.6.1 (challenges); Docker CLI's
//! `cli/config`; containers-registries.conf(5), containers-auth.json(5).

mod client;
mod error;
mod limits;
mod options;
mod tally;

mod pull;
mod push;
mod under_way;

mod blob;
mod manifest;

mod endpoint;
mod http;
mod policy;
mod upload;

mod auth;
mod challenge;
mod credentials;
mod helper;

mod registries;

pub use client::{Client, Documents, Progress, PulledImage, Resolved, Silent};
pub use error::{Error, Result};
pub use options::{Options, Timing};
pub use registries::Registries;
pub use tally::Tally;

#[cfg(test)]
mod tests;
