//! The secrets of services: what commands are given, and what servers are shown.

use std::collections::BTreeMap;

use super::super::commands::{MAX_SECRET, check_secret_file};
use super::super::error::Result;
use super::chosen::Chosen;
use crate::build;
use crate::compose::{self, Project, Report, Secret, SecretSource};
use crate::dockerfile::Diagnostic;
use crate::fetch::Credentials;
use crate::fsx;

/// What a command gets. As in compose, a variable that is not set is an empty secret.
pub fn value(project: &Project, secret: &Secret) -> build::Secret {
    match &secret.source {
        SecretSource::File(path) => build::Secret::File(path.clone()),
        SecretSource::Variable(name) => {
            build::Secret::Value(project.variable(name).unwrap_or_default().as_bytes().to_vec())
        }
    }
}

/// The secrets that are for servers. What one service has is good for all: what they fetch is fetched once.
///
/// Reports those that cannot be sent, and those of one id that differ.
pub fn credentials(project: &Project, chosen: &[Chosen<'_>]) -> Result<Credentials> {
    let (mut credentials, mut reports) = (Credentials::default(), Vec::new());
    let mut known: BTreeMap<&str, (&str, Vec<u8>)> = BTreeMap::new();
    for service in chosen {
        let name = service.service.name.as_str();
        let secrets = service.service.build.iter().flat_map(|build| &build.secrets);
        for secret in secrets.filter(|secret| Credentials::is_one(&secret.id)) {
            let bytes = match content(project, secret) {
                Ok(Some(bytes)) => bytes,
                Ok(None) => continue,
                Err(problem) => {
                    reports.push(report(project, secret, format!("the service `{name}`: {problem}"), ""));
                    continue;
                }
            };
            if let Some((other, value)) = known.get(secret.id.as_str()) {
                if *value != bytes {
                    let message = format!("the services `{other}` and `{name}` have different secrets `{}`", secret.id);
                    let help = "give both the same: what services have in common is fetched once";
                    reports.push(report(project, secret, message, help));
                }
                continue;
            }
            if let Err(error) = credentials.add(&secret.id, &bytes) {
                reports.push(report(project, secret, format!("the service `{name}`: {error}"), ""));
            }
            known.insert(&secret.id, (name, bytes));
        }
    }
    match reports.is_empty() {
        true => Ok(credentials),
        false => Err(compose::Error::Invalid(reports).into()),
    }
}

/// None for what is empty, and for a file that is not there: that is reported with everything else of its service.
fn content(project: &Project, secret: &Secret) -> std::result::Result<Option<Vec<u8>>, fsx::Error> {
    let mut bytes = match value(project, secret) {
        build::Secret::Value(bytes) => bytes,
        build::Secret::File(path) => match check_secret_file(&secret.id, &path.display().to_string()) {
            Ok(()) => fsx::read_at_most(&path, MAX_SECRET)?,
            Err(_reported) => return Ok(None),
        },
    };
    // The end of a line is no part of it, so two that differ there alone are the same.
    while bytes.last().is_some_and(|byte| matches!(byte, b'\r' | b'\n')) {
        bytes.pop();
    }
    Ok(Some(bytes).filter(|bytes| !bytes.is_empty()))
}

fn report(project: &Project, secret: &Secret, message: String, help: &str) -> Report {
    let problem = Diagnostic::error("cannot-build", secret.place.span, message);
    project.report(secret.place, if help.is_empty() { problem } else { problem.with_help(help) })
}
