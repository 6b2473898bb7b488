//! Errors as a person reads them: the line, a caret, what was wrong, what to do.

use super::error::Error;
use super::progress::{Colours, Surroundings};
use crate::build::{self, Problem};
use crate::dockerfile::{Color, Diagnostic, Source, Span, render};
use crate::path::Printable as _;

/// The whole text of an error, ending with a newline.
pub fn error(error: &Error) -> String {
    let color = color();
    match error {
        Error::Build(build::Error::Dockerfile { file, problems }) => diagnostics(file, problems),
        Error::Build(build::Error::Step { file, span, text, problem, hints }) => {
            let mut report = vec![step(*span, text, problem)];
            report.extend(hints.iter().cloned());
            render_all(file, &report, color)
        }
        Error::Build(build::Error::General(problem)) => plain(&problem.to_string(), &hint_of(problem)),
        Error::Usage { message, hint } | Error::Input { message, hint } => plain(message, hint),
        other => plain(&other.to_string(), ""),
    }
}

/// Diagnostics of a Dockerfile, ending with a newline; nothing if there are none.
pub fn diagnostics(file: &Source, problems: &[Diagnostic]) -> String {
    if problems.is_empty() { String::new() } else { render_all(file, problems, color()) }
}

fn color() -> Color {
    match Surroundings::of_process().colours() {
        Colours::Wanted => Color::Always,
        Colours::Unwanted => Color::Never,
    }
}

fn render_all(file: &Source, problems: &[Diagnostic], color: Color) -> String {
    let mut text = render(file, problems, color);
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

fn plain(message: &str, hint: &str) -> String {
    let escaped =
        |text: &str| text.lines().map(|line| line.as_bytes().escape_ascii_utf8()).collect::<Vec<_>>().join("\n");
    let mut text = format!("error: {}\n", escaped(message));
    if !hint.is_empty() {
        text.push_str(&format!("hint: {}\n", escaped(hint)));
    }
    text
}

fn step(span: Span, text: &str, problem: &Problem) -> Diagnostic {
    let (label, code) = match problem {
        Problem::Exit { .. } | Problem::Signal { .. } => ("this command failed", "command-failed"),
        Problem::Context(_) if text.starts_with("RUN") => ("this cannot be mounted", "mount-failed"),
        Problem::Context(_) => ("this cannot be copied", "copy-failed"),
        Problem::NoSecret { .. } | Problem::NoAgent { .. } => ("this is required", "mount-failed"),
        Problem::Registry(_) => ("this image is needed", "pull-failed"),
        Problem::Fetch(_) => ("this cannot be fetched", "fetch-failed"),
        _ => ("this failed", "step-failed"),
    };
    let mut lines = problem_lines(text, problem).into_iter();
    let mut report = Diagnostic::error(code, span, lines.next().unwrap_or_default()).with_label(label);
    for line in lines {
        report = match line.strip_prefix("hint: ") {
            Some(hint) => report.with_help(hint),
            None => report.with_note(line),
        };
    }
    let hint = hint_of(problem);
    if hint.is_empty() { report } else { report.with_help(hint) }
}

/// The message in lines, and a hint that stands behind a semicolon as a line of its own.
fn problem_lines(text: &str, problem: &Problem) -> Vec<String> {
    let message = match problem {
        Problem::Registry(_) if text.starts_with("image ") => format!("cannot get {text}: {problem}"),
        _ => problem.to_string(),
    };
    message.replace("; hint: ", "\nhint: ").lines().map(str::to_owned).collect()
}

fn hint_of(problem: &Problem) -> String {
    match problem {
        Problem::Machine { cure, .. } => cure.clone(),
        Problem::OutputCopied { .. } => {
            "write the output to another folder with `-o`, or give the file another name".into()
        }
        Problem::Platform { image, .. } => format!("build on a machine for {image}, or choose a base for this one"),
        Problem::Exit { code: 127 } => {
            "status 127 usually means that a program was not found: is it in the image?".into()
        }
        _ => String::new(),
    }
}
