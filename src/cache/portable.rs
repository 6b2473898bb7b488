//! Records on their way from one store to another.

use serde::{Deserialize, Serialize};

use super::change::UNKNOWN;
use super::ingredient::Kept;
use super::record::{Made, Record};
use super::{Cache, Output, Result};
use crate::digest::{CacheKey, ChainId, DiffId};
use crate::tree::Fact;

/// One result of a record as it leaves a store: without what only that store can compare, the values of arguments and
/// variables even as HMACs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Portable {
    key: CacheKey,
    ingredients: Kept,
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
        Ok(Some(Portable { key: *key, ingredients, below, facts, output }))
    }

    /// Adds a result of another store; those that are here are asked first. `size` is that of the layer as it was read.
    pub fn accept(&self, portable: &Portable, size: u64) -> Result<()> {
        let Portable { key, ingredients, below, facts, output } = portable.clone();
        let output = Output { size, ..output };
        let mut record = match self.read(&key)? {
            Some(record) => record,
            None => Record::new(ingredients),
        };
        if record.results.iter().any(|made| made.facts == facts && made.output == output) {
            return Ok(());
        }
        record.results.push(Made { below, facts, output });
        self.write(&key, record)
    }
}
