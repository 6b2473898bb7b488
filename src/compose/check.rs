//! Makes a project of a merged tree, if everything in it holds together.

use std::collections::{BTreeMap, BTreeSet};

use super::error::{Error, Result};
use super::load::Scope;
use super::model::{NamedContext, Project, Service, Variables};
use super::node::{Entry, Map, Node, Place};
use super::order::in_order;
use super::problems::Problems;
use super::secrets;
use super::service::{Draft, Model, section, texts};
use crate::dockerfile::nearest;

/// Behind these errors parts of the model are missing.
const INCOMPLETE: [&str; 8] = [
    "yaml-syntax",
    "yaml-merge",
    "unknown-tag",
    "no-file",
    "include-cycle",
    "extends-cycle",
    "unknown-service",
    "unsupported",
];

/// Reads the project; `named` are the services that a person named.
pub(super) fn project(
    mut problems: Problems,
    model: &Node,
    name: String,
    scope: Scope,
    profiles: &[String],
    named: &[String],
) -> Result<Project> {
    let empty = Map::default();
    let root = model.as_map().unwrap_or(&empty);
    secrets::check(root, &mut problems);
    let is_partial = problems.has_any(&INCOMPLETE);
    let active = active(root, profiles, named);
    let mut drafts: Vec<Draft> = Vec::new();
    for entry in section(root, "services") {
        let is_active = active.contains(entry.key.as_str());
        // As in compose-go, what belongs together is not asked of services that nobody asks for.
        let reader = Model { root, variables: &scope.variables, is_partial: is_partial || !is_active };
        if let Some(mut draft) = reader.service(entry, &mut problems) {
            draft.service.active = is_active;
            drafts.push(draft);
        }
    }
    drafts.sort_by(|a, b| a.service.name.cmp(&b.service.name));
    if !is_partial {
        check_dependencies(&drafts, &mut problems);
        check_contexts(&drafts, &mut problems);
    }
    if problems.has_errors() {
        return Err(Error::Invalid(problems.into_reports()));
    }
    let known = || drafts.iter().map(|draft| draft.service.name.as_str());
    if let Some(unknown) = named.iter().find(|name| !known().any(|known| known == *name)) {
        return Err(Error::NoService { name: unknown.clone(), near: nearest(unknown, known()).map(str::to_owned) });
    }
    let files = problems.files();
    Ok(Project {
        name,
        folder: scope.folder,
        services: drafts.into_iter().map(|draft| draft.service).collect(),
        warnings: problems.into_reports(),
        files,
        variables: Variables(scope.variables),
    })
}

/// A service is active if it has no profiles, if one of them is active, or if it is named; then its profiles are, too.
fn active<'a>(root: &'a Map, profiles: &[String], named: &[String]) -> BTreeSet<&'a str> {
    let of = |entry: &Entry| -> Vec<String> {
        let own = texts(entry.node.as_map().and_then(|service| service.get("profiles")));
        own.into_iter().map(|(profile, _)| profile).collect()
    };
    let services = section(root, "services");
    let of_named = services.iter().filter(|entry| named.contains(&entry.key)).flat_map(of);
    let active: BTreeSet<String> = profiles.iter().cloned().chain(of_named).collect();
    let is_active = |entry: &&Entry| {
        let own = of(entry);
        let has_one = own.is_empty() || active.contains("*") || own.iter().any(|profile| active.contains(profile));
        has_one || named.contains(&entry.key)
    };
    services.iter().filter(is_active).map(|entry| entry.key.as_str()).collect()
}

fn check_dependencies(drafts: &[Draft], problems: &mut Problems) {
    let known: BTreeMap<&str, &Service> =
        drafts.iter().map(|draft| (draft.service.name.as_str(), &draft.service)).collect();
    let mut edges: BTreeMap<&str, Vec<(&str, Place)>> = BTreeMap::new();
    for Draft { service, dependencies } in drafts.iter().filter(|draft| draft.service.active) {
        for (name, place, required) in dependencies {
            match known.get(name.as_str()) {
                Some(other) if other.active => {
                    edges.entry(service.name.as_str()).or_default().push((name, *place));
                }
                Some(other) if *required => {
                    let message = format!("the service `{}` needs `{name}`, which is not active", service.name);
                    let profiles: Vec<String> = other.profiles.iter().map(|name| format!("`{name}`")).collect();
                    let noun = if profiles.len() == 1 { "profile" } else { "profiles" };
                    let problem = place.error("inactive-service", message);
                    let problem = problem.with_note(format!("`{name}` has the {noun} {}", profiles.join(", ")));
                    let first = other.profiles.first().map_or("", String::as_str);
                    problems.push(place.file, problem.with_help(format!("add `--profile {first}`")));
                }
                Some(_) => {}
                None if *required => unknown_service(&service.name, name, *place, known.keys().copied(), problems),
                None => {}
            }
        }
    }
    if let Err(circle) = in_order(known.keys().copied(), &edges) {
        report_circle(&circle, "depends on", problems);
    }
}

fn unknown_service<'a>(
    service: &str,
    name: &str,
    place: Place,
    known: impl Iterator<Item = &'a str>,
    problems: &mut Problems,
) {
    let message = format!("the service `{service}` needs `{name}`, which the project does not have");
    let problem = place.error("unknown-service", message);
    let problem = match nearest(name, known) {
        Some(near) => problem.with_help(format!("did you mean `{near}`?")),
        None => problem,
    };
    problems.push(place.file, problem);
}

/// The images that builds begin with: they must be built, and not by way of themselves.
fn check_contexts(drafts: &[Draft], problems: &mut Problems) {
    let known: BTreeMap<&str, &Service> =
        drafts.iter().map(|draft| (draft.service.name.as_str(), &draft.service)).collect();
    let mut edges: BTreeMap<&str, Vec<(&str, Place)>> = BTreeMap::new();
    for service in known.values() {
        let Some(build) = &service.build else { continue };
        for (key, context) in &build.additional_contexts {
            let NamedContext::Service(name) = context else { continue };
            let place = build.place(&format!("additional_contexts.{key}"));
            match known.get(name.as_str()) {
                Some(Service { build: Some(_), .. }) => {
                    edges.entry(service.name.as_str()).or_default().push((name, place));
                }
                Some(_) => {
                    let message = format!("the service `{name}` cannot be a context: it has no `build`");
                    let problem = place.error("not-built", message);
                    let help = "write `docker-image://` and the image's name";
                    problems.push(place.file, problem.with_help(help));
                }
                None => unknown_service(&service.name, name, place, known.keys().copied(), problems),
            }
        }
    }
    if let Err(circle) = in_order(known.keys().copied(), &edges) {
        report_circle(&circle, "is built from", problems);
    }
}

fn report_circle(circle: &[(&str, Place)], verb: &str, problems: &mut Problems) {
    let Some((first, place)) = circle.first() else { return };
    let mut names: Vec<String> = circle.iter().map(|(name, _)| format!("`{name}`")).collect();
    names.push(format!("`{first}`"));
    let problem = place.error("dependency-cycle", format!("the service `{first}` {verb} itself"));
    let problem = if names.len() > 2 { problem.with_note(names.join(&format!(" {verb} "))) } else { problem };
    problems.push(place.file, problem);
}
