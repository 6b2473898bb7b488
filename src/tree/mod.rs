//! A file tree as entries: what a layer holds, and what a stack of layers holds at a path, without mounting anything.
//!
//! An *entry* is a path, its kind and its attributes. A *listing* is the sorted entries of one layer; a *stack* is listings,
//! bottom first, read together by the rules of layers: an upper entry hides a lower one, a whiteout removes, an opaque
//! folder hides everything below it. A *fact* is what a path was found to be, so that a result can be accepted again later.
//!
//! # Invariants
//! A listing holds each path once, in path order, so parents come first. An owner is what the entry says, never what the
//! host's `stat` says. Resolution follows symlinks inside the tree only, 40 at most, and `..` stops at the root.
//!
//! # On disk
//! `Listing::to_bytes`: a line an entry, fields divided by a tab, bytes outside printable ASCII percent-encoded
//! (`LISTING_VERSION` is the first line).
//!
//! # Not here
//! Bytes of a layer: `layer`. Where listings are kept: `store`.
//!
//! # References
//! image-spec `layer.md` (whiteouts, opaque folders).

mod entry;
mod listing;
mod stack;

pub use entry::{Attributes, Entry, Kind, Timestamp};
pub use listing::{Error, LISTING_VERSION, Listing};
pub use stack::{Fact, Found, LoopError, Resolved, Seen, Stack};
