//! `$v` and `${v…}`.

use super::error::ExpandError;
use super::expand::MAX_VALUE;
use super::lexer::Run;
use super::pattern::{Extent, Pattern};

impl Run<'_> {
    /// Reads `$` and what belongs to it.
    pub(super) fn read_dollar(&mut self) -> Result<String, ExpandError> {
        self.at += 1;
        if self.peek() == Some('{') {
            self.at += 1;
            return self.read_braces();
        }
        let name = self.read_name();
        if name.is_empty() {
            return Ok("$".to_owned());
        }
        match self.look_up(&name)? {
            Some(value) => Ok(value),
            None if self.lexer.keep_unset => Ok(format!("${name}")),
            None => Ok(String::new()),
        }
    }

    fn read_braces(&mut self) -> Result<String, ExpandError> {
        match self.peek() {
            None => return Err(ExpandError::MissingBrace),
            Some('{' | '}' | ':') => return Err(ExpandError::BadSubstitution),
            Some(_) => {}
        }
        let name = self.read_name();
        match self.next() {
            None => Err(ExpandError::MissingBrace),
            Some('}') => match self.look_up(&name)? {
                Some(value) => Ok(value),
                None if self.lexer.keep_unset => Ok(format!("${{{name}}}")),
                None => Ok(String::new()),
            },
            Some(':') => match self.next() {
                None => Err(ExpandError::MissingBrace),
                Some(c @ ('-' | '+' | '?')) => self.read_choice(&name, c, true),
                Some(c) => Err(ExpandError::UnsupportedModifier { modifier: format!(":{c}") }),
            },
            Some(c @ ('-' | '+' | '?')) => self.read_choice(&name, c, false),
            Some(c @ ('#' | '%')) => self.read_trim(&name, c),
            Some('/') => self.read_replace(&name),
            Some(c) => Err(ExpandError::UnsupportedModifier { modifier: c.to_string() }),
        }
    }

    /// `-`, `+` and `?`, with or without the colon that makes empty the same as unset.
    fn read_choice(&mut self, name: &str, modifier: char, empty_is_unset: bool) -> Result<String, ExpandError> {
        let word = self.read_operand('}', false)?;
        let value = self.look_up(name)?;
        if self.lexer.keep_unset && value.is_none() {
            let colon = if empty_is_unset { ":" } else { "" };
            return Ok(format!("${{{name}{colon}{modifier}{word}}}"));
        }
        let present = value.clone().filter(|value| !(empty_is_unset && value.is_empty()));
        match modifier {
            '-' => Ok(present.unwrap_or(word)),
            '+' => Ok(present.map(|_| word).unwrap_or_default()),
            _ => present.ok_or_else(|| {
                let problem = if value.is_none() { "is not set" } else { "is empty" };
                let message = if word.is_empty() { problem.to_owned() } else { format!("{problem}: {word}") };
                ExpandError::Required { name: name.to_owned(), message }
            }),
        }
    }

    /// `#`, `##`, `%` and `%%`.
    fn read_trim(&mut self, name: &str, modifier: char) -> Result<String, ExpandError> {
        let word = self.read_operand('}', true)?;
        let Some(value) = self.look_up(name)? else {
            if self.lexer.keep_unset {
                return Ok(format!("${{{name}{modifier}{word}}}"));
            }
            // A bad pattern is an error even if there is nothing to match.
            return Pattern::parse(word.strip_prefix(modifier).unwrap_or(&word)).map(|_| String::new());
        };
        let (extent, text) = match word.strip_prefix(modifier) {
            Some(text) => (Extent::Longest, text),
            None => (Extent::Shortest, word.as_str()),
        };
        let pattern = Pattern::parse(text)?;
        self.spend(pattern.cost(&value))?;
        Ok(match modifier {
            '#' => pattern.trim_prefix(&value, extent),
            _ => pattern.trim_suffix(&value, extent),
        })
    }

    /// `/` and `//`.
    fn read_replace(&mut self, name: &str) -> Result<String, ExpandError> {
        let all = self.peek() == Some('/');
        if all {
            self.at += 1;
        }
        let slash = |error| match error {
            ExpandError::MissingBrace => ExpandError::MissingSlash { name: name.to_owned() },
            other => other,
        };
        let text = self.read_operand('/', true).map_err(slash)?;
        let replacement = self.read_operand('}', true)?;
        let value = self.look_up(name)?;
        let Some(value) = value else {
            if self.lexer.keep_unset {
                let slashes = if all { "//" } else { "/" };
                return Ok(format!("${{{name}{slashes}{text}/{replacement}}}"));
            }
            // The pattern is used on an empty value, where an empty match may be replaced.
            return self.replace_in("", &text, &replacement, all);
        };
        self.replace_in(&value, &text, &replacement, all)
    }

    fn replace_in(&mut self, value: &str, pattern: &str, with: &str, all: bool) -> Result<String, ExpandError> {
        let pattern = Pattern::parse(pattern)?;
        self.spend(pattern.cost(value))?;
        pattern.replace(value, with, all).ok_or(ExpandError::TooLong { limit: MAX_VALUE })
    }
}
