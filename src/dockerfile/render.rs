//! Shows diagnostics with the lines that they are about.

use annotate_snippets::{AnnotationKind, Group, Level, Patch, Renderer, Snippet, normalize_untrusted_str};

use super::diagnostic::{Diagnostic, Help, Severity};
use super::secrets;
use super::source::{Source, Span};
use crate::remote::masked;

/// Whether text is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    /// With ANSI sequences.
    Always,
    /// Plain.
    Never,
}

/// The rule whose spans are values that are not to be shown.
const SECRET_VALUE: &str = "SecretValue";
/// The most lines that one message shows.
const MAX_LINES: usize = 6;
/// The longest text that one message shows lines of.
const MAX_SHOWN: usize = 16 << 10;

/// Shows all diagnostics of one source, with an empty line between each two.
pub fn render(source: &Source, diagnostics: &[Diagnostic], color: Color) -> String {
    let renderer = match color {
        Color::Always => Renderer::styled(),
        Color::Never => Renderer::plain(),
    };
    let source = &Source::new(source.name(), shown_text(source, diagnostics));
    let mut shown = String::new();
    for diagnostic in diagnostics {
        if !shown.is_empty() {
            shown.push_str("\n\n");
        }
        shown.push_str(&renderer.render(&groups(source, &diagnostic.without_tokens())));
    }
    if !shown.is_empty() {
        shown.push('\n');
    }
    shown
}

/// The text as it may be shown: without credentials in URLs, without tokens of known shapes, and without the values that
/// the diagnostics call secrets. As long as before, so that every span still fits.
pub fn shown_text(source: &Source, diagnostics: &[Diagnostic]) -> String {
    let told = diagnostics.iter().filter(|diagnostic| diagnostic.code == SECRET_VALUE);
    secrets::hidden(&secrets::masked(&masked(source.text())), told.map(|diagnostic| diagnostic.span.range()))
}

fn groups<'a>(source: &'a Source, diagnostic: &'a Diagnostic) -> Vec<Group<'a>> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut main = Group::with_title(level.primary_title(diagnostic.message.as_str()).id(diagnostic.code));
    main = match excerpt(source, diagnostic.span) {
        Some(excerpt) => {
            let annotation = AnnotationKind::Primary.span(excerpt.span).label(diagnostic.label.as_deref());
            main.element(
                Snippet::source(excerpt.text).line_start(excerpt.line).path(source.name()).annotation(annotation),
            )
        }
        None => {
            let origin = annotate_snippets::Origin::path(source.name());
            main.element(origin.line(source.position(diagnostic.span.start()).line))
        }
    };
    for note in &diagnostic.notes {
        main = main.element(Level::NOTE.message(normalize_untrusted_str(note)));
    }
    let mut fixes = Vec::new();
    for help in &diagnostic.help {
        match fix(source, help) {
            Some(group) => fixes.push(group),
            None => main = main.element(Level::HELP.message(normalize_untrusted_str(&help.message))),
        }
    }
    let mut groups = vec![main];
    groups.append(&mut fixes);
    groups
}

fn fix<'a>(source: &'a Source, help: &'a Help) -> Option<Group<'a>> {
    let (span, replacement) = help.replacement.as_ref()?;
    let excerpt = excerpt(source, *span)?;
    // What is hidden in the text must not come back in what replaces it.
    let is_hidden = excerpt.text.get(excerpt.span.clone()).is_none_or(|text| text.contains("****"));
    if is_hidden {
        return None;
    }
    let patch = Patch::new(excerpt.span, masked(replacement));
    let title = Level::HELP.secondary_title(normalize_untrusted_str(&help.message));
    let snippet = Snippet::source(excerpt.text).line_start(excerpt.line).path(source.name()).patch(patch);
    Some(Group::with_title(title).element(snippet))
}

/// Whole lines, and a span in them.
struct Excerpt<'a> {
    text: &'a str,
    line: usize,
    span: std::ops::Range<usize>,
}

/// The lines of a span; of a long one only the first line. None if there is nothing to show, or too much.
fn excerpt(source: &Source, span: Span) -> Option<Excerpt<'_>> {
    let text = source.text();
    let last = span.end().saturating_sub(1).max(span.start());
    let span = match source.line_of(last) - source.line_of(span.start()) < MAX_LINES {
        true => span,
        false => Span::new(span.start(), source.lines_around(Span::new(span.start(), span.start())).end),
    };
    let lines = source.lines_around(span);
    let shown = text.get(lines.clone())?;
    if shown.trim().is_empty() || shown.len() > MAX_SHOWN {
        return None;
    }
    let end = span.end().min(lines.end).max(span.start());
    Some(Excerpt {
        text: shown,
        line: source.line_of(lines.start) + 1,
        span: span.start() - lines.start..end - lines.start,
    })
}
