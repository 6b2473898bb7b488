//! Lines of the file, and instructions joined from continued lines without losing where each byte came from.

use std::ops::Range;

use super::source::Span;
use super::word::{Escape, Text, Word};

/// The longest line, without its newline: the limit that BuildKit's scanner has.
pub(super) const MAX_LINE: usize = 65_535;

/// What separates words: BuildKit's `[\t\v\f\r ]`.
pub(super) fn is_blank(c: char) -> bool {
    matches!(c, '\t' | '\u{b}' | '\u{c}' | '\r' | ' ')
}

/// One line of the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    /// The line with its newline.
    pub full: &'a str,
    /// Its first byte in the source.
    pub start: usize,
}

impl<'a> Line<'a> {
    /// The line without its newline, and without any carriage return before that.
    pub(super) fn content(&self) -> &'a str {
        self.full.trim_end_matches(['\r', '\n'])
    }

    /// The bytes without the newline.
    pub(super) fn span(&self) -> Span {
        Span::new(self.start, self.start + self.content().len())
    }

    /// Whether its first character that is no space is `#`.
    pub(super) fn is_comment(&self) -> bool {
        self.full.trim_start().starts_with('#')
    }

    /// Whether it is longer than a line may be.
    pub(super) fn is_too_long(&self) -> bool {
        self.full.strip_suffix('\n').unwrap_or(self.full).len() > MAX_LINE
    }

    /// The text before the escape that continues this line, if one does.
    ///
    /// An escape before the escape makes it an ordinary character, as in BuildKit, where `\\\` does not continue either.
    pub(super) fn continued(text: &'a str, escape: Escape) -> Option<&'a str> {
        let before = text.trim_end_matches([' ', '\t']).strip_suffix(escape.char())?;
        (!before.ends_with(escape.char())).then_some(before)
    }
}

/// Walks over the lines of a text.
#[derive(Debug, Clone)]
pub(super) struct Lines<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lines<'a> {
    /// Starts at a byte of the text, which must be a character boundary.
    pub(super) fn new(text: &'a str, at: usize) -> Self {
        Self { text, at }
    }

    /// What has not been read.
    pub(super) fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        let rest = Some(self.rest()).filter(|rest| !rest.is_empty())?;
        let length = rest.find('\n').map_or(rest.len(), |newline| newline + 1);
        let line = Line { full: &rest[..length], start: self.at };
        self.at += length;
        Some(line)
    }
}

/// An instruction as one line: its continued lines joined, comments between them left out.
#[derive(Debug, Default)]
pub(super) struct Joined {
    text: String,
    /// Where each run of bytes begins, here and in the source.
    pieces: Vec<(usize, usize)>,
}

impl Joined {
    /// Adds bytes that stand at `source` in the file.
    pub(super) fn push(&mut self, text: &str, source: usize) {
        self.pieces.push((self.text.len(), source));
        self.text.push_str(text);
    }

    /// All of it.
    pub(super) fn whole(&self) -> Fragment<'_> {
        Fragment { line: self, start: 0, end: self.text.len() }
    }

    fn source_offset(&self, at: usize) -> usize {
        let piece = self.pieces.partition_point(|&(here, _)| here <= at).saturating_sub(1);
        self.pieces.get(piece).map_or(0, |&(here, source)| source + (at - here))
    }
}

/// A part of a joined line that knows its place in the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fragment<'a> {
    line: &'a Joined,
    start: usize,
    end: usize,
}

impl<'a> Fragment<'a> {
    /// The text.
    pub(super) fn text(self) -> &'a str {
        &self.line.text[self.start..self.end]
    }

    /// Where it stands in the file.
    pub(super) fn span(self) -> Span {
        let start = self.line.source_offset(self.start);
        match self.start == self.end {
            true => Span::new(start, start),
            false => Span::new(start, self.line.source_offset(self.end - 1) + 1),
        }
    }

    /// A part of it, by byte offsets in its text that are character boundaries.
    pub(super) fn sub(self, range: Range<usize>) -> Self {
        let start = (self.start + range.start).min(self.end);
        Self { line: self.line, start, end: (self.start + range.end).clamp(start, self.end) }
    }

    /// The part from an offset on.
    pub(super) fn from(self, start: usize) -> Self {
        self.sub(start..self.end - self.start)
    }

    /// From here to the end of a later part of the same line.
    pub(super) fn to(self, later: Self) -> Self {
        Self { end: later.end.max(self.end), ..self }
    }

    /// Without the spaces around it.
    pub(super) fn trim(self) -> Self {
        let text = self.text();
        let start = text.len() - text.trim_start().len();
        self.sub(start..start + text.trim().len())
    }

    /// Cuts at the first run of blanks.
    pub(super) fn split_blank(self) -> (Self, Option<Self>) {
        let text = self.text();
        let Some(end) = text.find(is_blank) else { return (self, None) };
        let rest = text[end..].trim_start_matches(is_blank);
        (self.sub(0..end), Some(self.from(text.len() - rest.len())))
    }

    /// Cuts at the first `separator`, which neither part keeps.
    pub(super) fn split_once(self, separator: char) -> Option<(Self, Self)> {
        let at = self.text().find(separator)?;
        Some((self.sub(0..at), self.from(at + separator.len_utf8())))
    }

    /// The parts between runs of blanks.
    pub(super) fn split_blanks(self) -> Vec<Self> {
        let mut parts = Vec::new();
        let mut rest = self.trim();
        while !rest.text().is_empty() {
            let (part, more) = rest.split_blank();
            parts.push(part);
            let Some(more) = more else { break };
            rest = more;
        }
        parts
    }

    /// The parts between spaces, where quotes and escapes keep a word together; both stay in the word.
    pub(super) fn split_words(self, escape: Escape) -> Vec<Self> {
        let text = self.text();
        let mut words = Vec::new();
        let mut start = None;
        let mut quote = None;
        let mut end = text.len();
        let mut chars = text.char_indices();
        while let Some((at, c)) = chars.next() {
            if quote.is_none() && c.is_whitespace() {
                if let Some(from) = start.take() {
                    words.push(self.sub(from..at));
                }
                continue;
            }
            start.get_or_insert(at);
            match quote {
                None if c == '\'' || c == '"' => quote = Some(c),
                Some(open) if c == open => quote = None,
                // An escape that is the last character of the instruction is dropped.
                _ if c == escape.char() && quote != Some('\'') && chars.next().is_none() => end = at,
                _ => {}
            }
        }
        if let Some(from) = start.filter(|&from| from < end) {
            words.push(self.sub(from..end));
        }
        words
    }

    /// The text as it stands, final.
    pub(super) fn to_text(self) -> Text {
        Text::new(self.text(), self.span())
    }

    /// The text as it stands, to be expanded.
    pub(super) fn to_word(self) -> Word {
        Word::new(self.text(), self.span())
    }
}
