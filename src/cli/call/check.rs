//! The answer of `--check`.

use serde_json::{Value, json};

use super::document::{data, lines, location, object, text_of};
use crate::build::Inspected;
use crate::cli::report;
use crate::dockerfile::{Color, Diagnostic, Dockerfile, Rule, Severity};

/// For people: how many warnings there are, and each of them.
pub(super) fn text(inspected: &Inspected, color: Color) -> String {
    let mut warnings = inspected.of(Severity::Warning);
    let errors = inspected.problems.len() - warnings.len();
    let count = match (warnings.len(), errors) {
        // What is wrong is told on standard error.
        (0, 1..) => return String::new(),
        (0, 0) => return "Check complete, no warnings found.\n".to_owned(),
        (1, _) => "Check complete, 1 warning has been found!".to_owned(),
        (many, _) => format!("Check complete, {many} warnings have been found!"),
    };
    for warning in &mut warnings {
        warning.notes.extend(Rule::find(warning.code).and_then(Rule::url));
    }
    format!("{count}\n\n{}", report::diagnostics_in(&inspected.dockerfile.source, &warnings, color))
}

/// For programs: the document of BuildKit's subrequest `frontend.lint`.
pub(super) fn json(inspected: &Inspected) -> String {
    let Inspected { dockerfile, problems, .. } = inspected;
    let warnings: Vec<Value> =
        inspected.of(Severity::Warning).iter().map(|one| warning(dockerfile, &one.without_tokens())).collect();
    let error = problems.iter().find(|problem| problem.is_error());
    let error =
        error.map(|error| json!({ "message": error.without_tokens().message, "location": location(lines(dockerfile, error.span)) }));
    let source = json!({
        "filename": dockerfile.source.name(),
        "language": "Dockerfile",
        "data": data(dockerfile, problems),
    });
    let mut document = json!({ "warnings": warnings, "sources": [source] });
    if let Some(error) = error {
        document["buildError"] = error;
    }
    text_of(&document)
}

fn warning(dockerfile: &Dockerfile, warning: &Diagnostic) -> Value {
    let rule = Rule::find(warning.code);
    let (first, last) = lines(dockerfile, warning.span);
    // BuildKit names the line at which the instruction ends, not the empty one.
    let lines = if warning.code == "NoEmptyContinuation" { (last, last) } else { (first, last) };
    let mut detail = warning.message.clone();
    for help in warning.help.iter().map(|help| &help.message).filter(|help| help.starts_with("did you mean")) {
        detail.push_str(&format!(" ({help})"));
    }
    object(&[
        ("ruleName", json!(warning.code)),
        ("description", json!(rule.map(|rule| rule.about))),
        ("url", json!(rule.and_then(Rule::url))),
        ("detail", json!(detail)),
        ("location", location(lines)),
    ])
}
