//! `rbuild verify`: builds twice, under different conditions, and compares.
//!
//! Each build is a *half*: a process of its own with a store of its own, which begins with the base images and nothing else.
//! The second one sets its conditions itself, and tells which it got. A half ends with the process that started it, however
//! that ends, and gets the signals that come to it.
//!
//! # Failure
//! A kill leaves files in the `tmp/` of the store, as that of any build, and maybe a folder in memory, which the next verify
//! removes: it is locked while its process lives.

mod flags;
mod half;
mod memory;
mod report;
mod run;
#[cfg(test)]
mod tests;

pub use half::{HalfArgs, build_half};
pub use run::run;
