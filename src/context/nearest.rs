//! The existing path that a missing one was probably meant to be.

use super::error::Result;
use super::source::Source;
use crate::path::ContextPath;

/// More names than this in a folder are not compared.
const MAX_NAMES: usize = 5_000;

/// Replaces the first component of `missing` that does not exist by the most similar name beside it, if one is similar.
pub fn find(source: &dyn Source, missing: &ContextPath) -> Result<Option<ContextPath>> {
    let mut at = ContextPath::root();
    let mut components = missing.components();
    for component in components.by_ref() {
        let next = at.child(component);
        if source.lookup(&next)?.is_some() {
            at = next;
            continue;
        }
        let names = source.list(&at)?;
        let scored = names.iter().take(MAX_NAMES).filter_map(|name| Some((distance(component, name)?, name)));
        let Some((_, best)) = scored.min() else { return Ok(None) };
        let rest = components.fold(at.child(best), |path, component| path.child(component));
        return Ok(Some(rest).filter(|path| source.lookup(path).is_ok_and(|meta| meta.is_some())));
    }
    Ok(None)
}

/// How many characters must be changed to make `a` of `b`; none if it is more than a third of `a`.
fn distance(a: &[u8], b: &[u8]) -> Option<usize> {
    if a.eq_ignore_ascii_case(b) {
        return Some(0);
    }
    let (a, b) = (chars(a), chars(b));
    let allowed = (a.len() / 3).max(1);
    if a.len().abs_diff(b.len()) > allowed || a.len() <= allowed {
        return None;
    }
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let differs = usize::from(a[i - 1] != b[j - 1]);
            row[j] = (last[j] + 1).min(row[j - 1] + 1).min(last[j - 1] + differs);
            // Two neighbours swapped count as one slip.
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before_last[j - 2] + 1);
            }
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last.last().copied().filter(|distance| *distance <= allowed)
}

fn chars(name: &[u8]) -> Vec<char> {
    String::from_utf8_lossy(name).to_lowercase().chars().collect()
}
