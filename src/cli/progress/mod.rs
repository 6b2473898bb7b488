//! Turns a build's events into lines on a terminal or in a log.
//!
//! A *view* is one way to show a build. `plain` writes a line for everything that happens; `tty` keeps what is running in a
//! *live area* below the lines of what has ended, and redraws it; `rawjson` writes what programs read; `quiet` writes the
//! image's id and nothing else. The *tail*
//! of a step is its last lines of output, shown again if it failed.
//!
//! # Invariants
//! A view is pure: events, the time and the terminal's size go in, text comes out. Only `Progress` writes, to standard error,
//! and the image's id of `quiet` to standard output. Nothing that a Dockerfile, a file name or a step's output holds moves the
//! cursor, changes the title or turns the direction of text: colours of a step pass where colours are wanted, everything else
//! is removed, or escaped in our own lines.
//! The cursor is never hidden and stands below the live area between two frames, each of which is one write: whatever
//! ends the process leaves nothing to restore. No line of the live area is as wide as the terminal.
//!
//! # Failure
//! A stream that cannot be written to any more ends the view, not the build; `Progress::finish` returns the error.
//!
//! # Not here
//! The message of the error that ended a build: `cli`.

mod driver;
mod frame;
mod lines;
mod mode;
mod plain;
mod quiet;
mod rawjson;
mod summary;
mod text;
mod tty;
mod view;

pub use driver::Progress;
pub use mode::{Choice, Colours, Surroundings, ViewKind};
pub use summary::{BuiltImage, Summary};
pub use text::{escape, show_duration, show_size};
pub use view::{Size, View};

#[cfg(test)]
mod tests;
