//! The build arguments as Docker's history tells them.

use std::sync::Arc;

use rpds::{RedBlackTreeMapSync, VectorSync};

use super::settings::looks_secret;
use crate::image::History;

/// The ARGs of a stage up to one point, each once, in the order in which they were first declared.
///
/// Kept up to date as variables change, since each RUN tells all of them. A clone costs nothing.
#[derive(Debug, Clone, Default)]
pub(super) struct ToldArguments {
    words: VectorSync<Arc<str>>,
    /// The place of each name in `words`.
    places: RedBlackTreeMapSync<String, usize>,
}

/// A step's line in the history of its image.
///
/// A RUN tells every argument that was declared before it. Lines share them: a file of many ARGs and RUNs takes memory in
/// proportion to its length, and only what is built is written out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryLine {
    /// What stands before the arguments.
    verb: &'static str,
    arguments: VectorSync<Arc<str>>,
    /// The rest.
    text: String,
    /// Whether the step makes no layer.
    is_empty_layer: bool,
}

impl ToldArguments {
    /// ARG: a name, and the value that it has now.
    pub(super) fn declare(&mut self, name: &str, value: &str) {
        if self.has(name) {
            return self.change(name, value);
        }
        self.places.insert_mut(name.to_owned(), self.words.len());
        self.words.push_back_mut(word(name, value));
    }

    /// A variable has another value now; nothing if no ARG declared it.
    pub(super) fn change(&mut self, name: &str, value: &str) {
        if let Some(place) = self.places.get(name) {
            // The place is one of `words`.
            self.words.set_mut(*place, word(name, value));
        }
    }

    /// Whether an ARG declared the name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    /// The names.
    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.places.keys()
    }
}

impl HistoryLine {
    /// The line of a step that makes no layer.
    pub(super) fn config(text: String) -> Self {
        Self { verb: "", arguments: VectorSync::default(), text, is_empty_layer: true }
    }

    /// The line of a step that makes one.
    pub(super) fn layer(text: String) -> Self {
        Self { is_empty_layer: false, ..Self::config(text) }
    }

    /// The line of RUN: its arguments stand before the command, `RUN |2 a=1 b=2 command`.
    pub(super) fn run(told: &ToldArguments, command: String) -> Self {
        Self { verb: "RUN ", arguments: told.words.clone(), text: command, is_empty_layer: false }
    }

    /// What made the layer or changed the config, as `docker history` shows it.
    pub fn created_by(&self) -> String {
        let mut line = self.verb.to_owned();
        if !self.arguments.is_empty() {
            line.push_str(&format!("|{} ", self.arguments.len()));
        }
        for argument in &self.arguments {
            line.push_str(argument);
            line.push(' ');
        }
        line.push_str(&self.text);
        line
    }

    /// The line as the config holds it, without a time.
    pub fn history(&self) -> History {
        History {
            created_by: self.created_by(),
            empty_layer: self.is_empty_layer,
            comment: "rbuild".to_owned(),
            ..History::default()
        }
    }
}

/// The values of secrets are left out.
fn word(name: &str, value: &str) -> Arc<str> {
    if looks_secret(name) { Arc::from(name) } else { Arc::from(format!("{name}={value}")) }
}
