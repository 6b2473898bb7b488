//! The caches that a build may take results from.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use super::super::BuildEvent;
use super::super::error::Problem;
use super::super::prepare::journal_id;
use super::super::request::{CacheSource, CacheUse, Engine, Request};
use super::super::step::Session;
use super::import::Import;
use crate::cache::{Journal, JournalStep, Portable};
use crate::digest::{CacheKey, DiffId};
use crate::store::Store;

/// The caches of one request, in the order in which they were given.
#[derive(Debug, Default)]
pub(in crate::build) struct Imports {
    caches: Vec<Import>,
    /// Layers that could not be brought, and of which this was told.
    told: Mutex<BTreeSet<DiffId>>,
}

impl Imports {
    /// Reads what the caches list. One that cannot be used is told and left out. Asks registries for images, unless nothing
    /// would come of it.
    pub(in crate::build) fn open(engine: &Engine<'_>, request: &Request) -> Self {
        let mut caches = Vec::new();
        for source in request.cache_from.iter().filter(|_| request.cache == CacheUse::Use) {
            let (name, opened) = match source {
                CacheSource::Folder(folder) => (folder.display().to_string(), Import::of_folder(folder).map(Some)),
                CacheSource::Image(name) => (name.familiar(), Import::of_image(engine, request, name)),
            };
            match opened {
                Ok(import) => caches.extend(import),
                Err(problem) => warn(engine, &name, &problem),
            }
        }
        Self { caches, told: Mutex::default() }
    }

    /// The steps of the last build: of this Dockerfile here, or else as a cache tells.
    pub(in crate::build) fn earlier(&self, store: &Store, request: &Request) -> Result<Journal, Problem> {
        let own = Journal::read(store, &journal_id(request))?;
        let others = self.caches.iter().map(|cache| &cache.listed.journal);
        let other = others.into_iter().find(|journal| !journal.steps().is_empty());
        Ok(if own.steps().is_empty() { other.cloned().unwrap_or(own) } else { own })
    }

    /// Whether there is any result under a key.
    pub(in crate::build) fn has(&self, key: &CacheKey) -> bool {
        self.record(key).is_some()
    }

    /// The results that the caches have under a key, with the lengths of their layers, which are in the store from now on.
    /// Those that do not fit stay where they are.
    pub(in crate::build) fn bring(
        &self,
        session: &Session<'_>,
        key: &CacheKey,
        fits: &mut dyn FnMut(&Portable) -> bool,
    ) -> Vec<(&Portable, u64)> {
        let mut brought = Vec::new();
        for import in &self.caches {
            for record in import.listed.records.get(key).into_iter().flatten() {
                if !fits(record) {
                    brought.push((record, record.output().size));
                    continue;
                }
                match import.bring(session, record) {
                    Ok(size) => brought.push((record, size)),
                    Err(problem) => self.tell(session, import, record, &problem),
                }
            }
        }
        brought
    }

    /// A record under a key, for comparison.
    pub(in crate::build) fn record(&self, key: &CacheKey) -> Option<&Portable> {
        self.caches.iter().find_map(|import| import.listed.records.get(key)?.first())
    }

    /// What the caches tell of steps that were found.
    pub(in crate::build) fn records_of(&self, steps: &[JournalStep]) -> Vec<Portable> {
        let of_step = |step: &JournalStep| {
            let mut records = self.caches.iter().filter_map(|import| import.listed.records.get(&step.key)).flatten();
            records.find(|record| record.output().diff_id == step.layer).cloned()
        };
        steps.iter().filter_map(of_step).collect()
    }

    /// Warns of a layer once.
    fn tell(&self, session: &Session<'_>, import: &Import, record: &Portable, problem: &Problem) {
        if self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(record.output().diff_id) {
            warn(&session.engine, &import.name(), problem);
        }
    }
}

/// Says in one sentence that a cache is left out, unless the user wants no more anyway.
fn warn(engine: &Engine<'_>, name: &str, problem: &Problem) {
    if !engine.interrupt.is_set() {
        let problem = problem.to_string();
        let problem = problem.lines().next().unwrap_or_default();
        let text = format!("the cache in `{name}` is not used: {problem}");
        (engine.events)(BuildEvent::Warning { text });
    }
}
