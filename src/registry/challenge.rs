//! Reads `WWW-Authenticate` headers.

use std::collections::BTreeMap;

use super::limits;

/// One scheme that the server would accept, in lower case, with its parameters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Challenge {
    pub(super) scheme: String,
    pub(super) parameters: BTreeMap<String, String>,
}

/// The challenges of one header, in order. What is not well formed ends the list: a half-read parameter is never used.
pub(super) fn parse(header: &str) -> Vec<Challenge> {
    let mut found: Vec<Challenge> = Vec::new();
    if header.len() > limits::CHALLENGE {
        return found;
    }
    let mut rest = skip(header, &[' ', '\t', ',']);
    while !rest.is_empty() {
        let (word, after) = token(rest);
        if word.is_empty() {
            break;
        }
        let spaced = skip(after, &[' ', '\t']);
        rest = match spaced.strip_prefix('=') {
            Some(value) => {
                let Some(challenge) = found.last_mut() else { break };
                let Some(after) = parameter(challenge, word, skip(value, &[' ', '\t'])) else { break };
                after
            }
            None => {
                found.push(Challenge { scheme: word.to_ascii_lowercase(), ..Challenge::default() });
                token68(spaced)
            }
        };
        rest = skip(rest, &[' ', '\t', ',']);
    }
    found
}

/// Takes one value; the first one of a name counts.
fn parameter<'a>(challenge: &mut Challenge, name: &str, rest: &'a str) -> Option<&'a str> {
    let (value, after) = match rest.strip_prefix('"') {
        Some(quoted) => quoted_string(quoted)?,
        None => {
            let (word, after) = token(rest);
            (word.to_owned(), after)
        }
    };
    challenge.parameters.entry(name.to_ascii_lowercase()).or_insert(value);
    Some(after)
}

fn quoted_string(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

/// Steps over the opaque value that schemes such as Negotiate carry instead of parameters.
fn token68(rest: &str) -> &str {
    let end = rest.find([',', ' ', '\t']).unwrap_or(rest.len());
    let word = &rest[..end];
    let bare = word.trim_end_matches('=');
    let is_value = !bare.is_empty() && !bare.contains('=') && !bare.contains('"');
    let next = rest[end..].trim_start();
    let is_last_word = next.is_empty() || next.starts_with(',');
    if is_value && is_last_word { &rest[end..] } else { rest }
}

fn token(text: &str) -> (&str, &str) {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~:/@?;".contains(c);
    let end = text.find(|c| !is_token(c)).unwrap_or(text.len());
    text.split_at(end)
}

fn skip<'a>(text: &'a str, characters: &[char]) -> &'a str {
    text.trim_start_matches(characters)
}
