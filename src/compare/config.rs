//! What two image configs say differently.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::image::{History, ImageConfig};

/// Longer histories are compared line by line, and not for what was moved.
const MAX_HISTORY: usize = 1000;

/// One key of a config with its two values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigChange {
    /// The key, as `config.Env.PATH`; `history` for a line that only one side has.
    pub key: String,
    /// Its value on the left; none if it is not there.
    pub left: Option<String>,
    /// Its value on the right.
    pub right: Option<String>,
}

/// The keys whose values differ, sorted. Layers are left out: they are compared by themselves.
pub fn config_changes(left: &ImageConfig, right: &ImageConfig) -> Vec<ConfigChange> {
    let history = history_changes(&left.history, &right.history);
    let (left, right) = (flat(left), flat(right));
    let mut keys: Vec<&String> = left.keys().chain(right.keys()).collect();
    keys.sort();
    keys.dedup();
    let changed = keys.into_iter().filter(|key| left.get(*key) != right.get(*key));
    let change =
        |key: &String| ConfigChange { key: key.clone(), left: left.get(key).cloned(), right: right.get(key).cloned() };
    changed.map(change).chain(history).collect()
}

/// Lines that only one side has, by what they say, and what else lines say differently that both have.
fn history_changes(left: &[History], right: &[History]) -> Vec<ConfigChange> {
    let mut found = Vec::new();
    for pair in paired(left, right) {
        match pair {
            (Some(left), Some(right)) => {
                let (mut a, mut b) = (BTreeMap::new(), BTreeMap::new());
                walk("history", &serde_json::to_value(left).unwrap_or_default(), &mut a);
                walk("history", &serde_json::to_value(right).unwrap_or_default(), &mut b);
                let mut keys: Vec<&String> = a.keys().chain(b.keys()).collect();
                keys.sort();
                keys.dedup();
                let changed = keys.into_iter().filter(|key| a.get(*key) != b.get(*key));
                found.extend(changed.map(|key| ConfigChange {
                    key: format!("{key} of {}", left.created_by),
                    left: a.get(key).cloned(),
                    right: b.get(key).cloned(),
                }));
            }
            (left, right) => {
                let text = |line: Option<&History>| line.map(|line| line.created_by.clone());
                found.push(ConfigChange { key: "history".to_owned(), left: text(left), right: text(right) });
            }
        }
    }
    found
}

/// Pairs lines that say the same, in order, as many as possible.
fn paired<'a>(left: &'a [History], right: &'a [History]) -> Vec<(Option<&'a History>, Option<&'a History>)> {
    let (rows, columns) = (left.len(), right.len());
    if rows > MAX_HISTORY || columns > MAX_HISTORY {
        let longest = rows.max(columns);
        return (0..longest).map(|at| (left.get(at), right.get(at))).collect();
    }
    let same = |row: usize, column: usize| left[row].created_by == right[column].created_by;
    // How many pairs the lines from here on can make.
    let mut best = vec![vec![0_usize; columns + 1]; rows + 1];
    for row in (0..rows).rev() {
        for column in (0..columns).rev() {
            best[row][column] = match same(row, column) {
                true => best[row + 1][column + 1] + 1,
                false => best[row + 1][column].max(best[row][column + 1]),
            };
        }
    }
    let (mut row, mut column, mut pairs) = (0, 0, Vec::new());
    while row < rows || column < columns {
        if row < rows && column < columns && same(row, column) {
            pairs.push((left.get(row), right.get(column)));
            (row, column) = (row + 1, column + 1);
        } else if column == columns || (row < rows && best[row + 1][column] >= best[row][column + 1]) {
            pairs.push((left.get(row), None));
            row += 1;
        } else {
            pairs.push((None, right.get(column)));
            column += 1;
        }
    }
    pairs
}

fn flat(config: &ImageConfig) -> BTreeMap<String, String> {
    let mut flat = BTreeMap::new();
    // A config that came from JSON goes back to it; what could not would be equal to nothing.
    let Ok(mut value) = serde_json::to_value(config) else { return flat };
    if let Some(map) = value.as_object_mut() {
        map.remove("rootfs");
        map.remove("history");
    }
    walk("", &value, &mut flat);
    flat
}

fn walk(key: &str, value: &Value, flat: &mut BTreeMap<String, String>) {
    let below = |name: &str| if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") };
    match value {
        Value::Object(map) if !map.is_empty() => {
            map.iter().for_each(|(name, value)| walk(&below(name), value, flat));
        }
        // The order of variables means nothing but for those of one name, of which the last counts.
        Value::Array(list) if key == "config.Env" => {
            for (name, value) in
                list.iter().filter_map(Value::as_str).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            {
                flat.insert(below(name), value.to_owned());
            }
        }
        Value::String(text) => {
            flat.insert(key.to_owned(), text.clone());
        }
        other => {
            flat.insert(key.to_owned(), other.to_string());
        }
    }
}
