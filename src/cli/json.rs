//! Errors and warnings for programs: one object, on a line of its own, with `--progress=rawjson`.

use base64::Engine as _;
use serde::Serialize;

use super::report::Told;
use crate::dockerfile::{Diagnostic, Help, Severity, Source, Span};

#[derive(Debug, Serialize)]
struct Line<'a> {
    /// The warnings among them as BuildKit tells them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Warning<'a>>,
    diagnostics: Vec<Problem<'a>>,
    /// With which the program will end, if it is an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u8>,
}

/// As Go's JSON has it: bytes are base64.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Warning<'a> {
    level: u32,
    short: String,
    detail: Vec<String>,
    source_info: SourceInfo<'a>,
    range: [LineRange; 1],
}

#[derive(Debug, Serialize)]
struct SourceInfo<'a> {
    filename: &'a str,
    language: &'static str,
}

#[derive(Debug, Serialize)]
struct LineRange {
    start: LineNumber,
    end: LineNumber,
}

#[derive(Debug, Serialize)]
struct LineNumber {
    line: usize,
}

/// One problem; places are counted from 1, columns in characters.
#[derive(Debug, Serialize)]
struct Problem<'a> {
    severity: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    code: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none", flatten)]
    place: Option<Place<'a>>,
    help: Vec<Advice<'a>>,
    notes: Vec<&'a str>,
}

#[derive(Debug, Serialize)]
struct Place<'a> {
    file: &'a str,
    #[serde(flatten)]
    range: Range,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Range {
    line: usize,
    column: usize,
    end_line: usize,
    end_column: usize,
}

/// What to do, and the edit that does it if there is one.
#[derive(Debug, Serialize)]
struct Advice<'a> {
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    edit: Option<Edit<'a>>,
}

#[derive(Debug, Serialize)]
struct Edit<'a> {
    #[serde(flatten)]
    range: Range,
    text: &'a str,
}

/// The line for an error, or for warnings, whose status is none; it ends with a newline.
pub fn line(told: &[Told<'_>], status: Option<u8>) -> String {
    let (mut diagnostics, mut warnings) = (Vec::new(), Vec::new());
    for told in told {
        match told {
            Told::InFile { file, problems } => {
                diagnostics.extend(problems.iter().map(|problem| in_file(file, problem)));
                let mild = problems.iter().filter(|problem| !problem.is_error());
                warnings.extend(mild.map(|problem| warning(file, problem)));
            }
            Told::Plain { message, hint } => {
                let advice = Some(hint.as_str()).filter(|hint| !hint.is_empty());
                let help = advice.into_iter().map(|message| Advice { message, edit: None }).collect();
                let (severity, notes) = ("error", Vec::new());
                diagnostics.push(Problem { severity, code: "", message, label: None, place: None, help, notes });
            }
        }
    }
    let line = Line { warnings, diagnostics, status };
    let mut text = serde_json::to_string(&line).expect("strings and numbers are JSON");
    text.push('\n');
    text
}

fn warning<'a>(file: &'a Source, problem: &Diagnostic) -> Warning<'a> {
    let bytes = |text: String| base64::engine::general_purpose::STANDARD.encode(text);
    let line = |at: usize| LineNumber { line: file.position(at).line };
    let last = problem.span.end().saturating_sub(1).max(problem.span.start());
    Warning {
        level: 1,
        short: bytes(format!("{}: {}", problem.code, problem.message)),
        detail: problem.help.iter().map(|help| bytes(help.message.clone())).collect(),
        source_info: SourceInfo { filename: file.name(), language: "Dockerfile" },
        range: [LineRange { start: line(problem.span.start()), end: line(last) }],
    }
}

fn in_file<'a>(file: &'a Source, problem: &'a Diagnostic) -> Problem<'a> {
    let Diagnostic { severity, code, message, span, label, help, notes } = problem;
    Problem {
        severity: match severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        },
        code,
        message,
        label: label.as_deref(),
        place: Some(Place { file: file.name(), range: range(file, *span) }),
        help: help.iter().map(|help| advice(file, help)).collect(),
        notes: notes.iter().map(String::as_str).collect(),
    }
}

fn advice<'a>(file: &Source, help: &'a Help) -> Advice<'a> {
    let edit = help.replacement.as_ref().map(|(span, text)| Edit { range: range(file, *span), text });
    Advice { message: &help.message, edit }
}

fn range(file: &Source, span: Span) -> Range {
    let (start, end) = (file.position(span.start()), file.position(span.end()));
    Range { line: start.line, column: start.column, end_line: end.line, end_column: end.column }
}
