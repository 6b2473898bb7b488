//! Turns arguments into a build, and its events into lines on a terminal and an exit code.
//!
//! The only room that prints, or reads the environment, the home folder and the current one: it turns them into values for
//! the others. What a person asked for goes to standard output, everything else to standard error.
//!
//! # Invariants
//! The exit status follows from the class of the error (`exit`). No message holds a control character that came from
//! outside, nor the value of a build argument.
//!
//! # Failure
//! A stream that cannot be written to does not stop a build; the exit status says that the output is lost.
//!
//! # Not here
//! What is built and how: `build`.

mod args;
mod argument_file;
mod build;
mod build_args;
mod caches;
mod call;
mod commands;
mod compose;
mod contexts;
mod diff;
mod doctor;
mod environment;
mod epoch;
mod error;
mod gc;
mod images;
mod inputs;
mod json;
mod maintenance;
mod means;
mod measures;
mod near;
mod outputs;
mod plan;
mod program;
pub mod progress;
mod report;
mod signals;
mod targets;
mod usage;
mod verify;
mod why;

pub use program::main;
