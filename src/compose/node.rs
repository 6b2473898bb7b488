//! A YAML document as a tree whose every part knows where it stands.

use std::fmt;

use crate::dockerfile::{Diagnostic, Span};

/// One of the files of a project, in the order in which they were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub(super) usize);

/// A range of bytes in one of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The file.
    pub file: FileId,
    /// The bytes.
    pub span: Span,
}

impl Place {
    /// Something wrong here.
    pub(super) fn error(self, code: &'static str, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(code, self.span, message)
    }
}

/// A value, and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub value: Value,
    pub place: Place,
    pub tag: Tag,
}

/// What a merge does with the value that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tag {
    /// The rule of its key.
    Merge,
    /// `!reset`: takes it away.
    Reset,
    /// `!override`: replaces it.
    Override,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Map),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Scalar {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
}

/// Keys in their order, each once.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Map {
    pub entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub key: String,
    pub key_place: Place,
    pub node: Node,
}

impl Node {
    pub fn new(value: Value, place: Place) -> Self {
        Self { value, place, tag: Tag::Merge }
    }

    pub fn text(text: impl Into<String>, place: Place) -> Self {
        Self::new(Value::Scalar(Scalar::Text(text.into())), place)
    }

    pub fn null(place: Place) -> Self {
        Self::new(Value::Scalar(Scalar::Null), place)
    }

    pub fn is_null(&self) -> bool {
        self.value == Value::Scalar(Scalar::Null)
    }

    pub fn as_map(&self) -> Option<&Map> {
        match &self.value {
            Value::Map(map) => Some(map),
            Value::Scalar(_) | Value::List(_) => None,
        }
    }

    pub fn as_map_mut(&mut self) -> Option<&mut Map> {
        match &mut self.value {
            Value::Map(map) => Some(map),
            Value::Scalar(_) | Value::List(_) => None,
        }
    }

    pub fn as_list(&self) -> Option<&[Node]> {
        match &self.value {
            Value::List(list) => Some(list),
            Value::Scalar(_) | Value::Map(_) => None,
        }
    }

    pub fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(Scalar::Text(text)) => Some(text),
            Value::Scalar(_) | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// A scalar other than null, as text.
    pub fn shown(&self) -> Option<String> {
        match &self.value {
            Value::Scalar(Scalar::Null) | Value::List(_) | Value::Map(_) => None,
            Value::Scalar(scalar) => Some(scalar.to_string()),
        }
    }

    /// What it is, for messages.
    pub fn kind(&self) -> &'static str {
        match &self.value {
            Value::Scalar(Scalar::Null) => "empty",
            Value::Scalar(Scalar::Bool(_)) => "a boolean",
            Value::Scalar(Scalar::Int(_) | Scalar::Float(_)) => "a number",
            Value::Scalar(Scalar::Text(_)) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}

impl Map {
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.node)
    }

    /// The value of a key that is there and not empty.
    pub fn given(&self, key: &str) -> Option<&Node> {
        self.get(key).filter(|node| !node.is_null())
    }

    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.entries.iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.node)
    }

    pub fn remove(&mut self, key: &str) -> Option<Entry> {
        let at = self.entries.iter().position(|entry| entry.key == key)?;
        Some(self.entries.remove(at))
    }

    /// Puts an entry in the place of the one with its key, or at the end.
    pub fn put(&mut self, entry: Entry) {
        match self.entries.iter_mut().find(|old| old.key == entry.key) {
            Some(old) => *old = entry,
            None => self.entries.push(entry),
        }
    }
}

/// As Go's `%v` shows the values that it reads, which compose relies on.
impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scalar::Null => Ok(()),
            Scalar::Bool(value) => write!(f, "{value}"),
            Scalar::Int(value) => write!(f, "{value}"),
            Scalar::Float(value) => write_float(f, *value),
            Scalar::Text(text) => f.write_str(text),
        }
    }
}

fn write_float(f: &mut fmt::Formatter<'_>, value: f64) -> fmt::Result {
    if value.is_nan() {
        return f.write_str("NaN");
    }
    if value.is_infinite() {
        return f.write_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if value != 0.0 && !(-4..21).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return write!(f, "{digits}e{sign}{:02}", exponent.unsigned_abs());
    }
    write!(f, "{value}")
}

/// What a plain scalar means: YAML 1.2's core schema, and octal numbers with a leading zero, as compose reads them.
pub(super) fn resolve(plain: &str) -> Scalar {
    match plain {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "true" | "True" | "TRUE" => return Scalar::Bool(true),
        "false" | "False" | "FALSE" => return Scalar::Bool(false),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Scalar::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Scalar::Float(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => return Scalar::Float(f64::NAN),
        _ => {}
    }
    integer(plain)
        .map(Scalar::Int)
        .or_else(|| float(plain).map(Scalar::Float))
        .unwrap_or_else(|| Scalar::Text(plain.into()))
}

fn integer(plain: &str) -> Option<i128> {
    let (negative, digits) = match plain.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, plain.strip_prefix('+').unwrap_or(plain)),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    let digits = digits.replace('_', "");
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    // Beyond 64 bits a number is read as a float.
    let value = i128::from_str_radix(&digits, radix).ok().filter(|value| *value <= i128::from(u64::MAX))?;
    Some(if negative { -value } else { value })
}

fn float(plain: &str) -> Option<f64> {
    let digits = plain.strip_prefix(['-', '+']).unwrap_or(plain);
    let starts = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let known = |c: char| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '-' | '+' | '_');
    if !starts || !digits.contains(|c: char| c.is_ascii_digit()) || !digits.chars().all(known) {
        return None;
    }
    plain.replace('_', "").parse().ok()
}
