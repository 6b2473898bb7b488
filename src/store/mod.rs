//! Keeps immutable, content-addressed objects and small replaceable records, for several processes at once.
//!
//! A *blob* is bytes named by their hash. A *tree* is an unpacked layer, a folder named by a `TreeId`. A *record* is a small
//! file in a *bucket*, replaced whole. A *lease* names what a running build uses, so that gc leaves it alone. The store does
//! not know what its bytes mean.
//!
//! # Invariants
//! Objects appear by rename and never change. A blob is synced before it is named; a tree is believed by other processes
//! only with a marker that was written after a sync (`Store::mark_durable`). Locks die with their holder; lock files are never
//! unlinked.
//!
//! # On disk
//! ```text
//! version                      STORE_VERSION
//! blobs/ab/<64 hex>            a blob
//! trees/<tree id>/fs/          an unpacked layer, an overlay lower
//! trees/<tree id>/durable      the marker
//! records/<bucket>/<name>      a record
//! locks/<name>                 flocked while something is made
//! leases/<pid>-<random>        flocked while a build lives
//! tmp/  trash/                 what is being made, what is being removed
//! ```
//!
//! # Failure
//! A kill leaves only files in `tmp/` and `trash/`, which the next process that finds them unlocked removes.
//!
//! # Not here
//! Which layer a tree holds: `layer`. Which objects an image needs: `build`.

mod blob;
mod error;
mod lock;
mod record;
mod root;
mod trees;

pub use blob::{BlobReader, BlobWriter};
pub use error::{Error, Result};
pub use lock::{KeyLock, Waiting};
pub use record::Bucket;
pub use root::{STORE_VERSION, Store};
pub use trees::{Tree, TreeDraft, TreeId, Trust};
