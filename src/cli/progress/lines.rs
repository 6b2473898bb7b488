//! Lines out of pieces of output, and the last of them.

use std::collections::VecDeque;

use super::Colours;
use super::text::clean;

/// A failed step's last lines that are shown again.
pub(super) const TAIL: usize = 50;
/// A line that is longer is shown as several.
const MAX_LINE: usize = 16 << 10;

/// Puts pieces of output together to lines.
#[derive(Debug, Default)]
pub(super) struct LineBuffer {
    partial: Vec<u8>,
    /// A carriage return was last: what follows it overwrites the line, unless the line ends there.
    returned: bool,
}

impl LineBuffer {
    /// Adds a piece; calls `line` for each line that is whole now.
    pub fn push(&mut self, bytes: &[u8], mut line: impl FnMut(&[u8])) {
        for &byte in bytes {
            match byte {
                b'\n' => {
                    self.returned = false;
                    line(&self.partial);
                    self.partial.clear();
                }
                b'\r' => self.returned = true,
                _ => {
                    if std::mem::take(&mut self.returned) {
                        self.partial.clear();
                    }
                    self.partial.push(byte);
                    if self.partial.len() >= MAX_LINE {
                        self.flush(&mut line);
                    }
                }
            }
        }
    }

    /// Calls `line` for a last line without an end.
    pub fn flush(&mut self, mut line: impl FnMut(&[u8])) {
        self.returned = false;
        if !self.partial.is_empty() {
            line(&self.partial);
            self.partial.clear();
        }
    }

    /// What the last line holds so far.
    pub fn partial(&self) -> &[u8] {
        &self.partial
    }
}

/// The last lines of a step, cleaned.
#[derive(Debug, Default)]
pub(super) struct Tail {
    lines: VecDeque<String>,
    seen: u64,
}

impl Tail {
    /// Adds a line.
    pub fn push(&mut self, line: String) {
        self.seen += 1;
        self.lines.push_back(line);
        if self.lines.len() > TAIL {
            self.lines.pop_front();
        }
    }

    /// Oldest first.
    pub fn lines(&self) -> impl DoubleEndedIterator<Item = &str> + ExactSizeIterator {
        self.lines.iter().map(String::as_str)
    }

    /// How many lines were ever added.
    pub fn seen(&self) -> u64 {
        self.seen
    }
}

/// A step's two streams, and the tail of both together.
#[derive(Debug, Default)]
pub(super) struct Output {
    streams: [LineBuffer; 2],
    /// The last lines of both.
    pub tail: Tail,
}

impl Output {
    /// Adds a piece; the lines that are whole now, cleaned.
    pub fn push(&mut self, stream: crate::build::Stream, bytes: &[u8], colours: Colours) -> Vec<String> {
        let mut lines = Vec::new();
        self.streams[stream as usize].push(bytes, |line| lines.push(clean(line, colours)));
        self.keep(&lines);
        lines
    }

    /// The lines that had no end, cleaned.
    pub fn flush(&mut self, colours: Colours) -> Vec<String> {
        let mut lines = Vec::new();
        for stream in &mut self.streams {
            stream.flush(|line| lines.push(clean(line, colours)));
        }
        self.keep(&lines);
        lines
    }

    /// What is being written at this moment, for example a progress bar of the step's own; empty if nothing is.
    pub fn partial(&self) -> String {
        let busy = self.streams.iter().rev().find(|stream| !stream.partial().is_empty());
        busy.map(|stream| clean(stream.partial(), Colours::Unwanted)).unwrap_or_default()
    }

    fn keep(&mut self, lines: &[String]) {
        for line in lines {
            self.tail.push(line.clone());
        }
    }
}
