//! What can go wrong when a word is expanded.

use super::diagnostic::Diagnostic;
use super::word::Word;

/// A word that has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpandError {
    /// `${` without its end.
    #[error("`${{` has no matching `}}`")]
    MissingBrace,
    /// `${v/p` without the second slash.
    #[error("`${{{name}/` has no `/` between pattern and replacement")]
    MissingSlash {
        /// The variable.
        name: String,
    },
    /// `${}`, `${:…}` or `${{…}`.
    #[error("`${{` is not followed by the name of a variable")]
    BadSubstitution,
    /// Something behind the name that means nothing.
    #[error("`{modifier}` is not a modifier of a variable")]
    UnsupportedModifier {
        /// The characters behind the name.
        modifier: String,
    },
    /// A quote without its end.
    #[error("the quote `{quote}` is not closed")]
    UnclosedQuote {
        /// The quote.
        quote: char,
    },
    /// `${v?m}` or `${v:?m}` of a variable that lacks a value.
    #[error("variable `{name}` {message}")]
    Required {
        /// The variable.
        name: String,
        /// What the Dockerfile says about it, or what is missing.
        message: String,
    },
    /// A pattern that cannot match anything.
    #[error("pattern `{pattern}` is invalid: {problem}")]
    InvalidPattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A value beyond the limit.
    #[error("the value is longer than {limit} bytes")]
    TooLong {
        /// The limit.
        limit: usize,
    },
    /// Substitutions inside substitutions beyond the limit.
    #[error("substitutions are nested more than {limit} deep")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// A word that would take too long to expand.
    #[error("expanding this word takes too long")]
    TooCostly,
}

impl ExpandError {
    /// The same as a message about the word.
    pub fn diagnostic(&self, word: &Word) -> Diagnostic {
        let diagnostic = Diagnostic::error(self.code(), word.span(), self.to_string());
        match self {
            Self::UnclosedQuote { .. } => diagnostic.with_help("close the quote, or escape it to take it literally"),
            Self::UnsupportedModifier { .. } => diagnostic.with_help(
                "known are `:-` `-` `:+` `+` `:?` `?` `#` `##` `%` `%%` `/` and `//`; escape the `$` to take it literally",
            ),
            Self::MissingBrace => diagnostic.with_help("close it with `}`, or escape the `$` to take it literally"),
            Self::BadSubstitution => diagnostic.with_help("escape the `$` to take it literally, or use single quotes"),
            Self::MissingSlash { .. } => diagnostic.with_help("write `${name/pattern/replacement}`"),
            Self::InvalidPattern { .. } => diagnostic.with_note("a backslash may stand before `*`, `?`, `/`, `}` and `\\`"),
            Self::Required { .. } => diagnostic.with_help("set it by ENV, or by ARG and `--build-arg`, above this line"),
            Self::TooLong { .. } | Self::TooDeep { .. } | Self::TooCostly => diagnostic,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::MissingBrace
            | Self::MissingSlash { .. }
            | Self::BadSubstitution
            | Self::UnsupportedModifier { .. }
            | Self::InvalidPattern { .. } => "bad-substitution",
            Self::UnclosedQuote { .. } => "unclosed-quote",
            Self::Required { .. } => "required-variable",
            Self::TooLong { .. } | Self::TooDeep { .. } | Self::TooCostly => "expansion-limit",
        }
    }
}
