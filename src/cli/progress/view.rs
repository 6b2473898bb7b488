//! What every view can do.

use std::time::Duration;

use super::Summary;
use crate::build::BuildEvent;

/// A terminal's size in character cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Cells in a line.
    pub columns: usize,
    /// Lines.
    pub rows: usize,
}

/// One way to show a build. `now` is the time since the build's start.
pub trait View: Send {
    /// Takes note of an event.
    fn event(&mut self, now: Duration, event: &BuildEvent);

    /// The text that is to be written next, escape sequences included; empty if nothing changed.
    fn draw(&mut self, now: Duration, size: Size) -> String;

    /// The text that ends the view.
    fn finish(&mut self, now: Duration, size: Size, summary: &Summary) -> String;
}
