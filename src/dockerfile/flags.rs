//! Flags between an instruction and its arguments: `--name=value`.

use super::diagnostic::{Diagnostic, Sink};
use super::keyword::Keyword;
use super::lines::Fragment;
use super::source::Span;
use super::suggest::nearest;
use super::word::{Escape, Text, Word};

/// The report of a flag without a value.
const MISSING_VALUE: &str = "missing-flag-value";

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    /// Nothing, `true` or `false`.
    Bool,
    /// One value.
    Value,
    /// A value each time it is given.
    Values,
}

/// A flag as it was written, its quotes and escapes removed.
#[derive(Debug, Clone)]
pub(super) struct RawFlag<'a> {
    text: String,
    written: Fragment<'a>,
    /// Whether a quote in it is never closed: it then reaches to the end.
    is_open: bool,
    /// All that follows it.
    rest: Fragment<'a>,
}

impl RawFlag<'_> {
    /// Where it stands, if a quote in it is never closed.
    pub(super) fn open_span(&self) -> Option<Span> {
        self.is_open.then(|| self.written.span())
    }
}

/// A value and its place.
#[derive(Debug, Clone)]
pub(super) struct Value<'a> {
    /// The value, quotes and escapes removed once.
    pub text: String,
    /// Where the flag's value stands; exact parts can be found in it if nothing was removed.
    written: Fragment<'a>,
    /// Whether the text is what was written, compared once.
    exact: bool,
}

impl Value<'_> {
    /// The place of a part of the value, or of the whole flag if quotes or escapes hide it.
    pub(super) fn span_of(&self, start: usize, end: usize) -> Span {
        match self.exact {
            true => self.written.sub(start..end).span(),
            false => self.written.span(),
        }
    }

    /// The whole place.
    pub(super) fn span(&self) -> Span {
        self.written.span()
    }
}

/// The flags of one instruction after they were checked.
#[derive(Debug, Default)]
pub(super) struct Flags<'a> {
    given: Vec<(&'static str, Value<'a>)>,
    /// Whether one has no value, which is reported; what follows it may be meant to be that.
    pub(super) lacks_value: bool,
}

impl<'a> Flags<'a> {
    /// Every value of a flag.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &Value<'a>> {
        self.given.iter().filter(move |(given, _)| *given == name).map(|(_, value)| value)
    }

    /// The value as final text.
    pub(super) fn text(&self, name: &str) -> Option<Text> {
        self.all(name).next().map(|value| Text::new(value.text.clone(), value.span()))
    }

    /// The value as a word to be expanded.
    pub(super) fn word(&self, name: &str) -> Option<Word> {
        self.all(name).next().map(|value| Word::new(value.text.clone(), value.span()))
    }

    /// A yes or no, if the flag is given.
    pub(super) fn bool(&self, name: &str) -> Option<bool> {
        self.all(name).next().map(|value| !value.text.eq_ignore_ascii_case("false"))
    }
}

/// Cuts the flags off the front of what follows an instruction; the rest are its arguments.
pub(super) fn extract(rest: Fragment<'_>, escape: Escape) -> (Vec<RawFlag<'_>>, Fragment<'_>) {
    let mut flags = Vec::new();
    let mut rest = rest.trim();
    while rest.text().starts_with("--") {
        let (flag, after) = read_flag(rest, escape);
        rest = after.trim();
        // `--` alone ends the flags.
        if flag.text == "--" {
            break;
        }
        flags.push(flag);
    }
    (flags, rest)
}

fn read_flag(rest: Fragment<'_>, escape: Escape) -> (RawFlag<'_>, Fragment<'_>) {
    let text = rest.text();
    let mut value = String::new();
    let mut quote = None;
    let mut end = text.len();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match (c, quote) {
            (c, None) if c.is_whitespace() => {
                end = at;
                break;
            }
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            (c, _) if c == escape.char() => value.extend(chars.next().map(|(_, c)| c)),
            (c, _) => value.push(c),
        }
    }
    (
        RawFlag { text: value, written: rest.sub(0..end), is_open: quote.is_some(), rest: rest.from(end).trim() },
        rest.from(end),
    )
}

/// Checks flags against those that the instruction has.
pub(super) fn check<'a>(
    keyword: Keyword,
    raw: Vec<RawFlag<'a>>,
    known: &[(&'static str, Takes)],
    sink: &mut Sink,
) -> Flags<'a> {
    let mut flags = Flags::default();
    for flag in raw {
        match check_one(keyword, &flag, known, &flags) {
            Ok(checked) => flags.given.push(checked),
            Err(problem) => {
                flags.lacks_value |= problem.code == MISSING_VALUE;
                sink.push(*problem);
            }
        }
        if sink.is_full() {
            break;
        }
    }
    flags
}

fn check_one<'a>(
    keyword: Keyword,
    flag: &RawFlag<'a>,
    known: &[(&'static str, Takes)],
    before: &Flags<'a>,
) -> Result<(&'static str, Value<'a>), Box<Diagnostic>> {
    let text = flag.text.strip_prefix("--").unwrap_or(&flag.text);
    let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
    let name_end = flag.written.text().find('=').unwrap_or(flag.written.text().len());
    let name_written = flag.written.sub(0..name_end);
    let Some(&(name, takes)) = known.iter().find(|(known, _)| *known == name) else {
        return Err(Box::new(unknown_flag(keyword, name, name_written, known)));
    };
    if takes != Takes::Values && before.all(name).next().is_some() {
        let message = format!("the flag `--{name}` is given twice");
        return Err(Box::new(
            Diagnostic::error("duplicate-flag", flag.written.span(), message).with_label("remove one of them"),
        ));
    }
    let value = match (takes, value) {
        (Takes::Bool, None) => "true",
        (Takes::Bool, Some(value)) if value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false") => {
            value
        }
        (Takes::Bool, Some(value)) => return Err(Box::new(no_bool(name, value, flag.written.span()))),
        (Takes::Value | Takes::Values, Some(value)) => value,
        (Takes::Value | Takes::Values, None) => return Err(Box::new(no_value(keyword, name, flag))),
    };
    let start = (name_end + 1).min(flag.written.text().len());
    let written = flag.written.from(start);
    Ok((name, Value { text: value.to_owned(), written, exact: written.text() == value }))
}

/// Whether COPY has a flag that ADD has not, or the other way round.
fn is_of_other(keyword: Keyword, name: &str) -> bool {
    match keyword {
        Keyword::Add => matches!(name, "from" | "parents"),
        Keyword::Copy => matches!(name, "checksum" | "keep-git-dir" | "unpack"),
        _ => false,
    }
}

fn no_bool(name: &str, value: &str, span: Span) -> Diagnostic {
    let message = match value {
        "" => format!("the flag `--{name}` has an empty value: it takes `true` or `false`"),
        value => format!("the flag `--{name}` takes `true` or `false`, not `{value}`"),
    };
    let report = Diagnostic::error("bad-flag-value", span, message);
    match value.to_lowercase().as_str() {
        "0" | "f" | "n" | "no" | "off" => report.with_help(format!("write `--{name}=false`, or leave the flag out")),
        _ => report.with_help(format!("`--{name}` alone means `--{name}=true`")),
    }
}

fn no_value(keyword: Keyword, name: &str, flag: &RawFlag<'_>) -> Diagnostic {
    let span = flag.written.span();
    let report = Diagnostic::error(MISSING_VALUE, span, format!("the flag `--{name}` needs a value"));
    let report = report.with_label("no `=` follows");
    let words = flag.rest.split_blanks();
    let is_value = |word: &str| match (keyword, name) {
        (_, "mount") => word.contains('='),
        // The last two are what is copied, and where to.
        (Keyword::Add | Keyword::Copy, _) => words.len() > 2,
        _ => true,
    };
    match words.first().filter(|next| !next.text().starts_with("--") && is_value(next.text())) {
        Some(next) => report.with_fix(
            format!("write `--{name}={}`, with `=` and without a space", next.text()),
            Span::new(span.end(), next.span().start()),
            "=",
        ),
        None => report.with_help(format!("write `--{name}=value`, with `=` and without a space")),
    }
}

fn unknown_flag(keyword: Keyword, name: &str, written: Fragment<'_>, known: &[(&'static str, Takes)]) -> Diagnostic {
    let shown: String = name.chars().take(40).collect();
    let report = Diagnostic::error("unknown-flag", written.span(), format!("{keyword} has no flag `--{shown}`"));
    if known.is_empty() {
        return report.with_label(format!("{keyword} has no flags"));
    }
    match nearest(name, known.iter().map(|(known, _)| *known)) {
        Some(meant) => report.with_label("unknown").with_fix(
            format!("did you mean `--{meant}`?"),
            written.span(),
            format!("--{meant}"),
        ),
        None if is_of_other(keyword, name) => {
            let other = if keyword == Keyword::Add { Keyword::Copy } else { Keyword::Add };
            report.with_label("unknown").with_help(format!("{other} has it"))
        }
        None => {
            let names: Vec<String> = known.iter().map(|(known, _)| format!("`--{known}`")).collect();
            report.with_label("unknown").with_help(format!("the flags of {keyword} are {}", names.join(", ")))
        }
    }
}
