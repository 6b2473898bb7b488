//! Puts services behind those that they need.

use std::collections::{BTreeMap, BTreeSet};

/// What each needs, and what is known of that need.
pub(super) type Edges<'a, P> = BTreeMap<&'a str, Vec<(&'a str, P)>>;

/// The names with what they need before them, otherwise in alphabetical order; or the names of a circle, each with its
/// need of the next one.
pub(super) fn in_order<'a, P: Copy>(
    names: impl IntoIterator<Item = &'a str>,
    edges: &Edges<'a, P>,
) -> Result<Vec<&'a str>, Vec<(&'a str, P)>> {
    let mut waiting: BTreeMap<&str, usize> = names.into_iter().map(|name| (name, 0)).collect();
    let mut needed_by: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (&name, needs) in edges {
        for (need, _) in needs.iter().filter(|(need, _)| waiting.contains_key(need)) {
            needed_by.entry(need).or_default().push(name);
        }
        let count = needs.iter().filter(|(need, _)| waiting.contains_key(need)).count();
        if let Some(waits) = waiting.get_mut(name) {
            *waits = count;
        }
    }
    let mut ready: BTreeSet<&str> = waiting.iter().filter(|(_, count)| **count == 0).map(|(name, _)| *name).collect();
    let mut ordered = Vec::new();
    while let Some(name) = ready.pop_first() {
        ordered.push(name);
        waiting.remove(name);
        for other in needed_by.get(name).into_iter().flatten() {
            if let Some(count) = waiting.get_mut(other) {
                *count -= 1;
                if *count == 0 {
                    ready.insert(other);
                }
            }
        }
    }
    match waiting.keys().next() {
        None => Ok(ordered),
        Some(first) => Err(circle(first, &waiting, edges)),
    }
}

/// Whatever waits needs something that waits: following that leads into a circle.
fn circle<'a, P: Copy>(start: &'a str, waiting: &BTreeMap<&'a str, usize>, edges: &Edges<'a, P>) -> Vec<(&'a str, P)> {
    let mut path: Vec<(&str, P)> = Vec::new();
    let mut at = start;
    loop {
        if let Some(seen) = path.iter().position(|(name, _)| *name == at) {
            return path.split_off(seen);
        }
        let next = edges.get(at).into_iter().flatten().find(|(need, _)| waiting.contains_key(need));
        let Some(&(need, place)) = next else { return path };
        path.push((at, place));
        at = need;
    }
}
