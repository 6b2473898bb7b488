//! Everything in which a step differs from an earlier one.

use std::collections::BTreeMap;
use std::fmt;

use super::hiding::{readable, readable_of};
use super::ingredient::Kept;
use crate::digest::ChainId;

/// One ingredient that differs. Shown as one line; values of arguments and variables are in none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The words of the instruction.
    Command {
        /// The earlier words.
        was: Vec<String>,
        /// The present words.
        is: Vec<String>,
    },
    /// A build argument: its value is never told.
    Argument {
        /// Its name.
        name: String,
        /// What became of it.
        change: Fate,
    },
    /// An environment variable: its value is never told.
    Variable {
        /// Its name.
        name: String,
        /// What became of it.
        change: Fate,
    },
    /// A setting.
    Setting {
        /// Its name.
        name: String,
        /// Its earlier value; empty if it had none.
        was: String,
        /// Its present value; empty if it has none.
        is: String,
    },
    /// A selected file, by the hash of everything that counts of it and what it looks like.
    File {
        /// Where it comes from.
        path: String,
        /// As it was; none if it was not selected.
        was: Option<FileLook>,
        /// As it is; none if it is not selected.
        is: Option<FileLook>,
    },
    /// The content of the root filesystem below.
    Parent {
        /// Its earlier name.
        was: Option<ChainId>,
        /// Its present name.
        is: Option<ChainId>,
    },
}

/// What became of something whose value is not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It was not there.
    Added,
    /// It has another value.
    Changed,
    /// It is gone.
    Removed,
}

/// A file as a record keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileLook {
    digest: String,
    /// Words in a fixed order: kind, mode, owner, content; empty in older records.
    words: Vec<String>,
}

impl FileLook {
    fn parse(kept: &str) -> Self {
        let mut words = kept.split(' ').map(str::to_owned);
        Self { digest: words.next().unwrap_or_default(), words: words.collect() }
    }

    fn short(&self) -> &str {
        self.digest.get(..12).unwrap_or(&self.digest)
    }
}

/// Stands for the value of an argument or variable in a record that came from another store.
pub(super) const UNKNOWN: &str = "\0";

/// The names of `FileLook::words`.
const WORDS: [&str; 4] = ["kind", "mode", "owner", "content"];

/// What differs between two looks, in words: `mode 644 → 755`. Something that has no word of its own is told as such.
fn compared(was: &FileLook, is: &FileLook) -> String {
    let words = WORDS.iter().zip(was.words.iter().zip(&is.words));
    let changes: Vec<String> =
        words.filter(|(_, (was, is))| was != is).map(|(name, (was, is))| format!("{name} {was} → {is}")).collect();
    match (changes.is_empty(), was.words.is_empty() && is.words.is_empty()) {
        (false, _) => changes.join(", "),
        (true, false) => "its place, names or extended attributes".to_owned(),
        // A here-document, or what comes from elsewhere as a whole.
        (true, true) => "what is in it".to_owned(),
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fate::Added => "is new",
            Fate::Changed => "has another value",
            Fate::Removed => "is gone",
        })
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Command { was, is } => {
                write!(f, "instruction: {} → {}", shown_words(was), shown_words(is))
            }
            Change::Argument { name, change } => write!(f, "build argument {name}: {change}"),
            Change::Variable { name, change } => write!(f, "environment variable {name}: {change}"),
            Change::Setting { name, was, is } if was == is => write!(f, "{name} {is}: has another value"),
            Change::Setting { name, was, is } => {
                let value = |value: &str| if value.is_empty() { "nothing".to_owned() } else { value.to_owned() };
                write!(f, "{name}: {} → {}", value(was), value(is))
            }
            Change::File { path, was, is } => match (was, is) {
                (Some(was), Some(is)) => {
                    write!(f, "file {path}: {} → {} ({})", was.short(), is.short(), compared(was, is))
                }
                (None, Some(is)) => write!(f, "file {path}: added, {}", is.short()),
                (Some(was), None) => write!(f, "file {path}: removed, was {}", was.short()),
                (None, None) => write!(f, "file {path}"),
            },
            Change::Parent { was, is } => {
                let name = |chain: &Option<ChainId>| chain.map_or_else(|| "nothing".to_owned(), |chain| chain.short());
                write!(f, "files below: {} → {}", name(was), name(is))
            }
        }
    }
}

/// The words as they are executed; those with spaces, or none at all, in quotes.
fn shown_words(words: &[String]) -> String {
    let quoted = |word: &String| match word.is_empty() || word.contains(char::is_whitespace) {
        true => format!("{word:?}"),
        false => word.clone(),
    };
    let shown: Vec<String> = words.iter().map(quoted).collect();
    if shown.is_empty() { "nothing".to_owned() } else { shown.join(" ") }
}

/// All differences, in the order in which `difference` looks for the first.
pub(super) fn changes(earlier: &Kept, now: &Kept) -> Vec<Change> {
    let Kept { kind, parent, command, variables, arguments, settings, files } = now;
    let mut found = Vec::new();
    if earlier.kind != *kind || earlier.command != *command {
        found.push(Change::Command { was: words(earlier), is: words(now) });
    }
    let fates = |was: &BTreeMap<String, String>, is: &BTreeMap<String, String>| -> Vec<(String, Fate)> {
        differing(was, is).into_iter().map(|name| (name.clone(), fate(was.get(&name), is.get(&name)))).collect()
    };
    let arguments = fates(&earlier.arguments, arguments);
    found.extend(arguments.into_iter().map(|(name, change)| Change::Argument { name, change }));
    let variables = fates(&earlier.variables, variables);
    found.extend(variables.into_iter().map(|(name, change)| Change::Variable { name, change }));
    for name in differing(&earlier.settings, settings) {
        let (was, is) = (readable_of(&earlier.settings, &name), readable_of(settings, &name));
        found.push(Change::Setting { name, was, is });
    }
    for path in differing(&earlier.files, files) {
        let look = |map: &BTreeMap<String, String>| map.get(&path).map(|kept| FileLook::parse(kept));
        let (was, is) = (look(&earlier.files), look(files));
        found.push(Change::File { path, was, is });
    }
    if earlier.parent != *parent {
        found.push(Change::Parent { was: earlier.parent, is: *parent });
    }
    found
}

/// A COPY has no words of its own: its kind stands for them.
fn words(kept: &Kept) -> Vec<String> {
    if kept.command.is_empty() {
        return vec![kept.kind.to_ascii_uppercase()];
    }
    kept.command.iter().map(|word| readable(word).to_owned()).collect()
}

fn fate(was: Option<&String>, is: Option<&String>) -> Fate {
    match (was, is) {
        (None, _) => Fate::Added,
        (_, None) => Fate::Removed,
        _ => Fate::Changed,
    }
}

/// The names under which the two maps differ, sorted.
///
/// A value that came from another store may be any: it does not count as different.
pub(super) fn differing(earlier: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> Vec<String> {
    let mut names: Vec<&String> = now.keys().chain(earlier.keys()).collect();
    names.sort();
    names.dedup();
    let differs = |name: &&String| match (earlier.get(*name), now.get(*name)) {
        (Some(was), Some(is)) => digest_of(was) != digest_of(is) && was != UNKNOWN,
        (was, is) => was.is_some() != is.is_some(),
    };
    names.into_iter().filter(differs).cloned().collect()
}

/// Of a file only its hash counts; what it looks like is for people. Other values are compared whole.
fn digest_of(kept: &str) -> &str {
    match kept.split_once(' ') {
        Some((digest, _)) if digest.len() == 24 && digest.bytes().all(|b| b.is_ascii_hexdigit()) => digest,
        _ => kept,
    }
}
