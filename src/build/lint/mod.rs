//! Warnings for which the context is looked at.
//!
//! BuildKit has one of them, `CopyIgnoredFile`; the others are ours, and never fail a build. `uncopied` looks at the text before
//! anything is planned, the others at the steps of a plan. Nothing is copied or hashed: only names are looked up, and a few
//! manifests of package managers are read.

mod before;
mod manifests;
mod order;
mod sources;
mod uncopied;

pub(super) use before::{hints_of, ignored_sources};
pub(super) use order::late_installs;
pub(super) use sources::{ignored, missing, never_a_source};
pub(super) use uncopied::{of_image, of_span, uncopied, undefined_in};

#[cfg(test)]
mod tests;
