//! Replaces the variables in the values of a tree.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::dotenv::{diagnostic, unset_warning};
use super::node::{Node, Place, Scalar, Value};
use super::problems::Problems;
use super::substitute::{Variables, substitute};
use crate::dockerfile::Span;

/// Replaces every variable in the texts of `node`; keys stay as they are.
/// An unset variable is told of once.
pub(super) fn interpolate(
    node: &mut Node,
    variables: &BTreeMap<String, String>,
    warned: &mut BTreeSet<String>,
    problems: &mut Problems,
) {
    walk(node, variables, problems, warned);
}

fn walk(node: &mut Node, variables: &BTreeMap<String, String>, problems: &mut Problems, warned: &mut BTreeSet<String>) {
    let place = node.place;
    match &mut node.value {
        Value::Scalar(Scalar::Text(text)) if text.contains('$') => {
            let mut lookup = Lookup { variables, unset: Vec::new() };
            let result = substitute(text, &mut lookup);
            for (name, at) in lookup.unset {
                if warned.insert(name.clone()) {
                    let span = part_of(problems, place, text, &at);
                    problems.push(place.file, unset_warning(&name, span));
                }
            }
            match result {
                Ok(value) => *text = value,
                Err(problem) => {
                    let span = part_of(problems, place, text, &problem.at);
                    problems.push(place.file, diagnostic(&problem, text, span));
                    // What it would be is not known, so nothing else is wrong with it.
                    text.clear();
                }
            }
        }
        Value::Scalar(_) => {}
        Value::List(nodes) => nodes.iter_mut().for_each(|node| walk(node, variables, problems, warned)),
        Value::Map(map) => map.entries.iter_mut().for_each(|entry| walk(&mut entry.node, variables, problems, warned)),
    }
}

struct Lookup<'a> {
    variables: &'a BTreeMap<String, String>,
    unset: Vec<(String, Range<usize>)>,
}

impl Variables for Lookup<'_> {
    fn value(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    fn unset(&mut self, name: &str, at: Range<usize>) {
        self.unset.push((name.to_owned(), at));
    }
}

/// Where a part of a scalar's text stands: in quotes or over several lines the text is not what the file has, and then
/// the part itself is looked for.
pub(super) fn part_of(problems: &Problems, place: Place, text: &str, part: &Range<usize>) -> Span {
    let source = problems.file(place.file);
    let written = source.slice(place.span);
    let start = place.span.start();
    if let Some(at) = written.find(text) {
        return Span::new(start + at + part.start, start + at + part.end);
    }
    match text.get(part.clone()).and_then(|part| written.find(part).map(|at| (at, part.len()))) {
        Some((at, length)) => Span::new(start + at, start + at + length),
        None => place.span,
    }
}
