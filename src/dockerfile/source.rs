//! The text of a Dockerfile and places in it.

use std::fmt;
use std::ops::Range;

/// A range of bytes in a `Source`; `start <= end`, and both are character boundaries of its text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span {
    start: usize,
    end: usize,
}

impl Span {
    /// The bytes from `start` up to `end`; an end before the start gives an empty span.
    pub fn new(start: usize, end: usize) -> Self {
        Self { start, end: end.max(start) }
    }

    /// The first byte.
    pub fn start(self) -> usize {
        self.start
    }

    /// The byte after the last one.
    pub fn end(self) -> usize {
        self.end
    }

    /// Whether no byte is covered.
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// The smallest span that covers both.
    pub fn to(self, other: Self) -> Self {
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// The empty span behind this one.
    pub fn after(self) -> Self {
        Self { start: self.end, end: self.end }
    }

    /// The same bytes as a range.
    pub fn range(self) -> Range<usize> {
        self.start..self.end
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start, self.end)
    }
}

/// A line and a column, both counted from 1; the column counts characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The character in the line.
    pub column: usize,
}

/// A named text, for example a Dockerfile or an `ONBUILD` trigger of a base image.
#[derive(Clone, PartialEq, Eq)]
pub struct Source {
    name: String,
    text: String,
    line_starts: Vec<usize>,
}

impl Source {
    /// Takes the text under the name that messages show.
    pub fn new(name: &str, text: String) -> Self {
        let newlines = text.bytes().enumerate().filter(|&(_, byte)| byte == b'\n');
        let line_starts = std::iter::once(0).chain(newlines.map(|(at, _)| at + 1)).collect();
        Self { name: name.to_owned(), text, line_starts }
    }

    /// The name that messages show.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text of a span of this source; empty for a span of another one that does not fit.
    pub fn slice(&self, span: Span) -> &str {
        self.text.get(span.range()).unwrap_or("")
    }

    /// Where a byte is; bytes beyond the end count as the end.
    pub fn position(&self, at: usize) -> Position {
        let line = self.line_of(at);
        let start = self.line_starts.get(line).copied().unwrap_or(0);
        let end = at.min(self.text.len());
        let column = self.text.get(start..end).map_or(0, |before| before.chars().count());
        Position { line: line + 1, column: column + 1 }
    }

    /// The line of a byte, counted from 1; cheaper than its position.
    pub fn line(&self, at: usize) -> usize {
        self.line_of(at) + 1
    }

    /// The lines, each with its newline, that a span touches.
    pub(super) fn lines_around(&self, span: Span) -> Range<usize> {
        let first = self.line_of(span.start);
        let last = self.line_of(if span.is_empty() { span.start } else { span.end - 1 });
        let start = self.line_starts.get(first).copied().unwrap_or(0);
        let end = self.line_starts.get(last + 1).copied().unwrap_or(self.text.len());
        start..end
    }

    /// The line of a byte, counted from 0.
    pub(super) fn line_of(&self, at: usize) -> usize {
        self.line_starts.partition_point(|&start| start <= at).saturating_sub(1)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({:?}, {} bytes)", self.name, self.text.len())
    }
}
