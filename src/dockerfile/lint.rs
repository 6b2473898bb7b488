//! Warnings that need nothing but the text; their names and meaning are those of BuildKit's checks.

use std::collections::{BTreeMap, BTreeSet};

use super::ast::{CommandLine, Dockerfile, Head, Instruction, InstructionKind, Pair, Separator, Stage};
use super::diagnostic::{Diagnostic, Severity, Sink};
use super::keyword::Keyword;
use super::source::Span;
use crate::platform::Platform;

/// Adds the warnings of a file.
pub(super) fn check(dockerfile: &Dockerfile, empty_lines: &[(Span, Vec<String>)], sink: &mut Sink) {
    let mut report = Report { dockerfile, sink };
    for (span, comments) in empty_lines {
        let warning =
            Diagnostic::warning("NoEmptyContinuation", *span, "an empty line stands inside a continued instruction");
        report.add(comments, warning.with_help("remove the line; it will become an error"));
    }
    casing(&mut report);
    stage_names(&mut report);
    let mut shells: BTreeMap<&str, bool> = BTreeMap::new();
    for stage in &dockerfile.stages {
        from_platform(stage, &mut report);
        only_last_counts(stage, &mut report);
        let mut shell = shells.get(stage.from.image.raw()).copied().unwrap_or(false);
        for instruction in &stage.instructions {
            shell |= matches!(instruction.kind, InstructionKind::Shell(_));
            check_instruction(instruction, shell, &mut report);
        }
        shells.extend(stage.name.as_ref().map(|name| (name.value.as_str(), shell)));
    }
}

struct Report<'a> {
    dockerfile: &'a Dockerfile,
    sink: &'a mut Sink,
}

impl Report<'_> {
    /// Adds a warning unless its rule is skipped, for the file or by a comment above the instruction.
    fn add(&mut self, comments: &[String], warning: Diagnostic) {
        let check = &self.dockerfile.directives.check;
        if !check.reports(warning.code, comments) {
            return;
        }
        self.sink.push(match check.error {
            true => {
                Diagnostic { severity: Severity::Error, ..warning }.with_note("`# check=error=true` makes it an error")
            }
            false => warning,
        });
    }
}

fn check_instruction(instruction: &Instruction, shell: bool, report: &mut Report<'_>) {
    let head = &instruction.head;
    match &instruction.kind {
        InstructionKind::Maintainer(author) => {
            let warning = Diagnostic::warning("MaintainerDeprecated", head.span, "MAINTAINER is deprecated");
            let label = format!("LABEL org.opencontainers.image.authors=\"{}\"", author.value.replace('"', "\\\""));
            report.add(&head.comments, warning.with_fix("use a label", head.span, label));
        }
        InstructionKind::Env(pairs) => {
            legacy_pairs(head, pairs, report);
            secrets(head, pairs.iter().map(|pair| (pair.key.raw(), pair.key.span())), report);
        }
        InstructionKind::Label(pairs) => legacy_pairs(head, pairs, report),
        InstructionKind::Arg(declarations) => {
            secrets(head, declarations.iter().map(|one| (one.name.value.as_str(), one.name.span)), report);
        }
        InstructionKind::Cmd(CommandLine::Shell { text, .. })
        | InstructionKind::Entrypoint(CommandLine::Shell { text, .. })
            if !shell =>
        {
            let message = format!("{} runs in a shell, which does not pass signals on", head.keyword);
            let warning = Diagnostic::warning("JSONArgsRecommended", head.span, message);
            let warning = match text.value.starts_with('[') {
                true => warning.with_help("this begins like an array but is no valid JSON: strings take double quotes"),
                false => warning.with_help(format!(
                    "write the arguments as an array: `{} [\"program\", \"argument\"]`",
                    head.keyword
                )),
            };
            report.add(&head.comments, warning);
        }
        InstructionKind::Add(_)
        | InstructionKind::Cmd(_)
        | InstructionKind::Copy(_)
        | InstructionKind::Entrypoint(_)
        | InstructionKind::Expose(_)
        | InstructionKind::Healthcheck(_)
        | InstructionKind::Onbuild(_)
        | InstructionKind::Run(_)
        | InstructionKind::Shell(_)
        | InstructionKind::StopSignal(_)
        | InstructionKind::User(_)
        | InstructionKind::Volume(_)
        | InstructionKind::Workdir(_) => {}
    }
}

fn legacy_pairs(head: &Head, pairs: &[Pair], report: &mut Report<'_>) {
    for pair in pairs.iter().filter(|pair| pair.separator == Separator::Space) {
        let span = pair.key.span().to(pair.value.span());
        let message = format!("`{} name value` is the old form", head.keyword);
        let value = pair.value.raw();
        let plain = !value.contains(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '\\'));
        let warning = Diagnostic::warning("LegacyKeyValueFormat", span, message);
        let warning = match plain {
            true => warning.with_fix("put `=` between name and value", span, format!("{}={value}", pair.key.raw())),
            false => warning.with_help(format!("write `{} name=\"value\"`", head.keyword)),
        };
        report.add(&head.comments, warning);
    }
}

/// Parts of a name, between underscores, that tell of a secret.
const SECRET: &[&str] =
    &["apikey", "auth", "credential", "credentials", "key", "password", "pword", "passwd", "secret", "token"];
/// Parts of a name that tell that it is none.
const PUBLIC: &[&str] = &["public", "file", "version"];

fn secrets<'n>(head: &Head, names: impl Iterator<Item = (&'n str, Span)>, report: &mut Report<'_>) {
    for (name, span) in names {
        let lower = name.to_ascii_lowercase();
        let has = |words: &[&str]| lower.split('_').any(|part| words.contains(&part));
        if has(SECRET) && !has(PUBLIC) {
            let message = format!("{} `{name}` looks like a secret, which the image would keep", head.keyword);
            let warning = Diagnostic::warning("SecretsUsedInArgOrEnv", span, message);
            report.add(&head.comments, warning.with_help("use `RUN --mount=type=secret`"));
        }
    }
}

fn only_last_counts(stage: &Stage, report: &mut Report<'_>) {
    for keyword in [Keyword::Cmd, Keyword::Entrypoint, Keyword::Healthcheck] {
        let same: Vec<&Instruction> = stage.instructions.iter().filter(|one| one.keyword == keyword).collect();
        for pair in same.windows(2) {
            let message = format!("this {keyword} has no effect: only the last one of a stage counts");
            let warning = Diagnostic::warning("MultipleInstructionsDisallowed", pair[0].span, message);
            report.add(&pair[1].comments, warning.with_help("remove it"));
        }
    }
}

fn from_platform(stage: &Stage, report: &mut Report<'_>) {
    let Some(word) = stage.from.platform.as_ref().filter(|word| !word.raw().contains('$')) else { return };
    // A text that is no platform is an error where it is used.
    let Ok(platform) = word.raw().parse::<Platform>() else { return };
    let name = stage.name.as_ref().map_or("", |name| name.value.as_str());
    if name.contains(platform.os()) || name.contains(platform.architecture()) {
        return;
    }
    let message = format!("the platform of FROM is fixed to `{}`", word.raw());
    let warning = Diagnostic::warning("FromPlatformFlagConstDisallowed", word.span(), message);
    let help = "use `$BUILDPLATFORM` or `$TARGETPLATFORM`, or leave the choice to `--platform` of the command line";
    report.add(&stage.from.comments, warning.with_help(help));
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
            report.add(&head.comments, warning.with_fix(format!("write `{right}`"), head.keyword_span, right));
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
            report.add(comments, Diagnostic::warning("ReservedStageName", name.span, message));
        }
        if !seen.insert(&name.value) {
            let message = format!("a stage before this one is also called `{}`", name.value);
            report.add(comments, Diagnostic::warning("DuplicateStageName", name.span, message));
        }
    }
}
