//! Pieces of a Dockerfile: text that is final, and words that variables may still change.

use std::fmt;

use super::source::Span;

/// The character that escapes others and continues lines, chosen by `# escape=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Escape {
    /// `\`, the default.
    #[default]
    Backslash,
    /// `` ` ``, for Windows paths.
    Backtick,
}

impl Escape {
    /// The character itself.
    pub fn char(self) -> char {
        match self {
            Self::Backslash => '\\',
            Self::Backtick => '`',
        }
    }
}

/// Text that is taken as it is: no variable, quote or escape in it is looked at again.
#[derive(Clone, PartialEq, Eq)]
pub struct Text {
    /// The text.
    pub value: String,
    /// Where it stands.
    pub span: Span,
}

impl Text {
    /// Some text and its place.
    pub fn new(value: impl Into<String>, span: Span) -> Self {
        Self { value: value.into(), span }
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} @{:?}", self.value, self.span)
    }
}

/// Text that becomes a value only by `expand`: it may hold variables, quotes and escapes.
#[derive(Clone, PartialEq, Eq)]
pub struct Word {
    raw: String,
    span: Span,
}

impl Word {
    /// A raw word and its place.
    pub fn new(raw: impl Into<String>, span: Span) -> Self {
        Self { raw: raw.into(), span }
    }

    /// The word as it was written, to be shown or compared, never to be used as its value.
    pub fn raw(&self) -> &str {
        &self.raw
    }

    /// Where it stands.
    pub fn span(&self) -> Span {
        self.span
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "word {:?} @{:?}", self.raw, self.span)
    }
}
