//! Turns words into values: variables, quotes and escapes, as BuildKit's shell lexer reads them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::error::ExpandError;
use super::heredoc::Heredoc;
use super::lexer::Lexer;
use super::word::{Escape, Word};

/// The longest value that one word may become.
pub const MAX_VALUE: usize = 1 << 20;
/// How deep substitutions may be nested in one word.
pub const MAX_NESTING: usize = 100;

/// Variables by name.
pub trait Env {
    /// The value of a variable, none if it is not set.
    fn value(&self, name: &str) -> Option<Cow<'_, str>>;
}

impl Env for BTreeMap<String, String> {
    fn value(&self, name: &str) -> Option<Cow<'_, str>> {
        self.get(name).map(|value| Cow::Borrowed(value.as_str()))
    }
}

/// An environment without variables.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoEnv;

impl Env for NoEnv {
    fn value(&self, _name: &str) -> Option<Cow<'_, str>> {
        None
    }
}

/// What a word became, and which variables it asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Expanded<T> {
    /// The value.
    pub value: T,
    /// Variables that were set.
    pub used: BTreeSet<String>,
    /// Variables that were not.
    pub unset: BTreeSet<String>,
}

/// The value of a word: quotes and escapes removed, variables replaced.
pub fn expand(word: &Word, escape: Escape, env: &dyn Env) -> Result<Expanded<String>, ExpandError> {
    Lexer::new(escape).expand(word.raw(), env)
}

/// The values of a word that is split at the spaces outside quotes, after variables were replaced; for `EXPOSE`.
pub fn expand_words(word: &Word, escape: Escape, env: &dyn Env) -> Result<Expanded<Vec<String>>, ExpandError> {
    Lexer::new(escape).expand_words(word.raw(), env)
}

/// The file that a heredoc of `COPY` or `ADD` stands for: variables are replaced unless its word was quoted.
///
/// Quotes are plain text, and the escape is always the backslash, as in BuildKit.
pub fn expand_heredoc(heredoc: &Heredoc, env: &dyn Env) -> Result<Expanded<String>, ExpandError> {
    match heredoc.expand {
        true => Lexer::new(Escape::Backslash).quotes_are_text().expand(&heredoc.body(), env),
        false => Ok(Expanded { value: heredoc.body().into_owned(), used: BTreeSet::new(), unset: BTreeSet::new() }),
    }
}

/// An instruction as progress shows it: variables that are set are replaced, quotes stay; the text itself if it is malformed.
pub fn expand_shown(text: &str, escape: Escape, env: &dyn Env) -> String {
    let shown = Lexer::new(escape).keep_quotes().keep_unset().expand(text, env);
    // What is shown need not be well formed: the shell reads the text, not this lexer.
    shown.map_or_else(|_| text.to_owned(), |expanded| expanded.value)
}
