//! `extends`: a service that begins as a copy of another one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::load::{Loader, Scope};
use super::merge::{drop_resets, merge};
use super::node::{Map, Node, Place, Value};
use super::paths::is_elsewhere;
use crate::dockerfile::nearest;

/// Services that extend each other.
const MAX_DEPTH: usize = 100;

/// Puts every service of `document` in the place of what it extends. `path` is the document's file.
pub(super) fn apply(loader: &mut Loader<'_>, document: &mut Node, scope: &Scope, path: &Path) {
    let Some(root) = document.as_map_mut() else { return };
    let Some(services) = root.get("services").and_then(Node::as_map) else { return };
    if !services.entries.iter().any(|entry| extends_of(&entry.node).is_some()) {
        return;
    }
    let own = Rc::new(services.clone());
    let mut extender = Extender { loader, scope, files: BTreeMap::new(), done: BTreeMap::new(), trail: Vec::new() };
    let mut resolved = Vec::new();
    for entry in &own.entries {
        resolved.push(extender.service(&entry.key, &own, path));
    }
    let Some(services) = root.get_mut("services").and_then(Node::as_map_mut) else { return };
    for (entry, node) in services.entries.iter_mut().zip(resolved) {
        if let Some(node) = node {
            entry.node = node;
        }
    }
}

/// What a service extends.
struct Extends {
    service: String,
    place: Place,
    file: Option<(String, Place)>,
}

fn extends_of(service: &Node) -> Option<Extends> {
    let extends = service.as_map()?.given("extends")?;
    match &extends.value {
        Value::Map(map) => {
            let service = map.given("service")?;
            let file = map.given("file").and_then(|file| file.as_text().map(|text| (text.to_owned(), file.place)));
            Some(Extends { service: service.as_text()?.to_owned(), place: service.place, file })
        }
        _ => Some(Extends { service: extends.as_text()?.to_owned(), place: extends.place, file: None }),
    }
}

struct Extender<'a, 'b> {
    loader: &'a mut Loader<'b>,
    scope: &'a Scope,
    /// The services of other files.
    files: BTreeMap<PathBuf, Option<Rc<Map>>>,
    /// Services that were looked at, by file and name; none if something is wrong with them.
    done: BTreeMap<(PathBuf, String), Option<Node>>,
    trail: Vec<(PathBuf, String)>,
}

impl Extender<'_, '_> {
    /// The service with everything that it extends.
    fn service(&mut self, name: &str, services: &Rc<Map>, path: &Path) -> Option<Node> {
        let key = (path.to_path_buf(), name.to_owned());
        if let Some(done) = self.done.get(&key) {
            return done.clone();
        }
        let service = services.get(name)?.clone();
        let Some(extends) = extends_of(&service) else { return Some(service) };
        self.trail.push(key.clone());
        let base = self.base(&extends, services, path);
        self.trail.pop();
        let merged = base.map(|base| {
            let mut merged = merge(base, service, &["services", name], &mut self.loader.problems);
            drop_resets(&mut merged);
            if let Some(map) = merged.as_map_mut() {
                map.remove("extends");
            }
            merged
        });
        self.done.insert(key, merged.clone());
        merged
    }

    fn base(&mut self, extends: &Extends, services: &Rc<Map>, path: &Path) -> Option<Node> {
        let (services, path) = match &extends.file {
            None => (services.clone(), path.to_path_buf()),
            Some((file, place)) => (self.file(file, *place)?, PathBuf::from(file)),
        };
        let next = (path.clone(), extends.service.clone());
        let place = extends.place;
        if let Some(at) = self.trail.iter().position(|before| *before == next) {
            let names: Vec<String> =
                self.trail[at..].iter().chain([&next]).map(|(_, name)| format!("`{name}`")).collect();
            let problem = place.error("extends-cycle", format!("`{}` extends itself", extends.service));
            let problem = if names.len() > 2 { problem.with_note(names.join(" extends ")) } else { problem };
            self.loader.problems.push(place.file, problem);
            return None;
        }
        if self.trail.len() > MAX_DEPTH {
            let problem = place.error("extends-cycle", format!("more than {MAX_DEPTH} services extend each other"));
            self.loader.problems.push(place.file, problem);
            return None;
        }
        if services.get(&extends.service).is_none() {
            let whole = self.loader.shown(&path);
            let message = format!("there is no service `{}` in `{}`", extends.service, whole.display());
            let mut problem = place.error("unknown-service", message);
            if let Some(near) = nearest(&extends.service, services.entries.iter().map(|entry| entry.key.as_str())) {
                problem = problem.with_fix(format!("did you mean `{near}`?"), place.span, near);
            }
            self.loader.problems.push(place.file, problem);
            return None;
        }
        self.service(&extends.service, &services, &path)
    }

    /// The services of another file, whose paths are relative to its own folder.
    fn file(&mut self, file: &str, place: Place) -> Option<Rc<Map>> {
        let path = PathBuf::from(file);
        if let Some(known) = self.files.get(&path) {
            return known.clone();
        }
        let services = self.load(&path, file, place);
        self.files.insert(path, services.clone());
        services
    }

    fn load(&mut self, path: &Path, file: &str, place: Place) -> Option<Rc<Map>> {
        if is_elsewhere(file) {
            let problem = place.error("unsupported", "a service of a file from elsewhere cannot be extended");
            self.loader.problems.push(place.file, problem.with_label("not a file of this machine"));
            return None;
        }
        let parsed = self.loader.parse_from(path, place)?;
        let folder = path.parent().unwrap_or(Path::new("/")).to_path_buf();
        let scope = Scope { folder, variables: self.scope.variables.clone() };
        let mut services = Map::default();
        for mut document in parsed.documents {
            self.loader.prepare(&mut document, &scope);
            let Some(entry) = document.as_map_mut().and_then(|root| root.remove("services")) else { continue };
            let Value::Map(found) = entry.node.value else { continue };
            found.entries.into_iter().for_each(|entry| services.put(entry));
        }
        Some(Rc::new(services))
    }
}
