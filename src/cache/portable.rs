//! Records on their way from one store to another.

use serde::{Deserialize, Serialize};

use super::change::UNKNOWN;
use super::ingredient::Kept;
use super::record::Made;
use super::{Cache, Output, Result};
use crate::digest::{CacheKey, ChainId, DiffId};
use crate::tree::Fact;

/// One result of a record as it leaves a store: without what only that store can compare, the values of arguments and
/// variables even as HMACs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Portable {
    key: CacheKey,
    /// Left out where there is no room for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ingredients: Option<Kept>,
    below: ChainId,
    facts: Vec<Fact>,
    output: Output,
}

impl Portable {
    /// The key of the step.
    pub fn key(&self) -> CacheKey {
        self.key
    }

    /// What the step made. The size is what the other store says.
    pub fn output(&self) -> Output {
        self.output
    }

    /// Whether the result can be used on the root filesystem `below`; `holds` checks one fact against it, and is asked only if the
    /// result was made on another one.
    pub fn fits(&self, below: &ChainId, holds: &mut dyn FnMut(&Fact) -> bool) -> bool {
        self.below == *below || self.facts.iter().all(holds)
    }

    /// The same result without what explains a later miss, which is most of a record of many files.
    #[must_use]
    pub fn unexplained(self) -> Self {
        Self { ingredients: None, ..self }
    }

    pub(super) fn ingredients(&self) -> Option<&Kept> {
        self.ingredients.as_ref()
    }

    /// The result, with the size of its layer as it was read here.
    pub(super) fn made(&self, size: u64) -> Made {
        Made { below: self.below, facts: self.facts.clone(), output: Output { size, ..self.output } }
    }
}

/// What other stores have for one look-up. None of it is kept here: who builds without them does not get it.
#[derive(Debug, Default)]
pub struct Imported<'a> {
    /// Results under the key whose layers are in this store by now, with the lengths of these.
    pub results: Vec<(&'a Portable, u64)>,
    /// A record under the key that the step had before.
    pub nearest: Option<&'a Portable>,
}

impl Cache {
    /// The result of that key that is that layer; none if there is none.
    pub fn portable(&self, key: &CacheKey, layer: &DiffId) -> Result<Option<Portable>> {
        let Some(record) = self.read(key)? else { return Ok(None) };
        let Some(made) = record.results.into_iter().find(|made| made.output.diff_id == *layer) else { return Ok(None) };
        let mut ingredients = record.ingredients;
        let values = ingredients.arguments.values_mut().chain(ingredients.variables.values_mut());
        values.for_each(|value| UNKNOWN.clone_into(value));
        let Made { below, facts, output } = made;
        Ok(Some(Portable { key: *key, ingredients: Some(ingredients), below, facts, output }))
    }
}
