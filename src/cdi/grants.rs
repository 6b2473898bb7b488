//! Which devices a build may use.

use std::collections::{BTreeMap, BTreeSet};

/// What `--allow device` allows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grants {
    all: bool,
    names: BTreeSet<String>,
    aliases: BTreeMap<String, String>,
}

impl Grants {
    /// Allows every device.
    pub fn add_all(&mut self) {
        self.all = true;
    }

    /// Allows what a name stands for.
    pub fn add(&mut self, name: String) {
        self.names.insert(name);
    }

    /// Allows what a name stands for wherever the Dockerfile asks for `alias`.
    pub fn add_alias(&mut self, alias: String, name: String) {
        self.aliases.insert(alias, name);
    }

    /// What stands in the place of a name, if it is an alias.
    pub(super) fn meant(&self, name: &str) -> Option<&str> {
        self.aliases.get(name).map(String::as_str)
    }

    /// Whether every device is allowed.
    pub(super) fn is_all(&self) -> bool {
        self.all
    }

    /// The names that are allowed.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }
}
