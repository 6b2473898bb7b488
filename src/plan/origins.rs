//! The stages and images that instructions take files from.

use super::choices::{Choices, Known};
use super::graph::{Draft, Meaning, origin};
use super::mount;
use crate::dockerfile::{Diagnostic, Instruction, InstructionKind, Span};

/// What the instructions of a stage take files from, with the place that names it; or what is wrong with that.
pub(super) type Sources = Result<Vec<(Meaning, Span)>, Vec<Diagnostic>>;

/// The stages and images that each stage takes files from.
pub(super) fn sources(drafts: &[Draft<'_>], known: &Known<'_>) -> Vec<Sources> {
    let mut choices: Vec<Choices> = Vec::with_capacity(drafts.len());
    let mut all = Vec::with_capacity(drafts.len());
    for (index, draft) in drafts.iter().enumerate() {
        let mut own = match draft.base {
            Meaning::Stage(base) => choices.get(base).cloned().unwrap_or_default(),
            Meaning::Scratch | Meaning::Image(_) | Meaning::Named(_) => Choices::default(),
        };
        let (mut found, mut problems) = (Vec::new(), Vec::new());
        for instruction in draft.triggers.iter().chain(draft.instructions) {
            own.see(&instruction.kind, known);
            match sources_of(instruction, index, &own, known) {
                Ok(sources) => found.extend(sources),
                Err(problem) => problems.push(*problem),
            }
        }
        choices.push(own);
        all.push(if problems.is_empty() { Ok(found) } else { Err(problems) });
    }
    all
}

/// The stages and images that an instruction of stage `index` takes files from.
fn sources_of(
    instruction: &Instruction,
    index: usize,
    choices: &Choices,
    known: &Known<'_>,
) -> Result<Vec<(Meaning, Span)>, Box<Diagnostic>> {
    match &instruction.kind {
        InstructionKind::Copy(copy) => {
            let Some(from) = &copy.from else { return Ok(Vec::new()) };
            let name = choices.name(from, "--from", known)?;
            Ok(vec![(origin(known.dockerfile, index, &name, from.span(), known.inputs)?, from.span())])
        }
        InstructionKind::Run(run) => mount::sources(index, run, choices, known),
        _ => Ok(Vec::new()),
    }
}
