//! One request on its way: planned, its stages at work, put together.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use super::BuildEvent;
use super::carry::inlined;
use super::catalog;
use super::engine::{Asked, Counters, Group, Piece};
use super::error::{Error, Problem, Result};
use super::prepare::prepare;
use super::ready::Ready;
use super::request::{Built, Engine, InlineCache, Interrupt};
use super::schedule::Turn;
use super::walk::Walked;
use crate::cache::{Journal, JournalStep, Portable, Reached};
use crate::image::SealedConfig;
use crate::layer::Layer;
use crate::plan::StageId;

/// One request.
pub(super) struct Job<'g> {
    pub(super) number: usize,
    pub(super) group: &'g Group<'g>,
    pub(super) asked: &'g Asked<'g>,
    /// With an interrupt of its own.
    pub(super) engine: Engine<'g>,
    ready: OnceLock<Ready<'g>>,
    failure: Mutex<Option<Error>>,
    image: OnceLock<(SealedConfig, Vec<Layer>)>,
}

/// What another job has come to.
pub(super) enum Came<'j> {
    /// It is at work.
    Nowhere,
    To(&'j SealedConfig, &'j [Layer]),
    ToNothing,
}

impl<'g> Job<'g> {
    pub(super) fn new(number: usize, group: &'g Group<'g>, asked: &'g Asked<'g>, interrupt: &'g Interrupt) -> Self {
        let engine = Engine { interrupt, ..group.engine };
        let (ready, failure, image) = (OnceLock::new(), Mutex::default(), OnceLock::new());
        Self { number, group, asked, engine, ready, failure, image }
    }

    /// What messages call it; empty if it is the only one.
    pub(super) fn name(&self) -> &'g str {
        self.asked.name
    }

    /// Plans; then its stages are ready, and the images that they need and that are not here.
    pub(super) fn plan(&self, jobs: &[Job<'g>], call: &(dyn Fn() + Sync)) -> Turn<Piece> {
        if self.is_stopped() {
            return self.ended(None);
        }
        let prepared = match prepare(self, jobs, call) {
            Ok(prepared) => prepared,
            Err(error) => return self.ended(Some(error)),
        };
        match prepared {
            Ok(ready) => {
                let pieces = ready.pieces(self.number);
                // Planned once.
                self.ready.get_or_init(|| ready);
                Turn::Ended(pieces)
            }
            Err(other) => Turn::WaitsFor(Piece::Finish(other)),
        }
    }

    /// Brings a base image.
    pub(super) fn image(&self, number: usize, call: &(dyn Fn() + Sync)) -> Turn<Piece> {
        if self.is_stopped() {
            return self.ended(None);
        }
        let brought = self.ready.get().map_or(Ok(()), |ready| ready.bring(number, self.group, call));
        self.ended(brought.err())
    }

    /// Does the steps of a stage as far as they can be done now.
    pub(super) fn stage(&self, stage: StageId, call: &(dyn Fn() + Sync)) -> Turn<Piece> {
        let Some(ready) = self.ready.get() else { return self.ended(None) };
        match ready.walk(stage, self, call) {
            Ok(Walked::ToTheEnd) if stage == ready.plan.target => Turn::Ended(vec![(Piece::Finish(self.number), None)]),
            Ok(Walked::ToTheEnd) => Turn::Ended(Vec::new()),
            Ok(Walked::Until(piece)) => Turn::WaitsFor(piece),
            Ok(Walked::Stopped) => self.ended(None),
            Err(error) => self.ended(Some(error)),
        }
    }

    /// Does a step that needs nothing of those before it.
    pub(super) fn linked(&self, stage: StageId, step: usize, call: &(dyn Fn() + Sync)) -> Turn<Piece> {
        let Some(ready) = self.ready.get() else { return self.ended(None) };
        match ready.linked(stage, step, self, call) {
            Ok(Walked::Until(piece)) => Turn::WaitsFor(piece),
            Ok(Walked::ToTheEnd | Walked::Stopped) => self.ended(None),
            Err(error) => self.ended(Some(error)),
        }
    }

    /// Puts the image together, if its stages came to their ends.
    pub(super) fn put_together(&self) -> Turn<Piece> {
        let finished = self.ready.get().and_then(|ready| ready.finished(ready.plan.target));
        match finished.map(|(config, rootfs)| (config.seal(), rootfs)) {
            Some((Ok(config), rootfs)) => {
                self.image.get_or_init(|| (config, rootfs.layers().to_vec()));
            }
            Some((Err(error), _)) => self.fail(Problem::from(error).into()),
            // It has failed.
            None => {}
        }
        Turn::Ended(Vec::new())
    }

    /// The end of a piece. After a failure those that need the image are told.
    fn ended(&self, failure: Option<Error>) -> Turn<Piece> {
        match failure {
            Some(error) => self.fail(error),
            None if self.engine.interrupt.is_set() => self.fail(Problem::Interrupted.into()),
            None => {}
        }
        match self.has_failed() {
            // More than one piece may say so; the second time nothing is left to do.
            true => Turn::Ended(vec![(Piece::Finish(self.number), None)]),
            false => Turn::Ended(Vec::new()),
        }
    }

    /// Stops what else is at work; the first failure is the one that counts.
    fn fail(&self, error: Error) {
        let mut failure = self.failure();
        if failure.is_none() {
            *failure = Some(error);
            drop(failure);
            // By whom it is set already does not matter; a second time would kill.
            if !self.engine.interrupt.is_set() {
                self.engine.interrupt.set();
            }
        }
    }

    /// Whether nothing more is to be begun.
    pub(super) fn is_stopped(&self) -> bool {
        self.engine.interrupt.is_set() || self.has_failed()
    }

    fn has_failed(&self) -> bool {
        self.failure().is_some()
    }

    fn failure(&self) -> MutexGuard<'_, Option<Error>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its image, if it is there.
    pub(super) fn came(&self) -> Came<'_> {
        match self.image.get() {
            Some((config, layers)) => Came::To(config, layers),
            None if self.has_failed() => Came::ToNothing,
            None => Came::Nowhere,
        }
    }

    /// Keeps the image, and what makes the next build cheap: also after a failure, so that it goes on from there and can say
    /// what changed.
    pub(super) fn finish(self) -> (Counters, Result<Built>) {
        let group = self.group;
        let failure = self.failure.into_inner().unwrap_or_else(PoisonError::into_inner);
        let Some(ready) = self.ready.into_inner() else {
            // It was never planned: it failed, or it waited for one that waited for it.
            return (Counters::default(), Err(failure.unwrap_or(Error::General(Problem::Circle))));
        };
        let counters = ready.counters();
        let reached = if failure.is_none() { Reached::Everything } else { Reached::Failure };
        let remembered = remember(group, &ready, reached);
        let steps = ready.journal().steps().to_vec();
        let borrowed = ready.session.imports.records_of(&steps);
        let result = match (failure, self.image.into_inner()) {
            (Some(failure), _) => Err(failure),
            (None, None) => Err(Error::General(Problem::Circle)),
            (None, Some((config, layers))) => remembered
                .and_then(|()| {
                    let config = told_of_steps(&ready, config, &steps, &borrowed)?;
                    catalog::keep_image(group.engine.store, &config, &layers)?;
                    Ok((config, layers))
                })
                .map_err(Error::from),
        };
        let built = result.map(|(config, layers)| {
            let Counters { ran, cached, shared: _, blobs: _ } = counters;
            let (warnings, bases) = ready.told();
            Built { config, layers, steps, borrowed, cached, ran, warnings, bases }
        });
        (counters, built)
    }
}

/// The config of an image with what it is to tell of its steps.
fn told_of_steps(
    ready: &Ready<'_>,
    config: SealedConfig,
    steps: &[JournalStep],
    borrowed: &[Portable],
) -> std::result::Result<SealedConfig, Problem> {
    let engine = &ready.session.engine;
    match ready.session.request.inline_cache {
        InlineCache::Absent => Ok(config),
        InlineCache::Carried => {
            let (config, left_out) = inlined(engine.store, config, steps, borrowed)?;
            if left_out > 0 {
                let text =
                    format!("the cache in the image is without {left_out} of its steps, which are too long for it");
                (engine.events)(BuildEvent::Warning { text });
            }
            Ok(config)
        }
    }
}

fn remember(group: &Group<'_>, ready: &Ready<'_>, reached: Reached) -> std::result::Result<(), Problem> {
    let store = group.engine.store;
    let mut journal = ready.journal();
    // Read again: other requests of this build may have the same Dockerfile.
    journal.keep_rest(&Journal::read(store, &ready.journal_id)?, reached);
    journal.write(store, &ready.journal_id)?;
    Ok(store.mark_durable()?)
}
