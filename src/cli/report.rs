//! Errors as a person reads them: the line, a caret, what was wrong, what to do.

use std::borrow::Cow;
use std::io::ErrorKind;

use super::error::Error;
use super::progress::{Colours, Surroundings};
use crate::build::{self, Problem};
use crate::compose;
use crate::context;
use crate::dockerfile::{Color, Diagnostic, Source, Span, render};
use crate::export;
use crate::path::Printable as _;
use crate::registry;
use crate::sandbox;

/// An error before it is shown.
#[derive(PartialEq)]
pub enum Told<'a> {
    /// At its places in a Dockerfile.
    InFile { file: &'a Source, problems: Cow<'a, [Diagnostic]> },
    /// Elsewhere; the hint may be empty.
    Plain { message: String, hint: String },
}

/// The whole text of an error, ending with a newline; nothing if it was told already.
pub fn error(error: &Error) -> String {
    if matches!(error, Error::Warnings) {
        // They were told on standard output.
        return String::new();
    }
    let shown = |told: &Told<'_>| match told {
        Told::InFile { file, problems } => diagnostics(file, problems),
        Told::Plain { message, hint } => plain(message, hint),
    };
    told(error).iter().map(shown).collect::<Vec<_>>().join("\n")
}

/// What is told of an error: one thing, or one of each image or file.
pub fn told(error: &Error) -> Vec<Told<'_>> {
    let plain = |message: String, hint: &str| vec![Told::Plain { message, hint: hint.to_owned() }];
    match error {
        Error::Build(error) => vec![of_build(error, "")],
        Error::NotCompared(error) => told(error),
        Error::Services { failed, .. } | Error::Checks { failed, .. } => {
            let mut own: Vec<Told<'_>> = Vec::new();
            for (name, error) in failed {
                let told = of_build(error, &format!("the service `{name}`: "));
                // Services may have one Dockerfile.
                if !own.contains(&told) {
                    own.push(told);
                }
            }
            own.extend(plain(error.to_string(), ""));
            own
        }
        Error::Compose(compose::Error::Invalid(found)) => found.iter().map(in_file).collect(),
        Error::ArgumentFile { file, problems } => vec![Told::InFile { file, problems: problems.into() }],
        Error::Compose(error) => plain(error.to_string(), &hint_of_compose(error)),
        Error::Usage { message, hint } | Error::Input { message, hint } | Error::Verdict { message, hint, .. } => {
            plain(message.clone(), hint)
        }
        Error::Export(export::Error::File(problem)) if problem.source.kind() == ErrorKind::PermissionDenied => {
            let hint = "write the image elsewhere with `-o FILE.tar`, or keep it in the store with `-o type=image`";
            plain(problem.to_string(), hint)
        }
        other => plain(other.to_string(), ""),
    }
}

/// A failed build; what belongs to no instruction begins with `whose`.
fn of_build<'a>(error: &'a build::Error, whose: &str) -> Told<'a> {
    match error {
        build::Error::Dockerfile { file, problems } => Told::InFile { file, problems: Cow::Borrowed(problems) },
        build::Error::Step { file, span, text, problem, hints } => {
            Told::InFile { file, problems: Cow::Owned(vec![step(*span, text, problem, hints)]) }
        }
        build::Error::General(problem) => Told::Plain { message: format!("{whose}{problem}"), hint: hint_of(problem) },
    }
}

/// What was found in a compose file.
pub fn in_file(report: &compose::Report) -> Told<'_> {
    Told::InFile { file: &report.file, problems: Cow::Borrowed(&report.problems) }
}

/// Diagnostics of a Dockerfile, ending with a newline; nothing if there are none.
pub fn diagnostics(file: &Source, problems: &[Diagnostic]) -> String {
    diagnostics_in(file, problems, color())
}

/// The same where something else decides about colours.
pub fn diagnostics_in(file: &Source, problems: &[Diagnostic], color: Color) -> String {
    if problems.is_empty() { String::new() } else { render_all(file, problems, color) }
}

/// Diagnostics of several files, ending with a newline; nothing if there are none.
pub fn reports(found: &[compose::Report]) -> String {
    let shown = found.iter().map(|report| diagnostics(&report.file, &report.problems));
    shown.filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n")
}

/// Something worth knowing that is no problem, ending with a newline.
pub fn note(text: &str) -> String {
    format!("note: {}\n", text.as_bytes().escape_ascii_utf8())
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
    let mut text = format!("error: {}\n", escaped(&hints_apart(message)));
    if !hint.is_empty() {
        text.push_str(&format!("hint: {}\n", escaped(hint)));
    }
    text
}

/// A hint that stands behind a semicolon gets a line of its own.
fn hints_apart(message: &str) -> String {
    message.replace("; hint: ", "\nhint: ")
}

/// One report of a failed instruction, with what the context tells about it.
fn step(span: Span, text: &str, problem: &Problem, hints: &[Diagnostic]) -> Diagnostic {
    let (label, code) = match problem {
        Problem::Exit { .. } | Problem::Signal { .. } => ("this command failed", "command-failed"),
        Problem::Context(_) if text.starts_with("RUN") => ("this cannot be mounted", "mount-failed"),
        Problem::Sandbox(error) if error.exec_status().is_some() => ("this command failed", "command-failed"),
        Problem::Context(_) => ("this cannot be copied", "copy-failed"),
        Problem::NoSecret { .. } | Problem::NoAgent { .. } => ("this is required", "mount-failed"),
        Problem::Device(_) => ("this device is asked for", "device-failed"),
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
    for hint in hints {
        report.notes.push(hint.message.clone());
        report.help.extend(hint.help.iter().cloned());
    }
    let hint = match problem {
        Problem::Sandbox(error) if error.exec_status() == Some(127) => not_found(text).to_owned(),
        _ => hint_of(problem),
    };
    if hint.is_empty() { report } else { report.with_help(hint) }
}

/// The message in lines, and a hint that stands behind a semicolon as a line of its own.
fn problem_lines(text: &str, problem: &Problem) -> Vec<String> {
    let message = match problem {
        // It names the image itself.
        Problem::Registry(error) if matches!(**error, registry::Error::NotFound { .. }) => problem.to_string(),
        Problem::Registry(_) => format!("cannot pull `{text}`: {problem}"),
        _ => problem.to_string(),
    };
    hints_apart(&message).lines().map(str::to_owned).collect()
}

fn hint_of(problem: &Problem) -> String {
    match problem {
        Problem::Machine { cure, .. } => cure.clone(),
        Problem::OutputCopied { .. } => {
            "write the output to another folder with `-o`, or give the file another name".into()
        }
        Problem::Platform { image, .. } => format!("build on a machine for {image}, or choose a base for this one"),
        Problem::Exit { full: true, .. } => {
            "the disk of the store is full, which may be the cause: `rbuild prune` makes room in the store".into()
        }
        Problem::Exit { code: 127, .. } => {
            "status 127 usually means that a program was not found: is it in the image?".into()
        }
        Problem::Exit { code: 126, .. } => {
            "status 126 usually means that a file is not executable: `RUN chmod +x FILE` makes it so".into()
        }
        Problem::Sandbox(error) => hint_of_sandbox(error).into(),
        Problem::Context(context::Error::Io(error)) if error.source.kind() == ErrorKind::PermissionDenied => {
            "make it readable for the user who builds, or leave it out with a line in `.dockerignore`".into()
        }
        Problem::Registry(error) if matches!(**error, registry::Error::Unreachable { .. }) => {
            "is the registry running, and is the name right?".into()
        }
        _ => String::new(),
    }
}

fn hint_of_compose(error: &compose::Error) -> String {
    match error {
        compose::Error::NoFile { .. } => "write a `compose.yaml`, or name one with `-f FILE`".into(),
        compose::Error::Name { .. } => "give another one with `-p NAME`".into(),
        compose::Error::NoService { near: Some(near), .. } => format!("did you mean `{near}`?"),
        compose::Error::Invalid(_) | compose::Error::File { .. } | compose::Error::NoService { near: None, .. } => {
            String::new()
        }
    }
}

/// What to do about a program that an instruction starts and that is not there: the one in an array, or the shell, which
/// runs scripts too.
fn not_found(text: &str) -> &'static str {
    let is_before =
        |word: &&str| ["RUN", "ONBUILD"].contains(&word.to_ascii_uppercase().as_str()) || word.starts_with("--");
    let command = text.split_whitespace().find(|word| !is_before(word)).unwrap_or_default();
    if command.starts_with('[') {
        "the exec form runs a program without a shell: is it in the image, and are its interpreter and libraries?"
    } else {
        "the image does not have this shell: name one that it has with SHELL, or run a program without one: `RUN [\"program\"]`"
    }
}

fn hint_of_sandbox(error: &sandbox::Error) -> &'static str {
    match (error, error.exec_status()) {
        (_, Some(127)) => "is the program in the image, and are its interpreter and libraries?",
        (_, Some(_)) => "is it an executable file for this machine? `RUN chmod +x FILE` makes a script executable",
        (sandbox::Error::UnknownUser { .. }, _) => "make the user with a RUN before, or give its number to USER",
        (sandbox::Error::UnknownGroup { .. }, _) => "make the group with a RUN before, or give its number to USER",
        _ => "",
    }
}
