//! What is no pattern.

use crate::path::Printable as _;

/// Text that is not a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{pattern}` is not a pattern: {reason}")]
pub struct BadPattern {
    /// The pattern, printable, cut to 200 characters.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl BadPattern {
    /// Says what is wrong with a pattern.
    pub fn new(pattern: &[u8], reason: &'static str) -> Self {
        Self { pattern: pattern.escape_ascii_utf8().chars().take(200).collect(), reason }
    }
}
