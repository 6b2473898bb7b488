//! The steps of one stage, one after the other, as far as what they need is there.

use std::sync::PoisonError;
use std::time::Instant;

use super::copy::{self, Origins};
use super::engine::{Counters, Piece};
use super::error::{Class, Problem, Result};
use super::images;
use super::job::Job;
use super::look::changed_base;
use super::ready::{Ready, Slot};
use super::rootfs::Rootfs;
use super::run;
use super::step::{Current, Done};
use super::why::Changed;
use super::{BuildEvent, StepId, StepOutcome};
use crate::cache::JournalStep;
use crate::context;
use crate::digest::ChainId;
use crate::dockerfile::Span;
use crate::image::ImageConfig;
use crate::layer::Form;
use crate::plan::{Action, Base, CacheMount, CopySource, Mounted, Origin, Stage, StageId, Step};

/// How far a stage came.
pub(super) struct Walk {
    pub(super) rootfs: Rootfs,
    pub(super) config: ImageConfig,
    /// The steps that made another layer than in the last build, those of the stages below first.
    changed: Vec<Changed>,
    /// What the journal is to remember of the steps.
    pub(super) steps: Vec<JournalStep>,
    /// The content of its base image, if it stands on one.
    pub(super) base: Option<ChainId>,
    /// The next instruction.
    next: usize,
    pub(super) counters: Counters,
}

/// A step that has ended: what it made, whether that is another layer than in the last build, and what is remembered of it.
pub(super) type Ended = (Done, bool, JournalStep);

/// A stage and how far it came.
#[derive(Clone, Copy)]
struct Place<'p> {
    id: StageId,
    stage: &'p Stage,
    slot: &'p Slot,
}

/// Where a turn of a stage ended.
pub(super) enum Walked {
    /// There are no more steps.
    ToTheEnd,
    /// The next step needs what this piece brings.
    Until(Piece),
    /// Another stage has failed, or the user wants no more.
    Stopped,
}

/// The places that a step takes files from.
pub(super) fn origins(action: &Action) -> Vec<&Origin> {
    match action {
        Action::Config | Action::Workdir(_) => Vec::new(),
        Action::Copy(copy) => vec![&copy.from],
        Action::Run(run) => {
            let mounts = run.mounts.iter().filter_map(|mount| match &mount.what {
                Mounted::Bind { from, .. } => from.as_ref(),
                Mounted::Cache(CacheMount { seed, .. }) => seed.as_ref().map(|(origin, _)| origin),
                Mounted::Tmpfs { .. } | Mounted::Secret { .. } | Mounted::Ssh { .. } => None,
            });
            mounts.collect()
        }
    }
}

impl Ready<'_> {
    /// Goes on with a stage; nobody else does at the same time.
    pub(super) fn walk(&self, id: StageId, job: &Job<'_>, call: &(dyn Fn() + Sync)) -> Result<Walked> {
        let Some(place) = self.place(id) else { return Ok(Walked::Stopped) };
        let mut going = place.slot.going.lock().unwrap_or_else(PoisonError::into_inner);
        if job.is_stopped() {
            return Ok(Walked::Stopped);
        }
        let mut walk = match going.take() {
            Some(walk) => walk,
            None => match self.begin(place.stage, job.number)? {
                Ok(walk) => walk,
                Err(piece) => return Ok(Walked::Until(piece)),
            },
        };
        let walked = self.go_on(&mut walk, place, job, call);
        match walked {
            Ok(Walked::ToTheEnd) => {
                walk.config.created = created(self.session.request.created);
                // There is only one end.
                place.slot.done.get_or_init(|| walk);
            }
            // How far it came is remembered also after a failure.
            Ok(Walked::Until(_) | Walked::Stopped) | Err(_) => *going = Some(walk),
        }
        walked
    }

    /// A stage before its first step, or what it waits for.
    fn begin(&self, stage: &Stage, job: usize) -> Result<std::result::Result<Walk, Piece>> {
        let mut config = ImageConfig::clone(&stage.config);
        let (rootfs, history, changed, base) = match &stage.base {
            Base::Scratch => (Rootfs::empty(), Vec::new(), Vec::new(), None),
            Base::Stage(below) => match self.stages.get(below.0).and_then(|slot| slot.done.get()) {
                Some(walk) => (walk.rootfs.clone(), walk.config.history.clone(), walk.changed.clone(), None),
                None => return Ok(Err(Piece::Stage(job, *below))),
            },
            Base::Image(need) => {
                if let Some(piece) = self.awaited(need, job) {
                    return Ok(Err(piece));
                }
                let (image, rootfs) = self.image(need).ok_or(Problem::BaseMismatch)?;
                let chain = rootfs.chain();
                let changed = changed_base(&self.session, &stage.label, need, rootfs).into_iter().collect();
                let history = images::history(image.config(), rootfs.layers().len());
                (rootfs.clone(), history, changed, Some(chain))
            }
        };
        config.rootfs.diff_ids = rootfs.layers().iter().map(|layer| layer.diff_id).collect();
        config.history = history;
        let (steps, counters) = (Vec::new(), Counters::default());
        Ok(Ok(Walk { rootfs, config, changed, steps, base, next: 0, counters }))
    }

    fn go_on(&self, walk: &mut Walk, place: Place<'_>, job: &Job<'_>, call: &(dyn Fn() + Sync)) -> Result<Walked> {
        while let Some(step) = place.stage.steps.get(walk.next) {
            if step.action != Action::Config {
                if job.is_stopped() {
                    return Ok(Walked::Stopped);
                }
                match self.ended(walk, place, step, job, call)? {
                    Ok(ended) => walk.add(step, ended),
                    Err(piece) => return Ok(Walked::Until(piece)),
                }
            }
            if let Some(line) = &step.history {
                let mut line = line.history();
                line.created = created(self.session.request.created);
                walk.config.history.push(line);
            }
            walk.next += 1;
        }
        Ok(Walked::ToTheEnd)
    }

    /// Does the next step, unless it was done ahead; or says what it waits for.
    fn ended(
        &self,
        walk: &Walk,
        place: Place<'_>,
        step: &Step,
        job: &Job<'_>,
        call: &(dyn Fn() + Sync),
    ) -> Result<std::result::Result<Ended, Piece>> {
        if let Some(linked) = place.slot.linked.get(&walk.next) {
            let ended = linked.lock().unwrap_or_else(PoisonError::into_inner).take();
            return Ok(ended.ok_or(Piece::Linked(job.number, place.id, walk.next)));
        }
        match self.lacks(step, job.number) {
            Some(piece) => Ok(Err(piece)),
            None => self.end(place, (walk.next, walk.steps.len()), (&walk.rootfs, &walk.changed), job, call).map(Ok),
        }
    }

    /// Does a step of a stage that needs nothing of those before it; nobody else does it.
    pub(super) fn linked(&self, id: StageId, number: usize, job: &Job<'_>, call: &(dyn Fn() + Sync)) -> Result<Walked> {
        let Some(place) = self.place(id).filter(|_| !job.is_stopped()) else { return Ok(Walked::Stopped) };
        let (Some(step), Some(linked)) = (place.stage.steps.get(number), place.slot.linked.get(&number)) else {
            return Ok(Walked::Stopped);
        };
        if let Some(piece) = self.lacks(step, job.number) {
            return Ok(Walked::Until(piece));
        }
        let before = place.stage.steps.iter().take(number);
        let index = before.filter(|step| step.action != Action::Config).count();
        let ended = self.end(place, (number, index), (&Rootfs::empty(), &[]), job, call)?;
        *linked.lock().unwrap_or_else(PoisonError::into_inner) = Some(ended);
        Ok(Walked::ToTheEnd)
    }

    fn place(&self, id: StageId) -> Option<Place<'_>> {
        Some(Place { id, stage: self.plan.stages.get(id.0)?, slot: self.stages.get(id.0)? })
    }

    /// Does the step of this number among the instructions, and this index among the steps, upon this root filesystem.
    fn end(
        &self,
        Place { id: _, stage, slot }: Place<'_>,
        (number, index): (usize, usize),
        (rootfs, changed): (&Rootfs, &[Changed]),
        job: &Job<'_>,
        call: &(dyn Fn() + Sync),
    ) -> Result<Ended> {
        let step = &stage.steps[number];
        let id = StepId(slot.first_step.saturating_add(u32::try_from(index).unwrap_or(u32::MAX)));
        let current = Current {
            session: &self.session,
            id,
            stage: &stage.label,
            index,
            text: &step.text,
            changed,
            rootfs,
            form: self.form(stage, number),
            started: Instant::now(),
            call,
        };
        let done = self.step(&current, stage, step, position(job.name(), stage, step))?;
        let (differs, remembered) = (current.differs(&done), current.journal_step(&done));
        Ok((done, differs, remembered))
    }

    /// The form in which a step's layer is kept. Where a command follows it is compressed after that, if at all: the command may
    /// fail, and looks into the layer.
    fn form(&self, stage: &Stage, step: usize) -> Form {
        let is_target = self.plan.stages.get(self.plan.target.0).is_some_and(|target| std::ptr::eq(target, stage));
        let mut later = stage.steps.iter().skip(step + 1);
        match self.session.request.leaving {
            Some(compression) if is_target && !later.any(|step| matches!(step.action, Action::Run(_))) => {
                Form::Leaving(compression)
            }
            _ => Form::Working,
        }
    }

    /// What a step needs and is not there.
    fn lacks(&self, step: &Step, job: usize) -> Option<Piece> {
        origins(&step.action).into_iter().find_map(|origin| match origin {
            Origin::Context | Origin::Named(_) => None,
            Origin::Stage(stage) => self.stages.get(stage.0)?.done.get().is_none().then_some(Piece::Stage(job, *stage)),
            Origin::Image(need) => self.awaited(need, job),
        })
    }

    /// Looks one step up or executes it.
    fn step(&self, current: &Current<'_>, stage: &Stage, step: &Step, position: String) -> Result<Done> {
        let events = self.session.engine.events;
        events(BuildEvent::StepStarted { step: current.id, position, text: step.text.clone() });
        let result = current.check_interrupt().and_then(|()| self.act(current, stage, step));
        result.map_err(|problem| {
            let outcome = match problem.class() {
                Class::Interrupted => StepOutcome::Cancelled,
                _ => StepOutcome::Failed { message: problem.to_string() },
            };
            let duration = current.started.elapsed();
            events(BuildEvent::StepFinished { step: current.id, outcome, duration });
            self.at(place_of(step, &problem), &step.text, problem)
        })
    }

    fn act(&self, current: &Current<'_>, stage: &Stage, step: &Step) -> std::result::Result<Done, Problem> {
        let request = self.session.request;
        let rootfs = |origin: &Origin| match origin {
            Origin::Context | Origin::Named(_) => None,
            Origin::Stage(stage) => self.finished(*stage).map(|(_, rootfs)| rootfs.clone()),
            Origin::Image(need) => self.image(need).map(|(_, rootfs)| rootfs.clone()),
        };
        let origins = Origins { request, rootfs: &rootfs, context: &self.context, named: &self.named };
        match &step.action {
            Action::Run(command) => run::run(current, &origins, command, &stage.config.platform()),
            Action::Copy(files) => copy::copy(current, &origins, files),
            Action::Workdir(workdir) => copy::workdir(current, workdir),
            Action::Config => Err(Problem::BaseMismatch),
        }
    }
}

impl Walk {
    fn add(&mut self, step: &Step, (done, differs, remembered): Ended) {
        match done.reason {
            Some(_) => self.counters.ran += 1,
            None => self.counters.cached += 1,
        }
        self.counters.shared += usize::from(done.is_shared);
        if differs {
            self.changed.push(Changed { text: step.text.clone(), reason: done.reason });
        }
        self.steps.push(remembered);
        self.config.rootfs.diff_ids.push(done.layer.diff_id);
        self.rootfs = self.rootfs.pushed(done.layer);
    }
}

/// What to point at: the source that is missing or cannot be fetched, else the whole instruction.
pub(super) fn place_of(step: &Step, problem: &Problem) -> Span {
    let Action::Copy(copy) = &step.action else { return step.span };
    let blamed = match problem {
        Problem::Context(context::Error::NotFound { pattern: missing, .. }) => {
            let is_it = |source: &&CopySource| matches!(source, CopySource::Path { pattern, .. } if pattern == missing);
            copy.sources.iter().find(is_it)
        }
        Problem::Fetch(_) => copy.sources.iter().find(|source| !matches!(source, CopySource::Path { .. })),
        _ => None,
    };
    blamed.map_or(step.span, CopySource::span)
}

/// For example `[builder 2/5]`, with the name of the request in front if there are several.
pub(super) fn position(request: &str, stage: &Stage, step: &Step) -> String {
    let (at, total) = step.position;
    let count = format!("{at}/{total}");
    let words = [request, stage.label.as_str(), count.as_str()];
    let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
    format!("[{}]", words.join(" "))
}

/// A time as image configs have it.
fn created(seconds: i64) -> Option<String> {
    jiff::Timestamp::from_second(seconds).ok().map(|time| time.to_string())
}
