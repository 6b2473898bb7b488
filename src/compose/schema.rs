//! Holds a tree against the shapes that compose files have, and says what does not fit.

use super::node::{Map, Node, Scalar, Value};
use super::problems::Problems;
use super::service_shapes::{BUILD, SERVICE};
use super::shapes::FILE;
use crate::dockerfile::{Diagnostic, nearest};

/// A text is accepted.
pub(super) const T: u8 = 1;
/// A number is accepted.
pub(super) const N: u8 = 2;
/// A boolean is accepted.
pub(super) const B: u8 = 4;
/// An empty value is accepted.
pub(super) const E: u8 = 8;

/// What a value may be: a scalar of some kinds, a list, or a mapping.
#[derive(Debug)]
pub(super) struct Shape {
    scalars: u8,
    /// The only texts that are accepted, unless empty.
    words: &'static [&'static str],
    list: Option<&'static Shape>,
    /// A mapping with these keys.
    keys: Option<&'static [(&'static str, &'static Shape)]>,
    /// Whether keys that begin with `x-` may be there, too.
    extensible: bool,
    /// A mapping whose keys are names.
    names: Option<&'static Shape>,
    anything: bool,
}

const NOTHING: Shape =
    Shape { scalars: 0, words: &[], list: None, keys: None, extensible: false, names: None, anything: false };

pub(super) static ANY: Shape = Shape { anything: true, ..NOTHING };
pub(super) static TEXT: Shape = scalar(T);
pub(super) static NUMBER: Shape = scalar(N);
pub(super) static BOOL: Shape = scalar(B);
pub(super) static FLAG: Shape = scalar(T | B);
pub(super) static NUMBER_TEXT: Shape = scalar(T | N);

pub(super) const fn scalar(scalars: u8) -> Shape {
    Shape { scalars, ..NOTHING }
}

pub(super) const fn words(words: &'static [&'static str]) -> Shape {
    Shape { scalars: T, words, ..NOTHING }
}

pub(super) const fn list(item: &'static Shape) -> Shape {
    Shape { list: Some(item), ..NOTHING }
}

/// A mapping with these keys, and those that begin with `x-`.
pub(super) const fn keys(keys: &'static [(&'static str, &'static Shape)]) -> Shape {
    Shape { keys: Some(keys), extensible: true, ..NOTHING }
}

/// A mapping with these keys and no others.
pub(super) const fn closed(keys: &'static [(&'static str, &'static Shape)]) -> Shape {
    Shape { keys: Some(keys), ..NOTHING }
}

pub(super) const fn names(value: &'static Shape) -> Shape {
    Shape { names: Some(value), ..NOTHING }
}

impl Shape {
    pub const fn or(self, scalars: u8) -> Self {
        Shape { scalars: self.scalars | scalars, ..self }
    }

    pub const fn or_list(self, item: &'static Shape) -> Self {
        Shape { list: Some(item), ..self }
    }

    pub const fn or_words(self, words: &'static [&'static str]) -> Self {
        Shape { scalars: self.scalars | T, words, ..self }
    }

    /// For messages: `a text or a list`.
    fn kinds(&self) -> String {
        let mut kinds = Vec::new();
        kinds.extend((self.scalars & T != 0).then_some("a text"));
        kinds.extend((self.scalars & N != 0).then_some("a number"));
        kinds.extend((self.scalars & B != 0).then_some("a boolean"));
        kinds.extend(self.list.map(|_| "a list"));
        kinds.extend((self.keys.is_some() || self.names.is_some()).then_some("a mapping"));
        match kinds.split_last() {
            None => "empty".to_owned(),
            Some((last, [])) => (*last).to_owned(),
            Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        }
    }
}

/// Reports everything in a file that the shapes do not know.
pub(super) fn check(root: &Node, problems: &mut Problems) {
    Checker { problems, path: Vec::new() }.node(root, &FILE);
}

/// A service's own shape is that of the key `build`, and so on: the name of the mapping that the path leads to.
fn name_of(path: &[String]) -> String {
    match path {
        [] => "a compose file".to_owned(),
        [section, _] if section == "services" => "a service".to_owned(),
        path => format!("`{}`", path.join(".")),
    }
}

struct Checker<'a> {
    problems: &'a mut Problems,
    path: Vec<String>,
}

impl Checker<'_> {
    fn node(&mut self, node: &Node, shape: &Shape) {
        if shape.anything || (node.is_null() && node.tag != super::node::Tag::Merge) {
            return;
        }
        match (&node.value, shape) {
            (Value::Scalar(scalar), _) => self.scalar(node, scalar, shape),
            (Value::List(nodes), Shape { list: Some(item), .. }) => {
                for (index, node) in nodes.iter().enumerate() {
                    self.path.push(format!("[{index}]"));
                    self.node(node, item);
                    self.path.pop();
                }
            }
            (Value::Map(map), Shape { keys: Some(keys), .. }) => self.keys(map, keys, shape.extensible),
            (Value::Map(map), Shape { names: Some(value), .. }) => self.names(map, value),
            (Value::List(_) | Value::Map(_), _) => self.wrong_kind(node, shape),
        }
    }

    fn scalar(&mut self, node: &Node, scalar: &Scalar, shape: &Shape) {
        let kind = match scalar {
            Scalar::Null => E,
            Scalar::Bool(_) => B,
            Scalar::Int(_) | Scalar::Float(_) => N,
            Scalar::Text(_) => T,
        };
        // An empty mapping or list is as if its key were not there; services are the exception.
        let may_be_empty =
            (shape.keys.is_some() || shape.names.is_some() || shape.list.is_some()) && self.path.len() != 2;
        if shape.scalars & kind == 0 && !(kind == E && may_be_empty) {
            return self.wrong_kind(node, shape);
        }
        if let Scalar::Text(text) = scalar
            && !(shape.words.is_empty() || text.is_empty())
            && !shape.words.contains(&text.as_str())
        {
            let message = format!("`{}` cannot be `{}`", self.path.join("."), text.escape_debug());
            let mut problem = node.place.error("wrong-value", message);
            problem = match nearest(text, shape.words.iter().copied()) {
                Some(near) => problem.with_fix(format!("did you mean `{near}`?"), node.place.span, near),
                None => problem.with_help(format!("it may be {}", shape.words.join(", "))),
            };
            self.problems.push(node.place.file, problem);
        }
    }

    fn wrong_kind(&mut self, node: &Node, shape: &Shape) {
        let path = self.path.join(".").replace(".[", "[");
        let what = if path.is_empty() { "a compose file".to_owned() } else { format!("`{path}`") };
        let message = format!("{what} must be {}", shape.kinds());
        let label = if node.is_null() { "nothing follows".to_owned() } else { format!("this is {}", node.kind()) };
        let mut problem = node.place.error("wrong-type", message).with_label(label);
        let text = matches!(&node.value, Value::Scalar(Scalar::Bool(_) | Scalar::Int(_) | Scalar::Float(_)));
        if text && shape.scalars & T != 0 {
            let written = self.problems.file(node.place.file).slice(node.place.span).to_owned();
            problem = problem.with_fix("put it in quotes", node.place.span, format!("\"{written}\""));
        } else if shape.list.is_some() && matches!(node.value, Value::Scalar(Scalar::Text(_))) {
            let written = self.problems.file(node.place.file).slice(node.place.span).to_owned();
            if !written.contains('\n') {
                problem = problem.with_fix("write a list", node.place.span, format!("[{written}]"));
            }
        }
        self.problems.push(node.place.file, problem);
    }

    fn keys(&mut self, map: &Map, keys: &[(&'static str, &'static Shape)], extensible: bool) {
        for entry in &map.entries {
            if extensible && entry.key.starts_with("x-") {
                continue;
            }
            match keys.iter().find(|(key, _)| *key == entry.key) {
                Some((key, shape)) => {
                    self.path.push((*key).to_owned());
                    self.node(&entry.node, shape);
                    self.path.pop();
                }
                None => {
                    let message = format!("`{}` is not a key of {}", entry.key.escape_debug(), name_of(&self.path));
                    let problem = entry.key_place.error("unknown-key", message).with_label("unknown key");
                    let problem = self.advise(problem, &entry.key, keys, entry.key_place.span);
                    self.problems.push(entry.key_place.file, problem);
                }
            }
        }
    }

    /// Where an unknown key belongs, or which one is meant.
    fn advise(
        &self,
        problem: Diagnostic,
        key: &str,
        keys: &[(&'static str, &'static Shape)],
        span: crate::dockerfile::Span,
    ) -> Diagnostic {
        let has = |shape: &Shape| shape.keys.is_some_and(|keys| keys.iter().any(|(known, _)| *known == key));
        match self.path.as_slice() {
            [] if has(&SERVICE) => return problem.with_help("keys of a service stand below `services:` and its name"),
            [section, _] if section == "services" && has(&BUILD) => {
                return problem.with_help("it stands below `build:`");
            }
            [section, _, build, ..] if section == "services" && build == "build" && has(&SERVICE) => {
                return problem.with_help("it stands beside `build:`, not below it");
            }
            path if path.len() > 1 && has(&FILE) => return problem.with_help("it stands at the top of the file"),
            _ => {}
        }
        match nearest(key, keys.iter().map(|(key, _)| *key)) {
            Some(near) => problem.with_fix(format!("did you mean `{near}`?"), span, near),
            None if keys.len() <= 12 => {
                let known: Vec<&str> = keys.iter().map(|(key, _)| *key).collect();
                problem.with_note(format!("the keys are {}", known.join(", ")))
            }
            None => problem.with_help("a key for your own use begins with `x-`"),
        }
    }

    fn names(&mut self, map: &Map, value: &Shape) {
        let is_section = self.path.len() == 1;
        for entry in &map.entries {
            let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
            if is_section && (entry.key.is_empty() || !entry.key.chars().all(allowed)) {
                let message = format!("`{}` is not a name", entry.key.escape_debug());
                let problem = entry.key_place.error("wrong-name", message);
                let problem = problem.with_help("a name has letters, digits, `.`, `_` and `-`");
                self.problems.push(entry.key_place.file, problem);
            }
            self.path.push(entry.key.clone());
            self.node(&entry.node, value);
            self.path.pop();
        }
    }
}
