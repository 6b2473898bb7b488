//! Joins the lines of a file into statements: comments and continued lines are dealt with here.

use super::diagnostic::{Diagnostic, Sink};
use super::lines::{Joined, Line, Lines, MAX_LINE};
use super::source::Span;
use super::word::Escape;

/// Text made from bytes.
#[derive(Debug)]
pub(super) struct Decoded {
    /// The text, with a replacement character for what is no UTF-8.
    pub text: String,
    /// Where such characters stand.
    pub invalid: Vec<usize>,
}

/// Reads bytes as UTF-8; what is invalid is an error later, unless it stands in a comment.
pub(super) fn decode(bytes: &[u8]) -> Decoded {
    let mut text = String::with_capacity(bytes.len());
    let mut invalid = Vec::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            invalid.push(text.len());
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
    Decoded { text, invalid }
}

/// The lines of one instruction.
#[derive(Debug)]
pub(super) struct Statement {
    /// The instruction as one line.
    pub line: Joined,
    /// The comments above it.
    pub comments: Vec<String>,
    /// The first empty line between its continued lines.
    pub empty_line: Option<Span>,
}

/// Walks over the statements of a text.
#[derive(Debug)]
pub(super) struct Statements<'a> {
    text: &'a str,
    invalid: &'a [usize],
    escape: Escape,
    lines: Lines<'a>,
    /// Whether something was found that is no text; nothing is read beyond it.
    stopped: bool,
}

impl<'a> Statements<'a> {
    /// Starts at a byte of the text.
    pub(super) fn new(text: &'a str, start: usize, invalid: &'a [usize], escape: Escape) -> Self {
        Self { text, invalid, escape, lines: Lines::new(text, start), stopped: false }
    }

    /// The lines behind the statement, for the heredocs that it announces.
    pub(super) fn lines(&mut self) -> &mut Lines<'a> {
        &mut self.lines
    }

    /// The end of the text.
    pub(super) fn end(&self) -> usize {
        self.text.len()
    }

    /// The whole text.
    pub(super) fn text(&self) -> &'a str {
        self.text
    }

    /// Reads nothing more.
    pub(super) fn stop(&mut self) {
        self.stopped = true;
    }

    /// The end of the line read last, without its newline.
    pub(super) fn last_line_end(&self) -> usize {
        let read = self.text.len() - self.lines.rest().len();
        self.text[..read].trim_end_matches(['\r', '\n']).len()
    }

    /// The next statement; problems with lines as such are reported.
    pub(super) fn next_statement(&mut self, sink: &mut Sink) -> Option<Statement> {
        let mut comments = Vec::new();
        while !self.stopped {
            let line = self.lines.next()?;
            if line.is_comment() {
                self.check_length(line, sink);
                add_comment(&mut comments, line);
                continue;
            }
            if !self.check_line(line, sink) {
                return None;
            }
            let text = line.content().trim_start();
            if text.is_empty() {
                continue;
            }
            let start = line.start + (line.content().len() - text.len());
            return Some(self.join(text, start, comments, sink));
        }
        None
    }

    fn join(&mut self, first: &'a str, start: usize, comments: Vec<String>, sink: &mut Sink) -> Statement {
        let mut statement = Statement { line: Joined::default(), comments, empty_line: None };
        let (mut text, mut at) = (first, start);
        while let Some(before) = Line::continued(text, self.escape) {
            statement.line.push(before, at);
            let Some(line) = self.next_continued(&mut statement.empty_line, sink) else { return statement };
            (text, at) = (line.content(), line.start);
        }
        statement.line.push(text, at);
        statement
    }

    /// The next line that is neither a comment nor empty.
    fn next_continued(&mut self, empty_line: &mut Option<Span>, sink: &mut Sink) -> Option<Line<'a>> {
        loop {
            let line = self.lines.next()?;
            if line.is_comment() {
                self.check_length(line, sink);
                continue;
            }
            if !self.check_line(line, sink) {
                return None;
            }
            if !line.content().trim_start().is_empty() {
                return Some(line);
            }
            empty_line.get_or_insert(line.span());
        }
    }

    fn check_line(&mut self, line: Line<'_>, sink: &mut Sink) -> bool {
        self.check_length(line, sink);
        self.check_text(line.span(), sink)
    }

    fn check_length(&self, line: Line<'_>, sink: &mut Sink) {
        if line.is_too_long() {
            let span = Span::new(line.start, line.start);
            let message = format!("the line is longer than {MAX_LINE} bytes");
            let report = Diagnostic::error("line-too-long", span, message);
            sink.push(report.with_help("split it with the escape character at the end of each line, or COPY a file"));
        }
    }

    /// Checks the lines of heredocs as other lines are.
    pub(super) fn check_heredocs(&mut self, span: Span, sink: &mut Sink) -> bool {
        for line in Lines::new(&self.text[..span.end()], span.start()) {
            self.check_length(line, sink);
        }
        self.check_text(span, sink)
    }

    /// Reports bytes that are no text; then nothing more is read, because the whole file is likely to be none.
    fn check_text(&mut self, span: Span, sink: &mut Sink) -> bool {
        let next = self.invalid.partition_point(|&at| at < span.start());
        let invalid = self.invalid.get(next).copied().filter(|&at| at < span.end());
        let nul = self.text.get(span.range()).and_then(|text| text.find('\0')).map(|at| span.start() + at);
        let (at, length, what) = match (invalid, nul) {
            (Some(at), _) => (at, char::REPLACEMENT_CHARACTER.len_utf8(), "a byte that is not UTF-8"),
            (None, Some(at)) => (at, 1, "a NUL byte"),
            (None, None) => return true,
        };
        self.stopped = true;
        let span = Span::new(at, at + length);
        let report = match is_utf_16(self.text) {
            true => Diagnostic::error("not-text", span, "the file is UTF-16")
                .with_help("save it as UTF-8, in PowerShell for example by `Out-File -Encoding utf8`"),
            false => Diagnostic::error("not-text", span, format!("the file holds {what}")),
        };
        sink.push(report.with_note("a Dockerfile is UTF-8 text; nothing behind this place was read"));
        false
    }
}

/// Whether it was made from two bytes a character: every other one of the first is then a NUL.
fn is_utf_16(text: &str) -> bool {
    let text = text.trim_start_matches(char::REPLACEMENT_CHARACTER);
    let nuls = |from: usize| text.chars().skip(from).step_by(2).take(4).filter(|c| *c == '\0').count();
    (nuls(0) == 4) != (nuls(1) == 4)
}

/// Comments above an instruction belong to it, from the last empty comment on.
fn add_comment(comments: &mut Vec<String>, line: Line<'_>) {
    match line.full.trim().trim_start_matches('#').trim() {
        "" => comments.clear(),
        text => comments.push(text.to_owned()),
    }
}
