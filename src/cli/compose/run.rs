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
use super::super::progress::{BuiltImage, Choice, Progress, Summary, Surroundings, ViewKind};
use super::super::{build_args, json, report};
use super::args::{ComposeArgs, ComposeBuildArgs, ComposeCommand};
use super::chosen::{Chosen, chosen};
use super::deliver::{Made, Stack};
use super::places::Destination;
use super::project::read;
use super::request::Making;
use crate::build::{self, AllBuilt, BuildEvent, Built, Counters, Engine, Inspector, Interrupt, NamedRequest};
use crate::compose::{self, Dependencies, Project, Service};
use crate::export;
use crate::fetch::Fetcher;
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
    let warnings = match (args.quiet, args.progress) {
        (true, _) => String::new(),
        (false, Choice::RawJson) if project.warnings.is_empty() => String::new(),
        (false, Choice::RawJson) => {
            let told: Vec<report::Told<'_>> = project.warnings.iter().map(report::in_file).collect();
            json::line(&told, None)
        }
        (false, _) => report::reports(&project.warnings),
    };
    io::stderr().write_all(warnings.as_bytes())?;
    match args.print {
        true => print(&project, &chosen),
        false => build_project(&project, &chosen, args, environment, store, interrupt),
    }
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
    let destination = Destination::of(args)?;
    let store = Store::open(store)?;
    // Everything that is made or found from here on stays until the end.
    let lease = store.lease()?;
    store.sweep()?;
    let fetcher = Fetcher::new(environment.fetch_options());
    let tools = Tools { store: &store, fetcher: &fetcher, interrupt };
    let outputs = export::outputs(&store)?;
    let requests = Making { project, chosen, args, environment, tools, outputs }.requests()?;
    if requests.is_empty() && !args.pull_images {
        return Err(Error::Input {
            message: "none of the services has a `build`".to_owned(),
            hint: "`--pull-images` brings those that only have an `image`".to_owned(),
        });
    }
    let registry = registry::Client::new(environment.registry_options()?);
    if args.check {
        return call::check_all(&Inspector { store: &store, registry: &registry, interrupt }, requests);
    }
    destination.check(&store, chosen)?;
    let sandbox = Sandbox::new()?;
    let choice = if args.quiet { Choice::Quiet } else { args.progress };
    let progress = Progress::start_named(choice, &Surroundings::of_process());
    let events = |event| progress.event(&event);
    for NamedRequest { name, request, .. } in &requests {
        for text in build_args::warnings(&request.inputs.build_args, args.push)? {
            events(BuildEvent::Warning { text: format!("`{name}`: {text}") });
        }
    }
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
    let outcome = images(&engine, &requests, chosen).and_then(|made| stack.bring(made, &destination));
    drop(lease);
    match outcome {
        Ok(done) => {
            let summary = Summary::BuiltAll {
                images: done.made.iter().map(shown).collect(),
                shared: done.counters.shared,
                pulled: done.counters.blobs,
                hint: done.hint,
            };
            warn(&done.made, progress.kind())?;
            match destination == Destination::Stdout {
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
    chosen: &'a [Chosen<'a>],
) -> Result<(Vec<Made<'a>>, Counters)> {
    let AllBuilt { images, counters } = build::build_all(engine, requests).map_err(Error::from)?;
    let (mut made, mut failed) = (Vec::new(), Vec::new());
    for (request, result) in requests.iter().zip(images) {
        let Some(service) = chosen.iter().find(|chosen| chosen.service.name == request.name) else { continue };
        match result {
            Ok(built) => {
                let in_index = build_args::in_index(&request.request.inputs.build_args)?;
                made.push(Made { service, built, in_index });
            }
            Err(error) => failed.push((request.name.clone(), error)),
        }
    }
    check_names(&made)?;
    for Made { service, built, .. } in &made {
        name(engine.store, service, built)?;
    }
    if failed.is_empty() {
        return Ok((made, counters));
    }
    let built = made.into_iter().map(|made| made.service.service.name.clone()).collect();
    Err(Error::Services { failed, built })
}

/// Services may share an image, but a name leads to one.
fn check_names(made: &[Made<'_>]) -> Result<()> {
    let mut owners: BTreeMap<&Reference, &Made<'_>> = BTreeMap::new();
    for made in made {
        for name in &made.service.names {
            let Some(other) = owners.insert(name, made) else { continue };
            if other.built.config.digest() != made.built.config.digest() {
                let (one, two) = (&other.service.service.name, &made.service.service.name);
                let name = name.familiar();
                return Err(Error::Input {
                    message: format!(
                        "the services `{one}` and `{two}` both name their image `{name}`, but these differ"
                    ),
                    hint: "give one of them another `image`".to_owned(),
                });
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

fn shown(made: &Made<'_>) -> BuiltImage {
    BuiltImage {
        name: made.service.service.name.clone(),
        image: made.built.config.digest(),
        size: made.built.layers.iter().map(|layer| layer.size).sum(),
    }
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
