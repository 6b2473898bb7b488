//! From the command line to the exit status.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser as _;

use super::args::{Command, CommandLine};
use super::environment::Environment;
use super::error::{Error, Result};
use super::progress::Choice;
use super::{build, compose, diff, doctor, images, json, maintenance, plan, report, signals, usage, verify, why};
use crate::build::Interrupt;

/// Does what the command line says.
pub fn main() -> ExitCode {
    let command_line = match CommandLine::try_parse() {
        Ok(command_line) => command_line,
        Err(error) => {
            if let Some(error) = usage::error_of(&error) {
                let json = wants_json(std::env::args_os());
                let _unprinted = io::stderr().write_all(shown(&error, error.status(), json).as_bytes());
                return ExitCode::from(error.status());
            }
            // Help and version are no errors; what cannot be printed cannot be told.
            let _unprinted = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let environment = Environment::of_process();
    let mut received = None;
    let (progress, quiet) = match &command_line.command {
        Some(Command::Build(args)) => (args.progress, args.quiet),
        Some(Command::Compose(args)) => args.progress(),
        _ => (command_line.build.progress, command_line.build.quiet),
    };
    let json = progress == Choice::RawJson && !quiet;
    match run(command_line, &environment, &mut received) {
        Ok(()) => ExitCode::SUCCESS,
        // What differs was the answer, and has been told.
        Err(error @ Error::Differ) => ExitCode::from(error.status()),
        Err(error) => {
            let interrupted = received.and_then(|received: signals::Received| received.status());
            let status = interrupted.unwrap_or_else(|| error.status());
            let _unprinted = io::stderr().write_all(shown(&error, status, json).as_bytes());
            ExitCode::from(status)
        }
    }
}

/// Whether a command line that cannot be read asks for JSON.
fn wants_json(args: impl Iterator<Item = OsString>) -> bool {
    let args: Vec<OsString> = args.collect();
    args.iter().any(|arg| arg == "--progress=rawjson")
        || args.windows(2).any(|two| two[0] == "--progress" && two[1] == "rawjson")
}

fn shown(error: &Error, status: u8, json: bool) -> String {
    if json { json::line(&report::told(error), Some(status)) } else { report::error(error) }
}

fn run(command_line: CommandLine, environment: &Environment, received: &mut Option<signals::Received>) -> Result<()> {
    let interrupt = Interrupt::new()?;
    *received = Some(signals::watch(&interrupt)?);
    let CommandLine { command, build: args, store } = command_line;
    let store = environment.store(store.as_deref())?;
    match command {
        None => build::run(&args, environment, &store, &interrupt),
        Some(Command::Build(args)) => build::run(&args, environment, &store, &interrupt),
        Some(Command::Compose(args)) => compose::run(&args, environment, &store, &interrupt),
        Some(Command::Why { build, json }) => why::run(&build, environment, &store, &interrupt, json),
        Some(Command::Diff { left, right, json }) => diff::run(&store, &left, &right, json),
        Some(Command::Verify { build, half: None, .. }) => verify::run(&build, environment, &store, &interrupt),
        Some(Command::Verify { build, half: Some(place), surroundings }) => {
            verify::build_half(&build, environment, &place, &surroundings, &interrupt)
        }
        Some(Command::Plan { build, json }) => plan::run(&build, environment, &store, &interrupt, json),
        Some(Command::Images) => images::list(&store),
        Some(Command::Inspect { name }) => images::inspect(&store, &name),
        Some(Command::Save { name, output }) => images::save(&store, &name, &output),
        Some(Command::Rm { names }) => images::remove(&store, &names, &interrupt),
        Some(Command::Prune(args)) => maintenance::prune(&store, &args, &interrupt),
        Some(Command::Du { json }) => maintenance::usage(&store, json),
        Some(Command::Fsck { dry_run, json }) => maintenance::fsck(&store, dry_run, json, &interrupt),
        Some(Command::Doctor { json }) => doctor::run(environment, &store, json),
    }
}
