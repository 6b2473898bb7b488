//! What a build would do, without doing it.
//!
//! A step is looked up as a build looks it up. Behind a step that would run nobody can know: there the last build's layer
//! is taken in its place, and what is said of later steps holds if the step makes that layer again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::StepId;
use super::copy::{self, Origins};
use super::engine::{Asked, Group, Piece};
use super::error::{Error, Problem, Result};
use super::images;
use super::job::Job;
use super::prepare::{journal_id, prepare};
use super::ready::Ready;
use super::request::{Engine, Request};
use super::rootfs::{Rootfs, is_stored};
use super::run;
use super::step::{Current, Done, NotMade, Purpose, Session, layer_of};
use super::walk::{place_of, position};
use super::why::{Changed, because};
use crate::cache::{Journal, JournalStep, MissReason, Output};
use crate::digest::CacheKey;
use crate::dockerfile::{Diagnostic, Dockerfile, nearest};
use crate::layer::{self, Form};
use crate::plan::{Action, Base, ImageNeed, Mounted, Origin, Stage, StageId, Step};
use crate::store::Store;

/// What would become of one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forecast {
    /// Its number in the build.
    pub step: StepId,
    /// For example `[builder 2/5]`.
    pub position: String,
    /// The instruction on one line.
    pub text: String,
    /// Its key, as far as that can be known.
    pub key: Option<CacheKey>,
    /// What would become of it.
    pub outlook: Outlook,
    /// Everything in which it differs from the last build, a line each.
    pub differences: Vec<String>,
}

/// What would become of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outlook {
    /// It is in the cache.
    Cached,
    /// It would run.
    Runs {
        /// Completes `because …`.
        because: String,
    },
    /// It is in the cache, if that earlier step makes again what it made.
    Depends {
        /// Which.
        on: StepId,
    },
    /// It is in the cache, unless that earlier step changes the place that it copies to.
    Likely {
        /// Which.
        after: StepId,
    },
}

/// A step below whose result is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Unknown {
    step: StepId,
    /// Whether it is known to make something else than in the last build.
    differs: bool,
}

/// What is assumed of a stage.
#[derive(Debug, Clone)]
struct Assumed {
    rootfs: Rootfs,
    unknown: Option<Unknown>,
    changed: Vec<Changed>,
}

/// Says what a build would do now, in the order of its steps. Nothing is run and nothing kept but what was pulled.
///
/// Base images and files from elsewhere are fetched as a build fetches them, for they are part of the keys.
pub fn why(engine: &Engine<'_>, request: &Request) -> Result<Vec<Forecast>> {
    let group = Group::new(engine, Purpose::Look, [request])?;
    let told = prepared(engine, &group, request, &|ready| {
        let mut look = Look { ready, assumed: BTreeMap::new(), told: Vec::new() };
        for (index, stage) in ready.plan.stages.iter().enumerate() {
            look.stage(StageId(index), stage)?;
        }
        Ok(look.told)
    })?;
    group.contexts.keep(engine.store)?;
    Ok(told)
}

/// Brings the base images of a build into other stores too, so that it finds them there without a network.
pub fn share_bases(engine: &Engine<'_>, request: &Request, stores: &[&Store]) -> Result<()> {
    let group = Group::new(engine, Purpose::Look, [request])?;
    prepared(engine, &group, request, &|ready| {
        for (need, image) in ready.base_images().into_iter().filter(|(need, _)| need.layout.is_none()) {
            for store in stores {
                images::share(engine.store, store, need, &image)?;
            }
        }
        Ok(())
    })
}

/// Plans a request, brings its base images, and goes on with that.
fn prepared<T>(
    engine: &Engine<'_>,
    group: &Group<'_>,
    request: &Request,
    then: &dyn Fn(&Ready<'_>) -> Result<T>,
) -> Result<T> {
    let interrupt = engine.interrupt.part().map_err(Problem::from)?;
    let asked = Asked { name: "", request, images: BTreeMap::new() };
    let jobs = [Job::new(0, group, &asked, &interrupt)];
    let Ok(ready) = prepare(&jobs[0], &jobs, &|| {})? else { return Err(Problem::Circle.into()) };
    for (piece, _) in ready.pieces(0) {
        if let Piece::Image(_, number) = piece {
            ready.bring(number, group, &|| {})?;
        }
    }
    then(&ready)
}

/// The steps of the last build of what is asked for, with the layers that they made.
pub fn last_steps(store: &Store, request: &Request) -> Result<Vec<JournalStep>> {
    let journal = Journal::read(store, &journal_id(request)).map_err(Problem::from)?;
    Ok(journal.steps().to_vec())
}

/// Fails if `--no-cache-filter` names a stage that is not there.
pub(super) fn check_stages(dockerfile: &Dockerfile, request: &Request) -> Result<()> {
    // One without a name is called as in what is told of its steps.
    let numbered = dockerfile.stages.iter().enumerate();
    let names: Vec<String> = numbered
        .map(|(number, stage)| stage.name.as_ref().map_or_else(|| format!("stage-{number}"), |name| name.value.clone()))
        .collect();
    let is_there = |wanted: &String| names.iter().any(|name| name.eq_ignore_ascii_case(wanted));
    let missing = request.uncached_stages.iter().filter(|wanted| !is_there(wanted));
    let problems: Vec<Diagnostic> = missing
        .map(|wanted| {
            let span = dockerfile.stages.last().map(|stage| stage.from.head.span).unwrap_or_default();
            let message = format!("there is no stage called `{wanted}`, which `--no-cache-filter` asks for");
            let help = match nearest(wanted, names.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the stages are: {}", names.join(", ")),
            };
            Diagnostic::error("unknown-stage", span, message).with_help(help)
        })
        .collect();
    if problems.is_empty() {
        return Ok(());
    }
    Err(Error::Dockerfile { file: Arc::new(dockerfile.source.clone()), problems })
}

/// The base image of a stage, if it is another one than in the last build.
pub(super) fn changed_base(session: &Session<'_>, label: &str, need: &ImageNeed, base: &Rootfs) -> Option<Changed> {
    let former = session.earlier.base(label)?;
    (former != base.chain()).then(|| Changed::base(&need.reference.familiar()))
}

struct Look<'a> {
    ready: &'a Ready<'a>,
    assumed: BTreeMap<StageId, Assumed>,
    told: Vec<Forecast>,
}

impl Look<'_> {
    fn stage(&mut self, id: StageId, stage: &Stage) -> Result<()> {
        let mut assumed = self.base(stage)?;
        for (index, step) in stage.steps.iter().filter(|step| step.action != Action::Config).enumerate() {
            let forecast = self.step(stage, step, index, &mut assumed)?;
            self.told.push(forecast);
        }
        self.assumed.insert(id, assumed);
        Ok(())
    }

    fn base(&self, stage: &Stage) -> Result<Assumed> {
        let nothing = Assumed { rootfs: Rootfs::empty(), unknown: None, changed: Vec::new() };
        match &stage.base {
            Base::Scratch => Ok(nothing),
            Base::Stage(below) => Ok(self.assumed.get(below).cloned().unwrap_or(nothing)),
            Base::Image(need) => {
                let (_, rootfs) = self.ready.image(need).ok_or(Problem::BaseMismatch)?;
                let changed = changed_base(&self.ready.session, &stage.label, need, rootfs).into_iter().collect();
                let rootfs = rootfs.clone();
                Ok(Assumed { rootfs, changed, ..nothing })
            }
        }
    }

    fn step(&self, stage: &Stage, step: &Step, index: usize, assumed: &mut Assumed) -> Result<Forecast> {
        let id = StepId(u32::try_from(self.told.len() + 1).unwrap_or(u32::MAX));
        let (rootfs, changed) = (assumed.rootfs.clone(), assumed.changed.clone());
        let current = Current {
            session: &self.ready.session,
            id,
            stage: &stage.label,
            index,
            text: &step.text,
            changed: &changed,
            rootfs: &rootfs,
            form: Form::Working,
            started: Instant::now(),
            call: &|| {},
        };
        let (position, text) = (position("", stage, step), step.text.clone());
        let told = |key, outlook, differences| Forecast { step: id, position, text, key, outlook, differences };
        let unknown = self.unknown(step, assumed.unknown);
        match current.check_interrupt().and_then(|()| self.act(&current, stage, step)) {
            Ok(done) => {
                let outlook = match (unknown, assumed.unknown) {
                    (Some(Unknown { differs: true, .. }), _) => {
                        Outlook::Runs { because: because(&MissReason::Parent, &changed) }
                    }
                    (Some(Unknown { step, differs: false }), _) => Outlook::Depends { on: step },
                    (None, Some(Unknown { step, .. })) => Outlook::Likely { after: step },
                    (None, None) => Outlook::Cached,
                };
                if unknown.is_some() {
                    assumed.unknown.get_or_insert(Unknown { step: id, differs: false });
                }
                let key = unknown.is_none().then_some(done.key);
                assumed.rootfs = rootfs.pushed(done.layer);
                Ok(told(key, outlook, Vec::new()))
            }
            Err(Problem::NotMade(missed)) => {
                let NotMade { reason, differences, key } = *missed;
                let outlook = Outlook::Runs { because: because(&reason, &changed) };
                self.assume(&current, reason, assumed)?;
                Ok(told(unknown.is_none().then_some(key), outlook, differences))
            }
            // A file that the assumed layers lack may be made by the step that is not known.
            Err(problem) => match unknown.or(assumed.unknown) {
                Some(Unknown { step, .. }) if !matches!(problem, Problem::Interrupted) => {
                    Ok(told(None, Outlook::Depends { on: step }, Vec::new()))
                }
                _ => Err(self.ready.at(place_of(step, &problem), &step.text, problem)),
            },
        }
    }

    /// Goes on as if the step made what it made in the last build.
    fn assume(&self, current: &Current<'_>, reason: MissReason, assumed: &mut Assumed) -> Result<()> {
        let store = self.ready.session.engine.store;
        let mut differs = true;
        if let Some(former) = current.former() {
            let record = layer::record(store, &former.layer).map_err(Problem::from)?;
            let former = record.map(|record| layer_of(&Output { diff_id: former.layer, size: record.size }));
            if let Some(layer) = former
                && is_stored(store, &layer)?
            {
                assumed.rootfs = assumed.rootfs.pushed(layer);
                // Other files are another layer; a command may well make the same again.
                differs = matches!(reason, MissReason::Files(_) | MissReason::NeverBuilt);
            }
        }
        let unknown = assumed.unknown.get_or_insert(Unknown { step: current.id, differs });
        unknown.differs |= differs;
        if differs {
            assumed.changed.push(Changed { text: current.text.to_owned(), reason: Some(reason) });
        }
        Ok(())
    }

    /// What is part of the step's key and not known: all that is below a command, other stages that it copies from or
    /// mounts.
    fn unknown(&self, step: &Step, below: Option<Unknown>) -> Option<Unknown> {
        let of = |origin: &Origin| match origin {
            Origin::Stage(stage) => self.assumed.get(stage).and_then(|assumed| assumed.unknown),
            Origin::Context | Origin::Named(_) | Origin::Image(_) => None,
        };
        // What another stage makes may differ elsewhere than in what is taken from it.
        let of = |origin: &Origin| of(origin).map(|unknown| Unknown { differs: false, ..unknown });
        match &step.action {
            Action::Run(command) => {
                let mounted = command.mounts.iter().filter_map(|mount| match &mount.what {
                    Mounted::Bind { from, .. } => from.as_ref(),
                    Mounted::Cache(cache) => cache.seed.as_ref().map(|(origin, _)| origin),
                    Mounted::Tmpfs { .. } | Mounted::Secret { .. } | Mounted::Ssh { .. } => None,
                });
                below.or_else(|| mounted.filter_map(of).next())
            }
            Action::Copy(files) => of(&files.from),
            Action::Workdir(_) | Action::Config => None,
        }
    }

    fn act(&self, current: &Current<'_>, stage: &Stage, step: &Step) -> std::result::Result<Done, Problem> {
        let rootfs = |origin: &Origin| match origin {
            Origin::Context | Origin::Named(_) => None,
            Origin::Stage(stage) => self.assumed.get(stage).map(|assumed| assumed.rootfs.clone()),
            Origin::Image(need) => self.ready.image(need).map(|(_, rootfs)| rootfs.clone()),
        };
        let Ready { session, context, named, .. } = self.ready;
        let origins = Origins { request: session.request, rootfs: &rootfs, context, named };
        match &step.action {
            Action::Run(command) => run::run(current, &origins, command, &stage.config.platform()),
            Action::Copy(files) => copy::copy(current, &origins, files),
            Action::Workdir(workdir) => copy::workdir(current, workdir),
            Action::Config => Err(Problem::BaseMismatch),
        }
    }
}
