//! What is wrong with a Dockerfile, where, and what to write instead.

use super::secrets;
use super::source::Span;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The image cannot be built.
    Error,
    /// The image can be built, but probably not as meant.
    Warning,
}

/// Advice, with the edit that follows it if there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Help {
    /// The advice.
    pub message: String,
    /// What to put in place of a span.
    pub replacement: Option<(Span, String)>,
}

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The stable name of the rule; warnings use the names of BuildKit's checks.
    pub code: &'static str,
    /// What is wrong, in one sentence.
    pub message: String,
    /// Where.
    pub span: Span,
    /// What to say at the place itself.
    pub label: Option<String>,
    /// What to do about it.
    pub help: Vec<Help>,
    /// What else is worth knowing.
    pub notes: Vec<String>,
}

impl Diagnostic {
    /// A problem that stops the build.
    pub fn error(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, span, message.into())
    }

    /// A problem that does not stop the build.
    pub fn warning(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, span, message.into())
    }

    fn new(severity: Severity, code: &'static str, span: Span, message: String) -> Self {
        Self { severity, code, message, span, label: None, help: Vec::new(), notes: Vec::new() }
    }

    /// Says something at the place itself.
    #[must_use]
    pub fn with_label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Gives advice.
    #[must_use]
    pub fn with_help(mut self, message: impl Into<String>) -> Self {
        self.help.push(Help { message: message.into(), replacement: None });
        self
    }

    /// Gives advice and the edit that follows it.
    #[must_use]
    pub fn with_fix(mut self, message: impl Into<String>, span: Span, text: impl Into<String>) -> Self {
        self.help.push(Help { message: message.into(), replacement: Some((span, text.into())) });
        self
    }

    /// Adds a remark.
    #[must_use]
    pub fn with_note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// The same without tokens of known shapes in what it says.
    #[must_use]
    pub fn without_tokens(&self) -> Self {
        let mut shown = self.clone();
        let texts = [&mut shown.message].into_iter().chain(&mut shown.label).chain(&mut shown.notes);
        let helps = shown.help.iter_mut().flat_map(|help| {
            let replacement = help.replacement.as_mut().map(|(_, text)| text);
            [&mut help.message].into_iter().chain(replacement)
        });
        texts.chain(helps).for_each(|text| *text = secrets::masked(text));
        shown
    }

    /// Whether it stops the build.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// Collects problems, up to a number that still helps whoever reads them.
#[derive(Debug, Default)]
pub(super) struct Sink {
    found: Vec<Diagnostic>,
    errors: usize,
    warnings: usize,
}

/// How many errors are reported for one file, and how many warnings.
const MAX_REPORTED: usize = 100;

impl Sink {
    /// Adds a problem; beyond the limit it is only counted.
    pub(super) fn push(&mut self, diagnostic: Diagnostic) {
        let count = match diagnostic.severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
        };
        *count += 1;
        if *count <= MAX_REPORTED {
            self.found.push(diagnostic);
        }
    }

    /// Whether there are so many errors that reading on helps nobody.
    pub(super) fn is_full(&self) -> bool {
        self.errors >= MAX_REPORTED
    }

    /// Whether an error was added.
    pub(super) fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// The problems in the order of the text.
    pub(super) fn finish(mut self) -> Vec<Diagnostic> {
        self.found.sort_by_key(|diagnostic| (diagnostic.span.start(), diagnostic.severity));
        if self.errors >= MAX_REPORTED
            && let Some(last) = self.found.iter_mut().rev().find(|diagnostic| diagnostic.is_error())
        {
            last.notes.push(format!("reading stopped after {MAX_REPORTED} errors"));
        }
        self.found
    }
}
