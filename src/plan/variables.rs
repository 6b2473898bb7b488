//! Variables in the order in which they were first set.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::dockerfile::Env;

/// The variables that a stage has at one point: those of the image's config and those of ARG.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Variables {
    entries: Vec<Variable>,
    /// The place of each name in `entries`.
    places: BTreeMap<String, usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Variable {
    name: String,
    value: String,
    from: SetBy,
}

/// Which instruction set a variable last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SetBy {
    /// ENV, or the base image.
    Env,
    /// ARG.
    Arg,
}

impl Variables {
    /// Sets a variable, in its old place if it has one.
    pub(super) fn set(&mut self, name: &str, value: &str, from: SetBy) {
        match self.places.get(name).and_then(|place| self.entries.get_mut(*place)) {
            Some(entry) => {
                value.clone_into(&mut entry.value);
                entry.from = from;
            }
            None => {
                self.places.insert(name.to_owned(), self.entries.len());
                self.entries.push(Variable { name: name.to_owned(), value: value.to_owned(), from });
            }
        }
    }

    /// The value of a variable.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.places.get(name).and_then(|place| self.entries.get(*place)).map(|entry| entry.value.as_str())
    }

    /// All names and values, in order.
    pub(super) fn pairs(&self) -> Vec<(String, String)> {
        self.entries.iter().map(|entry| (entry.name.clone(), entry.value.clone())).collect()
    }

    /// The names that ARG set last.
    pub(super) fn arguments(&self) -> Vec<String> {
        self.entries.iter().filter(|entry| entry.from == SetBy::Arg).map(|entry| entry.name.clone()).collect()
    }
}

impl Env for Variables {
    fn value(&self, name: &str) -> Option<Cow<'_, str>> {
        self.get(name).map(Cow::Borrowed)
    }
}
