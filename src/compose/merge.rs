//! Lays one tree over another, by the rules of compose.

use super::node::{Entry, Map, Node, Scalar, Tag, Value};
use super::problems::Problems;

/// How the values of one key are merged, where it is not how all values are: mappings key by key, lists one after the
/// other, and else the new value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// The new value.
    Replace,
    /// Pairs, given as a mapping or as a list of `NAME=VALUE`.
    Pairs,
    /// The short form is the mapping's `context`.
    Build,
    /// Names, given as a mapping or as a list.
    Names,
    /// A list, given as one or as a single text.
    List,
    /// A list without what is in it already.
    Hosts,
    /// Only if the drivers are the same.
    Logging,
}

/// The keys with a rule of their own; `*` is any name.
const RULES: &[(&[&str], Rule)] = &[
    (&["networks", "*", "labels"], Rule::Pairs),
    (&["volumes", "*", "labels"], Rule::Pairs),
    (&["services", "*", "annotations"], Rule::Pairs),
    (&["services", "*", "build"], Rule::Build),
    (&["services", "*", "build", "args"], Rule::Pairs),
    (&["services", "*", "build", "additional_contexts"], Rule::Pairs),
    (&["services", "*", "build", "extra_hosts"], Rule::Hosts),
    (&["services", "*", "build", "labels"], Rule::Pairs),
    (&["services", "*", "build", "no_cache_filter"], Rule::List),
    (&["services", "*", "build", "ssh"], Rule::Pairs),
    (&["services", "*", "command"], Rule::Replace),
    (&["services", "*", "depends_on"], Rule::Names),
    (&["services", "*", "deploy", "labels"], Rule::Pairs),
    (&["services", "*", "dns"], Rule::List),
    (&["services", "*", "dns_search"], Rule::List),
    (&["services", "*", "entrypoint"], Rule::Replace),
    (&["services", "*", "env_file"], Rule::List),
    (&["services", "*", "environment"], Rule::Pairs),
    (&["services", "*", "extra_hosts"], Rule::Hosts),
    (&["services", "*", "gpus"], Rule::Replace),
    (&["services", "*", "healthcheck", "test"], Rule::Replace),
    (&["services", "*", "label_file"], Rule::List),
    (&["services", "*", "labels"], Rule::Pairs),
    (&["services", "*", "logging"], Rule::Logging),
    (&["services", "*", "models"], Rule::Names),
    (&["services", "*", "networks"], Rule::Names),
    (&["services", "*", "sysctls"], Rule::Pairs),
    (&["services", "*", "tmpfs"], Rule::List),
    (&["services", "*", "build", "ulimits", "*"], Rule::Replace),
    (&["services", "*", "ulimits", "*"], Rule::Replace),
];

/// Lays `over` over `base`; both stand at `path`.
pub(super) fn merge(base: Node, over: Node, path: &[&str], problems: &mut Problems) -> Node {
    Merger { path: path.iter().map(|part| (*part).to_owned()).collect(), problems }.values(base, over)
}

/// Takes away what is marked with `!reset`, where nothing is there that it could take away.
pub(super) fn drop_resets(node: &mut Node) {
    node.tag = Tag::Merge;
    match &mut node.value {
        Value::Scalar(_) => {}
        Value::List(nodes) => {
            nodes.retain(|node| node.tag != Tag::Reset);
            nodes.iter_mut().for_each(drop_resets);
        }
        Value::Map(map) => {
            map.entries.retain(|entry| entry.node.tag != Tag::Reset);
            map.entries.iter_mut().for_each(|entry| drop_resets(&mut entry.node));
        }
    }
}

/// A mapping of what is given as a mapping, or as a list of `NAME=VALUE`; a name alone has an empty value.
pub(super) fn pairs(node: Node) -> Map {
    match node.value {
        Value::Map(map) => map,
        Value::List(nodes) => {
            let mut map = Map::default();
            for node in nodes {
                let Some(text) = node.as_text() else { continue };
                let (key, value) = match text.split_once('=') {
                    Some((key, value)) => (key.to_owned(), Node::text(value, node.place)),
                    None => (text.to_owned(), Node::null(node.place)),
                };
                map.put(Entry { key, key_place: node.place, node: value });
            }
            map
        }
        Value::Scalar(_) => Map::default(),
    }
}

/// A mapping of what is given as a mapping, or as a list of names.
pub(super) fn named(node: Node) -> Map {
    match node.value {
        Value::Map(map) => map,
        Value::List(nodes) => {
            let mut map = Map::default();
            for node in nodes {
                let Some(key) = node.as_text().map(str::to_owned) else { continue };
                map.put(Entry { key, key_place: node.place, node: Node::null(node.place) });
            }
            map
        }
        Value::Scalar(_) => Map::default(),
    }
}

/// The long form of `build`.
pub(super) fn long_build(build: Node) -> Node {
    let Node { value, place, tag } = build;
    let value = match value {
        value @ Value::Scalar(Scalar::Text(_)) => {
            let entry = Entry { key: "context".to_owned(), key_place: place, node: Node::new(value, place) };
            Value::Map(Map { entries: vec![entry] })
        }
        value => value,
    };
    Node { value, place, tag }
}

struct Merger<'a> {
    path: Vec<String>,
    problems: &'a mut Problems,
}

impl Merger<'_> {
    fn values(&mut self, base: Node, over: Node) -> Node {
        if over.tag == Tag::Override {
            return over;
        }
        let place = over.place;
        let whole = |map| Node::new(Value::Map(map), place);
        match self.rule() {
            Some(Rule::Replace) => over,
            Some(Rule::Pairs) => whole(laid_over(pairs(base), pairs(over))),
            Some(Rule::Names) => whole(self.maps(named(base), named(over))),
            Some(Rule::Build) => self.plain(long_build(base), long_build(over)),
            Some(Rule::List) => appended(base, over),
            Some(Rule::Hosts) => hosts(base, over),
            Some(Rule::Logging) if !same_driver(&base, &over) => over,
            Some(Rule::Logging) | None => self.plain(base, over),
        }
    }

    fn rule(&self) -> Option<Rule> {
        let fits = |pattern: &[&str]| {
            pattern.len() == self.path.len()
                && pattern.iter().zip(&self.path).all(|(part, found)| *part == "*" || part == found)
        };
        RULES.iter().find(|(pattern, _)| fits(pattern)).map(|(_, rule)| *rule)
    }

    fn plain(&mut self, base: Node, over: Node) -> Node {
        if over.is_null() {
            return base;
        }
        let (base_place, place) = (base.place, over.place);
        let (base_kind, over_kind) = (base.kind(), over.kind());
        match (base.value, over.value) {
            (Value::Map(base), Value::Map(over)) => Node::new(Value::Map(self.maps(base, over)), place),
            (Value::List(mut base), Value::List(over)) => {
                base.extend(over);
                Node::new(Value::List(base), place)
            }
            (Value::Scalar(_), value) => Node::new(value, place),
            (base, _) if self.problems.has_error_at(place) => Node::new(base, base_place),
            (base, _) => {
                let message = format!("`{}` cannot be merged: {over_kind} over {base_kind}", self.path.join("."));
                let problem = place
                    .error("cannot-merge", message)
                    .with_label(format!("this is {over_kind}"))
                    .with_note(format!("{base_kind} stands in {}", self.problems.shown(base_place)))
                    .with_help("`!override` before the value replaces what is there");
                self.problems.push(place.file, problem);
                Node::new(base, base_place)
            }
        }
    }

    fn maps(&mut self, mut base: Map, over: Map) -> Map {
        for entry in over.entries {
            if entry.node.tag == Tag::Reset {
                base.remove(&entry.key);
                continue;
            }
            let Some(at) = base.entries.iter().position(|old| old.key == entry.key) else {
                base.entries.push(entry);
                continue;
            };
            let old = std::mem::replace(&mut base.entries[at].node, Node::null(entry.key_place));
            self.path.push(entry.key.clone());
            let node = self.values(old, entry.node);
            self.path.pop();
            base.entries[at] = Entry { key: entry.key, key_place: entry.key_place, node };
        }
        base
    }
}

/// Each pair as the new one has it, also if that has no value.
fn laid_over(mut base: Map, over: Map) -> Map {
    for entry in over.entries {
        match entry.node.tag {
            Tag::Reset => drop(base.remove(&entry.key)),
            Tag::Merge | Tag::Override => base.put(entry),
        }
    }
    base
}

fn appended(base: Node, over: Node) -> Node {
    let place = over.place;
    let items = |node: Node| match node.value {
        Value::List(nodes) => nodes,
        Value::Scalar(Scalar::Null) | Value::Map(_) => Vec::new(),
        value @ Value::Scalar(_) => vec![Node { value, ..node }],
    };
    let mut nodes = items(base);
    nodes.extend(items(over));
    Node::new(Value::List(nodes), place)
}

/// `NAME=ADDRESS` each.
fn hosts(base: Node, over: Node) -> Node {
    let place = over.place;
    let mut nodes = host_list(base);
    for node in host_list(over) {
        if !nodes.iter().any(|old| old.value == node.value) {
            nodes.push(node);
        }
    }
    Node::new(Value::List(nodes), place)
}

/// Hosts as a list of `NAME=ADDRESS`; a list may also have `NAME:ADDRESS`.
pub(super) fn host_list(node: Node) -> Vec<Node> {
    match node.value {
        Value::List(nodes) => nodes,
        Value::Scalar(_) => Vec::new(),
        Value::Map(map) => {
            let mut found = Vec::new();
            for entry in map.entries {
                let addresses = match entry.node.value {
                    Value::List(nodes) => nodes,
                    value => vec![Node { value, ..entry.node }],
                };
                for address in addresses {
                    let text = format!("{}={}", entry.key, address.shown().unwrap_or_default());
                    found.push(Node::text(text, address.place));
                }
            }
            found
        }
    }
}

fn same_driver(base: &Node, over: &Node) -> bool {
    let driver = |node: &Node| node.as_map().and_then(|map| map.get("driver")).and_then(Node::shown);
    match (driver(base), driver(over)) {
        (Some(base), Some(over)) => base == over,
        _ => true,
    }
}
