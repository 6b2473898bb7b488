//! Heredocs: `<<EOF` and the lines up to `EOF`.

use std::borrow::Cow;

use super::diagnostic::Diagnostic;
use super::expand::NoEnv;
use super::lexer::Lexer;
use super::lines::{Fragment, Lines};
use super::source::Span;
use super::word::{Escape, Text};

/// A heredoc with its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    /// The word that ends it, without quotes, where it was announced.
    pub name: Text,
    /// Whether variables in it are replaced; not if any part of the word was quoted.
    pub expand: bool,
    /// Whether tabs at the head of its lines are dropped (`<<-`).
    pub strip_tabs: bool,
    /// The file descriptor in front of `<<`, 0 without one.
    pub fd: u32,
    /// The lines as they stand in the file, with their tabs and carriage returns.
    pub content: String,
    /// Where the lines stand.
    pub content_span: Span,
}

impl Heredoc {
    /// The content, without the leading tabs if `<<-` says so.
    pub fn body(&self) -> Cow<'_, str> {
        match self.strip_tabs {
            true => Cow::Owned(self.content.split_inclusive('\n').map(|line| line.trim_start_matches('\t')).collect()),
            false => Cow::Borrowed(&self.content),
        }
    }
}

/// The announcement of a heredoc.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Opening {
    name: String,
    expand: bool,
    strip_tabs: bool,
    fd: u32,
}

impl Opening {
    /// Reads a word such as `3<<-'EOF'`; none if it announces nothing.
    pub(super) fn parse(word: &str) -> Option<Self> {
        let (digits, rest) = word.split_once("<<")?;
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let (strip_tabs, rest) = rest.strip_prefix('-').map_or((false, rest), |rest| (true, rest));
        let rest = rest.trim_start_matches(['\t', '\n', '\u{c}', '\r', ' ']);
        if rest.is_empty() || rest.contains('<') {
            return None;
        }
        let lexer = Lexer::new(Escape::Backslash).keep_unset();
        // A word that does not lex announces nothing.
        let mut names = lexer.expand_words(rest, &NoEnv).ok()?.value;
        let raw = lexer.keep_quotes().expand_words(rest, &NoEnv).ok()?.value;
        let name = names.pop().filter(|_| names.is_empty())?;
        let quotes = |text: &str| text.matches(['\'', '"']).count();
        let expand = quotes(&name) == raw.iter().map(|word| quotes(word)).sum::<usize>();
        // The number is kept for those who ask; one that does not fit cannot be opened anyway.
        let fd = if digits.is_empty() { 0 } else { digits.parse().unwrap_or(u32::MAX) };
        Some(Self { name, expand, strip_tabs, fd })
    }

    /// The word that ends the heredoc.
    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

/// The heredocs that an instruction announces, in order, each with its place.
///
/// An instruction whose quotes do not close announces none, as in BuildKit.
pub(super) fn openings(line: Fragment<'_>) -> Vec<(Opening, Span)> {
    let text = line.text();
    if !text.contains("<<") {
        return Vec::new();
    }
    let lexer = Lexer::new(Escape::Backslash).keep_quotes().keep_escapes().keep_unset();
    let words = lexer.expand_words(text, &NoEnv).map(|words| words.value).unwrap_or_default();
    let mut found = Vec::new();
    let mut at = 0;
    for word in words {
        let Some(opening) = Opening::parse(&word) else { continue };
        let place = text[at..].find(&word).map(|start| at + start..at + start + word.len());
        let span = place.clone().map_or(line.span(), |place| line.sub(place).span());
        // A word that is not found as it was read, because parts of it were rewritten, ends the search for places.
        at = place.map_or(text.len(), |place| place.end);
        found.push((opening, span));
    }
    found
}

/// Reads the content of a heredoc; without its end, everything that is left is read and the error says so.
pub(super) fn read(opening: Opening, span: Span, lines: &mut Lines<'_>) -> Result<Heredoc, Box<Diagnostic>> {
    let mut content = String::new();
    let mut bounds: Option<Span> = None;
    let mut near_miss = None;
    for line in lines {
        let text = line.content();
        let candidate = if opening.strip_tabs { text.trim_start_matches('\t') } else { text };
        if candidate == opening.name {
            let content_span = bounds.unwrap_or(Span::new(line.start, line.start));
            let Opening { name, expand, strip_tabs, fd } = opening;
            return Ok(Heredoc { name: Text::new(name, span), expand, strip_tabs, fd, content, content_span });
        }
        if near_miss.is_none() && text.trim() == opening.name {
            near_miss = Some(line);
        }
        let here = Span::new(line.start, line.start + line.full.len());
        bounds = Some(bounds.map_or(here, |bounds| bounds.to(here)));
        content.push_str(line.full);
    }
    let name = &opening.name;
    let report = Diagnostic::error("unterminated-heredoc", span, format!("the heredoc `{name}` has no end"));
    let report = report.with_label(format!("no later line is `{name}` alone"));
    Err(Box::new(match near_miss {
        Some(line) => report.with_fix("no space may stand before or after the closing word", line.span(), name.clone()),
        None => report.with_help(format!("put `{name}` on a line of its own after the text")),
    }))
}
