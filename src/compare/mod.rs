//! Turns two images, or two layers, into what differs between them.
//!
//! A *side* is one of the two: its config and the listings of its layers, with the times that its layer bytes have. A
//! *change* is one path or one key of the config that is not the same on both.
//!
//! # Invariants
//! Pure: nothing is read but what is given. Changes are in the order of paths and keys. Equal sides give none.
//!
//! # Not here
//! Where the sides come from: `build`. How the changes are shown: `cli`.

mod config;
mod files;

pub use config::{ConfigChange, config_changes};
pub use files::{Aspect, Fate, FileChange, file_changes, layer_changes};

#[cfg(test)]
mod tests;
