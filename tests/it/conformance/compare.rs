//! Puts an image into the form of an expectation and names the first difference.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::support::image::Image;
use crate::support::rootfs::absolute;

/// The settings of a config that are compared.
const SETTINGS: [&str; 12] = [
    "Env",
    "Entrypoint",
    "Cmd",
    "WorkingDir",
    "User",
    "ExposedPorts",
    "Volumes",
    "Labels",
    "StopSignal",
    "Shell",
    "Healthcheck",
    "OnBuild",
];

/// The entries of a config itself that are compared.
const ENTRIES: [&str; 4] = ["author", "architecture", "variant", "os"];

/// A tree: each path with its line.
pub type Listing = BTreeMap<Vec<u8>, String>;

/// `{"ok": true, "config", "tree"}` of an image; its tree is what differs from the base's.
pub fn outcome(image: &Image, base: &Listing) -> Result<Value, String> {
    Ok(json!({"ok": true, "config": settings(&image.config), "tree": changes(base, &image.rootfs()?.listing())}))
}

fn settings(config: &Value) -> Map<String, Value> {
    let own = SETTINGS.iter().map(|key| (*key, &config["config"][*key]));
    let all = own.chain(ENTRIES.iter().map(|key| (*key, &config[*key])));
    all.filter(|(_, value)| !is_empty(value)).map(|(key, value)| (key.to_owned(), plain(key, value))).collect()
}

/// Ports and volumes are the keys of objects without content; the rest is taken as it is.
fn plain(key: &str, value: &Value) -> Value {
    match value {
        Value::Object(object) if matches!(key, "ExposedPorts" | "Volumes") => {
            let mut keys: Vec<&String> = object.keys().collect();
            keys.sort();
            json!(keys)
        }
        _ => value.clone(),
    }
}

/// What a config may as well leave out.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(object) => object.is_empty(),
    }
}

/// The lines of paths that are new or another than in the base, and `- path` for those that are gone.
fn changes(base: &Listing, tree: &Listing) -> Vec<String> {
    let mut changed: BTreeMap<&[u8], String> = BTreeMap::new();
    let new = tree.iter().filter(|(path, line)| base.get(*path) != Some(line));
    changed.extend(new.map(|(path, line)| (path.as_slice(), line.clone())));
    let gone = base.keys().filter(|path| !tree.contains_key(*path));
    changed.extend(gone.map(|path| (path.as_slice(), format!("- {}", absolute(path)))));
    changed.into_values().collect()
}

/// The first difference between two builds that succeeded, in words; nothing if they agree.
pub fn first_difference(wanted: &Value, got: &Value) -> Option<String> {
    let object = |value: &Value| value["config"].as_object().cloned().unwrap_or_default();
    let (want, have) = (object(wanted), object(got));
    let key = want.keys().chain(have.keys()).filter(|key| want.get(*key) != have.get(*key)).min();
    let show = |value: Option<&Value>| value.map_or("nothing".to_owned(), Value::to_string);
    if let Some(key) = key {
        return Some(format!("config {key}: must be {}, is {}", show(want.get(key)), show(have.get(key))));
    }
    let lines = |value: &Value| -> Vec<String> {
        let list = value["tree"].as_array().map_or(&[][..], Vec::as_slice);
        list.iter().map(|line| line.as_str().unwrap_or("a line that is no text").to_owned()).collect()
    };
    let (want, have) = (lines(wanted), lines(got));
    let only = |these: &[String], others: &[String]| {
        let line = these.iter().find(|line| !others.contains(line));
        line.map_or("no other line".to_owned(), |line| format!("`{line}`"))
    };
    (want != have).then(|| format!("tree: must have {}, has {}", only(&want, &have), only(&have, &want)))
}

#[test]
fn settings_are_compared_without_what_is_empty() {
    let config = json!({
        "os": "linux", "variant": "", "created": "x", "rootfs": {},
        "config": {"Env": ["b=1", "a=2"], "Cmd": [], "User": "", "Volumes": {"/b": {}, "/a": {}}, "Labels": null},
    });
    let expected = json!({"Env": ["b=1", "a=2"], "Volumes": ["/a", "/b"], "os": "linux"});
    assert_eq!(Value::Object(settings(&config)), expected);
}

#[test]
fn a_tree_is_told_by_its_changes() {
    let tree = |lines: &[(&str, &str)]| lines.iter().map(|(p, l)| (p.as_bytes().to_vec(), (*l).to_owned())).collect();
    let base: Listing = tree(&[("a", "1 /a"), ("b", "2 /b"), ("c\n", "3 /c")]);
    let now: Listing = tree(&[("a", "1 /a"), ("b", "4 /b"), ("d", "5 /d")]);
    assert_eq!(changes(&base, &now), ["4 /b", "- \"/c\\n\"", "5 /d"]);
}

#[test]
fn the_first_difference_is_named() {
    let build = |env: &[&str], tree: &[&str]| json!({"ok": true, "config": {"Env": env}, "tree": tree});
    let check = |a: &Value, b: &Value| first_difference(a, b).unwrap_or_default();
    assert_eq!(check(&build(&["a"], &["x"]), &build(&["a"], &["x"])), "");
    assert_eq!(
        check(&build(&["a", "b"], &[]), &build(&["b", "a"], &[])),
        r#"config Env: must be ["a","b"], is ["b","a"]"#
    );
    assert_eq!(check(&build(&[], &["x", "y"]), &build(&[], &["y"])), "tree: must have `x`, has no other line");
}
