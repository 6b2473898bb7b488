//! Journals: the keys that the steps of one Dockerfile last had.

use serde::{Deserialize, Serialize};

use super::{Error, Result};
use crate::digest::CacheKey;
use crate::store::{Bucket, Store};

/// One step of the last build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalStep {
    /// The stage's name or number.
    pub stage: String,
    /// The instruction as it stands in the Dockerfile.
    pub text: String,
    /// Its key.
    pub key: CacheKey,
}

/// The steps of the last build of one Dockerfile, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Journal {
    steps: Vec<JournalStep>,
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

    /// The steps in order.
    pub fn steps(&self) -> &[JournalStep] {
        &self.steps
    }

    /// The key of the earlier step that `text`, the `index`-th step of `stage`, most likely was.
    ///
    /// That is the step of the stage with the same text, nearest in order; else the step at the same place with the same
    /// instruction word. So a line inserted above changes nothing, and an edited line still finds its former self.
    pub fn nearest(&self, stage: &str, index: usize, text: &str) -> Option<CacheKey> {
        let of_stage: Vec<(usize, &JournalStep)> =
            self.steps.iter().filter(|step| step.stage == stage).enumerate().collect();
        let same_text = of_stage.iter().filter(|(_, step)| step.text == text);
        let nearest = same_text.min_by_key(|(at, _)| at.abs_diff(index));
        let same_place = of_stage.iter().find(|(at, step)| *at == index && word(&step.text) == word(text));
        nearest.or(same_place).map(|(_, step)| step.key)
    }
}

fn word(text: &str) -> String {
    text.split_whitespace().next().unwrap_or("").to_ascii_uppercase()
}
