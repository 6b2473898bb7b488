//! The stages and images that instructions take files from.
//!
//! As BuildKit does, a name that cannot be one is refused in every stage, also where nothing needs it, and so are stages that
//! need each other; a stage that stands too late is refused only where it is needed.

use std::collections::BTreeSet;

use super::Inputs;
use super::choices::{Choices, Known};
use super::graph::{Draft, Meaning};
use super::mount;
use super::named::image_or_context;
use crate::dockerfile::{Diagnostic, Dockerfile, Instruction, InstructionKind, Span};

/// What the instructions of a stage take files from.
#[derive(Default)]
pub(super) struct Sources {
    /// Each with the place that names it.
    pub(super) found: Vec<(Meaning, Span)>,
    /// What is wrong whether or not the stage is needed.
    wrong: Vec<Diagnostic>,
    /// What is wrong if the stage is needed; and the stage that stands too late, if that is it.
    wrong_if_needed: Vec<(Diagnostic, Option<usize>)>,
}

impl Sources {
    /// Adds what a name in stage `index` means.
    pub(super) fn add(&mut self, index: usize, name: &str, span: Span, meaning: Meaning) {
        match meaning {
            Meaning::Stage(stage) if stage >= index => {
                self.wrong_if_needed.push((too_late(index, stage, name, span), Some(stage)));
            }
            meaning => self.found.push((meaning, span)),
        }
    }

    /// Adds what is wrong if the stage is needed.
    pub(super) fn add_wrong_if_needed(&mut self, problem: Diagnostic) {
        self.wrong_if_needed.push((problem, None));
    }

    /// The stages that it names, in whatever order.
    fn stages(&self) -> impl Iterator<Item = usize> {
        let late = self.wrong_if_needed.iter().filter_map(|(_, stage)| *stage);
        self.found.iter().filter_map(|(meaning, _)| meaning.stage()).chain(late)
    }
}

/// The stages and images that each stage takes files from.
pub(super) fn sources(drafts: &[Draft<'_>], known: &Known<'_>) -> Vec<Sources> {
    let mut choices: Vec<Choices> = Vec::with_capacity(drafts.len());
    let mut all = Vec::with_capacity(drafts.len());
    for (index, draft) in drafts.iter().enumerate() {
        let mut own = draft.base.stage().and_then(|base| choices.get(base)).cloned().unwrap_or_default();
        let mut sources = Sources::default();
        for instruction in draft.triggers.iter().chain(draft.instructions) {
            own.see(&instruction.kind, known);
            if let Err(problem) = add_sources_of(instruction, index, &own, known, &mut sources) {
                sources.wrong.push(*problem);
            }
        }
        sources.found.shrink_to_fit();
        choices.push(own);
        all.push(sources);
    }
    all
}

fn add_sources_of(
    instruction: &Instruction,
    index: usize,
    choices: &Choices,
    known: &Known<'_>,
    sources: &mut Sources,
) -> Result<(), Box<Diagnostic>> {
    match &instruction.kind {
        InstructionKind::Copy(copy) => {
            let Some(from) = &copy.from else { return Ok(()) };
            let name = choices.name(from, "--from", known)?;
            let meaning = origin(known.dockerfile, index, &name, from.span(), known.inputs)?;
            sources.add(index, &name, from.span(), meaning);
            Ok(())
        }
        InstructionKind::Run(run) => mount::add_sources(index, run, choices, known, sources),
        _ => Ok(()),
    }
}

/// What `--from=name` of an instruction in stage `index` means; a stage may stand anywhere.
pub(super) fn origin(
    dockerfile: &Dockerfile,
    index: usize,
    name: &str,
    span: Span,
    inputs: &Inputs,
) -> Result<Meaning, Box<Diagnostic>> {
    let numbered = name.parse::<usize>().ok();
    if let Some(number) = numbered
        && number >= dockerfile.stages.len()
    {
        let message = format!("there is no stage number {number}");
        let help = match index {
            0 => "this is the first stage: there is none before it to copy from".to_owned(),
            1 => "stages are counted from 0: the one before this is `--from=0`".to_owned(),
            _ => format!("stages are counted from 0: those before this one are 0 to {}", index - 1),
        };
        return Err(Box::new(Diagnostic::error("unknown-stage", span, message).with_help(help)));
    }
    match numbered.or_else(|| dockerfile.stage_named(&name.to_lowercase())) {
        Some(stage) => Ok(Meaning::Stage(stage)),
        None => image_or_context(name, span, inputs, &inputs.platform),
    }
}

fn too_late(index: usize, stage: usize, name: &str, span: Span) -> Diagnostic {
    let (message, help) = match stage == index {
        true => (
            format!("stage `{name}` cannot copy from itself"),
            "files that are in the stage already are copied by `RUN cp`; without `--from`, COPY takes the context's",
        ),
        false => (
            format!("stage `{name}` stands below this one"),
            "only a stage that is built before this one can be copied from: move it up",
        ),
    };
    Diagnostic::error("forward-reference", span, message).with_help(help)
}

/// Reports what is wrong with the sources of stages.
pub(super) fn refuse(
    drafts: &[Draft<'_>],
    sources: &[Sources],
    needed: &BTreeSet<usize>,
) -> Result<(), Vec<Diagnostic>> {
    let is_unsure =
        |(index, sources): (usize, &Sources)| !needed.contains(&index) && sources.stages().any(|s| s >= index);
    let circling = match sources.iter().enumerate().any(is_unsure) {
        true => circling(drafts, sources),
        false => BTreeSet::new(),
    };
    let mut problems = Vec::new();
    for (index, sources) in sources.iter().enumerate() {
        problems.extend(sources.wrong.iter().cloned());
        let counts = |stage: &Option<usize>| {
            needed.contains(&index)
                || (circling.contains(&index) && stage.is_some_and(|stage| circling.contains(&stage)))
        };
        let late = sources.wrong_if_needed.iter().filter(|(_, stage)| counts(stage));
        problems.extend(late.map(|(problem, _)| problem.clone()));
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// The stages that need each other in a circle, or stand between such circles.
fn circling(drafts: &[Draft<'_>], sources: &[Sources]) -> BTreeSet<usize> {
    let forth: Vec<Vec<usize>> = drafts
        .iter()
        .zip(sources)
        .map(|(draft, sources)| draft.base.stage().into_iter().chain(sources.stages()).collect())
        .collect();
    let mut back = vec![Vec::new(); forth.len()];
    for (index, stages) in forth.iter().enumerate() {
        for &stage in stages {
            if let Some(back) = back.get_mut(stage) {
                back.push(index);
            }
        }
    }
    let needs = still_in(&forth, &back);
    still_in(&back, &forth).into_iter().filter(|stage| needs.contains(stage)).collect()
}

/// The stages that are left when again and again those are taken away from which no way leads on.
fn still_in(forth: &[Vec<usize>], back: &[Vec<usize>]) -> BTreeSet<usize> {
    let mut ways: Vec<usize> = forth.iter().map(Vec::len).collect();
    let mut ends: Vec<usize> = (0..ways.len()).filter(|&stage| ways[stage] == 0).collect();
    let mut left: BTreeSet<usize> = (0..ways.len()).collect();
    while let Some(end) = ends.pop() {
        left.remove(&end);
        for &before in &back[end] {
            ways[before] -= 1;
            if ways[before] == 0 {
                ends.push(before);
            }
        }
    }
    left
}
