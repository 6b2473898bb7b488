//! What became of each step of a build, as plain progress tells it.

use std::collections::BTreeMap;

/// A line for each step: its instruction, and `cached`, `ran` or `ran because …`; `failed` where it did.
pub fn steps(stderr: &str) -> String {
    let mut texts: BTreeMap<u32, String> = BTreeMap::new();
    let mut ends: BTreeMap<u32, String> = BTreeMap::new();
    for line in stderr.lines() {
        let Some((number, rest)) = line.strip_prefix('#').and_then(|line| line.split_once(' ')) else { continue };
        let Ok(number) = number.parse() else { continue };
        if let Some((_, text)) = rest.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
            texts.insert(number, text.to_owned());
        } else if rest == "CACHED" {
            ends.insert(number, "cached".to_owned());
        } else if let Some(reason) = rest.strip_prefix("runs because ") {
            ends.insert(number, format!("ran because {reason}"));
        } else if rest.starts_with("DONE ") {
            ends.entry(number).or_insert_with(|| "ran".to_owned());
        } else if rest.starts_with("FAILED ") {
            ends.insert(number, "failed".to_owned());
        }
    }
    let end = |number| ends.get(number).map_or("?", String::as_str);
    texts.iter().map(|(number, text)| format!("{text}: {}\n", end(number))).collect()
}
