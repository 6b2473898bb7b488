//! COPY, ADD and WORKDIR: what is selected, where it lands, and the layer that makes.
//!
//! The selection and its digests make the key; where the files land is worked out only on a miss, and what was looked at in
//! the root filesystem then stands in the record as facts. Nothing is mounted, and nothing unpacked.

mod bring;
mod load;
mod missing;
mod origin;
mod place;
mod workdir;

pub use place::PlaceError;

pub(super) use bring::{Linked, copy, file, link_numbers};
pub(super) use missing::check_sources;
pub(super) use origin::{NamedSources, Origins};
pub(super) use workdir::workdir;

#[cfg(test)]
mod tests;
