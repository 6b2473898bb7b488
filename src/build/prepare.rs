//! From a request to a plan whose stages can begin.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock};

use super::BuildEvent;
use super::bases::Base;
use super::carry::Imports;
use super::copy::NamedSources;
use super::engine::Group;
use super::error::{Error, Problem, Result};
use super::job::{Came, Job};
use super::lint;
use super::look::check_stages;
use super::ready::{Image, Ready, Slot};
use super::refuse::{refuse_errors, refuse_warnings};
use super::request::Request;
use super::step::{Purpose, Session};
use super::walk::{Ended, origins};
use crate::digest::{Canonical, ContentDigest};
use crate::dockerfile::{self, Diagnostic, Dockerfile, Source, Span};
use crate::image::{ImageConfig, SealedConfig};
use crate::layer;
use crate::plan::{self, Action, Copy, CopySource, ImageNeed, Needed, Origin, Outcome, Plan, Stage, Step, Unpack};

/// Plans a request; or the number of another one, whose image it needs.
pub(super) fn prepare<'g>(
    job: &Job<'g>,
    jobs: &[Job<'g>],
    call: &(dyn Fn() + Sync),
) -> Result<std::result::Result<Ready<'g>, usize>> {
    let (group, request) = (job.group, job.asked.request);
    let (dockerfile, mut warnings) =
        dockerfile::parse_checked(&request.dockerfile_name, &request.dockerfile, request.check.as_ref());
    let source = Arc::new(dockerfile.source.clone());
    let context = OnceLock::new();
    let hints = lint::hints_of(group, request, &dockerfile, &context);
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
    warnings.extend(lint::ignored_sources(group, request, &dockerfile, &plan));
    warnings.sort_by_key(|problem| problem.span.start());
    refuse_warnings(&dockerfile, &source, &warnings)?;
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
    ready.check_sources(job.name())?;
    ready.check_devices()?;
    ready.find_images()?;
    Ok(Ok(ready))
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
        hints: lint::of_image(source, &need.image.reference),
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
        let unpack = if runs || copied.contains(&need) { layer::Unpack::Tree } else { layer::Unpack::ListingOnly };
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
        Slot { first_step, linked: linked(stage), ..Slot::default() }
    });
    slots.collect()
}

/// The steps that can be done beside those before them. The first one of a stage from scratch has none before it.
fn linked(stage: &Stage) -> BTreeMap<usize, Mutex<Option<Ended>>> {
    let acting = stage.steps.iter().enumerate().filter(|(_, step)| step.action != Action::Config);
    let first = usize::from(stage.base == plan::Base::Scratch);
    let linked = acting.skip(first).filter(|(_, step)| match &step.action {
        Action::Copy(copy) => copy.link && !may_unpack(copy),
        Action::Config | Action::Run(_) | Action::Workdir(_) => false,
    });
    linked.map(|(number, _)| (number, Mutex::default())).collect()
}

/// Whether an archive may be among the sources: what becomes of it depends on the files that are there.
fn may_unpack(copy: &Copy) -> bool {
    match copy.unpack {
        Unpack::Never => false,
        Unpack::Paths => copy.sources.iter().any(|source| matches!(source, CopySource::Path { .. })),
        Unpack::All => true,
    }
}
