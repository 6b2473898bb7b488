//! Sources of COPY, ADD and mounts that are not in the context.

use crate::build::copy;
use crate::build::error::Problem;
use crate::context::{self, Hidden, Ignore, Source};
use crate::dockerfile::{Diagnostic, Dockerfile, Span, meant_flag};
use crate::path::ContextPath;
use crate::plan::{Action, Copy, CopySource, Mounted, Origin, Plan, Step, Verb};

/// The rule about what an ignore file leaves out.
const IGNORED: &str = "CopyIgnoredFile";
/// The rule about what is not there at all.
const MISSING: &str = "MissingSource";

/// Sources that an ignore file leaves out, as BuildKit finds them: by the text alone, and not if the file has exceptions.
pub(in crate::build) fn ignored(dockerfile: &Dockerfile, plan: &Plan, ignore: &Ignore) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for (step, copy) in copies(plan) {
        for (pattern, span) in paths(copy) {
            if let Some(line) = ignore.leaves_out_source(pattern.as_bytes()) {
                let hidden = Hidden::Ignored { file: ignore.file().to_owned(), line };
                add(dockerfile, step.span, left_out(copy.verb, pattern, span, &hidden), &mut found);
            }
        }
    }
    found
}

/// Sources that will not be found, each with what explains it. Costs a look at each source.
pub(in crate::build) fn missing(
    dockerfile: &Dockerfile,
    plan: &Plan,
    context: &dyn Source,
    ignored: &[Diagnostic],
) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let is_known = |span: Span| ignored.iter().any(|warning| warning.span == span);
    for (step, copy) in copies(plan) {
        for source in copy.sources.iter().filter(|source| !is_known(source.span())) {
            let one = Copy { sources: vec![source.clone()], ..copy.clone() };
            // What else may be wrong with it is told where it is used.
            if let Err(Problem::Context(context::Error::NotFound { pattern, nearest, hidden_by })) =
                copy::check_sources(context, &one)
            {
                let warning = match &hidden_by {
                    Some(hidden @ Hidden::Ignored { .. }) => left_out(copy.verb, &pattern, source.span(), hidden),
                    Some(Hidden::Output) | None => absent(&pattern, source.span(), nearest, hidden_by.as_ref()),
                };
                add(dockerfile, step.span, warning, &mut found);
            }
        }
    }
    for (step, source, span) in mounts(plan) {
        let path = ContextPath::new(source);
        if !path.is_root() && matches!(context::resolve(context, &path), Ok((_, None))) {
            add(dockerfile, step.span, absent(source.trim_start_matches('/'), span, None, None), &mut found);
        }
    }
    found
}

fn copies(plan: &Plan) -> impl Iterator<Item = (&Step, &Copy)> {
    let steps = plan.stages.iter().flat_map(|stage| &stage.steps);
    steps.filter_map(|step| match &step.action {
        Action::Copy(copy) if copy.from == Origin::Context => Some((step, copy)),
        Action::Copy(_) | Action::Run(_) | Action::Workdir(_) | Action::Config => None,
    })
}

fn paths(copy: &Copy) -> impl Iterator<Item = (&str, Span)> {
    copy.sources.iter().filter_map(|source| match source {
        CopySource::Path { pattern, span } => Some((pattern.as_str(), *span)),
        CopySource::Http { .. } | CopySource::Git { .. } => None,
    })
}

/// The places of the context that commands see.
fn mounts(plan: &Plan) -> impl Iterator<Item = (&Step, &str, Span)> {
    let steps = plan.stages.iter().flat_map(|stage| &stage.steps);
    steps.flat_map(|step| {
        let mounts = match &step.action {
            Action::Run(run) => run.mounts.as_slice(),
            Action::Copy(_) | Action::Workdir(_) | Action::Config => &[],
        };
        mounts.iter().filter_map(move |mount| match &mount.what {
            Mounted::Bind { from: Some(Origin::Context), source, .. } => Some((step, source.as_str(), mount.span)),
            _ => None,
        })
    })
}

fn left_out(verb: Verb, pattern: &str, span: Span, hidden: &Hidden) -> Diagnostic {
    let verb = match verb {
        Verb::Copy => "COPY",
        Verb::Add => "ADD",
    };
    let warning = Diagnostic::warning(IGNORED, span, format!("{verb} names `{pattern}`, but {hidden}"));
    warning.with_help("change that line, or add an exception below it, a line that begins with `!`")
}

fn absent(pattern: &str, span: Span, nearest: Option<String>, hidden: Option<&Hidden>) -> Diagnostic {
    let warning = match hidden {
        Some(hidden) => Diagnostic::warning(MISSING, span, format!("`{pattern}`: {hidden}")),
        None => Diagnostic::warning(MISSING, span, format!("`{pattern}` is not in the context")),
    };
    match (misread(pattern), nearest) {
        (Some(help), _) => warning.with_help(help),
        (None, Some(nearest)) => warning.with_help(format!("did you mean `{nearest}`?")),
        (None, None) => warning,
    }
}

/// Advice for a source of an instruction that is not there because it was not meant to be one.
pub(in crate::build) fn never_a_source(problem: &Problem, instruction: &str) -> Option<Diagnostic> {
    let Problem::Context(context::Error::NotFound { pattern, .. }) = problem else { return None };
    // What stands before a `#` is taken for a source as well, and may be missed first.
    let comment = instruction.split_whitespace().find(|word| *word == "#");
    let help = misread(pattern).or_else(|| misread(comment?))?;
    Some(Diagnostic::warning(MISSING, Span::default(), "this was probably not meant as a path").with_help(help))
}

/// What to do about a word that is no path.
fn misread(pattern: &str) -> Option<String> {
    match (meant_flag(pattern), pattern) {
        (Some(flag), _) => Some(format!("flags begin with two plain dashes: write `{flag}`")),
        (None, "#") => Some("a comment cannot follow an instruction: put it on a line of its own".to_owned()),
        (None, _) => None,
    }
}

/// Adds a warning unless a comment above the instruction, or the head of the file, skips it.
pub(super) fn add(dockerfile: &Dockerfile, instruction: Span, warning: Diagnostic, found: &mut Vec<Diagnostic>) {
    let comments = dockerfile.head_at(instruction).map(|head| head.comments.as_slice()).unwrap_or_default();
    if dockerfile.directives.check.reports(warning.code, comments) {
        found.push(warning);
    }
}
