//! Reads `.env` files: names and values, in the quoting that compose has for them.

use std::collections::BTreeMap;
use std::ops::Range;

use super::node::FileId;
use super::problems::Problems;
use super::substitute::{self, ProblemKind, Variables, substitute};
use crate::dockerfile::{Diagnostic, Span};

/// Reads a file into `values`; a value may use those before it, and `outer`, which counts more.
pub(super) fn read(
    file: FileId,
    outer: &BTreeMap<String, String>,
    values: &mut BTreeMap<String, String>,
    problems: &mut Problems,
) {
    let source = problems.file(file).clone();
    let mut parser = Parser { text: source.text(), at: 0, file, outer, values, problems };
    if parser.text.starts_with('\u{feff}') {
        parser.at = '\u{feff}'.len_utf8();
    }
    // Behind an error nothing is sure to be meant as it stands.
    if let Err(problem) = parser.statements() {
        problems.push(file, *problem);
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    file: FileId,
    outer: &'a BTreeMap<String, String>,
    values: &'a mut BTreeMap<String, String>,
    problems: &'a mut Problems,
}

impl Parser<'_> {
    fn statements(&mut self) -> Result<(), Box<Diagnostic>> {
        loop {
            self.skip(char::is_whitespace);
            match self.rest().chars().next() {
                None => return Ok(()),
                Some('#') => self.skip(|c| c != '\n'),
                Some(_) => self.statement()?,
            }
        }
    }

    fn statement(&mut self) -> Result<(), Box<Diagnostic>> {
        if let Some(rest) = self.rest().strip_prefix("export")
            && rest.starts_with(is_blank)
        {
            self.at += "export".len();
            self.skip(is_blank);
        }
        let start = self.at;
        self.skip(|c| !matches!(c, '=' | ':' | '\n'));
        let name = self.text[start..self.at].trim_end();
        let allowed = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '[' | ']');
        if let Some((offset, wrong)) = name.char_indices().find(|(_, c)| !allowed(*c)) {
            let at = Span::new(start + offset, start + offset + wrong.len_utf8());
            let found = match wrong {
                wrong if wrong.is_whitespace() => "a space".to_owned(),
                wrong if wrong.is_control() => format!("`{}`", wrong.escape_debug()),
                wrong => format!("`{wrong}`"),
            };
            let message = format!("the name of a variable cannot hold {found}");
            return Err(Box::new(Diagnostic::error("env-file", at, message).with_help("write `NAME=VALUE`")));
        }
        let name = name.to_owned();
        let separator = self.rest().chars().next();
        if name.is_empty() {
            let at = Span::new(start, start + separator.map_or(0, char::len_utf8));
            return Err(Box::new(
                Diagnostic::error("env-file", at, "a variable has no name").with_help("write `NAME=VALUE`"),
            ));
        }
        if matches!(separator, None | Some('\n')) {
            // A name alone passes on what is set outside.
            if let Some(value) = self.outer.get(&name).or_else(|| self.values.get(&name)).cloned() {
                self.values.insert(name, value);
            }
            return Ok(());
        }
        self.at += 1;
        self.skip(is_blank);
        let value = self.value()?;
        // Compose ignores names that begin with a digit.
        if !name.starts_with(|c: char| c.is_ascii_digit()) {
            self.values.insert(name, value);
        }
        Ok(())
    }

    fn value(&mut self) -> Result<String, Box<Diagnostic>> {
        let start = self.at;
        match self.rest().chars().next() {
            Some(quote @ ('\'' | '"')) => {
                let raw = self.quoted(quote)?;
                match quote {
                    '"' => self.expand(&unescape(&raw), start..self.at),
                    _ => Ok(raw),
                }
            }
            _ => {
                self.skip(|c| c != '\n');
                let line = &self.text[start..self.at];
                let value = line.split_once(" #").map_or(line, |(value, _comment)| value).trim_end();
                self.expand(value, start..start + value.len())
            }
        }
    }

    /// What stands in quotes; only the quote itself is unescaped.
    fn quoted(&mut self, quote: char) -> Result<String, Box<Diagnostic>> {
        let start = self.at;
        let mut raw = String::new();
        let mut chars = self.text[start + 1..].char_indices();
        while let Some((offset, c)) = chars.next() {
            match c {
                '\\' => match chars.next() {
                    Some((_, next)) if next == quote => raw.push(quote),
                    Some((_, next)) => raw.extend(['\\', next]),
                    None => break,
                },
                c if c == quote => {
                    self.at = start + 1 + offset + quote.len_utf8();
                    return Ok(raw);
                }
                c => raw.push(c),
            }
        }
        let end = self.text[start..].find('\n').map_or(self.text.len(), |newline| start + newline);
        Err(Box::new(
            Diagnostic::error("env-file", Span::new(start, end), "this quote is never closed")
                .with_help(format!("end the value with `{quote}`")),
        ))
    }

    fn expand(&mut self, value: &str, at: Range<usize>) -> Result<String, Box<Diagnostic>> {
        let mut lookup = Lookup { outer: self.outer, values: self.values, unset: Vec::new() };
        let result = substitute(value, &mut lookup);
        let unset = lookup.unset;
        let span = Span::new(at.start, at.end);
        for name in unset {
            self.problems.push(self.file, unset_warning(&name, span));
        }
        result.map_err(|problem| Box::new(diagnostic(&problem, value, span)))
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn skip(&mut self, wanted: impl Fn(char) -> bool) {
        let rest = &self.text[self.at..];
        self.at += rest.find(|c| !wanted(c)).unwrap_or(rest.len());
    }
}

struct Lookup<'a> {
    outer: &'a BTreeMap<String, String>,
    values: &'a BTreeMap<String, String>,
    unset: Vec<String>,
}

impl Variables for Lookup<'_> {
    fn value(&self, name: &str) -> Option<String> {
        self.outer.get(name).or_else(|| self.values.get(name)).cloned()
    }

    fn unset(&mut self, name: &str, _at: Range<usize>) {
        self.unset.push(name.to_owned());
    }
}

fn is_blank(c: char) -> bool {
    c.is_whitespace() && c != '\n'
}

/// The escapes of a value in double quotes; `\$` becomes `$$`, which stays a dollar. Others stay as they are.
fn unescape(raw: &str) -> String {
    let mut out = String::new();
    let mut rest = raw;
    while let Some(found) = rest.find('\\') {
        out.push_str(&rest[..found]);
        rest = &rest[found + 1..];
        let Some(c) = rest.chars().next() else {
            out.push('\\');
            break;
        };
        let plain = match c {
            'a' => Some('\u{7}'),
            'b' => Some('\u{8}'),
            'f' => Some('\u{c}'),
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'v' => Some('\u{b}'),
            '"' | '\\' => Some(c),
            _ => None,
        };
        if let Some(plain) = plain {
            out.push(plain);
        } else if c == '$' {
            out.push_str("$$");
        } else if let Some(octal) = octal(rest) {
            out.push(octal);
            rest = &rest[4..];
            continue;
        } else {
            out.extend(['\\', c]);
        }
        rest = &rest[c.len_utf8()..];
    }
    out.push_str(rest);
    out
}

/// `0` and three octal digits.
fn octal(text: &str) -> Option<char> {
    let digits = text.strip_prefix('0')?.get(..3).filter(|digits| digits.bytes().all(|b| matches!(b, b'0'..=b'7')))?;
    u8::from_str_radix(digits, 8).ok().map(char::from)
}

/// An unset variable became nothing.
pub(super) fn unset_warning(name: &str, span: Span) -> Diagnostic {
    Diagnostic::warning("unset-variable", span, format!("the variable `{name}` is not set, so nothing stands here"))
        .with_help(format!("set it in the environment or in `.env`, or write `${{{name}:-}}` if it may be empty"))
}

/// Why a text cannot be substituted; `span` is where all of `text` stands.
pub(super) fn diagnostic(problem: &substitute::Problem, text: &str, span: Span) -> Diagnostic {
    let wrong = text.get(problem.at.clone()).unwrap_or(text);
    let forms =
        "write `${NAME}`, `${NAME:-default}`, `${NAME:?message}` or `${NAME:+replacement}`; `$$` is a plain `$`";
    match &problem.kind {
        ProblemKind::Open => {
            Diagnostic::error("substitution", span, format!("`{wrong}` has no closing `}}`")).with_help(forms)
        }
        ProblemKind::Name | ProblemKind::Operator => {
            Diagnostic::error("substitution", span, format!("`{wrong}` is not a variable")).with_help(forms)
        }
        ProblemKind::Required { name, message } => {
            let message = if message.is_empty() { String::new() } else { format!(": {message}") };
            Diagnostic::error("required-variable", span, format!("the variable `{name}` must be set{message}"))
                .with_help(format!("set `{name}` in the environment, or in the file `.env`"))
        }
        ProblemKind::Limit => Diagnostic::error("substitution", span, "this becomes too long, or goes too deep"),
    }
}
