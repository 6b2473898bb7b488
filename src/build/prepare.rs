//! From a request to a plan whose stages can begin.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock};

use super::BuildEvent;
use super::bases::Base;
use super::carry::Imports;
use super::copy::{self, NamedSources};
use super::engine::{Counters, Group, Piece};
use super::error::{Error, Problem, Result};
use super::hints;
use super::images::BaseImage;
use super::job::{Came, Job};
use super::look::check_stages;
use super::refuse::{refuse_errors, refuse_warnings};
use super::request::Request;
use super::rootfs::Rootfs;
use super::step::{Purpose, Session};
use super::walk::{Walk, origins, place_of};
use crate::cache::Journal;
use crate::context::{self, DirectorySource};
use crate::digest::{Canonical, ContentDigest};
use crate::dockerfile::{self, Diagnostic, Dockerfile, Source, Span};
use crate::image::{ImageConfig, SealedConfig};
use crate::layer::Unpack;
use crate::plan::{self, Action, ImageNeed, Needed, Origin, Outcome, Plan, StageId, Step};
use crate::reference::Reference;

/// A request that is planned.
pub(super) struct Ready<'g> {
    pub(super) session: Session<'g>,
    pub(super) plan: Box<Plan>,
    pub(super) source: Arc<Source>,
    hints: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
    images: BTreeMap<ImageNeed, Image>,
    pub(super) context: OnceLock<Arc<DirectorySource>>,
    pub(super) named: NamedSources,
    pub(super) stages: Vec<Slot>,
    pub(super) journal_id: String,
}

/// A base image of the plan.
struct Image {
    number: usize,
    base: Arc<Base>,
    config: SealedConfig,
    span: Span,
    unpack: Unpack,
    /// Set once it is here.
    rootfs: OnceLock<Rootfs>,
}

/// A stage of the plan.
#[derive(Default)]
pub(super) struct Slot {
    /// The number of its first step.
    pub(super) first_step: u32,
    /// How far it came.
    pub(super) going: Mutex<Option<Walk>>,
    pub(super) done: OnceLock<Walk>,
}

/// Plans a request; or the number of another one, whose image it needs.
pub(super) fn prepare<'g>(
    job: &Job<'g>,
    jobs: &[Job<'g>],
    call: &(dyn Fn() + Sync),
) -> Result<std::result::Result<Ready<'g>, usize>> {
    let (group, request) = (job.group, job.asked.request);
    let (dockerfile, mut warnings) = dockerfile::parse(&request.dockerfile_name, &request.dockerfile);
    let source = Arc::new(dockerfile.source.clone());
    let context = OnceLock::new();
    let hints = hints_of(group, request, &dockerfile, &context);
    warnings.extend(hints.iter().cloned());
    warnings.sort_by_key(|problem| problem.span.start());
    refuse_errors(&source, &warnings)?;
    check_stages(&dockerfile, request)?;
    let planned = match planned(job, jobs, &dockerfile, &source, &warnings, call)? {
        Ok(planned) => planned,
        Err(other) => return Ok(Err(other)),
    };
    let Planned { plan, found, bases } = planned;
    warnings.extend(found);
    refuse_warnings(&dockerfile, &source, &hints, &warnings)?;
    let journal_id = journal_id(request);
    let imports = Imports::open(&job.engine, request);
    let session = Session {
        engine: job.engine,
        request,
        cache: &group.cache,
        lease: &group.lease,
        earlier: imports.earlier(group.engine.store, request)?,
        told_outputs: OnceLock::new(),
        machine: &group.machine,
        contexts: &group.contexts,
        shared: &group.shared,
        purpose: group.purpose,
        imports,
    };
    if session.earlier.steps().is_empty() {
        // Nothing is known to be cached. What a machine lacks is better told now than after the COPYs; later builds try when a
        // command is to run.
        if runs_commands(&plan) && group.purpose == Purpose::Make {
            session.machine.check(&job.engine)?;
        }
        call();
    }
    let images = images(&plan, bases);
    let stages = slots(group, &plan);
    let named = NamedSources::default();
    let ready = Ready { session, plan, source, hints, warnings, images, context, named, stages, journal_id };
    ready.check_sources()?;
    ready.find_images()?;
    Ok(Ok(ready))
}

fn hints_of(
    group: &Group<'_>,
    request: &Request,
    dockerfile: &Dockerfile,
    context: &OnceLock<Arc<DirectorySource>>,
) -> Vec<Diagnostic> {
    let has_run = dockerfile.stages.iter().flat_map(|stage| &stage.instructions);
    let has_run = has_run.into_iter().any(|i| matches!(i.kind, dockerfile::InstructionKind::Run(_)));
    if has_run && let Some(files) = &request.context_files {
        return hints::uncopied(dockerfile, files.source().as_ref());
    }
    if !has_run || request.context.is_none() {
        return Vec::new();
    }
    // A context that cannot be opened is reported by the first COPY that needs it.
    let Ok(opened) = group.contexts.of_request(group.engine.store, request) else { return Vec::new() };
    hints::uncopied(dockerfile, context.get_or_init(|| opened).as_ref())
}

struct Planned {
    plan: Box<Plan>,
    found: Vec<Diagnostic>,
    bases: BTreeMap<ImageNeed, (Arc<Base>, SealedConfig, Span)>,
}

/// Plans, and brings the configs of base images as the plan asks for them; or the number of a request whose image it needs.
fn planned<'g>(
    job: &Job<'g>,
    jobs: &[Job<'g>],
    dockerfile: &Dockerfile,
    source: &Arc<Source>,
    warnings: &[Diagnostic],
    call: &(dyn Fn() + Sync),
) -> Result<std::result::Result<Planned, usize>> {
    let mut bases: BTreeMap<ImageNeed, (Arc<Base>, SealedConfig, Span)> = BTreeMap::new();
    let mut configs: BTreeMap<ImageNeed, ImageConfig> = BTreeMap::new();
    loop {
        let outcome = plan::plan(dockerfile, &job.asked.request.inputs, &configs).map_err(|mut problems| {
            problems.extend(warnings.iter().cloned());
            problems.sort_by_key(|problem| problem.span.start());
            Error::Dockerfile { file: source.clone(), problems }
        })?;
        let (needs, has_run) = match outcome {
            Outcome::Ready(plan, found) => return Ok(Ok(Planned { plan, found, bases })),
            Outcome::Needs { images: needs, has_run } => (needs, has_run),
        };
        let mut away = Vec::new();
        for need in needs {
            let base = match job.asked.images.get(&need.image.reference).and_then(|number| jobs.get(*number)) {
                None => job.group.bases.base(&need.image, job.asked.request.pull),
                Some(other) => match other.came() {
                    Came::Nowhere => return Ok(Err(other.number)),
                    Came::To(config, layers) => Arc::new(Base::made(&need.image, config.clone(), layers.to_vec())),
                    Came::ToNothing => {
                        return Err(at(source, &need, Problem::NotBuilt { name: other.name().to_owned() }));
                    }
                },
            };
            match base.stored(&job.engine, &job.group.lease).map_err(|problem| at(source, &need, problem))? {
                Some(config) => {
                    configs.insert(need.image.clone(), config.config().clone());
                    bases.insert(need.image, (base, config, need.span));
                }
                None => away.push((need, base)),
            }
        }
        if !away.is_empty() {
            call();
            if has_run {
                // A base that no command can run on is not worth the wait.
                job.group.machine.check(&job.engine).map_err(Error::from)?;
            }
        }
        for (need, base, config) in ask(job, source, away)? {
            configs.insert(need.image.clone(), config.config().clone());
            bases.insert(need.image, (base, config, need.span));
        }
    }
}

/// Asks the registries for configs, all at once.
fn ask(
    job: &Job<'_>,
    source: &Arc<Source>,
    away: Vec<(Needed, Arc<Base>)>,
) -> Result<Vec<(Needed, Arc<Base>, SealedConfig)>> {
    let ask = |(need, base): (Needed, Arc<Base>)| match base.config(&job.engine) {
        Ok(config) => Ok((need, base, config)),
        Err(problem) => Err(at(source, &need, problem)),
    };
    if away.len() <= 1 {
        return away.into_iter().map(ask).collect();
    }
    std::thread::scope(|scope| {
        let ask = &ask;
        let start = |each: (Needed, Arc<Base>)| {
            let own = each.clone();
            // A machine that has no more threads to give costs time, not the build.
            (std::thread::Builder::new().spawn_scoped(scope, move || ask(own)).ok(), each)
        };
        let asked: Vec<_> = away.into_iter().map(start).collect();
        let answers = asked.into_iter().map(|(thread, each)| match thread.map(|thread| thread.join()) {
            Some(Ok(answer)) => answer,
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            None => ask(each),
        });
        answers.collect()
    })
}

fn at(source: &Arc<Source>, need: &Needed, problem: Problem) -> Error {
    Error::Step {
        file: source.clone(),
        span: need.span,
        text: need.image.reference.familiar(),
        problem: Box::new(problem),
        hints: Vec::new(),
    }
}

fn runs_commands(plan: &Plan) -> bool {
    let mut steps = plan.stages.iter().flat_map(|stage| &stage.steps);
    steps.any(|step| matches!(step.action, Action::Run(_)))
}

/// The same Dockerfile in the same context has the same journal.
pub(super) fn journal_id(request: &Request) -> String {
    let mut canonical = Canonical::new("journal");
    let path =
        |path: &Option<std::path::PathBuf>| path.clone().unwrap_or_default().into_os_string().into_encoded_bytes();
    canonical.bytes("context", &path(&request.context));
    canonical.text("files", request.context_files.as_ref().map_or("", |files| files.name()));
    canonical.bytes("dockerfile", &path(&request.dockerfile_path));
    canonical.text("platform", &request.inputs.platform.to_string());
    canonical.finish::<ContentDigest>().hex()
}

fn images(plan: &Plan, bases: BTreeMap<ImageNeed, (Arc<Base>, SealedConfig, Span)>) -> BTreeMap<ImageNeed, Image> {
    let runs = runs_commands(plan);
    let steps = plan.stages.iter().flat_map(|stage| &stage.steps);
    let copied: BTreeSet<&ImageNeed> = steps
        .flat_map(|step| origins(&step.action))
        .filter_map(|origin| match origin {
            Origin::Image(need) => Some(need),
            Origin::Context | Origin::Stage(_) | Origin::Named(_) => None,
        })
        .collect();
    let numbered = bases.into_iter().enumerate();
    let image = numbered.map(|(number, (need, (base, config, span)))| {
        let unpack = if runs || copied.contains(&need) { Unpack::Tree } else { Unpack::ListingOnly };
        (need, Image { number, base, config, span, unpack, rootfs: OnceLock::new() })
    });
    image.collect()
}

/// Numbers the steps, and tells how many there are.
fn slots(group: &Group<'_>, plan: &Plan) -> Vec<Slot> {
    let count = |steps: &[Step]| {
        let count = steps.iter().filter(|step| step.action != Action::Config).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    };
    let all = plan.stages.iter().map(|stage| count(&stage.steps)).fold(0, u32::saturating_add);
    let (mut next, total_steps) = group.number_steps(all);
    (group.engine.events)(BuildEvent::Started { total_steps });
    let slots = plan.stages.iter().map(|stage| {
        let first_step = next;
        next = next.saturating_add(count(&stage.steps));
        Slot { first_step, ..Slot::default() }
    });
    slots.collect()
}

impl Ready<'_> {
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

    /// Looks which images are here; the others are pieces of work.
    fn find_images(&self) -> Result<()> {
        for image in self.images.values() {
            let Session { engine, lease, .. } = &self.session;
            let found = image.base.known(engine, lease).map_err(|problem| self.at_from(image, problem))?;
            if let Some(rootfs) = found {
                image.rootfs.get_or_init(|| rootfs);
            }
        }
        Ok(())
    }

    /// Brings the image of this number.
    pub(super) fn bring(&self, number: usize, group: &Group<'_>, call: &(dyn Fn() + Sync)) -> Result<()> {
        let Some(image) = self.images.values().find(|image| image.number == number) else { return Ok(()) };
        let Session { engine, lease, .. } = &self.session;
        let rootfs = image.base.rootfs(engine, lease, image.unpack, &group.shared.cores, call);
        let rootfs = rootfs.map_err(|problem| self.at_from(image, problem))?;
        image.rootfs.get_or_init(|| rootfs);
        Ok(())
    }

    fn at_from(&self, image: &Image, problem: Problem) -> Error {
        let name = self.images.iter().find(|(_, other)| other.number == image.number);
        let text = name.map(|(need, _)| need.reference.familiar()).unwrap_or_default();
        self.at(image.span, &text, problem)
    }

    /// The pieces of its work, each with what it waits for first.
    pub(super) fn pieces(&self, job: usize) -> Vec<(Piece, Option<Piece>)> {
        let missing = self.images.values().filter(|image| image.rootfs.get().is_none());
        let images = missing.map(|image| (Piece::Image(job, image.number), None));
        let stages = self.plan.stages.iter().enumerate().map(|(index, stage)| {
            let after = match &stage.base {
                plan::Base::Scratch => None,
                plan::Base::Stage(below) => Some(Piece::Stage(job, *below)),
                plan::Base::Image(need) => self.awaited(need, job),
            };
            (Piece::Stage(job, StageId(index)), after)
        });
        images.chain(stages).collect()
    }

    /// The piece that brings an image, if it is not here.
    pub(super) fn awaited(&self, need: &ImageNeed, job: usize) -> Option<Piece> {
        let image = self.images.get(need)?;
        image.rootfs.get().is_none().then_some(Piece::Image(job, image.number))
    }

    /// An image of the plan: its config and, once it is here, its root filesystem.
    pub(super) fn image(&self, need: &ImageNeed) -> Option<(&SealedConfig, &Rootfs)> {
        let image = self.images.get(need)?;
        Some((&image.config, image.rootfs.get()?))
    }

    /// The base images, as far as they are known.
    pub(super) fn base_images(&self) -> Vec<(&ImageNeed, BaseImage)> {
        let known = |(need, image): (_, &Image)| Some((need, image.base.image()?));
        self.images.iter().filter_map(known).collect()
    }

    /// A stage that came to its end.
    pub(super) fn finished(&self, stage: StageId) -> Option<(&ImageConfig, &Rootfs)> {
        let walk = self.stages.get(stage.0)?.done.get()?;
        Some((&walk.config, &walk.rootfs))
    }

    /// An error at its place in the Dockerfile.
    pub(super) fn at(&self, span: Span, text: &str, problem: Problem) -> Error {
        let (span, problem) = match problem {
            Problem::Mount { span, problem } => (span, *problem),
            problem => (span, problem),
        };
        // They are about commands that fail, not about machines that cannot run any.
        let hints = match problem {
            Problem::Exit { .. } => hints::of_span(&self.hints, span),
            _ => Vec::new(),
        };
        Error::Step { file: self.source.clone(), span, text: text.to_owned(), problem: Box::new(problem), hints }
    }

    /// How its steps ended.
    pub(super) fn counters(&self) -> Counters {
        self.walks(|walk| walk.counters).into_iter().fold(Counters::default(), |all, one| Counters {
            ran: all.ran + one.ran,
            cached: all.cached + one.cached,
            shared: all.shared + one.shared,
        })
    }

    /// The keys of its steps, as far as it came, in the order of the plan.
    pub(super) fn journal(&self) -> Journal {
        let mut journal = Journal::default();
        let walks = self.walks(|walk| (walk.base, walk.steps.clone()));
        for (stage, (base, steps)) in self.plan.stages.iter().zip(walks) {
            if let Some(base) = base {
                journal.set_base(&stage.label, base);
            }
            steps.into_iter().for_each(|step| journal.push(step));
        }
        journal
    }

    fn walks<T: Default>(&self, look: impl Fn(&Walk) -> T) -> Vec<T> {
        let look = |slot: &Slot| match slot.done.get() {
            Some(walk) => look(walk),
            None => {
                let going = slot.going.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                going.as_ref().map(&look).unwrap_or_default()
            }
        };
        self.stages.iter().map(look).collect()
    }

    /// The warnings, and where the base images came from. Commands that succeeded did not lack the files that hints name.
    pub(super) fn told(mut self) -> ((Arc<Source>, Vec<Diagnostic>), Vec<Reference>) {
        self.warnings.retain(|warning| !self.hints.contains(warning));
        let pulled = self.images.into_iter().filter(|(need, image)| need.layout.is_none() && !image.base.is_made());
        ((self.source, self.warnings), pulled.map(|(need, _)| need.reference).collect())
    }
}
