//! A build from its request to its image.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use super::copy::{self, NamedSources, Origins, keep_stat_cache};
use super::error::{Error, Problem, Result};
use super::images::{self, BaseImage};
use super::lint;
use super::machine::Machine;
use super::refuse::{refuse_errors, refuse_warnings};
use super::request::{Built, Engine, Request};
use super::rootfs::Rootfs;
use super::run;
use super::step::{Current, Done, Session};
use super::why::Changed;
use super::{BuildEvent, StepId, StepOutcome, catalog};
use crate::cache::{Cache, Journal, Reached};
use crate::context::{self, DirectorySource};
use crate::digest::{Canonical, ContentDigest};
use crate::dockerfile::{self, Diagnostic, Dockerfile, Source, Span};
use crate::image::{ImageConfig, SealedConfig};
use crate::layer::{Layer, Unpack};
use crate::plan::{self, Action, Base, CopySource, ImageNeed, Outcome, Plan, Stage, StageId, Step};

/// Builds an image and keeps it in the store.
///
/// Tells `engine.events` of everything that happens. Fails before anything is pulled if the Dockerfile is wrong.
pub fn build(engine: &Engine<'_>, request: &Request) -> Result<Built> {
    let check = request.check.as_ref();
    let (dockerfile, problems) = dockerfile::parse_checked(&request.dockerfile_name, &request.dockerfile, check);
    let source = Arc::new(dockerfile.source.clone());
    let context = OnceLock::new();
    let named = NamedSources::default();
    let hints = lint::hints_of(engine, request, &dockerfile, &context);
    let mut warnings = problems;
    warnings.extend(hints.iter().cloned());
    warnings.sort_by_key(|problem| problem.span.start());
    refuse_errors(&source, &warnings)?;
    let lease = engine.store.lease().map_err(Problem::from)?;
    let machine = Machine::default();
    let Planned { plan, found, images } = planned(engine, request, &dockerfile, &source, &lease, &machine, &warnings)?;
    warnings.extend(found);
    warnings.extend(lint::ignored_sources(engine, request, &dockerfile, &plan, &context));
    warnings.sort_by_key(|problem| problem.span.start());
    refuse_warnings(&dockerfile, &source, &warnings)?;
    let cache = Cache::new(engine.store, engine.store.secret().map_err(Problem::from)?);
    let journal_id = journal_id(request);
    let earlier = Journal::read(engine.store, &journal_id).map_err(Problem::from)?;
    let session = Session { engine: *engine, request, cache, lease, earlier, told_outputs: OnceLock::new(), machine };
    if session.earlier.steps().is_empty() && runs_commands(&plan) {
        // Nothing is known to be cached: better told now than after the COPYs. Later builds try when a command is to run.
        session.machine.check(engine)?;
    }
    let mut run = Build {
        session: &session,
        source: &source,
        hints: &hints,
        plan: &plan,
        images: &images,
        context: &context,
        named: &named,
        stages: BTreeMap::new(),
        configs: BTreeMap::new(),
        journal: Journal::default(),
        next_step: 0,
        cached: 0,
        ran: 0,
        changed: BTreeMap::new(),
    };
    let result = run.all();
    let (mut journal, cached, ran) = (run.journal, run.cached, run.ran);
    drop(run.stages);
    journal.keep_rest(&session.earlier, if result.is_ok() { Reached::Everything } else { Reached::Failure });
    // Also after a failure, so that the next build goes on from there and can say what changed.
    let remembered = remember(engine, request, &journal, &journal_id, (context, named));
    let (config, layers) = result?;
    remembered?;
    catalog::keep_image(engine.store, &config, &layers)?;
    // Commands that succeeded did not lack those files.
    warnings.retain(|warning| !hints.contains(warning));
    let bases = images.into_keys().filter(|need| need.layout.is_none()).map(|need| need.reference).collect();
    Ok(Built { config, layers, cached, ran, warnings: (source, warnings), bases })
}

/// Keeps what makes the next build cheap: the keys of the steps, the digests of the context's files, trust in the trees.
fn remember(
    engine: &Engine<'_>,
    request: &Request,
    journal: &Journal,
    journal_id: &str,
    (context, named): (OnceLock<Arc<DirectorySource>>, NamedSources),
) -> std::result::Result<(), Problem> {
    journal.write(engine.store, journal_id)?;
    if let Some(context) = context.into_inner().and_then(Arc::into_inner) {
        keep_stat_cache(engine.store, request, request.context.as_deref().unwrap_or(Path::new("")), context)?;
    }
    named.keep_stat_caches(engine.store, request)?;
    Ok(engine.store.mark_durable()?)
}

struct Planned {
    plan: Box<Plan>,
    found: Vec<Diagnostic>,
    images: BTreeMap<ImageNeed, BaseImage>,
}

/// Plans, and brings the configs of base images as the plan asks for them.
fn planned(
    engine: &Engine<'_>,
    request: &Request,
    dockerfile: &Dockerfile,
    source: &Arc<Source>,
    lease: &crate::store::Lease,
    machine: &Machine,
    warnings: &[Diagnostic],
) -> Result<Planned> {
    let mut images: BTreeMap<ImageNeed, BaseImage> = BTreeMap::new();
    let mut configs: BTreeMap<ImageNeed, ImageConfig> = BTreeMap::new();
    loop {
        let outcome = plan::plan(dockerfile, &request.inputs, &configs).map_err(|mut problems| {
            problems.extend(warnings.iter().cloned());
            problems.sort_by_key(|problem| problem.span.start());
            Error::Dockerfile { file: source.clone(), problems }
        })?;
        let (needs, has_run) = match outcome {
            Outcome::Ready(plan, found) => return Ok(Planned { plan, found, images }),
            Outcome::Needs { images: needs, has_run } => (needs, has_run),
        };
        for need in needs {
            let at = |problem| Error::Step {
                file: source.clone(),
                span: need.span,
                text: need.image.reference.familiar(),
                problem: Box::new(problem),
                hints: Vec::new(),
            };
            let image = match images::stored(engine.store, lease, &need.image, request.pull).map_err(at)? {
                Some(image) => image,
                None => {
                    if has_run {
                        // A base that no command can run on is not worth the wait.
                        machine.check(engine)?;
                    }
                    images::pull(engine, &need.image).map_err(at)?
                }
            };
            configs.insert(need.image.clone(), image.config.config().clone());
            images.insert(need.image, image);
        }
    }
}

fn runs_commands(plan: &Plan) -> bool {
    let mut steps = plan.stages.iter().flat_map(|stage| &stage.steps);
    steps.any(|step| matches!(step.action, Action::Run(_)))
}

/// The same Dockerfile in the same context has the same journal.
fn journal_id(request: &Request) -> String {
    let mut canonical = Canonical::new("journal");
    let path =
        |path: &Option<std::path::PathBuf>| path.clone().unwrap_or_default().into_os_string().into_encoded_bytes();
    canonical.bytes("context", &path(&request.context));
    canonical.text("files", request.context_files.as_ref().map_or("", |files| files.name()));
    canonical.bytes("dockerfile", &path(&request.dockerfile_path));
    canonical.text("platform", &request.inputs.platform.to_string());
    canonical.finish::<ContentDigest>().hex()
}

struct Build<'a> {
    session: &'a Session<'a>,
    source: &'a Arc<Source>,
    hints: &'a [Diagnostic],
    plan: &'a Plan,
    images: &'a BTreeMap<ImageNeed, BaseImage>,
    context: &'a OnceLock<Arc<DirectorySource>>,
    named: &'a NamedSources,
    stages: BTreeMap<StageId, Rootfs>,
    configs: BTreeMap<StageId, ImageConfig>,
    journal: Journal,
    next_step: u32,
    cached: usize,
    ran: usize,
    /// For each stage the steps that made another layer than in the last build, those of the stages it stands on first.
    changed: BTreeMap<StageId, Vec<Changed>>,
}

impl Build<'_> {
    fn all(&mut self) -> Result<(SealedConfig, Vec<Layer>)> {
        let steps = self.plan.stages.iter().flat_map(|stage| &stage.steps);
        let total = steps.into_iter().filter(|step| step.action != Action::Config).count();
        let total_steps = u32::try_from(total).unwrap_or(u32::MAX);
        (self.session.engine.events)(BuildEvent::Started { total_steps });
        self.check_sources()?;
        for (index, stage) in self.plan.stages.iter().enumerate() {
            self.stage(StageId(index), stage)?;
        }
        let config = self.configs.get(&self.plan.target).ok_or(Problem::BaseMismatch)?;
        let sealed = config.seal().map_err(Problem::from)?;
        let layers = self.stages.get(&self.plan.target).map(|rootfs| rootfs.layers().to_vec()).unwrap_or_default();
        Ok((sealed, layers))
    }

    /// Fails now if a COPY further down will: better than after a long RUN.
    fn check_sources(&self) -> Result<()> {
        let brought = self.session.request.context_files.as_ref().map(|files| files.source().as_ref());
        let folder = || self.context.get().map(|folder| -> &dyn context::Source { folder.as_ref() });
        let Some(context) = brought.or_else(folder) else { return Ok(()) };
        for step in self.plan.stages.iter().flat_map(|stage| &stage.steps) {
            if let Action::Copy(files) = &step.action
                && files.from == plan::Origin::Context
            {
                let checked = copy::check_sources(context, files);
                checked.map_err(|problem| self.at(place_of(step, &problem), &step.text, problem))?;
            }
        }
        Ok(())
    }

    fn stage(&mut self, id: StageId, stage: &Stage) -> Result<()> {
        let (mut rootfs, mut config) = self.base(stage)?;
        let mut changed = self.changed_below(stage, &rootfs);
        let created = created(self.session.request.created);
        let mut index = 0;
        for step in &stage.steps {
            if step.action != Action::Config {
                let (done, differs) = self.step(stage, step, index, &rootfs, &changed)?;
                index += 1;
                match done.reason {
                    Some(_) => self.ran += 1,
                    None => self.cached += 1,
                }
                if differs {
                    changed.push(Changed { text: step.text.clone(), reason: done.reason });
                }
                config.rootfs.diff_ids.push(done.layer.diff_id);
                rootfs = rootfs.pushed(done.layer);
            }
            if let Some(line) = &step.history {
                let mut line = line.clone();
                line.created.clone_from(&created);
                config.history.push(line);
            }
        }
        config.created = created;
        self.stages.insert(id, rootfs);
        self.configs.insert(id, config);
        self.changed.insert(id, changed);
        Ok(())
    }

    /// What is not as in the last build in what a stage starts from.
    fn changed_below(&mut self, stage: &Stage, base: &Rootfs) -> Vec<Changed> {
        match stage.base {
            Base::Stage(below) => self.changed.get(&below).cloned().unwrap_or_default(),
            Base::Scratch => Vec::new(),
            Base::Image(_) => {
                self.journal.set_base(&stage.label, base.chain());
                let former = self.session.earlier.base(&stage.label);
                if former.is_some_and(|former| former != base.chain()) { vec![Changed::base()] } else { Vec::new() }
            }
        }
    }

    /// The root filesystem that a stage starts from, and its finished config with the base's layers and history.
    fn base(&self, stage: &Stage) -> Result<(Rootfs, ImageConfig)> {
        let mut config = stage.config.clone();
        let (rootfs, history) = match &stage.base {
            Base::Scratch => (Rootfs::empty(), Vec::new()),
            Base::Stage(base) => {
                let history = self.configs.get(base).map(|config| config.history.clone()).unwrap_or_default();
                (self.stages.get(base).cloned().unwrap_or_else(Rootfs::empty), history)
            }
            Base::Image(need) => {
                let image = self.images.get(need).ok_or(Problem::BaseMismatch)?;
                let Session { engine, lease, .. } = self.session;
                let unpack = if runs_commands(self.plan) { Unpack::Tree } else { Unpack::ListingOnly };
                let rootfs = images::rootfs(engine.store, lease, image, unpack);
                let rootfs = rootfs.map_err(|problem| self.at(stage.span, "FROM", problem))?;
                (rootfs, image.config.config().history.clone())
            }
        };
        config.rootfs.diff_ids = rootfs.layers().iter().map(|layer| layer.diff_id).collect();
        config.history = history;
        Ok((rootfs, config))
    }

    /// Looks one step up or executes it; also says whether its layer is another one than in the last build.
    fn step(
        &mut self,
        stage: &Stage,
        step: &Step,
        index: usize,
        rootfs: &Rootfs,
        changed: &[Changed],
    ) -> Result<(Done, bool)> {
        self.next_step += 1;
        let id = StepId(self.next_step);
        let started = Instant::now();
        let current = Current {
            session: self.session,
            id,
            stage: &stage.label,
            index,
            text: &step.text,
            changed,
            rootfs,
            started,
        };
        let events = self.session.engine.events;
        events(BuildEvent::StepStarted { step: id, position: position(stage, step), text: step.text.clone() });
        let result = current.check_interrupt().and_then(|()| self.act(&current, stage, step));
        match result {
            Ok(done) => {
                self.journal.push(current.journal_step(&done));
                let differs = current.differs(&done);
                Ok((done, differs))
            }
            Err(problem) => {
                let outcome = match problem {
                    Problem::Interrupted => StepOutcome::Cancelled,
                    ref problem => StepOutcome::Failed { message: problem.to_string() },
                };
                events(BuildEvent::StepFinished { step: id, outcome, duration: started.elapsed() });
                Err(self.at(place_of(step, &problem), &step.text, problem))
            }
        }
    }

    fn act(&self, current: &Current<'_>, stage: &Stage, step: &Step) -> std::result::Result<Done, Problem> {
        let request = self.session.request;
        let origins =
            Origins { request, images: self.images, stages: &self.stages, context: self.context, named: self.named };
        match &step.action {
            Action::Run(command) => run::run(current, &origins, command, &stage.config.platform()),
            Action::Copy(files) => copy::copy(current, &origins, files),
            Action::Workdir(workdir) => copy::workdir(current, workdir),
            Action::Config => Err(Problem::BaseMismatch),
        }
    }

    fn at(&self, span: Span, text: &str, problem: Problem) -> Error {
        let (span, problem) = match problem {
            Problem::Mount { span, problem } => (span, *problem),
            problem => (span, problem),
        };
        // They are about commands that fail, not about machines that cannot run any.
        let hints = match problem {
            Problem::Exit { .. } => lint::of_span(self.hints, span),
            _ => Vec::new(),
        };
        Error::Step { file: self.source.clone(), span, text: text.to_owned(), problem: Box::new(problem), hints }
    }
}

/// What to point at: the source that is missing or cannot be fetched, else the whole instruction.
fn place_of(step: &Step, problem: &Problem) -> Span {
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

fn position(stage: &Stage, step: &Step) -> String {
    let (at, total) = step.position;
    match stage.label.as_str() {
        "" => format!("[{at}/{total}]"),
        label => format!("[{label} {at}/{total}]"),
    }
}

/// A time as image configs have it.
fn created(seconds: i64) -> Option<String> {
    jiff::Timestamp::from_second(seconds).ok().map(|time| time.to_string())
}
