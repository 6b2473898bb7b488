//! The build arguments as Docker's history tells them.

use std::collections::BTreeMap;

use super::settings::looks_secret;

/// The ARGs of a stage up to one point, each once, in the order in which they were first declared.
///
/// Kept up to date as variables change, since each RUN tells all of them.
#[derive(Debug, Clone, Default)]
pub(super) struct ToldArguments {
    words: Vec<String>,
    /// The place of each name in `words`.
    places: BTreeMap<String, usize>,
    /// The words with spaces between them.
    joined: String,
}

impl ToldArguments {
    /// ARG: a name, and the value that it has now.
    pub(super) fn declare(&mut self, name: &str, value: &str) {
        if self.places.contains_key(name) {
            return self.change(name, value);
        }
        let word = word(name, value);
        if !self.words.is_empty() {
            self.joined.push(' ');
        }
        self.joined.push_str(&word);
        self.places.insert(name.to_owned(), self.words.len());
        self.words.push(word);
    }

    /// A variable has another value now; nothing if no ARG declared it.
    pub(super) fn change(&mut self, name: &str, value: &str) {
        let Some(known) = self.places.get(name).and_then(|place| self.words.get_mut(*place)) else { return };
        let word = word(name, value);
        if *known != word {
            *known = word;
            self.joined = self.words.join(" ");
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

    /// What stands before a command in its history line, `|2 a=1 b=2 `; empty without arguments.
    pub(super) fn prefix(&self) -> String {
        if self.words.is_empty() {
            return String::new();
        }
        ["|", &self.words.len().to_string(), " ", &self.joined, " "].concat()
    }
}

/// The values of secrets are left out.
fn word(name: &str, value: &str) -> String {
    if looks_secret(name) { name.to_owned() } else { format!("{name}={value}") }
}
