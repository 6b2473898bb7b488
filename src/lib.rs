//! rbuild turns a Dockerfile and a context into an OCI image, natively: no daemon, no BuildKit, no runc.

pub mod digest;
pub mod fsx;
pub mod path;
pub mod platform;
pub mod reference;
pub mod tree;

pub mod dockerfile;
pub mod image;
pub mod sandbox;
pub mod store;

pub mod cache;
pub mod context;
pub mod layer;
pub mod plan;
pub mod registry;

pub mod export;

pub mod build;

pub mod cli;
