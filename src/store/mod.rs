//! Keeps immutable, content-addressed objects and small replaceable records, for several processes at once.
//!
//! A *blob* is bytes named by their hash. A *tree* is an unpacked layer, a folder named by a `TreeId`. A *record* is a small
//! file in a *bucket*, replaced whole. A *cache folder* is the one thing that changes: commands write to it. A *lease* names what a running build uses, so that gc leaves it alone. The store does
//! not know what its bytes mean.
//!
//! # Invariants
//! Objects appear by rename and never change. A blob is synced before it is named; a tree is believed by other processes
//! only with a marker that was written after a sync (`Store::mark_durable`). Locks die with their holder; whoever takes one
//! makes sure that its file still has its name.
//!
//! An object is named in the lease before anyone looks whether it is there. Gc takes names away only while no lease can
//! grow, and deletes afterwards; so what a build has found stays, nothing ever comes back, and a kill between the two loses
//! nothing that was in use. A lease that lived at any time during a collection counts until the collection's end.
//!
//! The last use of an object is its time of last access, set when a lease first names it; the store's own reads leave it
//! as it is.
//!
//! # On disk
//! ```text
//! version                      STORE_VERSION
//! blobs/ab/<64 hex>            a blob
//! trees/<tree id>/fs/          an unpacked layer, an overlay lower
//! trees/<tree id>/durable      the marker
//! caches/<64 hex>-<n>/fs/      a cache folder: the n-th of this name, as builds that do not share need several
//! caches/<64 hex>-<n>/lock     flocked by those that use it
//! caches/<64 hex>-<n>/note     what its last user wants the next one to know
//! records/<bucket>/<name>      a record, and the hash of its bytes in a line behind them
//! locks/<name>                 flocked while something is made
//! leases/<process>             flocked while a build lives; a line for each object it uses
//! tmp/<process>/               what a process is making
//! tmp/<process>.lock           flocked while it lives
//! trash/                       what is being removed
//! collecting                   flocked: alone by gc, shared by sweeps and by leases that end
//! grown                        roughly how many bytes were added since gc last measured, as text
//! sizes                        what trees take, so that gc need not walk them again; may be lost
//! holding                      flocked: shared while a lease grows, alone while gc takes names away
//! ```
//!
//! # Failure
//! A kill leaves files in `tmp/`, `trash/`, `leases/` and `locks/`; `Store::sweep` tells by the locks which are dead. A blob
//! that is damaged is found by its reader (`BlobReader`), removed by `Store::discard_blob`, and replaced when it is
//! committed again. A damaged record is as good as none; those of steps, builds and files are not synced, so a power cut may
//! damage or take them. Nothing here needs free space to remove an object.
//!
//! # Not here
//! Which layer a tree holds: `layer`. Which objects an image needs: `build`.

mod blob;
mod caches;
mod collect;
mod durable;
mod error;
mod lease;
mod lock;
mod measure;
mod object;
mod owner;
mod record;
mod root;
mod strays;
mod trees;

#[cfg(test)]
mod tests;

pub use blob::{BlobReader, BlobWriter};
pub use caches::{CacheFolder, CacheName, CacheSharing};
pub use collect::{Collected, Collection, Swept};
pub use error::{Error, Result};
pub use lease::Lease;
pub use lock::{KeyLock, Waiting};
pub use measure::Space;
pub use object::{Object, Stored};
pub use record::Bucket;
pub use root::{STORE_VERSION, Store};
pub use trees::{Tree, TreeDraft, TreeId, Trust};
