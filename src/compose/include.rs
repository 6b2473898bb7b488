//! `include`: other projects, whose services and resources become part of this one.

use std::path::{Path, PathBuf};

use super::load::{Loader, Scope};
use super::merge::merge;
use super::node::{Entry, Map, Node, Place, Value};
use super::paths::{absolute, is_elsewhere};

/// Projects that include each other.
const MAX_DEPTH: usize = 50;

const SECTIONS: [&str; 6] = ["services", "volumes", "networks", "secrets", "configs", "models"];

/// One entry of `include`.
struct Included {
    place: Place,
    paths: Vec<(String, Place)>,
    folder: Option<String>,
    env_files: Vec<(String, Place)>,
}

/// Takes everything into `document` that its `include` names. `trail` has the files that led here.
pub(super) fn apply(loader: &mut Loader<'_>, document: &mut Node, scope: &Scope, trail: &[PathBuf]) {
    let Some(root) = document.as_map_mut() else { return };
    let Some(Entry { node, .. }) = root.remove("include") else { return };
    let Value::List(items) = node.value else { return };
    for item in items {
        let Some(included) = read(&item) else { continue };
        if let Some(model) = load(loader, &included, scope, trail) {
            import(loader, model, root);
        }
    }
}

fn read(item: &Node) -> Option<Included> {
    let texts = |node: &Node| -> Vec<(String, Place)> {
        let one = |node: &Node| node.as_text().map(|text| (text.to_owned(), node.place));
        match &node.value {
            Value::List(nodes) => nodes.iter().filter_map(one).collect(),
            _ => one(node).into_iter().collect(),
        }
    };
    match &item.value {
        Value::Map(map) => Some(Included {
            place: item.place,
            paths: map.get("path").map(texts).unwrap_or_default(),
            folder: map.given("project_directory").and_then(Node::as_text).map(str::to_owned),
            env_files: map.get("env_file").map(texts).unwrap_or_default(),
        }),
        Value::Scalar(_) => {
            Some(Included { place: item.place, paths: texts(item), folder: None, env_files: Vec::new() })
        }
        Value::List(_) => None,
    }
}

fn load(loader: &mut Loader<'_>, included: &Included, scope: &Scope, trail: &[PathBuf]) -> Option<Node> {
    let home = scope.variables.get("HOME").map(String::as_str);
    let Some((_, first_place)) = included.paths.first() else {
        let problem = included.place.error("wrong-value", "an include needs a `path`");
        loader.problems.push(included.place.file, problem.with_help("write `path: FILE`"));
        return None;
    };
    let mut paths = Vec::new();
    for (text, place) in &included.paths {
        if is_elsewhere(text) || text.starts_with("oci:") {
            let problem = place.error("unsupported", "a compose file from elsewhere cannot be included");
            loader.problems.push(place.file, problem.with_label("not a file of this machine"));
            return None;
        }
        paths.push((absolute(&scope.folder, text, home), *place));
    }
    let main = paths[0].0.clone();
    if let Some(at) = trail.iter().position(|path| *path == main) {
        let shown = |path: &PathBuf| format!("`{}`", loader.shown(path).display());
        let circle: Vec<String> = trail[at..].iter().chain([&main]).map(shown).collect();
        let problem = first_place.error("include-cycle", format!("{} includes itself", shown(&main)));
        loader.problems.push(first_place.file, problem.with_note(circle.join(" includes ")));
        return None;
    }
    if trail.len() > MAX_DEPTH {
        let problem = first_place.error("include-cycle", format!("more than {MAX_DEPTH} files include each other"));
        loader.problems.push(first_place.file, problem);
        return None;
    }
    let folder = match &included.folder {
        Some(folder) => absolute(&scope.folder, folder, home),
        None => main.parent().unwrap_or(Path::new("/")).to_path_buf(),
    };
    let scope = scope_of(loader, included, scope, folder)?;
    let mut files = Vec::new();
    for (path, place) in paths {
        files.push(loader.parse_from(&path, place)?);
    }
    Some(loader.model(files, &scope, trail))
}

/// The variables of an included project: ours, and below them those of its env files.
fn scope_of(loader: &mut Loader<'_>, included: &Included, outer: &Scope, folder: PathBuf) -> Option<Scope> {
    let home = outer.variables.get("HOME").map(String::as_str);
    let mut files: Vec<(PathBuf, Place)> = Vec::new();
    if included.env_files.is_empty() {
        let default = folder.join(".env");
        if loader.exists(&default) {
            files.push((default, included.place));
        }
    }
    let named = included.env_files.iter().filter(|(text, _)| text != "/dev/null");
    files.extend(named.map(|(text, place)| (absolute(&outer.folder, text, home), *place)));
    let mut values = std::collections::BTreeMap::new();
    for (path, place) in files {
        if let Err(error) = loader.env_file(&path, &outer.variables, &mut values) {
            loader.problems.push(place.file, place.error("no-file", error.to_string()).with_label("named here"));
            return None;
        }
    }
    values.extend(outer.variables.clone());
    Some(Scope { folder, variables: values })
}

/// What is in both counts as the including file has it.
fn import(loader: &mut Loader<'_>, model: Node, root: &mut Map) {
    let Value::Map(mut model) = model.value else { return };
    for section in SECTIONS {
        let Some(Entry { key, key_place, node }) = model.remove(section) else { continue };
        let Value::Map(imported) = node.value else { continue };
        if root.given(section).is_none() {
            root.put(Entry { key, key_place, node: Node::new(Value::Map(imported), node.place) });
            continue;
        }
        let Some(own) = root.get_mut(section).and_then(Node::as_map_mut) else { continue };
        for entry in imported.entries {
            match own.entries.iter().position(|old| old.key == entry.key) {
                None => own.entries.push(entry),
                Some(at) => {
                    let local = std::mem::replace(&mut own.entries[at].node, Node::null(entry.key_place));
                    let path = [section, entry.key.as_str()];
                    own.entries[at].node = merge(entry.node, local, &path, &mut loader.problems);
                }
            }
        }
    }
}
