//! `RUN`, and the command lines of `CMD` and `ENTRYPOINT`.

use super::ast::{CommandLine, Network, Run, Security};
use super::diagnostic::{Diagnostic, Sink};
use super::flags::{Flags, Takes};
use super::instruction::Parts;
use super::json::Array;
use super::keyword::Keyword;
use super::mount::{Device, Mount};
use super::suggest::nearest;

const FLAGS: &[(&str, Takes)] =
    &[("mount", Takes::Values), ("network", Takes::Value), ("security", Takes::Value), ("device", Takes::Values)];

const NETWORKS: &[(&str, Network)] = &[("default", Network::Default), ("none", Network::None), ("host", Network::Host)];

const SECURITIES: &[(&str, Security)] = &[("sandbox", Security::Sandbox), ("insecure", Security::Insecure)];

/// Reads `RUN`.
pub(super) fn parse(mut parts: Parts<'_>, sink: &mut Sink) -> Option<Run> {
    let flags = parts.check_flags(FLAGS, sink);
    let escape = parts.escape;
    let mounts = collect(flags.all("mount").map(|value| Mount::parse(value, escape)), sink);
    let devices = collect(flags.all("device").map(Device::parse), sink);
    let network = choose(&flags, "network", NETWORKS, sink);
    let security = choose(&flags, "security", SECURITIES, sink);
    let command = command_line(&mut parts, sink)?;
    if command == CommandLine::Exec(Vec::new()) {
        let report = Diagnostic::error("missing-argument", parts.span(), "RUN needs a command");
        sink.push(report.with_label("the array is empty").with_help("for example `RUN [\"make\", \"install\"]`"));
        return None;
    }
    Some(Run { command, mounts, network, security, devices })
}

/// Reads a command line: an array of strings, or text for the shell, which may be empty.
pub(super) fn command_line(parts: &mut Parts<'_>, sink: &mut Sink) -> Option<CommandLine> {
    debug_assert!(parts.heredocs.is_empty() || parts.keyword == Keyword::Run, "only RUN reads heredocs");
    Some(match parts.array(sink)? {
        Array::Strings(strings) => CommandLine::Exec(strings),
        Array::Mixed(_) | Array::Not => {
            CommandLine::Shell { text: parts.arguments.to_text(), heredocs: std::mem::take(&mut parts.heredocs) }
        }
    })
}

fn collect<T>(parsed: impl Iterator<Item = Result<T, Box<Diagnostic>>>, sink: &mut Sink) -> Vec<T> {
    let mut values = Vec::new();
    for one in parsed {
        match one {
            Ok(value) => values.push(value),
            Err(problem) => sink.push(*problem),
        }
    }
    values
}

fn choose<T: Copy>(flags: &Flags<'_>, name: &str, choices: &[(&str, T)], sink: &mut Sink) -> Option<T> {
    let given = flags.text(name)?;
    if let Some((_, chosen)) = choices.iter().find(|(choice, _)| *choice == given.value) {
        return Some(*chosen);
    }
    let names: Vec<&str> = choices.iter().map(|(choice, _)| *choice).collect();
    let message = match given.value.as_str() {
        "" => format!("`--{name}` has an empty value"),
        value => format!("`{value}` is not a value of `--{name}`"),
    };
    let report = Diagnostic::error("bad-flag-value", given.span, message);
    let report = report.with_label(format!("expected {}", names.join(", ")));
    sink.push(match nearest(&given.value, names) {
        Some(meant) => report.with_help(format!("did you mean `{meant}`?")),
        None => report,
    });
    None
}
