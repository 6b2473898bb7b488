//! Does what `--call` asks for.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use super::{Call, Format, Method, check, describe, outline, stages};
use crate::build::{self, Inspected, Inspector, Interrupt, NamedRequest, Request, inspect};
use crate::cli::args::BuildArgs;
use crate::cli::contexts::Tools;
use crate::cli::environment::Environment;
use crate::cli::error::{Error, Result};
use crate::cli::progress::{Colours, Surroundings, escape};
use crate::cli::{commands, inputs};
use crate::dockerfile::{self, Color, Diagnostic, Dockerfile, Severity};
use crate::export;
use crate::plan::{self, ImageNeed, Scope};
use crate::registry;
use crate::store::Store;

/// Tells what is asked for about the Dockerfile.
pub fn run(call: Call, args: &BuildArgs, environment: &Environment, store: &Path, interrupt: &Interrupt) -> Result<()> {
    if call.method == Method::Describe {
        return print(&match call.format {
            Format::Text => describe::text(),
            Format::Json => describe::json(),
        });
    }
    let store = Store::open(store)?;
    let lease = store.lease()?;
    let fetcher = commands::fetcher(args, environment)?;
    let tools = Tools { store: &store, fetcher: &fetcher, interrupt };
    let mut request = inputs::request(args, environment, tools, export::outputs(&store)?)?;
    if call.method == Method::Targets {
        return targets(call.format, &request);
    }
    if call.method == Method::Check && request.inputs.target.is_none() {
        // Without a target every stage is one.
        request.inputs.scope = Scope::EveryStage;
    }
    let registry = registry::Client::new(environment.registry_options()?);
    let inspector = Inspector { store: &store, registry: &registry, interrupt };
    let inspected = inspect(&inspector, &request)?;
    drop(lease);
    for note in &inspected.notes {
        io::stderr().write_all(format!("note: {}\n", escape(note)).as_bytes())?;
    }
    match call.method {
        Method::Outline => outlined(call.format, &request, inspected),
        Method::Check | Method::Targets | Method::Describe => checked(call, inspected),
    }
}

/// Tells the warnings of several Dockerfiles, each under the name of its image.
pub fn check_all(inspector: &Inspector<'_>, requests: Vec<NamedRequest>) -> Result<()> {
    let (mut has_warnings, mut failed, mut passed) = (false, Vec::new(), Vec::new());
    for NamedRequest { name, mut request, images } in requests {
        if request.inputs.target.is_none() {
            request.inputs.scope = Scope::EveryStage;
        }
        // An image that another one makes is nowhere yet.
        let platform = &request.inputs.platform;
        let made =
            images.into_keys().map(|reference| ImageNeed { reference, platform: platform.clone(), layout: None });
        request.inputs.unknown_bases.extend(made);
        let inspected = inspect(inspector, &request)?;
        for note in &inspected.notes {
            io::stderr().write_all(format!("note: {}: {}\n", escape(&name), escape(note)).as_bytes())?;
        }
        has_warnings |= !inspected.of(Severity::Warning).is_empty();
        let text = match check::text(&inspected, color()) {
            // What is wrong is told at the end.
            text if text.is_empty() => "Check complete, it is wrong.\n".to_owned(),
            text => text,
        };
        print(&format!("{}: {text}", escape(&name)))?;
        match refuse(&inspected.dockerfile, &inspected.of(Severity::Error)) {
            Ok(()) => passed.push(name),
            Err(Error::Build(error)) => failed.push((name, error)),
            Err(other) => return Err(other),
        }
    }
    match (failed.is_empty(), has_warnings) {
        (false, _) => Err(Error::Checks { failed, passed }),
        (true, true) => Err(Error::Warnings),
        (true, false) => Ok(()),
    }
}

fn targets(format: Format, request: &Request) -> Result<()> {
    let check = request.check.as_ref();
    let (dockerfile, problems) = dockerfile::parse_checked(&request.dockerfile_name, &request.dockerfile, check);
    refuse(&dockerfile, &problems)?;
    print(&match format {
        Format::Text => stages::text(&dockerfile),
        Format::Json => stages::json(&dockerfile),
    })
}

fn outlined(format: Format, request: &Request, inspected: Inspected) -> Result<()> {
    let Inspected { dockerfile, plan, problems, .. } = inspected;
    refuse(&dockerfile, &problems)?;
    let found = plan.map(|plan| plan::outline(&dockerfile, &request.inputs, &plan)).unwrap_or_default();
    print(&match format {
        Format::Text => outline::text(&found),
        Format::Json => outline::json(&dockerfile, &found),
    })
}

fn checked(call: Call, inspected: Inspected) -> Result<()> {
    print(&match call.format {
        Format::Text => check::text(&inspected, color()),
        Format::Json => check::json(&inspected),
    })?;
    // BuildKit says nothing of names that are no rules: the status stays its own.
    let has_warnings = inspected.of(Severity::Warning).iter().any(|warning| warning.code != dockerfile::UNKNOWN_RULE);
    refuse(&inspected.dockerfile, &inspected.of(Severity::Error))?;
    if has_warnings && !call.ignore_status { Err(Error::Warnings) } else { Ok(()) }
}

/// Fails with the errors of a file, if it has any.
fn refuse(dockerfile: &Dockerfile, problems: &[Diagnostic]) -> Result<()> {
    let errors: Vec<Diagnostic> = problems.iter().filter(|problem| problem.is_error()).cloned().collect();
    if errors.is_empty() {
        return Ok(());
    }
    Err(build::Error::Dockerfile { file: Arc::new(dockerfile.source.clone()), problems: errors }.into())
}

fn print(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    Ok(stdout.flush()?)
}

/// Whether standard output is to be coloured.
fn color() -> Color {
    let surroundings = Surroundings { terminal: io::stdout().is_terminal(), ..Surroundings::of_process() };
    match surroundings.colours() {
        Colours::Wanted => Color::Always,
        Colours::Unwanted => Color::Never,
    }
}
