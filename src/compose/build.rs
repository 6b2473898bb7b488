//! Reads how an image is built out of a merged tree.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::merge::{host_list, pairs};
use super::model::{Build, Dockerfile, NamedContext};
use super::node::{FileId, Map, Node, Place, Scalar, Value};
use super::problems::Problems;
use super::secrets;
use super::service::{Model, platform, reference};
use crate::dockerfile::{Diagnostic, parse_size};
use crate::platform::Platform;
use crate::reference::Reference;

/// Reads `build`; `service_platform` is that of the service.
pub(super) fn read(
    model: &Model<'_>,
    node: &Node,
    service_platform: Option<Platform>,
    problems: &mut Problems,
) -> Build {
    let empty = Map::default();
    let map = node.as_map().unwrap_or(&empty);
    let mut reader = Reader { model, map, place: node.place, problems, places: BTreeMap::new(), refused: Vec::new() };
    reader.build(service_platform)
}

struct Reader<'a> {
    model: &'a Model<'a>,
    map: &'a Map,
    place: Place,
    problems: &'a mut Problems,
    places: BTreeMap<String, Place>,
    refused: Vec<(FileId, Diagnostic)>,
}

impl Reader<'_> {
    fn build(&mut self, service_platform: Option<Platform>) -> Build {
        Build {
            context: self.text("context").unwrap_or_default(),
            dockerfile: self.dockerfile(),
            args: self.args(),
            target: self.text("target"),
            labels: self.pairs("labels"),
            tags: self.tags(),
            platform: self.platform(service_platform),
            network: self.network(),
            shm_size: self.shm_size(),
            extra_hosts: self.extra_hosts(),
            ulimits: self.ulimits(),
            pull: self.flag("pull"),
            no_cache: self.flag("no_cache"),
            no_cache_filter: self.list("no_cache_filter").into_iter().map(|(text, _)| text).collect(),
            cache_from: self.caches("cache_from", &["local", "registry"], CACHE_FROM),
            cache_to: self.caches("cache_to", &["local", "inline"], CACHE_TO),
            secrets: self.secrets(),
            ssh: self.ssh(),
            entitlements: self.entitlements(),
            additional_contexts: self.contexts(),
            places: self.all_places(),
            place: self.place,
            refused: std::mem::take(&mut self.refused),
        }
    }

    fn all_places(&mut self) -> BTreeMap<String, Place> {
        for key in ["provenance", "sbom"] {
            let Some(node) = self.map.given(key) else { continue };
            if node.shown().as_deref() != Some("false") {
                let message = format!("`{key}` is left out: images have no attestations yet");
                self.problems.push(node.place.file, Diagnostic::warning("not-used", node.place.span, message));
            }
        }
        let keys = self.map.entries.iter().map(|entry| (entry.key.clone(), entry.node.place));
        std::mem::take(&mut self.places).into_iter().chain(keys).collect()
    }

    fn wrong(&mut self, place: Place, message: impl Into<String>, help: &str) {
        let problem = place.error("wrong-value", message);
        let problem = if help.is_empty() { problem } else { problem.with_help(help) };
        self.problems.push(place.file, problem);
    }

    /// Something that is right, but cannot be built.
    fn refuse(&mut self, place: Place, what: impl Into<String>, help: &str) {
        let problem = place.error("unsupported", what).with_label("rbuild cannot do this");
        let problem = if help.is_empty() { problem } else { problem.with_help(help) };
        self.refused.push((place.file, problem));
    }

    fn text(&self, key: &str) -> Option<String> {
        self.map.given(key).and_then(Node::as_text).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    fn list(&self, key: &str) -> Vec<(String, Place)> {
        let Some(node) = self.map.given(key) else { return Vec::new() };
        let one = |node: &Node| node.as_text().map(|text| (text.to_owned(), node.place));
        match &node.value {
            Value::List(nodes) => nodes.iter().filter_map(one).collect(),
            Value::Scalar(_) | Value::Map(_) => one(node).into_iter().collect(),
        }
    }

    fn flag(&mut self, key: &str) -> bool {
        let Some(node) = self.map.given(key) else { return false };
        // Another kind of value was reported with its shape.
        let Value::Scalar(Scalar::Text(_) | Scalar::Bool(_)) = node.value else { return false };
        match node.shown().unwrap_or_default().to_ascii_lowercase().as_str() {
            "true" | "1" | "t" => true,
            "false" | "0" | "f" | "" => false,
            other => {
                let message = format!("`{key}` is `{}`, which is neither true nor false", other.escape_debug());
                self.wrong(node.place, message, "write `true` or `false`");
                false
            }
        }
    }

    fn dockerfile(&mut self) -> Dockerfile {
        let (file, inline) = (self.text("dockerfile"), self.text("dockerfile_inline"));
        match (file, inline) {
            (None, None) => Dockerfile::Default,
            (Some(file), None) => Dockerfile::File(file),
            (None, Some(text)) => Dockerfile::Inline(text),
            (Some(_), Some(text)) => {
                let place = self.map.get("dockerfile_inline").map_or(self.place, |node| node.place);
                let place = self.map.entry("dockerfile_inline").map_or(place, |entry| entry.key_place);
                let problem = place.error("conflict", "there are both `dockerfile` and `dockerfile_inline`");
                self.problems.push(place.file, problem.with_help("leave one out"));
                Dockerfile::Inline(text)
            }
        }
    }

    /// An argument without a value has that of the variable; without one it is not given.
    fn args(&mut self) -> BTreeMap<String, String> {
        let Some(node) = self.map.given("args") else { return BTreeMap::new() };
        let mut args = BTreeMap::new();
        for entry in pairs(node.clone()).entries {
            self.warn_of_number(&entry.node);
            let value = match entry.node.shown() {
                Some(value) => Some(value),
                None => self.model.variables.get(&entry.key).cloned(),
            };
            if entry.key.is_empty() {
                self.wrong(entry.key_place, "a build argument has no name", "write `NAME: VALUE` or `- NAME=VALUE`");
            }
            args.extend(value.map(|value| (entry.key, value)));
        }
        args
    }

    /// A version such as 3.10 is a number, and as such 3.1.
    fn warn_of_number(&mut self, node: &Node) {
        let Value::Scalar(Scalar::Float(_)) = node.value else { return };
        let written = self.problems.file(node.place.file).slice(node.place.span).to_owned();
        let value = node.shown().unwrap_or_default();
        if value != written {
            let message = format!("`{written}` is a number here, which is passed on as `{value}`");
            let problem = Diagnostic::warning("number-changes", node.place.span, message);
            let problem = problem.with_fix("put it in quotes", node.place.span, format!("\"{written}\""));
            self.problems.push(node.place.file, problem);
        }
    }

    fn pairs(&mut self, key: &str) -> BTreeMap<String, String> {
        let Some(node) = self.map.given(key) else { return BTreeMap::new() };
        let entries = pairs(node.clone()).entries;
        entries.into_iter().map(|entry| (entry.key, entry.node.shown().unwrap_or_default())).collect()
    }

    fn tags(&mut self) -> Vec<Reference> {
        let nodes = self.map.get("tags").and_then(Node::as_list).unwrap_or(&[]);
        let mut tags: Vec<Reference> = Vec::new();
        for node in nodes {
            let Some(tag) = reference(node, self.problems) else { continue };
            if tag.digest().is_some() {
                self.wrong(node.place, "a digest cannot be given to an image as its name", "write `NAME:TAG`");
            } else if !tags.contains(&tag) {
                tags.push(tag);
            }
        }
        tags
    }

    fn platform(&mut self, of_service: Option<Platform>) -> Option<Platform> {
        let nodes = self.map.get("platforms").and_then(Node::as_list).unwrap_or(&[]);
        let mut platforms: Vec<(Platform, Place)> = Vec::new();
        for node in nodes {
            if let Some(platform) = platform(node, self.problems)
                && !platforms.iter().any(|(known, _)| *known == platform)
            {
                platforms.push((platform, node.place));
            }
        }
        if let (Some(wanted), false) = (&of_service, platforms.is_empty())
            && !platforms.iter().any(|(known, _)| known == wanted)
            && !self.model.is_partial
        {
            let place = self.map.get("platforms").map_or(self.place, |node| node.place);
            self.wrong(
                place,
                format!("`platforms` does not have the service's platform, {wanted}"),
                "add it to the list",
            );
        }
        if let Some((_, place)) = platforms.get(1) {
            self.refuse(
                *place,
                "an image for several platforms",
                "leave one in the list, and build on a machine of each",
            );
        }
        platforms.into_iter().map(|(platform, _)| platform).next().or(of_service)
    }

    fn network(&mut self) -> Option<String> {
        let network = self.text("network")?;
        if !matches!(network.as_str(), "default" | "host" | "none") {
            let place = self.map.get("network").map_or(self.place, |node| node.place);
            let what = format!("a build in the network `{}`", network.escape_debug());
            self.refuse(place, what, "it may be `default`, `host` or `none`");
        }
        Some(network)
    }

    fn shm_size(&mut self) -> Option<u64> {
        let node = self.map.given("shm_size")?;
        let text = node.shown()?;
        let size = parse_size(&text).filter(|size| *size > 0);
        if size.is_none() {
            self.wrong(node.place, format!("`{}` is not a size", text.escape_debug()), "write for example `64m`");
        }
        size
    }

    fn extra_hosts(&mut self) -> Vec<String> {
        let Some(node) = self.map.given("extra_hosts") else { return Vec::new() };
        let mut hosts = Vec::new();
        for node in host_list(node.clone()) {
            let Some(text) = node.as_text() else { continue };
            let parts = text.split_once('=').or_else(|| text.split_once(':'));
            let is_address = |address: &str| {
                let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
                bare == "host-gateway" || bare.parse::<IpAddr>().is_ok()
            };
            match parts.filter(|(name, address)| !name.is_empty() && is_address(address)) {
                Some((name, address)) => hosts.push(format!("{name}={address}")),
                None => {
                    let message = format!("`{}` is not a host with its address", text.escape_debug());
                    self.wrong(node.place, message, "write for example `database=10.0.0.5`");
                }
            }
        }
        hosts
    }

    fn ulimits(&mut self) -> Vec<String> {
        let Some(map) = self.map.get("ulimits").and_then(Node::as_map) else { return Vec::new() };
        let mut limits = Vec::new();
        for entry in &map.entries {
            let (soft, hard) = match entry.node.as_map() {
                Some(both) => (both.given("soft").and_then(Node::shown), both.given("hard").and_then(Node::shown)),
                None if entry.node.as_list().is_some() => continue,
                None => (entry.node.shown(), entry.node.shown()),
            };
            match (soft, hard) {
                (Some(soft), Some(hard)) => limits.push(format!("{}={soft}:{hard}", entry.key)),
                _ => {
                    let message = format!("the limit `{}` needs both `soft` and `hard`", entry.key.escape_debug());
                    self.wrong(entry.key_place, message, "");
                }
            }
        }
        limits
    }

    /// Caches of these types; a name alone is one in a registry.
    fn caches(&mut self, key: &str, known: &[&str], help: &str) -> Vec<String> {
        let mut caches = Vec::new();
        for (text, place) in self.list(key) {
            let kind = text.split(',').find_map(|field| field.trim().strip_prefix("type=")).unwrap_or("registry");
            if known.contains(&kind) {
                caches.push(text);
            } else {
                self.refuse(place, format!("a cache of type `{}` in `{key}`", kind.escape_debug()), help);
            }
        }
        caches
    }

    fn secrets(&mut self) -> Vec<super::model::Secret> {
        let Some(node) = self.map.given("secrets") else { return Vec::new() };
        let mut refused = Vec::new();
        let secrets = secrets::granted(self.model, node, self.problems, &mut |place, what| refused.push((place, what)));
        for (place, what) in refused {
            self.refuse(place, what, "give the secret a `file`, or the name of a variable as `environment`");
        }
        secrets
    }

    fn ssh(&mut self) -> Vec<String> {
        let Some(node) = self.map.given("ssh") else { return Vec::new() };
        let mut agents = Vec::new();
        for entry in pairs(node.clone()).entries {
            match entry.node.shown().filter(|path| !path.is_empty()) {
                Some(path) => agents.push(format!("{}={path}", entry.key)),
                None if entry.key == "default" => agents.push(entry.key),
                None => {
                    let message = format!("the ssh agent `{}` has no path", entry.key.escape_debug());
                    self.wrong(entry.key_place, message, "write `default`, or `ID=PATH`");
                }
            }
        }
        agents
    }

    fn entitlements(&mut self) -> Vec<String> {
        let mut found = Vec::new();
        for (text, place) in self.list("entitlements") {
            match text.as_str() {
                "network.host" | "security.insecure" | "device" => found.push(text),
                device if device.starts_with("device=") => found.push(text),
                other => {
                    let message = format!("`{}` is not an entitlement", other.escape_debug());
                    self.wrong(
                        place,
                        message,
                        "it may be `network.host`, `security.insecure`, `device` or `device=NAME`",
                    );
                }
            }
        }
        if self.flag("privileged") && !found.iter().any(|known| known == "security.insecure") {
            found.push("security.insecure".to_owned());
        }
        found
    }

    fn contexts(&mut self) -> BTreeMap<String, NamedContext> {
        let Some(node) = self.map.given("additional_contexts") else { return BTreeMap::new() };
        let mut contexts = BTreeMap::new();
        for entry in pairs(node.clone()).entries {
            let Some(value) = entry.node.shown().filter(|value| !value.is_empty()) else {
                let message = format!("the context `{}` has no value", entry.key.escape_debug());
                self.wrong(entry.key_place, message, "write `NAME: FOLDER`, `service:NAME` or `docker-image://NAME`");
                continue;
            };
            let context = match value.strip_prefix("service:") {
                Some(service) => NamedContext::Service(service.to_owned()),
                None => NamedContext::Value(value),
            };
            self.places.insert(format!("additional_contexts.{}", entry.key), entry.node.place);
            contexts.insert(entry.key, context);
        }
        contexts
    }
}

const CACHE_FROM: &str = "leave it out, or write the name of an image that holds a cache, or `type=local,src=…`";
const CACHE_TO: &str = "leave it out, or write `type=inline` or `type=local,dest=…`";
