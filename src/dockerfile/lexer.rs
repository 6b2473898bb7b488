//! The lexer behind `expand`.

use super::error::ExpandError;
use super::expand::{Env, Expanded, MAX_NESTING, MAX_VALUE};
use super::word::Escape;

/// What happens to quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quotes {
    /// They group and vanish.
    Remove,
    /// They group and stay.
    Keep,
    /// They are ordinary characters.
    Text,
}

/// How a word is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lexer {
    escape: Escape,
    quotes: Quotes,
    keep_escapes: bool,
    pub(super) keep_unset: bool,
}

impl Lexer {
    /// Removes quotes and escapes; what is not set is empty.
    pub(super) fn new(escape: Escape) -> Self {
        Self { escape, quotes: Quotes::Remove, keep_escapes: false, keep_unset: false }
    }

    /// Quotes group and stay.
    pub(super) fn keep_quotes(self) -> Self {
        Self { quotes: Quotes::Keep, ..self }
    }

    /// Quotes are ordinary characters.
    pub(super) fn quotes_are_text(self) -> Self {
        Self { quotes: Quotes::Text, ..self }
    }

    /// Escapes work and stay.
    pub(super) fn keep_escapes(self) -> Self {
        Self { keep_escapes: true, ..self }
    }

    /// A variable that is not set stays as it was written.
    pub(super) fn keep_unset(self) -> Self {
        Self { keep_unset: true, ..self }
    }

    /// The value of a text.
    pub(super) fn expand(self, text: &str, env: &dyn Env) -> Result<Expanded<String>, ExpandError> {
        let mut run = Run::new(self, text, env);
        let value = run.read_until(None, self.keep_escapes, &mut None)?;
        Ok(run.finish(value))
    }

    /// The words of a text.
    pub(super) fn expand_words(self, text: &str, env: &dyn Env) -> Result<Expanded<Vec<String>>, ExpandError> {
        let mut run = Run::new(self, text, env);
        let mut words = Some(Words::default());
        run.read_until(None, self.keep_escapes, &mut words)?;
        let words = words.map(Words::finish).unwrap_or_default();
        Ok(run.finish(words))
    }
}

/// Splits what is read into words.
#[derive(Debug, Default)]
struct Words {
    done: Vec<String>,
    current: String,
}

impl Words {
    fn push(&mut self, c: char) {
        match c.is_whitespace() {
            true => self.end_word(),
            false => self.current.push(c),
        }
    }

    fn end_word(&mut self) {
        if !self.current.is_empty() {
            self.done.push(std::mem::take(&mut self.current));
        }
    }

    fn finish(mut self) -> Vec<String> {
        self.end_word();
        self.done
    }
}

/// One pass over one text.
pub(super) struct Run<'e> {
    pub(super) lexer: Lexer,
    chars: Vec<char>,
    pub(super) at: usize,
    env: &'e dyn Env,
    keep_escapes: bool,
    depth: usize,
    /// What copying values and matching patterns may still cost.
    budget: usize,
    seen: Expanded<()>,
}

/// The characters of values that may be copied, and compared with patterns, for one word.
const BUDGET: usize = 1 << 30;

impl<'e> Run<'e> {
    fn new(lexer: Lexer, text: &str, env: &'e dyn Env) -> Self {
        Self {
            lexer,
            chars: text.chars().collect(),
            at: 0,
            env,
            keep_escapes: lexer.keep_escapes,
            depth: 0,
            budget: BUDGET,
            seen: Expanded::default(),
        }
    }

    fn finish<T>(self, value: T) -> Expanded<T> {
        Expanded { value, used: self.seen.used, unset: self.seen.unset }
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        Some(c)
    }

    /// Reads what stands in a substitution up to `stop`, which is consumed.
    pub(super) fn read_operand(&mut self, stop: char, keep_escapes: bool) -> Result<String, ExpandError> {
        self.read_until(Some(stop), keep_escapes, &mut None)
    }

    /// Reads up to `stop`, which is consumed, or to the end if there is none.
    fn read_until(
        &mut self,
        stop: Option<char>,
        keep_escapes: bool,
        words: &mut Option<Words>,
    ) -> Result<String, ExpandError> {
        if self.depth >= MAX_NESTING {
            return Err(ExpandError::TooDeep { limit: MAX_NESTING });
        }
        let outer = std::mem::replace(&mut self.keep_escapes, keep_escapes);
        self.depth += 1;
        let read = self.read_rest(stop, words);
        self.depth -= 1;
        self.keep_escapes = outer;
        read
    }

    fn read_rest(&mut self, stop: Option<char>, words: &mut Option<Words>) -> Result<String, ExpandError> {
        let mut result = String::new();
        while let Some(c) = self.peek() {
            if result.len() > MAX_VALUE {
                return Err(ExpandError::TooLong { limit: MAX_VALUE });
            }
            if Some(c) == stop {
                self.at += 1;
                return Ok(result);
            }
            let part = match c {
                '$' => self.read_dollar()?,
                '<' => self.read_less_than(),
                '\'' if self.lexer.quotes != Quotes::Text => self.read_single_quote()?,
                '"' if self.lexer.quotes != Quotes::Text => self.read_double_quote()?,
                _ => {
                    self.read_plain(&mut result, words);
                    continue;
                }
            };
            result.push_str(&part);
            match words {
                Some(words) if c == '$' => part.chars().for_each(|c| words.push(c)),
                Some(words) => words.current.push_str(&part),
                None => {}
            }
        }
        match stop {
            Some(_) => Err(ExpandError::MissingBrace),
            None if result.len() > MAX_VALUE => Err(ExpandError::TooLong { limit: MAX_VALUE }),
            None => Ok(result),
        }
    }

    /// Reads one character that is no quote and no dollar, with its escape.
    fn read_plain(&mut self, result: &mut String, words: &mut Option<Words>) {
        let Some(c) = self.next() else { return };
        if c != self.lexer.escape.char() {
            result.push(c);
            if let Some(words) = words {
                words.push(c);
            }
            return;
        }
        let kept = if self.keep_escapes { Some(c) } else { None };
        // An escape at the very end vanishes.
        for c in kept.into_iter().chain(self.next()) {
            result.push(c);
            if let Some(words) = words {
                words.current.push(c);
            }
        }
    }

    fn read_single_quote(&mut self) -> Result<String, ExpandError> {
        let quote = self.next();
        let length = self.chars[self.at..].iter().position(|&c| c == '\'');
        let Some(length) = length else { return Err(ExpandError::UnclosedQuote { quote: '\'' }) };
        let inside: String = self.chars[self.at..self.at + length].iter().collect();
        self.at += length + 1;
        Ok(match (self.lexer.quotes, quote) {
            (Quotes::Keep, Some(quote)) => format!("{quote}{inside}{quote}"),
            _ => inside,
        })
    }

    fn read_double_quote(&mut self) -> Result<String, ExpandError> {
        self.at += 1;
        let keep_quote = self.lexer.quotes == Quotes::Keep;
        let mut result = String::from(if keep_quote { "\"" } else { "" });
        loop {
            if result.len() > MAX_VALUE {
                return Err(ExpandError::TooLong { limit: MAX_VALUE });
            }
            match self.peek() {
                None => return Err(ExpandError::UnclosedQuote { quote: '"' }),
                Some('"') => {
                    self.at += 1;
                    if keep_quote {
                        result.push('"');
                    }
                    return Ok(result);
                }
                Some('$') => result.push_str(&self.read_dollar()?),
                Some(c) => {
                    self.at += 1;
                    self.read_quoted_char(c, &mut result);
                }
            }
        }
    }

    /// Inside double quotes the escape works only before a quote, a dollar and itself.
    fn read_quoted_char(&mut self, c: char, result: &mut String) {
        if c != self.lexer.escape.char() {
            return result.push(c);
        }
        if self.keep_escapes {
            result.push(c);
        }
        match self.peek() {
            None => {}
            Some(next) if next == '"' || next == '$' || next == c => {
                self.at += 1;
                result.push(next);
            }
            Some(_) => result.push(c),
        }
    }

    /// `<<` keeps the spaces behind it, so that `<< EOF` is one word.
    fn read_less_than(&mut self) -> String {
        self.at += 1;
        let mut result = String::from("<");
        if self.peek() == Some('<') {
            self.at += 1;
            result.push('<');
            while let Some(c) = self.peek().filter(|c| matches!(c, '\t' | '\r' | ' ')) {
                self.at += 1;
                result.push(c);
            }
        }
        result
    }

    pub(super) fn spend(&mut self, cost: usize) -> Result<(), ExpandError> {
        self.budget = self.budget.checked_sub(cost).ok_or(ExpandError::TooCostly)?;
        Ok(())
    }

    /// Letters, digits and underscores; digits alone or one special character also name a variable.
    pub(super) fn read_name(&mut self) -> String {
        let rest = &self.chars[self.at..];
        let length = match rest.first() {
            Some(c) if c.is_ascii_digit() => rest.iter().take_while(|c| c.is_ascii_digit()).count(),
            Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => 1,
            _ => rest.iter().take_while(|&&c| c.is_alphanumeric() || c == '_').count(),
        };
        let name = rest[..length].iter().collect();
        self.at += length;
        name
    }

    pub(super) fn look_up(&mut self, name: &str) -> Result<Option<String>, ExpandError> {
        let Some(value) = self.env.value(name) else {
            self.seen.unset.insert(name.to_owned());
            return Ok(None);
        };
        self.spend(value.len())?;
        self.seen.used.insert(name.to_owned());
        Ok(Some(value.into_owned()))
    }
}
