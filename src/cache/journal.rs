//! Journals: the keys that the steps of one Dockerfile last had, and what they made.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Error, Result};
use crate::digest::{CacheKey, ChainId, DiffId};
use crate::store::{Bucket, Store};

/// A journal has no more steps: those of stages that are long gone fall out.
const MAX_STEPS: usize = 2000;

/// One step of the last build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalStep {
    /// The stage's name or number.
    pub stage: String,
    /// The instruction as it stands in the Dockerfile.
    pub text: String,
    /// Its key.
    pub key: CacheKey,
    /// The layer that it made.
    pub layer: DiffId,
}

/// The steps of the last build of one Dockerfile, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Journal {
    /// The base images of stages, by content.
    #[serde(default)]
    bases: BTreeMap<String, ChainId>,
    steps: Vec<JournalStep>,
}

/// How far a build came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// To the end of every stage that it needs.
    Everything,
    /// To a step that failed, or at which it was stopped.
    Failure,
}

impl Journal {
    /// Reads the journal of that id; an absent or damaged one is empty.
    pub fn read(store: &Store, id: &str) -> Result<Self> {
        let bytes = store.read_record(Bucket::Builds, id)?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default())
    }

    /// Replaces the journal of that id, unless it says the same already.
    pub fn write(&self, store: &Store, id: &str) -> Result<()> {
        if Self::read(store, id)? == *self {
            return Ok(());
        }
        let bytes = serde_json::to_vec(self).map_err(|source| Error::Write { key: id.to_owned(), source })?;
        Ok(store.write_record(Bucket::Builds, id, &bytes)?)
    }

    /// Adds a step at the end.
    pub fn push(&mut self, step: JournalStep) {
        self.steps.push(step);
    }

    /// Remembers the base image of a stage.
    pub fn set_base(&mut self, stage: &str, content: ChainId) {
        self.bases.insert(stage.to_owned(), content);
    }

    /// The content of the base image that a stage had.
    pub fn base(&self, stage: &str) -> Option<ChainId> {
        self.bases.get(stage).copied()
    }

    /// Adds those steps of `earlier` that this build did not come to: of other stages, as another `--target` has them, and
    /// those behind a failure.
    pub fn keep_rest(&mut self, earlier: &Self, outcome: Reached) {
        let (mut known, mut stages) = (BTreeSet::new(), BTreeSet::new());
        for step in &self.steps {
            known.insert((step.stage.clone(), step.text.clone()));
            stages.insert(step.stage.clone());
        }
        let is_rest = |step: &&JournalStep| match outcome {
            Reached::Everything => !stages.contains(&step.stage),
            Reached::Failure => !known.contains(&(step.stage.clone(), step.text.clone())),
        };
        for (stage, content) in earlier.bases.iter().take(MAX_STEPS) {
            self.bases.entry(stage.clone()).or_insert(*content);
        }
        let room = MAX_STEPS.saturating_sub(self.steps.len());
        self.steps.extend(earlier.steps.iter().filter(is_rest).take(room).cloned());
    }

    /// The steps in order.
    pub fn steps(&self) -> &[JournalStep] {
        &self.steps
    }

    /// The earlier step that `text`, the `index`-th step of `stage`, most likely was.
    ///
    /// That is the step of the stage with the same text, nearest in order; else the step at the same place with the same
    /// instruction word. So a line inserted above changes nothing, and an edited line still finds its former self.
    pub fn nearest(&self, stage: &str, index: usize, text: &str) -> Option<&JournalStep> {
        let of_stage: Vec<(usize, &JournalStep)> =
            self.steps.iter().filter(|step| step.stage == stage).enumerate().collect();
        let same_text = of_stage.iter().filter(|(_, step)| step.text == text);
        let nearest = same_text.min_by_key(|(at, _)| at.abs_diff(index));
        let same_place = of_stage.iter().find(|(at, step)| *at == index && word(&step.text) == word(text));
        nearest.or(same_place).map(|(_, step)| *step)
    }
}

fn word(text: &str) -> String {
    text.split_whitespace().next().unwrap_or("").to_ascii_uppercase()
}
