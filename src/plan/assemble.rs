//! The stages that are planned, one after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::choices::Known;
use super::graph::{Draft, Meaning, Outcome};
use super::lint::{self, Report};
use super::stage::{StageState, Surroundings, evaluate};
use super::step::Base;
use super::{ImageNeed, Inputs, Plan, StageId, arguments};
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
    let mut starts = Starts { users: users(drafts, reachable), ..Starts::default() };
    let mut ids: BTreeMap<usize, StageId> = BTreeMap::new();
    let mut stages = Vec::with_capacity(reachable.len());
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
        let started = starts.state(&draft.base, inputs, bases);
        let (state, stage, mut found) = evaluate(&surroundings, draft, base, started, report);
        problems.append(&mut found);
        declared.extend(state.declared_names());
        ids.insert(index, StageId(stages.len()));
        if starts.users.contains_key(&index) {
            starts.stages.insert(index, state);
        }
        stages.push(stage);
    }
    let is_error = |problem: &Diagnostic| problem.severity == dockerfile::Severity::Error;
    if problems.iter().any(is_error) {
        return Err(problems);
    }
    let target = ids.get(&target).copied().unwrap_or(StageId(0));
    if let Some(stage) = stages.get_mut(target.0) {
        Arc::make_mut(&mut stage.config).config.labels.extend(inputs.labels.clone());
    }
    problems.extend(arguments::unused(dockerfile, inputs, &declared));
    Ok(Outcome::Ready(Box::new(Plan { stages, target }), problems))
}

/// How many planned stages stand on each stage.
fn users(drafts: &[Draft<'_>], reachable: &BTreeSet<usize>) -> BTreeMap<usize, usize> {
    let mut users = BTreeMap::new();
    for draft in reachable.iter().filter_map(|index| drafts.get(*index)) {
        if let Meaning::Stage(below) = draft.base {
            *users.entry(below).or_insert(0) += 1;
        }
    }
    users
}

/// What stages begin with.
#[derive(Default)]
struct Starts {
    /// The ends of stages that others stand on.
    stages: BTreeMap<usize, StageState>,
    /// How many still do.
    users: BTreeMap<usize, usize>,
    /// What stages on an image are at first; none is the empty one.
    images: BTreeMap<Option<ImageNeed>, StageState>,
}

impl Starts {
    /// The state before the first instruction of a stage on this base. Stages on one base share it.
    fn state(&mut self, base: &Meaning, inputs: &Inputs, bases: &BTreeMap<ImageNeed, ImageConfig>) -> StageState {
        let image = match base {
            Meaning::Stage(below) => {
                if let Some(state) = self.taken(*below) {
                    return state.inherited();
                }
                None
            }
            Meaning::Image(image) => Some(image.clone()),
            Meaning::Scratch | Meaning::Named(_) => None,
        };
        self.images.entry(image).or_insert_with(|| StageState::on(base, inputs, bases)).clone()
    }

    /// The end of a stage for one that stands on it. The last one takes it: a chain of stages keeps one, not all.
    fn taken(&mut self, below: usize) -> Option<StageState> {
        let left = self.users.get_mut(&below)?;
        *left -= 1;
        match *left {
            0 => self.stages.remove(&below),
            _ => self.stages.get(&below).cloned(),
        }
    }
}
