//! `rbuild compose build`.

use std::io::{self, Write as _};
use std::path::Path;

use super::super::environment::Environment;
use super::super::error::Result;
use super::super::report;
use super::args::{ComposeArgs, ComposeBuildArgs, ComposeCommand};
use super::project::{names, read};
use crate::build::Interrupt;
use crate::compose::{self, Dependencies, Project, Service};
use crate::reference::Reference;

/// Does what the command line says.
pub fn run(args: &ComposeArgs, environment: &Environment, _store: &Path, _interrupt: &Interrupt) -> Result<()> {
    let ComposeArgs { project, command: ComposeCommand::Build(args) } = args;
    let project = read(project, &args.services, environment)?;
    let dependencies = if args.with_dependencies { Dependencies::With } else { Dependencies::Without };
    let chosen = project.select(&args.services, dependencies)?;
    io::stderr().write_all(report::reports(&project.warnings).as_bytes())?;
    print(&project, &chosen, args)
}

fn print(project: &Project, chosen: &[&Service], args: &ComposeBuildArgs) -> Result<()> {
    let mut all = std::collections::BTreeMap::new();
    for service in chosen {
        all.insert(service.name.as_str(), names(project, service, args)?);
    }
    let names = |service: &Service| -> Vec<Reference> { all.get(service.name.as_str()).cloned().unwrap_or_default() };
    let plan = compose::plan(project, chosen, &names);
    Ok(writeln!(io::stdout(), "{plan:#}")?)
}
