//! Reads a service out of a merged tree.

use std::collections::BTreeMap;

use super::merge::named;
use super::model::Service;
use super::node::{Entry, Map, Node, Place, Value};
use super::problems::Problems;
use super::{build, secrets};
use crate::dockerfile::nearest;
use crate::platform::Platform;
use crate::reference::Reference;

/// What every service of a model may refer to.
pub(super) struct Model<'a> {
    pub root: &'a Map,
    pub variables: &'a BTreeMap<String, String>,
    /// Whether parts of the model are missing, because something is wrong with a file, or the service is not active: nothing
    /// is missed then.
    pub is_partial: bool,
}

/// One service before it is known whether it is active.
pub(super) struct Draft {
    pub service: Service,
    /// Each with where it is named, and whether it must be there.
    pub dependencies: Vec<(String, Place, bool)>,
}

/// The entries of a section.
pub(super) fn section<'a>(root: &'a Map, name: &str) -> &'a [Entry] {
    root.get(name).and_then(Node::as_map).map_or(&[], |map| map.entries.as_slice())
}

/// The values of a list of texts.
pub(super) fn texts(node: Option<&Node>) -> Vec<(String, Place)> {
    let nodes = node.and_then(Node::as_list).unwrap_or(&[]);
    nodes.iter().filter_map(|node| node.as_text().map(|text| (text.to_owned(), node.place))).collect()
}

impl Model<'_> {
    /// Reads one service.
    pub fn service(&self, entry: &Entry, problems: &mut Problems) -> Option<Draft> {
        let map = entry.node.as_map()?;
        let image = map.given("image").and_then(|node| reference(node, problems));
        let platform = map.given("platform").and_then(|node| platform(node, problems));
        let build = map.given("build").map(|node| build::read(self, node, platform.clone(), problems));
        if let (Some(_), Some(node)) = (&build, map.given("image"))
            && image.as_ref().is_some_and(|image| image.digest().is_some())
        {
            let problem = node.place.error("wrong-value", "a digest cannot be given to an image as its name");
            problems.push(node.place.file, problem.with_help("write `NAME:TAG`, or leave `build` out"));
        }
        let is_missed = !self.is_partial && !problems.has_any(&["unknown-key", "wrong-type"]);
        if is_missed
            && image.is_none()
            && build.is_none()
            && map.given("image").is_none()
            && map.given("provider").is_none()
        {
            let message = format!("the service `{}` has neither `image` nor `build`", entry.key);
            let problem = entry.key_place.error("no-image", message).with_label("where is its image from?");
            let help = "write `build: .` for a Dockerfile beside this file, or `image: NAME`";
            problems.push(entry.key_place.file, problem.with_help(help));
        }
        let dependencies = dependencies(map);
        let service = Service {
            name: entry.key.clone(),
            place: entry.key_place,
            image,
            platform,
            build,
            depends_on: dependencies.iter().map(|(name, ..)| name.clone()).collect(),
            profiles: texts(map.get("profiles")).into_iter().map(|(profile, _)| profile).collect(),
            active: false,
        };
        if !self.is_partial {
            self.check_references(&entry.key, map, problems);
        }
        Some(Draft { service, dependencies })
    }

    /// Resources that a service uses must be there.
    fn check_references(&self, service: &str, map: &Map, problems: &mut Problems) {
        let networks = map.get("networks").map(|node| named(node.clone())).unwrap_or_default();
        for entry in &networks.entries {
            if entry.key != "default" {
                self.check_reference(service, "network", "networks", &entry.key, entry.key_place, problems);
            }
        }
        if let (Some(mode), Some(_)) = (map.entry("network_mode"), map.given("networks")) {
            let message = format!("the service `{service}` has both `network_mode` and `networks`");
            problems.push(mode.key_place.file, mode.key_place.error("conflict", message).with_help("leave one out"));
        }
        for (kind, key) in [("secret", "secrets"), ("config", "configs")] {
            for node in map.get(key).and_then(Node::as_list).unwrap_or(&[]) {
                if let Some((name, place)) = secrets::source_of(node) {
                    self.check_reference(service, kind, key, &name, place, problems);
                }
            }
        }
        for node in map.get("volumes").and_then(Node::as_list).unwrap_or(&[]) {
            if let Some((name, place)) = volume_of(node) {
                self.check_reference(service, "volume", "volumes", &name, place, problems);
            }
        }
    }

    /// Reports a name that its section does not have.
    pub fn check_reference(
        &self,
        service: &str,
        kind: &str,
        key: &str,
        name: &str,
        place: Place,
        problems: &mut Problems,
    ) {
        let known = section(self.root, key);
        if known.iter().any(|entry| entry.key == name) {
            return;
        }
        let message = format!("the service `{service}` uses the {kind} `{name}`, which the project does not have");
        let problem = place.error("unknown-name", message);
        let problem = match nearest(name, known.iter().map(|entry| entry.key.as_str())) {
            Some(near) => problem.with_help(format!("did you mean `{near}`?")),
            None => problem.with_help(format!("declare it at the top of the file, below `{key}:`")),
        };
        problems.push(place.file, problem);
    }
}

pub(super) fn reference(node: &Node, problems: &mut Problems) -> Option<Reference> {
    let text = node.as_text().filter(|text| !text.is_empty())?;
    match text.parse() {
        Ok(reference) => Some(reference),
        Err(error) => {
            let error: crate::reference::ParseError = error;
            problems.push(node.place.file, node.place.error("wrong-value", error.to_string()));
            None
        }
    }
}

pub(super) fn platform(node: &Node, problems: &mut Problems) -> Option<Platform> {
    let text = node.as_text().filter(|text| !text.is_empty())?;
    match text.parse() {
        Ok(platform) => Some(platform),
        Err(error) => {
            let error: crate::platform::ParseError = error;
            let problem = node.place.error("wrong-value", error.to_string());
            problems.push(node.place.file, problem);
            None
        }
    }
}

/// The services that one needs: those it depends on, and those whose parts it shares.
fn dependencies(map: &Map) -> Vec<(String, Place, bool)> {
    let mut found: Vec<(String, Place, bool)> = Vec::new();
    let mut add = |name: &str, place: Place, required: bool| {
        if !found.iter().any(|(known, ..)| known == name) {
            found.push((name.to_owned(), place, required));
        }
    };
    let depends_on = map.get("depends_on").map(|node| named(node.clone())).unwrap_or_default();
    for entry in &depends_on.entries {
        let required = entry.node.as_map().and_then(|map| map.get("required")).and_then(Node::shown);
        add(&entry.key, entry.key_place, required.as_deref() != Some("false"));
    }
    for (link, place) in texts(map.get("links")) {
        add(link.split(':').next().unwrap_or(&link), place, true);
    }
    for (source, place) in texts(map.get("volumes_from")) {
        if !source.starts_with("container:") {
            add(source.split(':').next().unwrap_or(&source), place, true);
        }
    }
    for key in ["network_mode", "ipc", "pid", "uts", "cgroup"] {
        if let Some(node) = map.get(key)
            && let Some(name) = node.as_text().and_then(|text| text.strip_prefix("service:"))
        {
            add(name, node.place, true);
        }
    }
    found
}

/// The named volume that a mount is of.
fn volume_of(node: &Node) -> Option<(String, Place)> {
    match &node.value {
        Value::Map(map) => {
            let kind = map.get("type").and_then(Node::as_text)?;
            let source = map.given("source").filter(|_| kind == "volume")?;
            source.as_text().map(|text| (text.to_owned(), source.place))
        }
        _ => {
            let (source, _) = node.as_text()?.split_once(':')?;
            // A letter alone is a drive.
            let is_name = source.len() > 1 && !source.starts_with(['.', '/', '~']) && !source.contains(['/', '\\']);
            is_name.then(|| (source.to_owned(), node.place))
        }
    }
}
