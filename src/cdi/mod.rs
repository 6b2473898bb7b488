//! Turns CDI files into devices, and devices into what they change in a container, or says what is wrong with them.
//!
//! A *document* is one file of the Container Device Interface: a *kind*, `vendor/class`, with devices of that kind. A device
//! is known by its *qualified name*, `vendor/class=name`. Its *edits* are what a command gets that may use it: variables, device
//! nodes, mounts, groups. A *catalog* holds the devices of all documents; *grants* are what `--allow device` allows.
//!
//! # Invariants
//! Pure: files are read, and nodes of the host looked at, by the caller. A wrong document hides its own devices and no others,
//! and is told where a device is missing. Of two documents with the same device the one of the later folder counts; two of the
//! same folder hide it. What edits ask for and rbuild cannot do is refused by name where the device is given, never left out.
//!
//! # Not here
//! Which folders are read, and the edits' way into a sandbox: `build`. `RUN --device`: `dockerfile` and `plan`.
//!
//! # References
//! The CDI specification 1.1 and its Go package (`pkg/cdi`, `pkg/parser`), which reads JSON with the YAML parser too; BuildKit's
//! `cdidevices/manager.go` for what a name stands for, `llbsolver/vertex.go` and `util/entitlements` for grants.

mod catalog;
mod document;
mod edits;
mod error;
mod grants;
mod names;
mod reader;

#[cfg(test)]
mod tests;

pub use catalog::Catalog;
pub use document::Document;
pub use edits::{Edits, Mount, Node, NodeKind, Programs, Unsupported};
pub use error::{Error, Result};
pub use grants::Grants;
