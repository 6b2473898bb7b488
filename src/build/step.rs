//! What the steps of a build share: look-up, the lock of a key, and keeping the result.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::atomic::AtomicUsize;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Instant;

use super::carry::Imports;
use super::contexts::Contexts;
use super::error::Problem;
use super::machine::Machine;
use super::request::{CacheUse, Detail, Engine, Request};
use super::rootfs::{Rootfs, hold, is_stored};
use super::schedule::{Flight, Flights, Turns};
use super::why::{Changed, because, differences};
use super::{BuildEvent, StepId, StepOutcome};
use crate::cache::{Cache, Hit, Imported, Ingredients, Journal, JournalStep, Lookup, MissReason, Output, Portable};
use crate::digest::{CacheKey, DiffId};
use crate::layer::{Form, Layer};
use crate::store::{Bucket, KeyLock, Lease, Object, TreeId, Waiting};
use crate::tree::Fact;

/// What one request works with, beside its stages.
pub(super) struct Session<'a> {
    /// With an interrupt of its own: the first failure sets it.
    pub(super) engine: Engine<'a>,
    pub(super) request: &'a Request,
    pub(super) cache: &'a Cache,
    pub(super) lease: &'a Lease,
    /// The keys of the last build of this Dockerfile.
    pub(super) earlier: Journal,
    /// Set once it was told which outputs are left out of the context.
    pub(super) told_outputs: OnceLock<()>,
    /// Whether commands can run here.
    pub(super) machine: &'a Machine,
    pub(super) contexts: &'a Contexts,
    pub(super) shared: &'a Shared,
    /// Whether steps are made.
    pub(super) purpose: Purpose,
    /// Caches of other stores.
    pub(super) imports: Imports,
}

/// Whether the steps that are not in the cache are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// They are.
    Make,
    /// It is only told which ones that would be: `Problem::NotMade`.
    Look,
}

/// A step that is not in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotMade {
    /// Why it is not.
    pub reason: MissReason,
    /// Everything in which it differs from the last build, a line each.
    pub differences: Vec<String>,
    /// Its key.
    pub key: CacheKey,
}

/// What all steps of all requests share.
pub(super) struct Shared {
    /// The keys of the steps that are being made.
    pub(super) under_way: Flights<CacheKey>,
    /// The keys of those that were made, by whichever request.
    pub(super) made: Mutex<BTreeSet<CacheKey>>,
    /// Held while files of contexts are hashed, for which each time all cores are used: no file is hashed twice.
    pub(super) hashing: Mutex<()>,
    /// For what keeps a core busy.
    pub(super) cores: Turns,
    /// The layers of images that are being brought or unpacked.
    pub(super) unpacking: Flights<DiffId>,
    /// How many layers were pulled.
    pub(super) blobs: AtomicUsize,
}

impl Shared {
    pub(super) fn new() -> Self {
        let (under_way, made, hashing) = (Flights::default(), Mutex::default(), Mutex::default());
        let unpacking = Flights::default();
        Self { under_way, made, hashing, cores: Turns::of_cores(), unpacking, blobs: AtomicUsize::new(0) }
    }

    /// Hashes files of contexts.
    pub(super) fn hash<T>(&self, work: impl FnOnce() -> T) -> T {
        let _alone = self.hashing.lock().unwrap_or_else(PoisonError::into_inner);
        work()
    }
}

/// One step while it goes on.
pub(super) struct Current<'a> {
    pub(super) session: &'a Session<'a>,
    pub(super) id: StepId,
    /// The stage's label.
    pub(super) stage: &'a str,
    /// The step's place among the stage's steps with an action, from 0.
    pub(super) index: usize,
    pub(super) text: &'a str,
    /// The steps below it that made another layer than in the last build.
    pub(super) changed: &'a [Changed],
    pub(super) rootfs: &'a Rootfs,
    /// The form in which the step's layer is kept.
    pub(super) form: Form,
    pub(super) started: Instant,
    /// Lets others begin with what else there is to do: this one takes some time.
    pub(super) call: &'a (dyn Fn() + Sync),
}

/// How a step ended.
pub(super) struct Done {
    pub(super) layer: Layer,
    pub(super) key: CacheKey,
    /// Why it was executed; none if it was in the cache.
    pub(super) reason: Option<MissReason>,
    /// Whether another step of this build has made it, of whichever request.
    pub(super) is_shared: bool,
}

/// The answer to a look-up.
pub(super) enum Found<'a> {
    Hit(Box<Done>),
    /// The locks are to be held until the result is kept.
    Miss(MissReason, Locked<'a>),
}

/// Keeps others from making the same step: the threads of this process, which wake up at once, and other processes.
#[must_use = "dropping it lets others make the same"]
pub(super) struct Locked<'a> {
    _lock: KeyLock,
    _flight: Flight<'a, CacheKey>,
}

impl<'a> Current<'a> {
    /// Looks the step up; on a miss, waits for builds that are making the same, looks again, and tells why it runs.
    pub(super) fn find(&self, ingredients: &Ingredients) -> Result<Found<'a>, Problem> {
        let key = ingredients.key();
        if let Lookup::Hit(hit) = self.look_up(ingredients, &key)? {
            return Ok(Found::Hit(Box::new(self.hit(&hit, key))));
        }
        if self.session.purpose == Purpose::Look {
            return Err(self.unmade(ingredients, &key)?);
        }
        (self.call)();
        let session = self.session;
        let flight = session.shared.under_way.enter(key, &|| !session.engine.interrupt.is_set());
        let Some(flight) = flight else { return Err(Problem::Interrupted) };
        let lock = Locked { _lock: self.lock(&key)?, _flight: flight };
        match self.look_up(ingredients, &key)? {
            Lookup::Hit(hit) => Ok(Found::Hit(Box::new(self.hit(&hit, key)))),
            Lookup::Miss(reason) => {
                self.tell_miss(ingredients, &reason)?;
                Ok(Found::Miss(reason, lock))
            }
        }
    }

    /// Tells why the step runs. In the first build of a Dockerfile every step does, and nothing is said of it.
    fn tell_miss(&self, ingredients: &Ingredients, reason: &MissReason) -> Result<(), Problem> {
        let tells = *reason != MissReason::NeverBuilt || !self.session.earlier.steps().is_empty();
        let text = tells.then(|| because(reason, self.changed));
        (self.session.engine.events)(BuildEvent::StepMissed { step: self.id, reason: text });
        if self.session.request.detail == Detail::Everything {
            let lines = self.differences(ingredients)?;
            (self.session.engine.events)(BuildEvent::StepDiffers { step: self.id, lines });
        }
        Ok(())
    }

    /// What there is to say of a step that is not in the cache and is not to be made.
    fn unmade(&self, ingredients: &Ingredients, key: &CacheKey) -> Result<Problem, Problem> {
        let reason = match self.look_up(ingredients, key)? {
            Lookup::Miss(reason) => reason,
            // Another build made it just now.
            Lookup::Hit(_) => MissReason::NeverBuilt,
        };
        let differences = self.differences(ingredients)?;
        Ok(Problem::NotMade(Box::new(NotMade { reason, differences, key: *key })))
    }

    /// Everything in which the step differs from the last build, a line each.
    fn differences(&self, ingredients: &Ingredients) -> Result<Vec<String>, Problem> {
        let Some(former) = self.former() else { return Ok(Vec::new()) };
        let imported = self.session.imports.record(&former.key);
        let changes = self.session.cache.changes(ingredients, &former.key, imported)?;
        Ok(differences(Some(&former.text), self.text, &changes.unwrap_or_default()))
    }

    /// Keeps what the step made.
    pub(super) fn keep(
        &self,
        ingredients: &Ingredients,
        facts: Vec<Fact>,
        layer: Layer,
        reason: MissReason,
    ) -> Result<Done, Problem> {
        let session = self.session;
        self.check_interrupt()?;
        hold(session.engine.store, session.lease, &layer)?;
        session.lease.hold(&Object::Record(Bucket::Steps, ingredients.key().hex()))?;
        let output = Output { diff_id: layer.diff_id, size: layer.size };
        let key = session.cache.keep(ingredients, self.rootfs.chain(), facts, output)?;
        session.shared.made.lock().unwrap_or_else(PoisonError::into_inner).insert(key);
        let duration = self.started.elapsed();
        (session.engine.events)(BuildEvent::StepFinished { step: self.id, outcome: StepOutcome::Ran, duration });
        Ok(Done { layer, key, reason: Some(reason), is_shared: false })
    }

    /// What the journal is to remember of the step.
    pub(super) fn journal_step(&self, done: &Done) -> JournalStep {
        let (stage, text) = (self.stage.to_owned(), self.text.to_owned());
        JournalStep { stage, text, key: done.key, layer: done.layer.diff_id }
    }

    /// Whether the step made another layer than in the last build, as far as that is remembered.
    pub(super) fn differs(&self, done: &Done) -> bool {
        self.former().is_none_or(|former| former.layer != done.layer.diff_id)
    }

    /// What the step was in the last build.
    pub(super) fn former(&self) -> Option<&JournalStep> {
        self.session.earlier.nearest(self.stage, self.index, self.text)
    }

    /// The stop that the user asked for, if so.
    pub(super) fn check_interrupt(&self) -> Result<(), Problem> {
        if self.session.engine.interrupt.is_set() { Err(Problem::Interrupted) } else { Ok(()) }
    }

    fn look_up(&self, ingredients: &Ingredients, key: &CacheKey) -> Result<Lookup, Problem> {
        let session = self.session;
        // What this build has made is used in any case: equal steps run once.
        if session.request.cache == CacheUse::Ignore && !self.was_made(key) {
            return Ok(Lookup::Miss(MissReason::Disabled));
        }
        let is_uncached = |stage: &String| stage.eq_ignore_ascii_case(self.stage);
        if session.request.uncached_stages.iter().any(is_uncached) && !self.was_made(key) {
            return Ok(Lookup::Miss(MissReason::StageDisabled));
        }
        session.lease.hold(&Object::Record(Bucket::Steps, key.hex()))?;
        let nearest = self.former().map(|step| step.key);
        let known = nearest.and_then(|nearest| session.imports.record(&nearest));
        let mut imported = Imported { results: Vec::new(), nearest: known };
        let failed = RefCell::new(None);
        let unless_failed = |answer: Result<bool, Problem>| {
            answer.unwrap_or_else(|problem| {
                failed.replace(Some(problem));
                false
            })
        };
        let mut holds = |fact: &Fact| unless_failed(self.rootfs.stack(session.engine.store).map(|s| s.holds(fact)));
        let mut exists = |output: &Output| unless_failed(self.usable(output));
        let below = self.rootfs.chain();
        let (cache, nearest) = (session.cache, nearest.as_ref());
        let mut answer = cache.look_up(ingredients, &below, nearest, &mut holds, &mut exists, &imported)?;
        if matches!(answer, Lookup::Miss(_)) && session.imports.has(key) {
            // It may have to come over a network.
            (self.call)();
            let mut fits = |record: &Portable| record.fits(&below, &mut holds);
            imported.results = session.imports.bring(session, key, &mut fits);
            answer = cache.look_up(ingredients, &below, nearest, &mut holds, &mut exists, &imported)?;
        }
        if let Some(problem) = failed.into_inner() {
            return Err(problem);
        }
        // An edited COPY selects other files, but none of them changed.
        let edited = self.former().is_some_and(|former| former.text != self.text);
        Ok(match answer {
            Lookup::Miss(MissReason::Files(_)) if edited => Lookup::Miss(MissReason::Command),
            other => other,
        })
    }

    /// Whether a layer of the cache is still there in some form; it is named in the lease first.
    fn usable(&self, output: &Output) -> Result<bool, Problem> {
        let store = self.session.engine.store;
        hold(store, self.session.lease, &layer_of(output))?;
        is_stored(store, &layer_of(output))
    }

    fn hit(&self, hit: &Hit, key: CacheKey) -> Done {
        (self.session.engine.events)(BuildEvent::StepCached { step: self.id });
        let is_shared = self.was_made(&key);
        Done { layer: layer_of(&hit.output), key, reason: None, is_shared }
    }

    /// Whether a step of this build, of whichever request, has made it.
    fn was_made(&self, key: &CacheKey) -> bool {
        self.session.shared.made.lock().unwrap_or_else(PoisonError::into_inner).contains(key)
    }

    fn lock(&self, key: &CacheKey) -> Result<KeyLock, Problem> {
        let engine = &self.session.engine;
        let mut ask = |asked: Waiting| match asked {
            Waiting::StillWanted => !engine.interrupt.is_set(),
            Waiting::Behind { pid } => {
                let who =
                    pid.map_or_else(|| "another build".to_owned(), |pid| format!("the build with process id {pid}"));
                let text = format!("{} waits for {who}, which is making the same", self.text);
                (engine.events)(BuildEvent::Note { text });
                true
            }
        };
        Ok(engine.store.lock(&format!("step-{}", key.hex()), &mut ask)?)
    }
}

/// Layers that steps make are always self-contained.
pub(super) fn layer_of(output: &Output) -> Layer {
    Layer { diff_id: output.diff_id, size: output.size, tree: TreeId::Layer(output.diff_id) }
}
