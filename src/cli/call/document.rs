//! Parts of the JSON documents.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::dockerfile::{Diagnostic, Dockerfile, Span, shown_text};

/// A document as it is printed.
pub(super) fn text_of(document: &Value) -> String {
    let text = serde_json::to_string_pretty(document).expect("a value has no keys that are no strings");
    format!("{text}\n")
}

/// The text of a Dockerfile in base64, as documents hold it; without secrets that the warnings tell of.
pub(super) fn data(dockerfile: &Dockerfile, problems: &[Diagnostic]) -> Value {
    json!(STANDARD.encode(shown_text(&dockerfile.source, problems)))
}

/// The first and the last line of the instruction that a span is in, or of the span itself.
pub(super) fn lines(dockerfile: &Dockerfile, span: Span) -> (usize, usize) {
    let span = dockerfile.head_at(span).map_or(span, |head| head.span);
    let line = |at| dockerfile.source.position(at).line;
    (line(span.start()), line(span.end().saturating_sub(1).max(span.start())))
}

/// A location that covers whole lines. Numbers that are 0 are left out, as in BuildKit's.
pub(super) fn location((first, last): (usize, usize)) -> Value {
    json!({ "ranges": [{ "start": { "line": first }, "end": { "line": last } }] })
}

/// An object without the members that are null, empty or false.
pub(super) fn object(members: &[(&str, Value)]) -> Value {
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Number(_) | Value::Object(_) => false,
    };
    let kept = members.iter().filter(|(_, value)| !is_empty(value));
    Value::Object(kept.map(|(name, value)| ((*name).to_owned(), value.clone())).collect::<Map<_, _>>())
}
