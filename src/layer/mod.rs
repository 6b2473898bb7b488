//! Turns directory entries into a layer, and a layer back into entries and a directory.
//!
//! A *layer* is a set of changes to a root filesystem, named by its *diff id*, the digest of its plain tar. The bytes
//! of that tar are decided here and nowhere else; every other form (tree, compressed blob) must give the same diff id.
//! A *listing* says what a layer holds; a *tree* holds it unpacked.
//!
//! # Invariants
//! Equal entries give equal bytes, whatever the host's clock, umask, uid or directory order.
//! Entries are in path order, parents first, each path once; of the names of one file the first carries the content.
//! An archive's names find their place in memory, in the listing; on disk only places already found are opened, below the
//! tree's root and through no symlink. What is unpacked, listed and hashed is read once. Input is refused by a limit that
//! has a name in `limits`, never by running out of memory.
//!
//! # On disk
//! `Bucket::Layers`: diff id → `LayerRecord`, as JSON. `Bucket::Listings`: tree id → `Listing::to_bytes`.
//!
//! # Failure
//! A layer exists once its listing and record are stored; before, there are only files in `tmp/`. A half-made tree is
//! never resumed. A tree that another process made and nobody synced is compared with its listing before it is used.
//!
//! # Not here
//! Which files go in: `context` (COPY) and the overlay upper (RUN). Which layers make an image: `image`.
//!
//! # References
//! image-spec `layer.md` (whiteouts, opaque folders); POSIX.1-2024 pax (headers); containerd's `archive` package (what
//! names with `..`, `.wh.` and symlinked parents mean).

mod ahead;
mod archive;
mod beneath;
mod check;
mod compress;
mod decode;
mod disk;
mod error;
mod export;
mod folder;
mod form;
mod header;
mod import;
pub mod limits;
mod pax;
mod pipeline;
mod place;
mod read;
mod reader;
mod record;
mod retime;
mod scan;
mod sink;
mod times;
mod unpack;
mod upper;
mod walk;
mod write;
mod writer;

pub use archive::{ArchiveEntry, SpooledArchive, sniff, spool_archive, unpack_archive};
pub use check::{check_blobs, check_tree};
pub use compress::Compression;
pub use decode::ArchiveKind;
pub use disk::Ownership;
pub use error::{Error, Result};
pub use export::{Pulled, compressed, recompressed};
pub use folder::fill_folder;
pub use form::Form;
pub use import::{Unpack, import, known};
pub use read::{PlainTar, open_file, plain_tar};
pub use record::{Blob, Layer, LayerRecord, Lower, StoredBlob, listing, record};
pub use retime::retimed;
pub use times::{LAYER_EPOCH, TimePolicy};
pub use unpack::{ensure_tree, tree_is_whole};
pub use upper::layer_from_upper;
pub use write::{Content, Opener, write_layer};
pub use writer::TarWriter;

#[cfg(test)]
mod tests;
