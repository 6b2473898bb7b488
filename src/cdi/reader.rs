//! Reads values out of a tree of YAML and collects what is wrong with them.

use std::sync::Arc;

use crate::compose::{Map, Node, Scalar, Value};
use crate::dockerfile::{Diagnostic, Source, Span, nearest};

/// The code of everything that is wrong with a document.
const CODE: &str = "cdi-file";

/// One document being read.
pub(super) struct Reader {
    pub(super) file: Arc<Source>,
    pub(super) found: Vec<Diagnostic>,
}

impl Reader {
    /// Something wrong.
    pub(super) fn wrong(&mut self, span: Span, message: impl Into<String>) {
        self.found.push(Diagnostic::error(CODE, span, message));
    }

    /// File and line.
    pub(super) fn place(&self, node: &Node) -> String {
        format!("{}:{}", self.file.name(), self.file.position(node.place.span.start()).line)
    }

    /// A mapping with none but these keys.
    pub(super) fn map<'n>(&mut self, node: &'n Node, what: &str, keys: &[&str]) -> Option<&'n Map> {
        let Some(map) = node.as_map() else {
            self.wrong(node.place.span, format!("{what} must be a mapping, and is {}", node.kind()));
            return None;
        };
        for entry in &map.entries {
            if !keys.contains(&entry.key.as_str()) {
                let near = nearest(&entry.key, keys.iter().copied());
                let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                self.wrong(entry.key_place.span, format!("{what} has no key `{}`{near}", entry.key));
            }
        }
        Some(map)
    }

    /// The values of a list; none if it is not there.
    pub(super) fn list<'n>(&mut self, map: &'n Map, key: &str) -> &'n [Node] {
        let Some(node) = map.given(key) else { return &[] };
        node.as_list().unwrap_or_else(|| {
            self.wrong(node.place.span, format!("`{key}` must be a list, and is {}", node.kind()));
            &[]
        })
    }

    /// A text that is not empty.
    pub(super) fn text<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n str> {
        match node.as_text() {
            Some("") => self.wrong(node.place.span, format!("{what} is empty")),
            Some(text) if text.contains('\0') => self.wrong(node.place.span, format!("{what} holds a NUL byte")),
            Some(text) => return Some(text),
            None => self.wrong(node.place.span, format!("{what} must be a text, and is {}", node.kind())),
        }
        None
    }

    /// A text that must be there.
    pub(super) fn required<'n>(&mut self, map: &'n Map, key: &str, what: &Node) -> Option<&'n str> {
        match map.given(key) {
            Some(node) => self.text(node, &format!("`{key}`")),
            None => {
                self.wrong(first_line(&self.file, what), format!("the key `{key}` is missing"));
                None
            }
        }
    }

    /// A text that may be there.
    pub(super) fn optional<'n>(&mut self, map: &'n Map, key: &str) -> Option<&'n str> {
        self.text(map.given(key)?, &format!("`{key}`"))
    }

    /// An absolute path.
    pub(super) fn path(&mut self, node: Option<&Node>, key: &str) -> Option<String> {
        let node = node?;
        let path = self.text(node, &format!("`{key}`"))?;
        if !path.starts_with('/') {
            self.wrong(node.place.span, format!("`{key}` must be an absolute path, and is `{path}`"));
            return None;
        }
        Some(path.to_owned())
    }

    /// A number of 32 bits that may be there.
    pub(super) fn number(&mut self, map: &Map, key: &str) -> Option<u32> {
        let node = map.given(key)?;
        self.number_of(node, &format!("`{key}`"))
    }

    /// A number of 32 bits.
    pub(super) fn number_of(&mut self, node: &Node, what: &str) -> Option<u32> {
        let number = match &node.value {
            Value::Scalar(Scalar::Int(number)) => u32::try_from(*number).ok(),
            _ => None,
        };
        if number.is_none() {
            self.wrong(node.place.span, format!("{what} must be a number from 0 to {}", u32::MAX));
        }
        number
    }
}

/// The first line of a value, to point at what is missing in it.
fn first_line(file: &Source, node: &Node) -> Span {
    let text = file.slice(node.place.span);
    let length = text.find('\n').unwrap_or(text.len());
    Span::new(node.place.span.start(), node.place.span.start() + length)
}
