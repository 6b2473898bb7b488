//! Looks at the parts of a service's `build` by themselves, so that what is wrong with one is said at its place.

use super::super::commands::{agent, check_secret_file, entitlements, limit};
use super::super::environment::Environment;
use super::super::error::{Error, Result};
use super::super::inputs::check_platform;
use super::super::{caches, contexts};
use crate::compose::{Build, NamedContext, Project, Report, SecretSource};
use crate::dockerfile::Diagnostic;
use crate::plan::context_name;

/// Flags, and the keys that say the same.
const KEYS: [(&str, &str); 10] = [
    ("`--allow device=", "`entitlements: device="),
    ("`--allow ", "`entitlements: "),
    ("`--allow`", "`entitlements`"),
    ("`--build-context ", "`additional_contexts: "),
    ("`--cache-from ", "`cache_from: "),
    ("`--cache-from`", "`cache_from`"),
    ("`--cache-to ", "`cache_to: "),
    ("`--cache-to`", "`cache_to`"),
    ("`--ssh ", "`ssh: "),
    ("`--ulimit ", "`ulimits: "),
];

/// What to write, for the parts whose advice is about flags.
const ADVICE: [(&str, &str); 6] = [
    (
        "additional_contexts",
        "it may be a folder, a URL, `docker-image://NAME`, `oci-layout://FOLDER` or `service:NAME`",
    ),
    ("cache_from", "write the name of an image, or `type=local,src=DIR`"),
    ("cache_to", "write `type=inline`, or `type=local,dest=DIR`"),
    ("entitlements", "write `device`, or `device=NAME`"),
    ("ssh", "write `default` for the running agent, or `ID=PATH` with the path of a socket or of a key"),
    ("ulimits", "write for example `nofile: {soft: 1024, hard: 4096}`"),
];

/// Everything that is wrong with the parts of a build.
pub fn check(project: &Project, service: &str, build: &Build, environment: &Environment) -> Vec<Report> {
    let mut reports = Vec::new();
    let mut look = |key: &str, result: Result<()>| {
        reports.extend(result.err().and_then(|error| report(project, build, service, key, error).ok()));
    };
    for (name, context) in &build.additional_contexts {
        look(&format!("additional_contexts.{name}"), named_context(name, context));
    }
    for spec in &build.cache_from {
        look("cache_from", caches::sources(std::slice::from_ref(spec)).map(drop));
    }
    for spec in &build.cache_to {
        look("cache_to", caches::targets(std::slice::from_ref(spec)).map(drop));
    }
    for given in &build.entitlements {
        look("entitlements", entitlements(std::slice::from_ref(given)).map(drop));
    }
    if let Some(platform) = &build.platform {
        look("platforms", check_platform(platform));
    }
    for secret in &build.secrets {
        if let SecretSource::File(path) = &secret.source {
            look("secrets", check_secret_file(&secret.id, &path.display().to_string()));
        }
    }
    for given in &build.ssh {
        look("ssh", agent(given, environment).map(drop));
    }
    for given in &build.ulimits {
        look("ulimits", limit(given).map(drop));
    }
    reports
}

fn named_context(name: &str, context: &NamedContext) -> Result<()> {
    match context {
        NamedContext::Value(value) => contexts::named_contexts(&[format!("{name}={value}")]).map(drop),
        NamedContext::Service(_) if context_name(name).is_some() => Ok(()),
        NamedContext::Service(_) => Err(Error::usage(format!("`{name}` cannot be the name of a context"), "")),
    }
}

/// Tells an error at the place of a key; what is about no key stays an error.
pub fn report(
    project: &Project,
    build: &Build,
    service: &str,
    key: &str,
    error: Error,
) -> std::result::Result<Report, Error> {
    let (message, hint) = match error {
        Error::Usage { message, hint } | Error::Input { message, hint } => (message, hint),
        Error::Unsupported { .. } => (error.to_string(), String::new()),
        other => return Err(other),
    };
    let in_keys = |text: &str| KEYS.iter().fold(text.to_owned(), |text, (flag, key)| text.replace(flag, key));
    let (place, hint) = (build.place(key), hint.replace("did you mean `-f ", "did you mean `"));
    let message = format!("the service `{service}`: {}", in_keys(&message));
    let problem = Diagnostic::error("cannot-build", place.span, message);
    let part = key.split('.').next().unwrap_or(key);
    let advice = match hint.contains("`-") {
        true => ADVICE.iter().find(|(key, _)| *key == part).map(|(_, advice)| (*advice).to_owned()),
        false => Some(hint).filter(|hint| !hint.is_empty()),
    };
    let problem = match advice {
        Some(advice) => problem.with_help(advice),
        None => problem,
    };
    Ok(project.report(place, problem))
}
