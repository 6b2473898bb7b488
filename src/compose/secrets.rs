//! Reads the secrets of a build out of a merged tree, and tells of those that are not there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::model::{Project, Secret, SecretSource, Service};
use super::node::{FileId, Map, Node, Place, Scalar, Value};
use super::problems::{Problems, Report};
use super::service::{Model, section};
use crate::dockerfile::{Diagnostic, nearest};

/// The name of a granted secret or config, and where it stands.
pub(super) fn source_of(node: &Node) -> Option<(String, Place)> {
    match &node.value {
        Value::Map(map) => {
            map.given("source").and_then(|node| node.as_text().map(|text| (text.to_owned(), node.place)))
        }
        _ => node.as_text().map(|text| (text.to_owned(), node.place)),
    }
}

/// Every project's secrets: each comes from one place.
pub(super) fn check(root: &Map, problems: &mut Problems) {
    for (kind, sources) in [("secrets", &["file", "environment"][..]), ("configs", &["file", "environment", "content"])]
    {
        for entry in section(root, kind) {
            let Some(map) = entry.node.as_map() else {
                if entry.node.is_null() {
                    let message = format!("`{kind}.{}` does not say where it is", entry.key);
                    let problem = entry.key_place.error("no-source", message);
                    problems
                        .push(entry.key_place.file, problem.with_help(format!("write one of {}", sources.join(", "))));
                }
                continue;
            };
            let given: Vec<&str> = sources.iter().copied().filter(|key| map.given(key).is_some()).collect();
            let message = match given.len() {
                0 if map.given("external").is_some() || map.given("driver").is_some() => continue,
                0 => format!("`{kind}.{}` does not say where it is", entry.key),
                1 => continue,
                _ => format!("`{kind}.{}` has both `{}` and `{}`", entry.key, given[0], given[1]),
            };
            let problem = entry.key_place.error("no-source", message);
            let problem = problem.with_help(format!("write one of {}", sources.join(", ")));
            problems.push(entry.key_place.file, problem);
        }
    }
}

/// What `build.secrets` grants; `refuse` is told of what cannot be had.
pub(super) fn granted(
    model: &Model<'_>,
    node: &Node,
    problems: &mut Problems,
    refuse: &mut dyn FnMut(Place, String),
) -> Vec<Secret> {
    let mut found: Vec<Secret> = Vec::new();
    for grant in node.as_list().unwrap_or(&[]) {
        let Some((name, place)) = source_of(grant) else {
            let problem = grant.place.error("wrong-value", "a secret needs a `source`");
            problems.push(grant.place.file, problem.with_help("write the secret's name"));
            continue;
        };
        let Some(entry) = section(model.root, "secrets").iter().find(|entry| entry.key == name) else {
            if model.is_partial {
                continue;
            }
            let message = format!("there is no secret `{name}`");
            let near = section(model.root, "secrets").iter().map(|entry| entry.key.as_str());
            let problem = place.error("unknown-name", message);
            let problem = match nearest(&name, near) {
                Some(near) => problem.with_help(format!("did you mean `{near}`?")),
                None => problem.with_help("declare it at the top of the file, below `secrets:`"),
            };
            problems.push(place.file, problem);
            continue;
        };
        let Some(declared) = entry.node.as_map() else { continue };
        let said = |key: &str| declared.given(key).and_then(|node| Some((node.as_text()?.to_owned(), node.place)));
        let (source, said) = match (said("file"), said("environment")) {
            (Some((path, place)), _) => (SecretSource::File(PathBuf::from(path)), place),
            (None, Some((variable, place))) => (SecretSource::Variable(variable), place),
            (None, None) => {
                refuse(place, format!("the secret `{name}` is neither in a file nor in the environment"));
                continue;
            }
        };
        let long = grant.as_map();
        let id = long.and_then(|map| map.given("target")).and_then(Node::as_text).unwrap_or(&name).to_owned();
        let number = |key: &str, problems: &mut Problems| number(long.and_then(|map| map.given(key)), key, problems);
        let secret = Secret {
            source,
            place: said,
            uid: number("uid", problems),
            gid: number("gid", problems),
            mode: mode(long.and_then(|map| map.given("mode")), problems),
            id,
        };
        found.retain(|known| known.id != secret.id);
        found.push(secret);
    }
    found
}

impl Project {
    /// The secrets of these services whose variables are not set, as warnings: compose takes them for empty ones.
    pub fn unset_secrets<'a>(&self, services: impl IntoIterator<Item = &'a Service>) -> Vec<Report> {
        let mut reports: BTreeMap<FileId, Report> = BTreeMap::new();
        let builds = services.into_iter().filter_map(|service| service.build.as_ref());
        let mut told: BTreeSet<Place> = BTreeSet::new();
        for secret in builds.flat_map(|build| &build.secrets) {
            let SecretSource::Variable(variable) = &secret.source else { continue };
            if self.variable(variable).is_some() || !told.insert(secret.place) {
                continue;
            }
            let message = format!("the variable `{variable}` is not set, so the secret is empty");
            let help = format!("set it in the environment or an env file; `{variable}=` says that it is empty");
            let warning = Diagnostic::warning("unset-variable", secret.place.span, message).with_help(help);
            let file = secret.place.file;
            let report = || Report { file: self.files[file.0].clone(), problems: Vec::new() };
            reports.entry(file).or_insert_with(report).problems.push(warning);
        }
        reports.into_values().collect()
    }
}

fn number(node: Option<&Node>, key: &str, problems: &mut Problems) -> Option<u32> {
    let node = node?;
    let parsed = node.shown()?.parse().ok();
    if parsed.is_none() {
        problems.push(node.place.file, node.place.error("wrong-value", format!("`{key}` must be a number")));
    }
    parsed
}

/// An octal number; YAML reads one that begins with a zero by itself. What could write or is no permission is left out.
fn mode(node: Option<&Node>, problems: &mut Problems) -> Option<u32> {
    let node = node?;
    let parsed = match &node.value {
        Value::Scalar(Scalar::Int(value)) => u32::try_from(*value).ok(),
        Value::Scalar(Scalar::Text(text)) => u32::from_str_radix(text, 8).ok(),
        Value::Scalar(_) | Value::List(_) | Value::Map(_) => None,
    };
    if let Some(mode) = parsed.filter(|mode| *mode <= 0o7777) {
        return Some(mode & 0o555);
    }
    let problem = node.place.error("wrong-value", "`mode` must be an octal number");
    problems.push(node.place.file, problem.with_help("write for example `0440`"));
    None
}
