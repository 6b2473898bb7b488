//! Files of build arguments: `--build-arg-file`, in the form that buildah reads.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::error::{Error, Result};
use super::near;
use crate::dockerfile::{Diagnostic, Source, Span};
use crate::fsx;

/// No file of arguments is longer, in bytes.
const MAX_SIZE: u64 = 16 << 20;

/// The most errors that are told of one file.
const MAX_REPORTED: usize = 20;

/// What stands in messages for a value, which may be a secret.
const HIDDEN: &str = "…";

/// Reads a file into `found`; what it says counts more than what was there.
///
/// A line is `NAME=VALUE`, the value everything up to the end of the line; or `NAME`, which takes the value that the
/// `environment` has and is no argument without one; or empty, or a comment that begins with `#`.
pub fn read(
    path: &Path,
    environment: &dyn Fn(&str) -> Option<String>,
    found: &mut BTreeMap<String, String>,
) -> Result<()> {
    let bytes = fsx::read_at_most(path, MAX_SIZE).map_err(|error| Error::Input {
        message: format!("cannot read the file of build arguments: {error}"),
        hint: match near::file(path).filter(|_| error.is_not_found()) {
            Some(near) => format!("did you mean `--build-arg-file {near}`?"),
            None => String::new(),
        },
    })?;
    parse(&path.display().to_string(), &bytes, environment, found)
}

fn parse(
    name: &str,
    bytes: &[u8],
    environment: &dyn Fn(&str) -> Option<String>,
    found: &mut BTreeMap<String, String>,
) -> Result<()> {
    // The text that messages show holds no values, nor anything else that may be part of one.
    let text = String::from_utf8_lossy(bytes);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let (mut shown, mut problems) = (String::new(), Vec::new());
    for line in text.split('\n') {
        let start = shown.len();
        let line = line.strip_suffix('\r').unwrap_or(line);
        let statement = line.split_once('=').map_or((line, None), |(name, value)| (name, Some(value)));
        shown.push_str(&without_value(statement.0, statement.1));
        let end = shown.len();
        shown.push('\n');
        if line.starts_with('#') || line.trim().is_empty() {
            continue;
        }
        if let Some(problem) = problem(start, statement.0, statement.1, end) {
            problems.push(problem);
            continue;
        }
        let (name, value) = statement;
        match value.map(str::to_owned).or_else(|| environment(name)) {
            Some(value) => found.insert(name.to_owned(), value),
            None => found.remove(name),
        };
    }
    if problems.is_empty() {
        return Ok(());
    }
    problems.truncate(MAX_REPORTED);
    Err(Error::ArgumentFile { file: Arc::new(Source::new(name, shown)), problems })
}

/// A line as it is shown: its name up to what no name holds.
fn without_value(name: &str, value: Option<&str>) -> String {
    if name.starts_with('#') {
        return "#".to_owned();
    }
    match (name.char_indices().find(|(_, c)| is_wrong(*c)), value) {
        (Some((offset, wrong)), _) => [&name[..offset + wrong.len_utf8()], HIDDEN].concat(),
        (None, Some("")) => [name, "="].concat(),
        (None, Some(_)) => [name, "=", HIDDEN].concat(),
        (None, None) => name.to_owned(),
    }
}

/// Whether no name of a build argument holds this.
fn is_wrong(c: char) -> bool {
    c.is_whitespace() || c.is_control() || c == char::REPLACEMENT_CHARACTER
}

/// What is wrong with a line that begins and ends at these bytes of what is shown.
fn problem(start: usize, name: &str, value: Option<&str>, end: usize) -> Option<Diagnostic> {
    let error = |span, message: String| Some(Diagnostic::error("build-arg-file", span, message));
    let form = "write `NAME=VALUE`, without quotes: the value is everything up to the end of the line";
    if name.is_empty() {
        let span = Span::new(start, start + 1);
        return error(span, "a build argument has no name".to_owned()).map(|problem| problem.with_help(form));
    }
    let at = |offset: usize, wrong: char| Span::new(start + offset, start + offset + wrong.len_utf8());
    if let Some((offset, found)) = name.char_indices().find(|(_, c)| is_wrong(*c)) {
        let (what, help) = match found {
            char::REPLACEMENT_CHARACTER => ("bytes that are not UTF-8".to_owned(), form.to_owned()),
            ' ' | '\t' if name.starts_with("export") => {
                ("a space".to_owned(), "leave `export` out: the file is not a shell's".to_owned())
            }
            ' ' => ("a space".to_owned(), form.to_owned()),
            other => (format!("`{}`", other.escape_debug()), form.to_owned()),
        };
        let message = format!("the name of a build argument cannot hold {what}");
        return error(at(offset, found), message).map(|problem| problem.with_help(help));
    }
    let problem = match value {
        Some(value) if value.contains('\0') => "a NUL byte",
        Some(value) if value.contains(char::REPLACEMENT_CHARACTER) => "bytes that are not UTF-8",
        _ => return None,
    };
    let value_start = end.saturating_sub(HIDDEN.len());
    error(Span::new(value_start, end), format!("the value of the build argument `{name}` holds {problem}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &[u8]) -> std::result::Result<BTreeMap<String, String>, Vec<String>> {
        let environment = |name: &str| (name == "SET").then(|| "outside".to_owned());
        let mut found = BTreeMap::from([("OLD".to_owned(), "1".to_owned()), ("GONE".to_owned(), "1".to_owned())]);
        match parse("args", text, &environment, &mut found) {
            Ok(()) => Ok(found),
            Err(Error::ArgumentFile { file, problems }) => {
                assert!(!file.text().contains("s3cret"), "{}", file.text());
                let told = problems.iter().map(|problem| {
                    let at = &file.text()[problem.span.range()];
                    format!("{at:?}: {}", problem.message)
                });
                Err(told.collect())
            }
            Err(other) => Err(vec![other.to_string()]),
        }
    }

    #[test]
    fn a_line_is_a_name_and_a_value_or_a_name_or_a_comment() {
        for (text, expected) in [
            (&b"A=1\nB=\n"[..], &[("A", "1"), ("B", "")][..]),
            (b"# A=1\n\n  \nA= \"x y\" # z=\n", &[("A", " \"x y\" # z=")]),
            (b"\xef\xbb\xbfA=1\r\nB=2\r\n", &[("A", "1"), ("B", "2")]),
            (b"A=1\nA=2", &[("A", "2")]),
            (b"SET\nUNSET\nOLD=2\nGONE", &[("SET", "outside"), ("OLD", "2")]),
        ] {
            let mut expected: BTreeMap<String, String> =
                expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            expected.entry("OLD".to_owned()).or_insert_with(|| "1".to_owned());
            if !text.ends_with(b"GONE") {
                expected.insert("GONE".to_owned(), "1".to_owned());
            }
            assert_eq!(read_text(text), Ok(expected), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn a_wrong_line_is_told_at_its_place_and_without_values() {
        for (text, expected) in [
            (&b"A=1\n=s3cret\n"[..], "\"=\": a build argument has no name"),
            (b"export A=s3cret", "\" \": the name of a build argument cannot hold a space"),
            (b"A=s3cret\n B=s3cret", "\" \": the name of a build argument cannot hold a space"),
            (b"# s3cret\nTOKEN: s3cret", "\" \": the name of a build argument cannot hold a space"),
            (b"A\x01=s3cret", "\"\\u{1}\": the name of a build argument cannot hold `\\u{1}`"),
            (b"A=s3cret\xff", "\"…\": the value of the build argument `A` holds bytes that are not UTF-8"),
            (b"A=s3cret\0", "\"…\": the value of the build argument `A` holds a NUL byte"),
            (b"\xff=s3cret", "\"\u{fffd}\": the name of a build argument cannot hold bytes that are not UTF-8"),
        ] {
            assert_eq!(read_text(text), Err(vec![expected.to_owned()]), "{}", text.escape_ascii());
        }
    }
}
