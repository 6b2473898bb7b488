//! The JSON form of arguments: an array of strings.

use super::lines::Fragment;
use super::lookalike;
use super::source::Span;
use super::word::Text;

/// What arguments look like as JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Array {
    /// An array of strings.
    Strings(Vec<Text>),
    /// An array with something else in it, and where that is.
    Mixed(Span),
    /// Anything else: the shell form.
    Not,
}

/// Reads arguments as an array. Text that is no valid JSON is the shell form, as in BuildKit.
pub(super) fn parse(arguments: Fragment<'_>) -> Array {
    let arguments = arguments.trim();
    let text = arguments.text();
    let is_array = text.starts_with('[') && serde_json::from_str::<Vec<serde::de::IgnoredAny>>(text).is_ok();
    if !is_array {
        return Array::Not;
    }
    let mut strings = Vec::new();
    let mut at = 1;
    while let Some(start) = text[at..].find(|c: char| !c.is_ascii_whitespace() && c != ',') {
        let start = at + start;
        match text.as_bytes()[start] {
            b']' => break,
            b'"' => {
                let (value, end) = read_string(text, start);
                strings.push(Text::new(value, arguments.sub(start..end).span()));
                at = end;
            }
            _ => return Array::Mixed(arguments.sub(start..end_of_other(text, start)).span()),
        }
    }
    Array::Strings(strings)
}

/// What is wrong with text that is meant to be an array of strings and is no valid JSON.
pub fn json_fault(text: &str) -> &'static str {
    let text = text.trim();
    let outside = outside_strings(text);
    let quotes = outside.matches('"').count();
    if text.contains(lookalike::is_curly_quote) {
        "curly quotes quote nothing, strings take the plain `\"`"
    } else if outside.contains('\'') {
        "strings take double quotes, not single ones"
    } else if quotes % 2 == 1 {
        "a string is not closed"
    } else if !outside.ends_with(']') {
        "an array ends with `]`, and nothing follows that"
    } else if outside.ends_with(",]") {
        "no comma may stand before the `]`"
    } else if outside.contains(",,") || outside.contains("[,") {
        "a string is missing before a comma"
    } else if outside.contains("\"\"\"") {
        "put commas between the strings"
    } else if outside.contains(|c: char| c.is_alphanumeric() || matches!(c, '/' | '-' | '.')) {
        "each argument takes double quotes"
    } else {
        "in a string a `\\` is written twice"
    }
}

/// The text without blanks, and without what stands in double quotes; the quotes stay.
fn outside_strings(text: &str) -> String {
    let mut outside = String::new();
    let mut in_string = false;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                in_string = !in_string;
                outside.push(c);
            }
            '\\' if in_string => drop(chars.next()),
            c if !in_string && !c.is_whitespace() => outside.push(c),
            _ => {}
        }
    }
    outside
}

/// Reads the string whose quote is at `start`; gives the end behind its other quote. The text is known to be valid.
fn read_string(text: &str, start: usize) -> (String, usize) {
    let mut value = String::new();
    let mut chars = text[start..].char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, start + at + 1),
            '\\' => {
                let Some((at, escaped)) = chars.next() else { break };
                let consumed = push_escape(&mut value, &text[start + at..], escaped);
                for _ in 0..consumed {
                    chars.next();
                }
            }
            c => value.push(c),
        }
    }
    (value, text.len())
}

/// Adds the character that an escape stands for; gives the number of characters read behind `escaped`.
fn push_escape(value: &mut String, rest: &str, escaped: char) -> usize {
    let unit = |at: usize| rest.get(at..at + 4).and_then(|digits| u16::from_str_radix(digits, 16).ok());
    match escaped {
        'b' => value.push('\u{8}'),
        'f' => value.push('\u{c}'),
        'n' => value.push('\n'),
        'r' => value.push('\r'),
        't' => value.push('\t'),
        'u' => {
            let first = unit(1).unwrap_or_default();
            let second = if rest.get(5..7) == Some("\\u") { unit(7) } else { None };
            let pair = [first, second.unwrap_or_default()];
            if second.is_some()
                && let Some(Ok(c)) = char::decode_utf16(pair).next()
                && c as u32 > 0xFFFF
            {
                value.push(c);
                return 10;
            }
            // A lone surrogate stands for no character.
            value.push(char::from_u32(u32::from(first)).unwrap_or(char::REPLACEMENT_CHARACTER));
            return 4;
        }
        c => value.push(c),
    }
    0
}

/// The end of a number, name, array or object that begins at `start`.
fn end_of_other(text: &str, start: usize) -> usize {
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    for (at, c) in text[start..].char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if in_string => escaped = true,
            '"' => in_string = !in_string,
            _ if in_string => {}
            '[' | '{' => depth += 1,
            ']' | '}' if depth <= 1 => return start + at + depth,
            ']' | '}' => depth -= 1,
            ',' if depth == 0 => return start + at,
            _ => {}
        }
    }
    text.len()
}
