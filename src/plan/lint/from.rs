//! What is odd about FROM. Also of stages that are not planned, as in BuildKit.

use super::Report;
use crate::dockerfile::{Diagnostic, Dockerfile, Expanded, Span, Stage, Word, expand, foreign_front_end, nearest};
use crate::image::ImageConfig;
use crate::plan::variables::Variables;
use crate::plan::{ImageNeed, Inputs, arguments};
use crate::platform::Platform;
use crate::reference::Reference;

/// A warning about a `# syntax=` that asks for another front end than Docker's, for none is run.
pub(in crate::plan) fn front_end(dockerfile: &Dockerfile, report: &mut Report<'_>) {
    let Some(syntax) = &dockerfile.directives.syntax else { return };
    let Some(repository) = foreign_front_end(&syntax.value) else { return };
    let message = format!("the front end `{repository}` is not run");
    let warning = Diagnostic::warning("ForeignFrontEnd", syntax.span, message);
    report.add(&[], warning.with_label("the file is read as a Dockerfile"));
}

/// Looks at every FROM, with the values of the arguments before the first one.
pub(in crate::plan) fn every_from(
    dockerfile: &Dockerfile,
    inputs: &Inputs,
    globals: &Variables,
    report: &mut Report<'_>,
) {
    let escape = dockerfile.directives.escape;
    default_bases(dockerfile, inputs, report);
    for stage in &dockerfile.stages {
        let word = &stage.from.image;
        // What cannot be expanded is an error where it is used.
        if let Ok(expanded) = expand(word, escape, globals) {
            undeclared(dockerfile, globals, stage, word, &expanded, report);
        }
        let Some(word) = &stage.from.platform else { continue };
        if let Ok(expanded) = expand(word, escape, globals) {
            undeclared(dockerfile, globals, stage, word, &expanded, report);
            redundant_platform(globals, stage, word, &expanded, report);
            constant_platform(stage, word, &expanded, report);
        }
    }
}

fn undeclared(
    dockerfile: &Dockerfile,
    globals: &Variables,
    stage: &Stage,
    word: &Word,
    expanded: &Expanded<String>,
    report: &mut Report<'_>,
) {
    let declared = |name: &str| dockerfile.global_args().any(|argument| argument.name.value == name);
    for name in expanded.unset.iter().filter(|name| !declared(name)) {
        let message = format!("the variable `{name}` of this FROM is not declared");
        let span = place_of(dockerfile, word, name);
        let warning = Diagnostic::warning("UndefinedArgInFrom", span, message);
        let warning = warning.with_label(label_of(dockerfile, span));
        let names = dockerfile.global_args().map(|argument| argument.name.value.clone());
        let known = globals.environment();
        let names: Vec<String> = names.chain(known.iter().map(|variable| variable.name.clone())).collect();
        let warning = match nearest(name, names.iter().map(String::as_str)) {
            Some(near) => warning.with_help(format!("did you mean `{near}`?")),
            None => warning.with_help(format!("declare it before the first FROM: `ARG {name}=value`")),
        };
        report.add(&stage.from.comments, warning);
    }
}

fn redundant_platform(
    globals: &Variables,
    stage: &Stage,
    word: &Word,
    expanded: &Expanded<String>,
    report: &mut Report<'_>,
) {
    const NAME: &str = "TARGETPLATFORM";
    let alone = expanded.unset.is_empty() && expanded.used.len() == 1 && expanded.used.contains(NAME);
    if alone && globals.get(NAME) == Some(expanded.value.as_str()) {
        let message = format!("`{}` is the platform that FROM takes anyway", word.raw());
        let warning = Diagnostic::warning("RedundantTargetPlatform", word.span(), message);
        report.add(&stage.from.comments, warning.with_help("leave `--platform` out"));
    }
}

fn constant_platform(stage: &Stage, word: &Word, expanded: &Expanded<String>, report: &mut Report<'_>) {
    if !expanded.used.is_empty() || !expanded.unset.is_empty() {
        return;
    }
    // A text that is no platform is an error where it is used.
    let Ok(platform) = expanded.value.parse::<Platform>() else { return };
    let name = stage.name.as_ref().map_or("", |name| name.value.as_str());
    if name.contains(platform.os()) || name.contains(platform.architecture()) {
        return;
    }
    let message = format!("the platform of FROM is fixed to `{}`", expanded.value);
    let warning = Diagnostic::warning("FromPlatformFlagConstDisallowed", word.span(), message);
    let help = "use `$BUILDPLATFORM` or `$TARGETPLATFORM`, or leave the choice to `--platform` of the command line";
    report.add(&stage.from.comments, warning.with_help(help));
}

/// Bases that are no names where no build argument is given.
fn default_bases(dockerfile: &Dockerfile, inputs: &Inputs, report: &mut Report<'_>) {
    let Ok(defaults) = arguments::defaults(dockerfile, inputs) else { return };
    for stage in &dockerfile.stages {
        let word = &stage.from.image;
        let Ok(expanded) = expand(word, dockerfile.directives.escape, &defaults) else { return };
        // Without variables it is an error, whatever is given.
        let Some(used) = expanded.used.iter().chain(&expanded.unset).next() else { continue };
        if expanded.value.parse::<Reference>().is_ok() {
            continue;
        }
        let becomes = match expanded.value.as_str() {
            "" => "empty".to_owned(),
            value => format!("`{value}`, which is no name of an image,"),
        };
        let message = format!("the base `{}` is {becomes} unless build arguments are given", word.raw());
        let warning = Diagnostic::warning("InvalidDefaultArgInFrom", word.span(), message);
        // As in BuildKit, only the head of the file can skip it.
        report
            .add(&[], warning.with_help(format!("give the argument a default that makes a name: `ARG {used}=value`")));
    }
}

/// A base image that turned out to be for another platform than the one that was asked for.
pub(in crate::plan) fn base_platform(need: &ImageNeed, config: &ImageConfig, span: Span, report: &mut Report<'_>) {
    let (wanted, found) = (&need.platform, config.platform());
    let same = wanted.os() == found.os() && wanted.architecture() == found.architecture();
    // An image without layers runs nowhere and everywhere.
    if same || config.rootfs.diff_ids.is_empty() {
        return;
    }
    let message = format!("the base image `{}` is for {found}, not for {wanted}", need.reference.familiar());
    report.add(&[], Diagnostic::warning("InvalidBaseImagePlatform", span, message));
}

/// What an unset variable becomes: nothing, unless a modifier that stands behind its name gives something else.
pub(super) fn label_of(dockerfile: &Dockerfile, place: Span) -> &'static str {
    let behind = dockerfile.source.text().get(place.end()..).unwrap_or_default();
    let has_modifier = dockerfile.source.slice(place).starts_with("${");
    match behind.strip_prefix(':').unwrap_or(behind).starts_with('-') && has_modifier {
        true => "the default behind it is used",
        false => "its value is empty",
    }
}

/// Where a variable stands in a word; the word if that cannot be told.
pub(super) fn place_of(dockerfile: &Dockerfile, word: &Word, name: &str) -> Span {
    let span = word.span();
    let text = dockerfile.source.slice(span);
    let found = text.match_indices('$').find_map(|(at, _)| {
        let rest = &text[at + 1..];
        let (open, rest) = rest.strip_prefix('{').map_or((1, rest), |rest| (2, rest));
        let behind = rest.strip_prefix(name)?;
        let ends = !behind.starts_with(|c: char| c.is_alphanumeric() || c == '_');
        let close = usize::from(open == 2 && behind.starts_with('}'));
        ends.then(|| Span::new(span.start() + at, span.start() + at + open + name.len() + close))
    });
    found.unwrap_or(span)
}
