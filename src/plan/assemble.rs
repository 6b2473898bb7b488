//! The stages that are planned, one after the other.

use std::collections::{BTreeMap, BTreeSet};

use super::choices::Known;
use super::graph::{Draft, Meaning, Outcome};
use super::lint::{self, Report};
use super::stage::{StageState, Surroundings, evaluate};
use super::step::Base;
use super::{ImageNeed, Plan, StageId, arguments};
use crate::dockerfile::{self, Diagnostic};
use crate::image::ImageConfig;

/// The code of the warning about a build argument that nothing takes; no rule of BuildKit's.
pub const UNUSED_ARGUMENT: &str = "UnusedBuildArg";

/// Plans the reachable stages in order. Fails with every problem that is found.
pub(super) fn assemble(
    known: &Known<'_>,
    bases: &BTreeMap<ImageNeed, ImageConfig>,
    drafts: &[Draft<'_>],
    reachable: &BTreeSet<usize>,
    target: usize,
    report: &mut Report<'_>,
) -> Result<Outcome, Vec<Diagnostic>> {
    let Known { dockerfile, inputs, globals } = *known;
    let mut states: BTreeMap<usize, StageState> = BTreeMap::new();
    let mut ids: BTreeMap<usize, StageId> = BTreeMap::new();
    let mut stages = Vec::new();
    let mut problems = Vec::new();
    let mut declared = Vec::new();
    for &index in reachable {
        let Some(draft) = drafts.get(index) else { continue };
        let base = match &draft.base {
            Meaning::Scratch | Meaning::Named(_) => Base::Scratch,
            Meaning::Image(image) => Base::Image(image.clone()),
            Meaning::Stage(stage) => Base::Stage(ids.get(stage).copied().unwrap_or(StageId(0))),
        };
        let surroundings = Surroundings { dockerfile, inputs, globals, index, ids: &ids };
        if let Meaning::Image(need) = &draft.base
            && let Some(config) = bases.get(need)
        {
            lint::base_platform(need, config, draft.stage.from.image.span(), report);
        }
        let started = StageState::start(draft, inputs, bases, &states);
        let (state, stage, mut found) = evaluate(&surroundings, draft, base, started, report);
        problems.append(&mut found);
        declared.extend(state.declared_names());
        ids.insert(index, StageId(stages.len()));
        states.insert(index, state);
        stages.push(stage);
    }
    let is_error = |problem: &Diagnostic| problem.severity == dockerfile::Severity::Error;
    if problems.iter().any(is_error) {
        return Err(problems);
    }
    let target = ids.get(&target).copied().unwrap_or(StageId(0));
    if let Some(stage) = stages.get_mut(target.0) {
        stage.config.config.labels.extend(inputs.labels.clone());
    }
    problems.extend(arguments::unused(dockerfile, inputs, &declared));
    Ok(Outcome::Ready(Box::new(Plan { stages, target }), problems))
}
