//! Replaces `$NAME` and its kin in a text.

use std::ops::Range;

/// Substitutions in each other.
const MAX_DEPTH: usize = 50;
/// No value becomes longer, in bytes.
const MAX_VALUE: usize = 1 << 20;

/// Where the values of variables come from.
pub(super) trait Variables {
    /// The value, unless the variable is not set.
    fn value(&self, name: &str) -> Option<String>;
    /// Told that an unset variable became nothing.
    fn unset(&mut self, name: &str, at: Range<usize>);
}

/// Why a text cannot be substituted, and which bytes of it are wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub at: Range<usize>,
    pub kind: ProblemKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ProblemKind {
    /// `${` without its `}`.
    Open,
    /// What stands between the braces is no name.
    Name,
    /// Behind the name stands none of `:-`, `-`, `:?`, `?`, `:+`, `+`.
    Operator,
    /// `:?` or `?` found no value.
    Required { name: String, message: String },
    /// Too deep, or too long.
    Limit,
}

/// Replaces every variable of `text`; `$$` becomes `$`, and a `$` before anything else stays.
pub(super) fn substitute(text: &str, variables: &mut dyn Variables) -> Result<String, Problem> {
    let mut out = String::new();
    part(text, 0..text.len(), 0, variables, &mut out)?;
    Ok(out)
}

fn part(
    text: &str,
    range: Range<usize>,
    depth: usize,
    variables: &mut dyn Variables,
    out: &mut String,
) -> Result<(), Problem> {
    let mut at = range.start;
    while let Some(found) = text[at..range.end].find('$') {
        out.push_str(&text[at..at + found]);
        let dollar = at + found;
        let rest = &text[dollar + 1..range.end];
        at = if rest.starts_with('$') {
            out.push('$');
            dollar + 2
        } else if rest.starts_with('{') {
            let end = closing(text, dollar + 1..range.end)
                .ok_or(Problem { at: dollar..range.end, kind: ProblemKind::Open })?;
            if depth >= MAX_DEPTH {
                return Err(Problem { at: dollar..end + 1, kind: ProblemKind::Limit });
            }
            braced(text, dollar..end + 1, depth, variables, out)?;
            end + 1
        } else {
            let length = name_length(rest);
            if length == 0 {
                out.push('$');
            } else {
                let name = &rest[..length];
                named(name, dollar..dollar + 1 + length, variables, out);
            }
            dollar + 1 + length
        };
        if out.len() > MAX_VALUE {
            return Err(Problem { at: dollar..at, kind: ProblemKind::Limit });
        }
    }
    out.push_str(&text[at..range.end]);
    Ok(())
}

fn named(name: &str, at: Range<usize>, variables: &mut dyn Variables, out: &mut String) {
    match variables.value(name) {
        Some(value) => out.push_str(&value),
        None => variables.unset(name, at),
    }
}

/// `whole` is `${…}`.
fn braced(
    text: &str,
    whole: Range<usize>,
    depth: usize,
    variables: &mut dyn Variables,
    out: &mut String,
) -> Result<(), Problem> {
    let (start, end) = (whole.start + 2, whole.end - 1);
    let length = name_length(&text[start..end]);
    if length == 0 {
        return Err(Problem { at: whole, kind: ProblemKind::Name });
    }
    let name = &text[start..start + length];
    let rest = &text[start + length..end];
    if rest.is_empty() {
        named(name, whole, variables, out);
        return Ok(());
    }
    let (empty_counts, operator) = match rest.strip_prefix(':') {
        Some(rest) => (false, rest.chars().next()),
        None => (true, rest.chars().next()),
    };
    let word = start + length + if empty_counts { 1 } else { 2 };
    let value = variables.value(name);
    let is_there = value.as_ref().is_some_and(|value| empty_counts || !value.is_empty());
    match (operator, is_there) {
        (Some('-' | '?'), true) => out.push_str(&value.unwrap_or_default()),
        (Some('-'), false) | (Some('+'), true) => part(text, word..end, depth + 1, variables, out)?,
        (Some('+'), false) => {}
        (Some('?'), false) => {
            let mut message = String::new();
            part(text, word..end, depth + 1, variables, &mut message)?;
            let kind = ProblemKind::Required { name: name.to_owned(), message };
            return Err(Problem { at: whole, kind });
        }
        _ => return Err(Problem { at: whole, kind: ProblemKind::Operator }),
    }
    Ok(())
}

/// The length of the name that the text begins with.
fn name_length(text: &str) -> usize {
    let is_name = |(at, c): (usize, char)| c == '_' || c.is_ascii_alphabetic() || (at > 0 && c.is_ascii_digit());
    text.char_indices().take_while(|&found| is_name(found)).count()
}

/// Where the brace is closed that `range` begins with.
fn closing(text: &str, range: Range<usize>) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, byte) in text[range.clone()].bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    return Some(range.start + at);
                }
            }
            _ => {}
        }
    }
    None
}
