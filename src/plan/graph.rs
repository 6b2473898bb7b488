//! Which stages the target needs, and in which order.

use std::collections::{BTreeMap, BTreeSet};

use super::assemble::assemble;
use super::choices::Known;
use super::lint::{self, Report};
use super::named::{image_or_context, meaning_of_context};
use super::origins::{self, Sources, sources};
use super::variables::Variables;
use super::{ImageNeed, Inputs, Plan, Scope, arguments};
use crate::dockerfile::{
    self, Diagnostic, Dockerfile, Instruction, InstructionKind, Span, Word, expand, parse_onbuild,
};
use crate::image::ImageConfig;
use crate::platform::Platform;

/// An image whose config is needed to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needed {
    /// Which.
    pub image: ImageNeed,
    /// Where the Dockerfile names it.
    pub span: Span,
}

/// The answer of `plan`.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Call again with more configs.
    Needs {
        /// Of these images.
        images: Vec<Needed>,
        /// Whether the steps that are known already hold a RUN.
        has_run: bool,
    },
    /// The plan, and warnings.
    Ready(Box<Plan>, Vec<Diagnostic>),
}

/// What a name after FROM or `--from=` means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meaning {
    Scratch,
    Stage(usize),
    Image(ImageNeed),
    /// The files of a named context.
    Named(String),
}

impl Meaning {
    /// The stage, if it is one.
    pub(super) fn stage(&self) -> Option<usize> {
        match self {
            Self::Stage(stage) => Some(*stage),
            Self::Scratch | Self::Image(_) | Self::Named(_) => None,
        }
    }
}

/// A stage of the file with its base resolved and the triggers of the base in front of its instructions.
pub(super) struct Draft<'a> {
    pub(super) stage: &'a dockerfile::Stage,
    pub(super) base: Meaning,
    /// Its instructions; none if a named context stands in its place.
    pub(super) instructions: &'a [Instruction],
    /// Whether a named context does.
    pub(super) is_replaced: bool,
    /// Instructions of the base's ONBUILD.
    pub(super) triggers: Vec<Instruction>,
}

/// Turns a Dockerfile into the steps that make the target.
///
/// `bases` holds the configs that are known. Fails with every problem that is found, at its place in the file, and with the
/// warnings that were found meanwhile; they stand in the order of the file.
pub fn plan(
    dockerfile: &Dockerfile,
    inputs: &Inputs,
    bases: &BTreeMap<ImageNeed, ImageConfig>,
) -> Result<Outcome, Vec<Diagnostic>> {
    let globals = arguments::globals(dockerfile, inputs)?;
    let mut report = Report::new(&dockerfile.directives.check);
    lint::front_end(dockerfile, &mut report);
    lint::every_from(dockerfile, inputs, &globals, &mut report);
    let outcome = plan_stages(dockerfile, inputs, bases, &globals, &mut report);
    let warnings = report.into_found();
    let in_order = |problems: &mut Vec<Diagnostic>| {
        problems.extend(warnings);
        problems.sort_by_key(|problem| problem.span.start());
    };
    match outcome {
        Ok(Outcome::Ready(plan, mut problems)) => {
            in_order(&mut problems);
            Ok(Outcome::Ready(plan, problems))
        }
        Err(mut problems) => {
            in_order(&mut problems);
            Err(problems)
        }
        needs => needs,
    }
}

fn plan_stages(
    dockerfile: &Dockerfile,
    inputs: &Inputs,
    bases: &BTreeMap<ImageNeed, ImageConfig>,
    globals: &Variables,
    report: &mut Report<'_>,
) -> Result<Outcome, Vec<Diagnostic>> {
    let mut drafts = drafts(dockerfile, inputs, globals)?;
    let target = target(dockerfile, inputs)?;
    let mut needed = BTreeMap::new();
    // Triggers may bring new dependencies, and those new triggers: until nothing is added.
    loop {
        let known = Known { dockerfile, inputs, globals };
        let sources = sources(&drafts, &known);
        let reachable = reachable(&drafts, &sources, inputs.scope, target);
        origins::refuse(&drafts, &sources, &reachable)?;
        let is_known = |image: &ImageNeed| bases.contains_key(image) || inputs.unknown_bases.contains(image);
        collect_needs(&drafts, &sources, &reachable, &is_known, &mut needed);
        if !needed.is_empty() {
            let images = needed.into_iter().map(|(image, span)| Needed { image, span }).collect();
            return Ok(Outcome::Needs { images, has_run: has_run(&drafts, &reachable) });
        }
        if !add_triggers(&mut drafts, &reachable, bases)? {
            return assemble(&known, bases, &drafts, &reachable, target, report);
        }
    }
}

fn drafts<'a>(
    dockerfile: &'a Dockerfile,
    inputs: &Inputs,
    globals: &Variables,
) -> Result<Vec<Draft<'a>>, Vec<Diagnostic>> {
    let mut drafts = Vec::with_capacity(dockerfile.stages.len());
    let mut problems = Vec::new();
    for (index, stage) in dockerfile.stages.iter().enumerate() {
        match draft(dockerfile, index, stage, inputs, globals) {
            Ok(draft) => drafts.push(draft),
            Err(problem) => problems.push(*problem),
        }
    }
    if problems.is_empty() { Ok(drafts) } else { Err(problems) }
}

fn draft<'a>(
    dockerfile: &'a Dockerfile,
    index: usize,
    stage: &'a dockerfile::Stage,
    inputs: &Inputs,
    globals: &Variables,
) -> Result<Draft<'a>, Box<Diagnostic>> {
    let escape = dockerfile.directives.escape;
    let word = &stage.from.image;
    let name = expand(word, escape, globals).map_err(|error| Box::new(error.diagnostic(word)))?.value;
    if name.is_empty() {
        let message = format!("the base name `{}` is empty once its variables are replaced", word.raw());
        let help = "give the argument a default: `ARG NAME=value` before the first FROM";
        return Err(Box::new(Diagnostic::error("empty-base", word.span(), message).with_help(help)));
    }
    let platform = match &stage.from.platform {
        None => None,
        Some(word) => {
            let text = expand(word, escape, globals).map_err(|error| Box::new(error.diagnostic(word)))?.value;
            Some(text.parse::<Platform>().map_err(|error| bad_platform(word, &text, &error.to_string()))?)
        }
    };
    let platform = platform.as_ref().unwrap_or(&inputs.platform);
    if let Some(own) = &stage.name
        && let Some((context, what)) = inputs.named_context(&own.value, platform)
    {
        // A context of the stage's name takes its place, whatever the stage does.
        let base = meaning_of_context(&context, what, word.span(), platform)?;
        return Ok(Draft { stage, base, instructions: &[], is_replaced: true, triggers: Vec::new() });
    }
    // Later stages of one name hide earlier ones; FROM compares names exactly, and stage names are lower case.
    let earlier = dockerfile.stage_named_before(&name, index);
    let base = match earlier {
        Some(stage) => Meaning::Stage(stage),
        None if name == "scratch" => Meaning::Scratch,
        None => image_or_context(&name, word.span(), inputs, platform)?,
    };
    Ok(Draft { stage, base, instructions: &stage.instructions, is_replaced: false, triggers: Vec::new() })
}

fn bad_platform(word: &Word, text: &str, problem: &str) -> Box<Diagnostic> {
    if !text.is_empty() {
        return Box::new(Diagnostic::error("bad-platform", word.span(), problem));
    }
    let message = format!("the platform `{}` is empty once its variables are replaced", word.raw());
    let help =
        "declare the argument with a default before the first FROM, or use `$BUILDPLATFORM` or `$TARGETPLATFORM`";
    Box::new(Diagnostic::error("bad-platform", word.span(), message).with_help(help))
}

fn target(dockerfile: &Dockerfile, inputs: &Inputs) -> Result<usize, Vec<Diagnostic>> {
    let Some(wanted) = &inputs.target else { return Ok(dockerfile.stages.len().saturating_sub(1)) };
    let lower = wanted.to_lowercase();
    dockerfile.stage_named(&lower).ok_or_else(|| {
        let span = dockerfile.stages.last().map_or_else(Span::default, |stage| stage.from.span);
        let message = format!("there is no stage called `{wanted}`, which `--target` asks for");
        let names = stage_names(dockerfile);
        let help = match nearest_name(&lower, &names) {
            Some(near) => format!("did you mean `{near}`?"),
            None if names.is_empty() => "no stage of this file has a name: write `FROM … AS name`".to_owned(),
            None => format!("the stages are: {}", names.join(", ")),
        };
        vec![Diagnostic::error("unknown-target", span, message).with_help(help)]
    })
}

/// The names of all stages, in order.
pub(super) fn stage_names(dockerfile: &Dockerfile) -> Vec<String> {
    dockerfile.stages.iter().filter_map(|stage| stage.name.as_ref()).map(|name| name.value.clone()).collect()
}

/// The name that is most likely meant.
pub(super) fn nearest_name(wanted: &str, names: &[String]) -> Option<String> {
    dockerfile::nearest(wanted, names.iter().map(String::as_str)).map(str::to_owned)
}

fn reachable(drafts: &[Draft<'_>], sources: &[Sources], scope: Scope, target: usize) -> BTreeSet<usize> {
    let mut reachable = BTreeSet::new();
    let mut pending = match scope {
        Scope::Target => vec![target],
        Scope::EveryStage => (0..drafts.len()).collect(),
    };
    while let Some(index) = pending.pop() {
        if !reachable.insert(index) {
            continue;
        }
        let (Some(draft), Some(sources)) = (drafts.get(index), sources.get(index)) else { continue };
        pending.extend(draft.base.stage());
        pending.extend(sources.found.iter().filter_map(|(meaning, _)| meaning.stage()));
    }
    reachable
}

fn has_run(drafts: &[Draft<'_>], reachable: &BTreeSet<usize>) -> bool {
    let drafts = reachable.iter().filter_map(|index| drafts.get(*index));
    let mut instructions = drafts.flat_map(|draft| draft.triggers.iter().chain(&draft.stage.instructions));
    instructions.any(|instruction| matches!(instruction.kind, InstructionKind::Run(_)))
}

fn collect_needs(
    drafts: &[Draft<'_>],
    sources: &[Sources],
    reachable: &BTreeSet<usize>,
    is_known: &dyn Fn(&ImageNeed) -> bool,
    needed: &mut BTreeMap<ImageNeed, Span>,
) {
    for &index in reachable {
        let (Some(draft), Some(sources)) = (drafts.get(index), sources.get(index)) else { continue };
        let base = (draft.base.clone(), draft.stage.from.image.span());
        for (meaning, span) in std::iter::once(base).chain(sources.found.iter().cloned()) {
            if let Meaning::Image(image) = meaning
                && !is_known(&image)
            {
                needed.entry(image).or_insert(span);
            }
        }
    }
}

/// Puts the ONBUILD instructions of each base in front of the stage's own; says whether any were new.
fn add_triggers(
    drafts: &mut [Draft<'_>],
    reachable: &BTreeSet<usize>,
    bases: &BTreeMap<ImageNeed, ImageConfig>,
) -> Result<bool, Vec<Diagnostic>> {
    let mut added = false;
    for &index in reachable {
        let Some(draft) = drafts.get(index).filter(|draft| draft.triggers.is_empty()) else { continue };
        let texts: Vec<String> = match &draft.base {
            Meaning::Scratch | Meaning::Named(_) => Vec::new(),
            // What takes the place of a stage is a finished stage: its triggers are for those that stand on it.
            Meaning::Image(_) if draft.is_replaced => Vec::new(),
            Meaning::Image(image) => bases.get(image).map(|base| base.config.on_build.clone()).unwrap_or_default(),
            Meaning::Stage(base) => onbuilds(drafts.get(*base)),
        };
        let span = draft.stage.from.image.span();
        let triggers: Result<Vec<Instruction>, Vec<Diagnostic>> = texts
            .iter()
            .map(|text| parse_onbuild(text).map_err(|problems| trigger_problem(text, &problems, span)))
            .collect();
        let triggers = triggers?;
        added |= !triggers.is_empty();
        if let Some(draft) = drafts.get_mut(index) {
            draft.triggers = triggers;
        }
    }
    Ok(added)
}

fn onbuilds(stage: Option<&Draft<'_>>) -> Vec<String> {
    let instructions = stage.map(|stage| stage.instructions).unwrap_or_default();
    let trigger = |instruction: &Instruction| match &instruction.kind {
        InstructionKind::Onbuild(onbuild) => Some(onbuild.trigger.clone()),
        _ => None,
    };
    instructions.iter().filter_map(trigger).collect()
}

fn trigger_problem(text: &str, problems: &[Diagnostic], span: Span) -> Vec<Diagnostic> {
    let said = problems.first().map_or("it cannot be read", |problem| problem.message.as_str());
    let message = format!("the base's trigger `ONBUILD {text}` is wrong: {said}");
    vec![Diagnostic::error("bad-trigger", span, message)]
}
