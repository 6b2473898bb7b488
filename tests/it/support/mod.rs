//! What judges rbuild: fixtures, the program in a clean environment, independent readers of what it makes, and real
//! tools (Docker, skopeo, umoci, a registry) beside it.
//!
//! Nothing here uses rbuild's own code: a mistake in the program must not hide in the judge. Where a tool is missing
//! a test fails and says which; it never skips.

pub mod archive;
pub mod base;
pub mod docker;
pub mod fixture;
pub mod http;
pub mod image;
pub mod layer;
pub mod layout;
pub mod leaks;
pub mod meeting;
pub mod registry;
pub mod rootfs;
pub mod run;
pub mod service;
pub mod steps;
pub mod toolbox;
pub mod tools;
pub mod validate;
pub mod ward;
pub mod web;
