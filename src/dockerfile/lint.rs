//! Warnings that need nothing but the text, and are about all of it: those of stages that are not built too.
//!
//! Their names and meaning are those of BuildKit's checks. What depends on variables, on the base image or on the stages
//! that are built is in the room `plan`.

use std::collections::BTreeSet;

use super::ast::{Dockerfile, Head, Instruction, InstructionKind};
use super::diagnostic::{Diagnostic, Sink};
use super::source::Span;

/// Adds the warnings of a file.
pub(super) fn check(dockerfile: &Dockerfile, empty_lines: &[Span], sink: &mut Sink) {
    let mut report = Report { dockerfile, sink };
    for span in empty_lines {
        let warning =
            Diagnostic::warning("NoEmptyContinuation", *span, "an empty line stands inside a continued instruction");
        report.add(&[], warning.with_help("remove the line; it will become an error"));
    }
    casing(&mut report);
    stage_names(&mut report);
    for instruction in &dockerfile.globals {
        check_instruction(instruction, &mut report);
    }
    for stage in &dockerfile.stages {
        if let Some(name) = &stage.name {
            description(&stage.from.head, &[&name.value], &mut report);
        }
        for instruction in &stage.instructions {
            check_instruction(instruction, &mut report);
        }
    }
}

struct Report<'a> {
    dockerfile: &'a Dockerfile,
    sink: &'a mut Sink,
}

impl Report<'_> {
    /// Adds a warning unless its rule is skipped, for the file or by a comment above the instruction.
    ///
    /// Rules about the file as a whole look at no comments, as in BuildKit.
    fn add(&mut self, comments: &[String], warning: Diagnostic) {
        if self.dockerfile.directives.check.reports(warning.code, comments) {
            self.sink.push(warning);
        }
    }
}

fn check_instruction(instruction: &Instruction, report: &mut Report<'_>) {
    let head = &instruction.head;
    match &instruction.kind {
        InstructionKind::Maintainer(author) => {
            let warning = Diagnostic::warning("MaintainerDeprecated", head.span, "MAINTAINER is deprecated");
            let label = format!("LABEL org.opencontainers.image.authors=\"{}\"", author.value.replace('"', "\\\""));
            report.add(&head.comments, warning.with_fix("use a label", head.span, label));
        }
        InstructionKind::Arg(declarations) => {
            let names: Vec<&str> = declarations.iter().map(|declaration| declaration.name.value.as_str()).collect();
            description(head, &names, report);
        }
        _ => {}
    }
}

/// A comment directly above an ARG or a named stage is taken for its description.
fn description(head: &Head, names: &[&str], report: &mut Report<'_>) {
    let Some(comment) = head.comments.last() else { return };
    let first = comment.split(' ').next().unwrap_or("");
    if names.contains(&first) {
        return;
    }
    let name = match names {
        [name] => (*name).to_owned(),
        _ => "NAME".to_owned(),
    };
    let message =
        format!("the comment above this {} does not describe it: it does not begin with `{name}`", head.keyword);
    let warning = Diagnostic::warning("InvalidDefinitionDescription", head.span, message);
    let help = format!("begin with the name, `# {name} …`, or put an empty comment `#` between");
    report.add(&head.comments, warning.with_help(help));
}

fn casing(report: &mut Report<'_>) {
    let dockerfile = report.dockerfile;
    let heads = || {
        let stages = dockerfile.stages.iter();
        stages.flat_map(|stage| std::iter::once(&stage.from.head).chain(stage.instructions.iter().map(|one| &one.head)))
    };
    let written = |head: &Head| first_word(&head.text).to_owned();
    let lower = heads().filter(|head| written(head).chars().all(|c| c.is_ascii_lowercase())).count();
    let upper = heads().filter(|head| written(head).chars().all(|c| c.is_ascii_uppercase())).count();
    for head in heads() {
        let name = written(head);
        let (right, case) = match lower > upper {
            true => (name.to_ascii_lowercase(), "lower case"),
            false => (name.to_ascii_uppercase(), "capitals"),
        };
        if name != right {
            let message = format!("`{name}` should be in {case}, as most instructions of this file are");
            let warning = Diagnostic::warning("ConsistentInstructionCasing", head.keyword_span, message);
            report.add(&[], warning.with_fix(format!("write `{right}`"), head.keyword_span, right));
        }
    }
}

fn first_word(text: &str) -> &str {
    text.split(super::lines::is_blank).next().unwrap_or("")
}

fn stage_names(report: &mut Report<'_>) {
    let dockerfile = report.dockerfile;
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for stage in &dockerfile.stages {
        let Some(name) = &stage.name else { continue };
        let comments = &stage.from.comments;
        let mut words = stage.from.text.split(super::lines::is_blank).rev();
        let written = words.next().unwrap_or("");
        let keyword = words.find(|word| !word.is_empty()).unwrap_or("");
        if written != name.value {
            let warning = Diagnostic::warning(
                "StageNameCasing",
                name.span,
                format!("the stage name `{written}` should be in lower case"),
            );
            report.add(comments, warning.with_fix(format!("write `{}`", name.value), name.span, name.value.clone()));
        }
        let from = first_word(&stage.from.text);
        let right = match (from == from.to_ascii_lowercase(), from == from.to_ascii_uppercase()) {
            (true, _) => "as",
            (_, true) => "AS",
            _ => keyword,
        };
        if keyword != right {
            let message = format!("`{keyword}` should be written `{right}`, as `{from}` is");
            report.add(comments, Diagnostic::warning("FromAsCasing", stage.from.span, message));
        }
        if matches!(name.value.as_str(), "scratch" | "context") {
            let message = format!("the stage name `{}` hides what `{}` usually means", name.value, name.value);
            report.add(&[], Diagnostic::warning("ReservedStageName", name.span, message));
        }
        if !seen.insert(&name.value) {
            let message = format!("a stage before this one is also called `{}`", name.value);
            report.add(&[], Diagnostic::warning("DuplicateStageName", name.span, message));
        }
    }
}
