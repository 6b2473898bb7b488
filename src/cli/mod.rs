//! Turns arguments into a build, and its events into lines on a terminal and an exit code.

pub mod progress;
