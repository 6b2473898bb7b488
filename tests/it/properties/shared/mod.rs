//! What the property tests and the fuzz targets share: invariants, and what they are checked with.

pub mod invariants;
pub mod matcher;
pub mod print;
pub mod spans;
