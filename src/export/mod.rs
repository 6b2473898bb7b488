//! Turns sealed images into an archive, a directory, or images of the running Docker.
//!
//! An *archive* is one tar for everybody: an OCI image layout that also holds Docker's `manifest.json`. A *layout* is the
//! same as a folder, without Docker's file. An *output* is an archive file that this program wrote, remembered in the store
//! so that it may be replaced, left alone if nothing changed, and kept out of contexts. Without a record, which another store may
//! have, an archive is known by its *form*.
//!
//! # Invariants
//! The bytes of an archive depend on the images and their names alone. Blobs stream from the store and are verified on the way:
//! no output appears under its name unless every digest was right. A file that is not known to be ours is replaced only
//! if the caller says so; a symlink, device or folder never is. Nothing is linked to the store.
//!
//! # On disk / wire
//! ```text
//! blobs/sha256/<64 hex>   config, manifest and layers, each once, in order of their digests
//! index.json              a descriptor for each name: of a manifest, or of an index if the image has one of its own
//! manifest.json           Docker's: of each image config and layers by path, names in their familiar form
//! oci-layout              LAYOUT_VERSION
//! ```
//! Outputs are records named by the hash of their path (`outputs`).
//!
//! # Failure
//! A kill leaves nothing beside the output where the file system knows files without a name (`O_TMPFILE`), else a
//! `.rbuild-*.tmp`. It leaves the old output or the whole new one, and either is known to be ours. A layout's `index.json`
//! is replaced last; blobs that nothing names may stay.
//!
//! # Not here
//! What a manifest says: `image`. Pushing: `registry`. How layers are compressed: `layer`.
//!
//! # References
//! image-spec `image-layout.md`; moby `tarexport/load.go` (20.10 opens layers by path and detects their compression);
//! containerd `archive/importer.go`; BuildKit `client/ociindex` (names in `index.json`).

mod archive;
mod artifact;
mod contents;
mod docker;
mod error;
mod file;
mod form;
mod header;
mod layout;
mod outputs;
mod response;
mod temporary;

pub use archive::{archive_size, write_archive};
pub use artifact::write_artifact;
pub use contents::{LAYOUT_VERSION, NamedImage};
pub use docker::{Loaded, load_into_docker};
pub use error::{Error, Result};
pub use file::{Outcome, Overwrite, check_destination, write_file};
pub use layout::write_layout;
pub use outputs::{OutputImage, OutputRecord, OutputState, check_output, forget_absent_outputs, outputs};

#[cfg(test)]
mod tests;
