//! Variables in the order in which they were first set.

use std::borrow::Cow;
use std::sync::Arc;

use rpds::{RedBlackTreeMapSync, VectorSync};

use crate::dockerfile::Env;

/// The variables that a stage has at one point: those of the image's config and those of ARG. A clone costs nothing.
#[derive(Debug, Clone, Default)]
pub(super) struct Variables {
    entries: VectorSync<Arc<Variable>>,
    /// The place of each name in `entries`.
    places: RedBlackTreeMapSync<String, usize>,
}

/// Names and values as they stood at one point of a stage, in the order in which they were first set.
///
/// A clone costs nothing, and points of one stage share what they have in common: a file of many ENVs and RUNs takes memory in
/// proportion to its length.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Environment {
    entries: VectorSync<Arc<Variable>>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// What set it last.
    pub from: SetBy,
}

/// Which instruction set a variable last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetBy {
    /// ENV, or the base image.
    Env,
    /// ARG.
    Arg,
}

impl Environment {
    /// The variables, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Variable> {
        self.entries.iter().map(Arc::as_ref)
    }
}

impl Variables {
    /// Sets a variable, in its old place if it has one.
    pub(super) fn set(&mut self, name: &str, value: &str, from: SetBy) {
        let entry = Arc::new(Variable { name: name.to_owned(), value: value.to_owned(), from });
        match self.places.get(name) {
            // The place is one of `entries`.
            Some(place) => drop(self.entries.set_mut(*place, entry)),
            None => {
                self.places.insert_mut(name.to_owned(), self.entries.len());
                self.entries.push_back_mut(entry);
            }
        }
    }

    /// The value of a variable.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.places.get(name).and_then(|place| self.entries.get(*place)).map(|entry| entry.value.as_str())
    }

    /// All of them, as they stand now.
    pub(super) fn environment(&self) -> Environment {
        Environment { entries: self.entries.clone() }
    }
}

impl Env for Variables {
    fn value(&self, name: &str) -> Option<Cow<'_, str>> {
        self.get(name).map(Cow::Borrowed)
    }
}
