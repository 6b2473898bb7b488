//! Records: the results made under a key.

use serde::{Deserialize, Serialize};

use super::change::changes;
use super::hiding::Hiding;
use super::ingredient::Kept;
use super::reason::difference;
use super::{Change, Error, Imported, Ingredients, MissReason, Portable, Result};
use crate::digest::{CacheKey, ChainId, DiffId};
use crate::store::{Bucket, Store};
use crate::tree::Fact;

/// As many results are kept under one key; the oldest goes first.
const MAX_RESULTS: usize = 16;
const RECORD_VERSION: u32 = 1;

/// What a step made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// The layer; its tree is self-contained.
    pub diff_id: DiffId,
    /// Its plain tar's length in bytes.
    pub size: u64,
}

/// An earlier result that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// What was made.
    pub output: Output,
}

/// The answer to a look-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// There is a result.
    Hit(Hit),
    /// There is none.
    Miss(MissReason),
}

/// The cache records of a store.
#[derive(Debug, Clone)]
pub struct Cache {
    store: Store,
    hiding: Hiding,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Record {
    version: u32,
    pub(super) ingredients: Kept,
    pub(super) results: Vec<Made>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Made {
    /// The root filesystem that the facts were taken from: on that one they hold.
    pub(super) below: ChainId,
    pub(super) facts: Vec<Fact>,
    pub(super) output: Output,
}

impl Record {
    /// One without results.
    pub(super) fn new(ingredients: Kept) -> Self {
        Self { version: RECORD_VERSION, ingredients, results: Vec::new() }
    }
}

impl Cache {
    /// The cache in `store`; `hiding` hides values in its records.
    pub fn new(store: &Store, hiding: Hiding) -> Self {
        Self { store: store.clone(), hiding }
    }

    /// Looks for a result under the ingredients' key whose facts hold and whose layer is still there.
    ///
    /// `below` names the present root filesystem; `holds` checks one fact against it, and is asked only about results that
    /// were made on another one. `exists` says whether a layer can still be used, after naming it in the build's lease.
    /// Results of this store go before `imported` ones. `nearest` is the key that the same step had in an earlier build: a miss is explained against it. Costs one small
    /// read, and a second one on a miss.
    pub fn look_up(
        &self,
        ingredients: &Ingredients,
        below: &ChainId,
        nearest: Option<&CacheKey>,
        holds: &mut dyn FnMut(&Fact) -> bool,
        exists: &mut dyn FnMut(&Output) -> bool,
        imported: &Imported<'_>,
    ) -> Result<Lookup> {
        let key = ingredients.key();
        let own = self.read(&key)?.map(|record| record.results).unwrap_or_default();
        let others = imported.results.iter().map(|(record, size)| record.made(*size));
        let results: Vec<Made> = own.into_iter().chain(others).collect();
        if results.is_empty() {
            return Ok(Lookup::Miss(self.explain(ingredients, &key, nearest, imported)?));
        }
        let mut reason = MissReason::Lost;
        for made in results {
            let unlike = if made.below == *below { None } else { made.facts.iter().find(|fact| !holds(fact)) };
            match unlike {
                Some(fact) => {
                    let path = shown(fact);
                    reason = MissReason::Destination { path: self.hiding.without(&path).unwrap_or(path) };
                }
                None if exists(&made.output) => return Ok(Lookup::Hit(Hit { output: made.output })),
                None => reason = MissReason::Lost,
            }
        }
        Ok(Lookup::Miss(reason))
    }

    /// Keeps a result that was made on the root filesystem `below`, the newest first; an equal set of facts is replaced.
    pub fn keep(
        &self,
        ingredients: &Ingredients,
        below: ChainId,
        facts: Vec<Fact>,
        output: Output,
    ) -> Result<CacheKey> {
        let key = ingredients.key();
        let mut results = self.read(&key)?.map(|record| record.results).unwrap_or_default();
        results.retain(|made| made.facts != facts);
        results.insert(0, Made { below, facts, output });
        self.write(&key, Record { results, ..Record::new(ingredients.kept(&self.hiding)) })?;
        Ok(key)
    }

    /// The layers that a record refers to; none if there is no such record.
    pub fn outputs(&self, key: &CacheKey) -> Result<Vec<Output>> {
        let record = self.read(key)?;
        Ok(record.map(|record| record.results.into_iter().map(|made| made.output).collect()).unwrap_or_default())
    }

    /// Everything in which the ingredients differ from an earlier record; none if there is no such record.
    pub fn changes(
        &self,
        ingredients: &Ingredients,
        earlier: &CacheKey,
        imported: Option<&Portable>,
    ) -> Result<Option<Vec<Change>>> {
        let earlier = self.earlier(earlier, imported)?;
        Ok(earlier.map(|earlier| changes(&earlier, &ingredients.kept(&self.hiding))))
    }

    fn earlier(&self, key: &CacheKey, imported: Option<&Portable>) -> Result<Option<Kept>> {
        let own = self.read(key)?.map(|record| record.ingredients);
        Ok(own.or_else(|| imported.and_then(|record| record.ingredients().cloned())))
    }

    fn explain(
        &self,
        ingredients: &Ingredients,
        key: &CacheKey,
        nearest: Option<&CacheKey>,
        imported: &Imported<'_>,
    ) -> Result<MissReason> {
        let Some(nearest) = nearest else { return Ok(MissReason::NeverBuilt) };
        if nearest == key {
            return Ok(MissReason::Lost);
        }
        let Some(earlier) = self.earlier(nearest, imported.nearest)? else {
            // Another store's record that explains nothing is one that this store never had.
            let is_foreign = imported.nearest.is_some();
            return Ok(if is_foreign { MissReason::NeverBuilt } else { MissReason::Lost });
        };
        let now = ingredients.kept(&self.hiding);
        Ok(difference(&earlier, &now).unwrap_or(MissReason::NeverBuilt))
    }

    fn write(&self, key: &CacheKey, mut record: Record) -> Result<()> {
        record.results.truncate(MAX_RESULTS);
        let bytes = serde_json::to_vec(&record).map_err(|source| Error::Write { key: key.to_string(), source })?;
        Ok(self.store.write_record(Bucket::Steps, &key.hex(), &bytes)?)
    }

    pub(super) fn read(&self, key: &CacheKey) -> Result<Option<Record>> {
        let Some(bytes) = self.store.read_record(Bucket::Steps, &key.hex())? else { return Ok(None) };
        // A record of another version, or one that a broken disk garbled, is as good as none.
        let record: Option<Record> = serde_json::from_slice(&bytes).ok();
        Ok(record.filter(|record| record.version == RECORD_VERSION))
    }
}

fn shown(fact: &Fact) -> String {
    crate::path::ImagePath::new(&fact.path).to_string()
}
