//! Turns compose files into a project: its services, and how the image of each is built.
//!
//! A *model* is the tree that all files of a project make together. Files are read as YAML into trees whose every part knows
//! its *place*; variables are replaced, shapes are checked and paths made absolute file by file; then `include` and `extends`
//! are followed, and the trees are merged. A *project* is read out of the model: nothing in it depends on anything any more.
//!
//! # Invariants
//! Pure: files are read by the caller's `Files`, the environment comes in `Options`. Nothing is looked up behind a path, no
//! clock is read. All problems of all files come in one report. What the Compose specification knows and a build does
//! not use is checked and left aside; what it does not know is an error. Secrets are named, never read. Work is bounded: files, their size, their values with those that aliases repeat, and nesting have limits.
//!
//! # Not here
//! Building, and what a context or a Dockerfile holds: `build`, by way of `cli`. Neither knows this room.
//!
//! # References
//! The Compose specification, its JSON schema for the shapes; compose-go for what it leaves open: `loader` (order of
//! interpolation, include, extends and merge), `override` (merge rules), `dotenv`, `template`, `cli/options.go` (files, name).

mod error;
mod node;
mod problems;

mod yaml;

mod dotenv;
mod interpolate;
mod substitute;

mod schema;
mod service_shapes;
mod shapes;

mod extends;
mod include;
mod load;
mod merge;
mod paths;

mod build;
mod check;
mod model;
mod order;
mod plan;
mod project;
mod secrets;
mod select;
mod service;

pub use error::{Error, Result};
pub use load::{Files, MAX_FILE};
pub use model::{Build, Dockerfile, NamedContext, Project, Secret, SecretSource, Service};
pub use node::{FileId, Place};
pub(crate) use node::{Map, Node, Scalar, Value};
pub use plan::plan;
pub use problems::Report;
pub use project::{Options, read};
pub use select::Dependencies;
pub(crate) use yaml::read_yaml;

#[cfg(test)]
mod tests;
