//! Makes the paths of a tree absolute, before it meets trees from other folders.

use std::path::{Component, Path, PathBuf};

use super::node::{Map, Node, Scalar, Value};

/// `path` seen from `base`, without `.`, `..` and doubled slashes; `~` is `home`. Nothing is looked up.
pub(super) fn absolute(base: &Path, path: &str, home: Option<&str>) -> PathBuf {
    let expanded = match (path.strip_prefix('~'), home) {
        (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => PathBuf::from(format!("{home}{rest}")),
        _ => PathBuf::from(path),
    };
    clean(&base.join(expanded))
}

/// The same path without `.`, `..` and doubled slashes.
pub(super) fn clean(path: &Path) -> PathBuf {
    let mut cleaned = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            // Above the root there is the root.
            Component::ParentDir if cleaned.file_name().is_some() => {
                cleaned.pop();
            }
            Component::ParentDir if cleaned.has_root() => {}
            other => cleaned.push(other),
        }
    }
    cleaned
}

/// Whether a context is no folder of this machine.
pub(super) fn is_elsewhere(context: &str) -> bool {
    let prefixes = ["github.com/", "git@", "service:"];
    context.contains("://") || prefixes.iter().any(|prefix| context.starts_with(prefix))
}

/// Where the relative paths of one file lead to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Base<'a> {
    pub folder: &'a Path,
    pub home: Option<&'a str>,
}

impl Base<'_> {
    /// Makes every path absolute that a build looks at.
    pub fn rebase(self, root: &mut Node) {
        let Some(root) = root.as_map_mut() else { return };
        each(root.get_mut("services"), |service| {
            if let Some(build) = service.get_mut("build") {
                self.build(build);
            }
            if let Some(extends) = service.get_mut("extends").and_then(Node::as_map_mut)
                && let Some(file) = extends.get_mut("file")
            {
                self.path(file);
            }
        });
        each(root.get_mut("secrets"), |secret| {
            if let Some(file) = secret.get_mut("file") {
                self.path(file);
            }
        });
    }

    fn build(self, build: &mut Node) {
        if let Value::Scalar(_) = build.value {
            return self.context(build);
        }
        let Some(build) = build.as_map_mut() else { return };
        if let Some(context) = build.get_mut("context") {
            self.context(context);
        }
        if let Some(contexts) = build.get_mut("additional_contexts") {
            self.pairs(contexts, Self::context);
        }
        for key in ["cache_from", "cache_to"] {
            if let Some(Value::List(caches)) = build.get_mut(key).map(|caches| &mut caches.value) {
                caches.iter_mut().for_each(|cache| self.cache(cache));
            }
        }
        if let Some(agents) = build.get_mut("ssh") {
            self.pairs(agents, Self::path);
        }
    }

    /// The values of a mapping, or what follows the `=` in a list.
    fn pairs(self, node: &mut Node, rebase: fn(Self, &mut Node)) {
        match &mut node.value {
            Value::Map(map) => map.entries.iter_mut().for_each(|entry| rebase(self, &mut entry.node)),
            Value::List(nodes) => {
                for node in nodes {
                    let Some((name, value)) = node.as_text().and_then(|text| text.split_once('=')) else { continue };
                    let name = name.to_owned();
                    let mut value = Node::text(value, node.place);
                    rebase(self, &mut value);
                    if let Some(value) = value.as_text() {
                        node.value = Value::Scalar(Scalar::Text(format!("{name}={value}")));
                    }
                }
            }
            Value::Scalar(_) => {}
        }
    }

    fn context(self, node: &mut Node) {
        let Some(text) = node.as_text() else { return };
        match text.strip_prefix("oci-layout://") {
            Some(layout) => {
                let layout = absolute(self.folder, layout, self.home);
                node.value = Value::Scalar(Scalar::Text(format!("oci-layout://{}", layout.display())));
            }
            None if is_elsewhere(text) => {}
            None => self.path(node),
        }
    }

    /// The folder in `type=local,src=FOLDER`.
    fn cache(self, node: &mut Node) {
        let Some(text) = node.as_text().filter(|text| text.split(',').any(|field| field.trim() == "type=local")) else {
            return;
        };
        let field = |field: &str| match field.split_once('=') {
            Some((key @ ("src" | "dest"), path)) => {
                format!("{key}={}", absolute(self.folder, path, self.home).display())
            }
            _ => field.to_owned(),
        };
        let fields: Vec<String> = text.split(',').map(field).collect();
        node.value = Value::Scalar(Scalar::Text(fields.join(",")));
    }

    fn path(self, node: &mut Node) {
        if let Some(text) = node.as_text().filter(|text| !text.is_empty()) {
            let path = absolute(self.folder, text, self.home);
            node.value = Value::Scalar(Scalar::Text(path.display().to_string()));
        }
    }
}

/// Calls `act` with every mapping in a section.
fn each(section: Option<&mut Node>, mut act: impl FnMut(&mut Map)) {
    let Some(section) = section.and_then(Node::as_map_mut) else { return };
    for entry in &mut section.entries {
        if let Some(map) = entry.node.as_map_mut() {
            act(map);
        }
    }
}
