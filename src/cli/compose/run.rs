//! `rbuild compose build`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::Path;

use super::super::call;
use super::super::contexts::Tools;
use super::super::environment::Environment;
use super::super::error::{Error, Result};
use super::super::outputs::Delivery;
use super::super::progress::{Choice, Progress, Summary, Surroundings, ViewKind};
use super::super::targets::LayerTimes;
use super::super::{build as build_command, build_args, gc, json, report};
use super::args::{ComposeArgs, ComposeBuildArgs, ComposeCommand};
use super::chosen::{Chosen, chosen};
use super::deliver::{Done, Made, Stack};
use super::places::{Naming, Outputs};
use super::project::read;
use super::request::{Making, placed};
use super::secrets::credentials;
use crate::build::{self, AllBuilt, BuildEvent, Built, Counters, Engine, Inspector, Interrupt, NamedRequest};
use crate::compose::{self, Dependencies, Project, Report, Service};
use crate::dockerfile::Diagnostic;
use crate::export;
use crate::fetch::{self, Fetcher};
use crate::reference::Reference;
use crate::registry;
use crate::sandbox::Sandbox;
use crate::store::Store;

/// Does what the command line says.
pub fn run(args: &ComposeArgs, environment: &Environment, store: &Path, interrupt: &Interrupt) -> Result<()> {
    let ComposeArgs { project, command: ComposeCommand::Build(args) } = args;
    let project = read(project, &args.services, environment)?;
    let dependencies = if args.with_dependencies { Dependencies::With } else { Dependencies::Without };
    let chosen = chosen(&project, project.select(&args.services, dependencies)?, args)?;
    let unset = project.unset_secrets(chosen.iter().map(|chosen| chosen.service));
    tell(&[project.warnings.as_slice(), &unset].concat(), args)?;
    match args.print {
        true => print(&project, &chosen),
        false => build_project(&project, &chosen, args, environment, store, interrupt),
    }
}

/// Tells what should be known of the files.
fn tell(warnings: &[Report], args: &ComposeBuildArgs) -> Result<()> {
    let text = match (args.quiet, args.progress) {
        (true, _) => String::new(),
        (false, Choice::RawJson) if warnings.is_empty() => String::new(),
        (false, Choice::RawJson) => json::line(&warnings.iter().map(report::in_file).collect::<Vec<_>>(), None),
        (false, _) => report::reports(warnings),
    };
    Ok(io::stderr().write_all(text.as_bytes())?)
}

fn print(project: &Project, chosen: &[Chosen<'_>]) -> Result<()> {
    let names = |service: &Service| -> Vec<Reference> {
        let named = chosen.iter().find(|chosen| chosen.service.name == service.name);
        named.map(|named| named.names.clone()).unwrap_or_default()
    };
    let services: Vec<&Service> = chosen.iter().map(|chosen| chosen.service).collect();
    let plan = compose::plan(project, &services, &names);
    Ok(writeln!(io::stdout(), "{plan:#}")?)
}

fn build_project(
    project: &Project,
    chosen: &[Chosen<'_>],
    args: &ComposeBuildArgs,
    environment: &Environment,
    store: &Path,
    interrupt: &Interrupt,
) -> Result<()> {
    let outputs = Outputs::of(args)?;
    let policy = gc::policy(args.gc.as_deref())?;
    let store = Store::open(store)?;
    // Everything that is made or found from here on stays until the end.
    let lease = store.lease()?;
    store.sweep()?;
    let credentials = credentials(project, chosen)?;
    let fetcher = Fetcher::new(fetch::Options { credentials, ..environment.fetch_options() });
    let tools = Tools { store: &store, fetcher: &fetcher, interrupt };
    let left_out = export::outputs(&store, &outputs.files(chosen))?;
    let making = Making { project, chosen, args, environment, tools, outputs: left_out, leaving: outputs.leaving() };
    let requests = making.requests()?;
    if requests.is_empty() && !args.pull_images {
        return Err(Error::Input {
            message: "none of the services has a `build`".to_owned(),
            hint: "`--pull-images` brings those that only have an `image`".to_owned(),
        });
    }
    let registry = registry::Client::new(environment.registry_options()?);
    if args.check {
        let checked = call::check_all(&Inspector { store: &store, registry: &registry, interrupt }, requests);
        return checked.map_err(|error| match error {
            Error::Checks { failed, passed } => Error::Checks { failed: placed_all(project, chosen, failed), passed },
            other => other,
        });
    }
    outputs.check(&store, chosen)?;
    requests.iter().try_for_each(|named| outputs.times.check(&named.request.inputs.build_args))?;
    let sandbox = Sandbox::new();
    let choice = if args.quiet { Choice::Quiet } else { args.progress };
    let progress = Progress::start_named(choice, &Surroundings::of_process());
    let events = |event| progress.event(&event);
    let engine = Engine {
        store: &store,
        registry: &registry,
        fetcher: &fetcher,
        sandbox: &sandbox,
        events: &events,
        interrupt,
        jobs: args.jobs,
    };
    let delivery =
        Delivery { store: &store, environment, registry: &registry, progress: &progress, interrupt, bases: &[] };
    let stack = Stack { engine: &engine, delivery: &delivery, args, chosen };
    for NamedRequest { name, request, .. } in &requests {
        for text in build_command::warnings(request, outputs.takes_index(), outputs.times)? {
            events(BuildEvent::Warning { text: format!("the service `{name}`: {text}") });
        }
    }
    let outcome = images(&engine, &requests, project, chosen, &outputs).and_then(|made| stack.bring(made, &outputs));
    drop(lease);
    let ran = outcome.as_ref().map_or(0, |done| done.counters.ran);
    let closed = close(progress, outcome, &outputs);
    let collected = gc::after_build(&store, policy.as_ref(), ran, args.quiet);
    closed.and(collected)
}

fn close(progress: Progress, outcome: Result<Done<'_>>, outputs: &Outputs) -> Result<()> {
    match outcome {
        Ok(done) => {
            let summary = Summary::BuiltAll {
                images: done.images,
                shared: done.counters.shared,
                pulled: done.counters.blobs,
                hint: done.hint,
            };
            warn(&done.made, progress.kind())?;
            match outputs.has_stdout() {
                true => Ok(progress.finish(&summary, &mut io::sink())?),
                false => Ok(progress.finish(&summary, &mut io::stdout())?),
            }
        }
        Err(error) => {
            // The error matters more than a screen that cannot be written to.
            let _unshown = progress.finish(&Summary::Failed, &mut io::stdout());
            Err(error)
        }
    }
}

/// Builds all images at once, and names those that could be built, also if others could not.
fn images<'a>(
    engine: &Engine<'_>,
    requests: &[NamedRequest],
    project: &Project,
    chosen: &'a [Chosen<'a>],
    outputs: &Outputs,
) -> Result<(Vec<Made<'a>>, Counters)> {
    let AllBuilt { images, counters } = build::build_all(engine, requests).map_err(Error::from)?;
    let (mut made, mut failed) = (Vec::new(), Vec::new());
    for (request, result) in requests.iter().zip(images) {
        let Some(service) = chosen.iter().find(|chosen| chosen.service.name == request.name) else { continue };
        match result {
            Ok(built) => {
                let built = match outputs.times {
                    LayerTimes::AsBuilt => built,
                    LayerTimes::Rewritten => build::rewrite_times(engine.store, built, request.request.created)?,
                };
                let in_index = build_args::in_index(&request.request.inputs.build_args)?;
                made.push(Made { service, built, in_index });
            }
            Err(error) => failed.push((request.name.clone(), error)),
        }
    }
    check_names(project, &made)?;
    for Made { service, built, .. } in made.iter().filter(|_| outputs.naming == Naming::Named) {
        name(engine.store, service, built)?;
    }
    if failed.is_empty() {
        return Ok((made, counters));
    }
    let built = made.into_iter().map(|made| made.service.service.name.clone()).collect();
    Err(Error::Services { failed: placed_all(project, chosen, failed), built })
}

/// What failed, by service, told at the place in the compose file that it is about.
fn placed_all(
    project: &Project,
    chosen: &[Chosen<'_>],
    failed: Vec<(String, build::Error)>,
) -> Vec<(String, build::Error)> {
    let placed = |(name, error)| match chosen.iter().find(|chosen| chosen.service.name == name) {
        Some(service) => (name, placed(project, service, error)),
        None => (name, error),
    };
    failed.into_iter().map(placed).collect()
}

/// Services may share an image, but a name leads to one.
fn check_names(project: &Project, made: &[Made<'_>]) -> Result<()> {
    let mut owners: BTreeMap<&Reference, &Made<'_>> = BTreeMap::new();
    for made in made {
        for name in &made.service.names {
            let Some(other) = owners.insert(name, made) else { continue };
            if other.built.config.digest() != made.built.config.digest() {
                let (one, two) = (&other.service.service.name, &made.service.service.name);
                let name = name.familiar();
                let message =
                    format!("the services `{one}` and `{two}` both name their image `{name}`, but these differ");
                let place = made.service.service.place;
                let problem = Diagnostic::error("conflict", place.span, message);
                let report = project.report(place, problem.with_help("give one of them another `image`"));
                return Err(compose::Error::Invalid(vec![report]).into());
            }
        }
    }
    Ok(())
}

fn name(store: &Store, service: &Chosen<'_>, built: &Built) -> Result<()> {
    for name in &service.names {
        build::name_image(store, name, &built.config.digest())?;
    }
    Ok(())
}

/// The warnings of all Dockerfiles, each once.
fn warn(made: &[Made<'_>], kind: ViewKind) -> Result<()> {
    let mut texts: Vec<String> = Vec::new();
    for Made { built, .. } in made {
        let (file, warnings) = &built.warnings;
        let text = match kind {
            ViewKind::Quiet => String::new(),
            _ if warnings.is_empty() => String::new(),
            ViewKind::RawJson => {
                let problems = Cow::Borrowed(warnings.as_slice());
                json::line(&[report::Told::InFile { file, problems }], None)
            }
            ViewKind::Tty | ViewKind::Plain => report::diagnostics(file, warnings),
        };
        if !text.is_empty() && !texts.contains(&text) {
            texts.push(text);
        }
    }
    let between = if kind == ViewKind::RawJson { "" } else { "\n" };
    Ok(io::stderr().write_all(texts.join(between).as_bytes())?)
}
