//! Global arguments: those before the first FROM, and those that every build has.

use std::collections::BTreeMap;

use super::assemble::UNUSED_ARGUMENT;
use super::variables::{SetBy, Variables};
use super::{Inputs, SOURCE_DATE_EPOCH};
use crate::dockerfile::{ArgDeclaration, Diagnostic, Dockerfile, Span, expand, nearest};

/// Names that may be given as build arguments without an ARG that declares them.
const PREDEFINED: [&str; 10] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "FTP_PROXY",
    "ftp_proxy",
    "NO_PROXY",
    "no_proxy",
    "ALL_PROXY",
    "all_proxy",
];

/// The arguments that every build has: platforms, and the name of the target.
pub(super) fn automatic(dockerfile: &Dockerfile, inputs: &Inputs) -> Variables {
    let mut variables = Variables::default();
    let last = dockerfile.stages.last().and_then(|stage| stage.name.as_ref()).map(|name| name.value.clone());
    let target_stage = inputs.target.clone().or(last).unwrap_or_else(|| "default".to_owned());
    let (build, target) = (&inputs.build_platform, &inputs.platform);
    for (name, value) in [
        ("BUILDPLATFORM", build.to_string()),
        ("BUILDOS", build.os().to_owned()),
        ("BUILDOSVERSION", String::new()),
        ("BUILDARCH", build.architecture().to_owned()),
        ("BUILDVARIANT", build.variant().unwrap_or("").to_owned()),
        ("TARGETPLATFORM", target.to_string()),
        ("TARGETOS", target.os().to_owned()),
        ("TARGETOSVERSION", String::new()),
        ("TARGETARCH", target.architecture().to_owned()),
        ("TARGETVARIANT", target.variant().unwrap_or("").to_owned()),
        ("TARGETSTAGE", target_stage),
    ] {
        let given = inputs.build_args.get(name).cloned();
        variables.set(name, &given.unwrap_or(value), SetBy::Arg);
    }
    variables
}

/// The automatic arguments, and the values of the ARGs before the first FROM.
pub(super) fn globals(dockerfile: &Dockerfile, inputs: &Inputs) -> Result<Variables, Vec<Diagnostic>> {
    with_globals(automatic(dockerfile, inputs), dockerfile, &inputs.build_args)
}

/// The same as if no build argument were given.
pub(super) fn defaults(dockerfile: &Dockerfile, inputs: &Inputs) -> Result<Variables, Vec<Diagnostic>> {
    with_globals(automatic(dockerfile, inputs), dockerfile, &BTreeMap::new())
}

fn with_globals(
    mut variables: Variables,
    dockerfile: &Dockerfile,
    build_args: &BTreeMap<String, String>,
) -> Result<Variables, Vec<Diagnostic>> {
    let mut problems = Vec::new();
    for declaration in dockerfile.global_args() {
        match global(declaration, dockerfile, build_args, &variables) {
            Ok(Some(value)) => variables.set(&declaration.name.value, &value, SetBy::Arg),
            Ok(None) => {}
            Err(problem) => problems.push(*problem),
        }
    }
    if problems.is_empty() { Ok(variables) } else { Err(problems) }
}

fn global(
    declaration: &ArgDeclaration,
    dockerfile: &Dockerfile,
    build_args: &BTreeMap<String, String>,
    variables: &Variables,
) -> Result<Option<String>, Box<Diagnostic>> {
    if let Some(given) = build_args.get(&declaration.name.value) {
        return Ok(Some(given.clone()));
    }
    let Some(default) = &declaration.default else { return Ok(None) };
    match expand(default, dockerfile.directives.escape, variables) {
        Ok(expanded) => Ok(Some(expanded.value)),
        Err(error) => Err(Box::new(error.diagnostic(default))),
    }
}

/// The proxy variables among the build arguments, each under both spellings, in a fixed order.
pub(super) fn proxies(inputs: &Inputs) -> Vec<(String, String)> {
    let given = |name: &str| {
        let mut arguments = inputs.build_args.iter();
        arguments.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone())
    };
    PREDEFINED.iter().filter_map(|name| given(name).map(|value| ((*name).to_owned(), value))).collect()
}

/// The host name that the build argument `BUILDKIT_SANDBOX_HOSTNAME` gives to every RUN.
pub(super) fn hostname(inputs: &Inputs) -> Option<String> {
    inputs.build_args.get("BUILDKIT_SANDBOX_HOSTNAME").filter(|name| !name.is_empty()).cloned()
}

/// A warning about the build arguments that no ARG of the file declares, and that are not predefined.
pub(super) fn unused(dockerfile: &Dockerfile, inputs: &Inputs, declared: &[String]) -> Option<Diagnostic> {
    let globals = dockerfile.global_args().map(|declaration| &declaration.name.value);
    let known: Vec<&str> = globals.chain(declared).map(String::as_str).collect();
    let automatic = |name: &str| {
        PREDEFINED.iter().any(|known| known.eq_ignore_ascii_case(name))
            || name.starts_with("BUILDKIT_")
            || name.starts_with("TARGET")
            || matches!(name, SOURCE_DATE_EPOCH | "BUILDPLATFORM" | "BUILDOS" | "BUILDARCH" | "BUILDVARIANT")
    };
    let given = inputs.build_args.keys().map(String::as_str);
    let unused: Vec<&str> = given.filter(|name| !known.contains(name) && !automatic(name)).collect();
    let names = unused.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let message = match unused.len() {
        0 => return None,
        1 => format!("no ARG takes the build argument {names}"),
        _ => format!("no ARG takes the build arguments {names}"),
    };
    let span = dockerfile.stages.first().map_or_else(Span::default, |stage| stage.from.span);
    let mut report = Diagnostic::warning(UNUSED_ARGUMENT, span, message);
    for name in unused {
        if let Some(near) = nearest(name, known.iter().copied()) {
            report = report.with_help(format!("did you mean `{near}` by `{name}`?"));
        }
    }
    Some(report)
}
