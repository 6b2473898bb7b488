//! From the command line to the exit status.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use super::args::{Command, CommandLine};
use super::environment::Environment;
use super::error::{Error, Result};
use super::progress::Choice;
use super::{build, compose, diff, doctor, images, json, maintenance, plan, report, signals, usage, verify, why};
use crate::build::Interrupt;

/// Does what the command line says.
pub fn main() -> ExitCode {
    let command_line = match CommandLine::try_parse_from(command_first(std::env::args_os().collect())) {
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
        Some(Command::Verify { build, .. }) => (build.progress, build.quiet),
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

/// Puts the options of every command (`--store DIR`) that stand before a command behind it, where clap takes them: in front
/// of one it reads everything as the flags of a build.
fn command_first(mut args: Vec<OsString>) -> Vec<OsString> {
    let mut at = 1;
    while let Some(width) = args.get(at).and_then(|arg| global_option(arg)) {
        at += width;
    }
    let commands = CommandLine::command();
    let is_command = |arg: &OsString| commands.get_subcommands().any(|command| arg == command.get_name());
    if args.get(at).is_some_and(is_command) {
        args[1..=at].rotate_right(1);
    }
    args
}

/// How many arguments an option takes that every command has, itself included; none if it is something else.
fn global_option(arg: &OsStr) -> Option<usize> {
    match arg.to_str()? {
        "--store" => Some(2),
        text => text.starts_with("--store=").then_some(1),
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
    let signals = signals::watch(&interrupt)?;
    *received = Some(signals.clone());
    let CommandLine { command, build: args, store } = command_line;
    let store = environment.store(store.as_deref())?;
    match command {
        None => build::run(&args, environment, &store, &interrupt),
        Some(Command::Build(args)) => build::run(&args, environment, &store, &interrupt),
        Some(Command::Compose(args)) => compose::run(&args, environment, &store, &interrupt),
        Some(Command::Why { build, json }) => why::run(&build, environment, &store, &interrupt, json),
        Some(Command::Diff { left, right, json }) => diff::run(&store, &left, &right, json),
        Some(Command::Verify { build, half }) => match half.half.clone() {
            None => verify::run(&build, environment, &store, &interrupt, &signals),
            Some(place) => verify::build_half(&build, environment, &place, &half, &interrupt),
        },
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_every_command_may_stand_before_one() {
        for (given, expected) in [
            ("rbuild --store s plan .", "rbuild plan --store s ."),
            ("rbuild --store=s images", "rbuild images --store=s"),
            ("rbuild --store a --store=b prune --all", "rbuild prune --store a --store=b --all"),
            ("rbuild plan --store s .", "rbuild plan --store s ."),
            ("rbuild --store s -t plan .", "rbuild --store s -t plan ."),
            ("rbuild --store plan", "rbuild --store plan"),
            ("rbuild --store", "rbuild --store"),
            ("rbuild", "rbuild"),
        ] {
            let words = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
            assert_eq!(command_first(words(given)), words(expected), "{given}");
        }
        assert_eq!(command_first(Vec::new()), Vec::<OsString>::new());
    }
    #[test]
    fn of_an_option_with_one_value_the_last_counts_and_lists_keep_all() {
        let words = "rbuild --progress=plain -f a -t x --target s --platform linux/arm64 -q --check --build-arg A=1 -o a.tar \
                     --progress tty -f b -t y --target t --platform linux/amd64 -q --check=false --build-arg A=2 -o b.tar . \
                     --store one --store two";
        let parsed = CommandLine::try_parse_from(words.split_whitespace()).expect("docker takes it");
        let CommandLine { build, store, command: None } = parsed else { panic!("no command was given") };
        assert_eq!((build.progress, build.quiet, build.check), (Choice::Tty, true, Some(false)));
        assert_eq!((build.file.as_deref(), build.target.as_deref()), (Some("b"), Some("t")));
        assert_eq!((build.platform.as_deref(), store.as_deref()), (Some("linux/amd64"), Some("two".as_ref())));
        assert_eq!((build.tag, build.build_arg, build.output), (list("x y"), list("A=1 A=2"), list("a.tar b.tar")));
        let parsed = CommandLine::try_parse_from(["rbuild", "build", "--target=a", "--target=b", "."]);
        let Some(Command::Build(build)) = parsed.expect("docker takes it").command else { panic!("it is a command") };
        assert_eq!(build.target.as_deref(), Some("b"));
        // The folder is no option.
        assert!(CommandLine::try_parse_from(["rbuild", "a", "b"]).is_err());
    }

    fn list(words: &str) -> Vec<String> {
        words.split(' ').map(str::to_owned).collect()
    }
}
