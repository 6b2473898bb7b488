//! What decides a step's result, and the key made of it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::hiding::Hiding;
use crate::digest::{CacheKey, Canonical, ChainId, ContentDigest};

/// Part of every key; a new version makes every old record a miss.
pub const KEY_VERSION: u64 = 2;

/// One thing that decides a step's result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ingredient {
    /// The content of the root filesystem that a RUN starts from.
    Parent(ChainId),
    /// The words that are executed, or an instruction's expanded arguments.
    Command(Vec<Vec<u8>>),
    /// An environment variable.
    Variable {
        /// Its name.
        name: String,
        /// Its value; stored only as an HMAC.
        value: String,
    },
    /// A build argument that the step can see.
    Argument {
        /// Its name.
        name: String,
        /// Its value; stored only as an HMAC.
        value: String,
    },
    /// Anything else with a name: user, working folder, platform, time policy, a flag.
    Setting {
        /// Its name, as a person would say it.
        name: String,
        /// Its value.
        value: String,
    },
    /// A selected file, folder or link.
    File {
        /// Where it comes from, as a person would say it.
        path: String,
        /// The hash of everything that counts of it: place, kind, mode, owner, content, extended attributes.
        digest: ContentDigest,
        /// What a person is told of it, no part of the key.
        look: Option<Look>,
    },
}

/// What a file looks like to a person. Written out only for a record, not for a look-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Its kind, in a word.
    pub kind: &'static str,
    /// The twelve permission bits.
    pub mode: u32,
    /// User and group.
    pub owner: (u32, u32),
    /// What it holds, or where it points.
    pub content: Option<ContentDigest>,
}

impl fmt::Display for Look {
    /// Kind, mode, owner and content, a word each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, mode, owner: (uid, gid), content } = self;
        let content = content.map_or_else(|| "-".to_owned(), |content| content.short());
        write!(f, "{kind} {mode:o} {uid}:{gid} {content}")
    }
}

/// All ingredients of one step, in a fixed order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ingredients {
    kind: &'static str,
    items: Vec<Ingredient>,
}

/// Ingredients as a record keeps them: enough to say what changed, without any value of a variable or argument, or of a secret.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) kind: String,
    #[serde(default)]
    pub(super) parent: Option<ChainId>,
    #[serde(default)]
    pub(super) command: Vec<String>,
    #[serde(default)]
    pub(super) variables: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) arguments: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) settings: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) files: BTreeMap<String, String>,
}

impl Ingredients {
    /// Starts the list of a step of this kind, for example `run`.
    pub fn new(kind: &'static str) -> Self {
        Self { kind, items: Vec::new() }
    }

    /// Adds one. Order is part of the key.
    pub fn push(&mut self, ingredient: Ingredient) {
        self.items.push(ingredient);
    }

    /// Adds a setting.
    pub fn setting(&mut self, name: &str, value: impl Into<String>) {
        self.push(Ingredient::Setting { name: name.to_owned(), value: value.into() });
    }

    /// The step's key.
    pub fn key(&self) -> CacheKey {
        let mut canonical = Canonical::new("rbuild-step");
        canonical.number("version", KEY_VERSION);
        canonical.text("kind", self.kind);
        canonical.number("count", self.items.len() as u64);
        for item in &self.items {
            add(&mut canonical, item);
        }
        canonical.finish()
    }

    pub(super) fn kept(&self, hiding: &Hiding) -> Kept {
        let mut kept = Kept { kind: self.kind.to_owned(), ..Kept::default() };
        for item in &self.items {
            match item {
                Ingredient::Parent(chain) => kept.parent = Some(*chain),
                Ingredient::Command(words) => {
                    kept.command.extend(words.iter().map(|word| hiding.text(&String::from_utf8_lossy(word))));
                }
                Ingredient::Variable { name, value } => {
                    kept.variables.insert(name.clone(), hiding.value(name, value));
                }
                Ingredient::Argument { name, value } => {
                    kept.arguments.insert(name.clone(), hiding.value(name, value));
                }
                Ingredient::Setting { name, value } => {
                    kept.settings.insert(name.clone(), hiding.text(value));
                }
                Ingredient::File { path, digest, look } => {
                    let (path, short) = match hiding.without(path) {
                        None => (path.clone(), digest.hex()[..24].to_owned()),
                        Some(hidden) => (hidden, hiding.value(path, &digest.hex())),
                    };
                    kept.files.insert(path, look.map_or(short.clone(), |look| format!("{short} {look}")));
                }
            }
        }
        kept
    }
}

fn add(canonical: &mut Canonical, item: &Ingredient) {
    match item {
        Ingredient::Parent(chain) => canonical.bytes("parent", chain.as_bytes()),
        Ingredient::Command(words) => {
            canonical.number("command", words.len() as u64);
            for word in words {
                canonical.bytes("word", word);
            }
        }
        Ingredient::Variable { name, value } => {
            canonical.text("variable", name);
            canonical.text("value", value);
        }
        Ingredient::Argument { name, value } => {
            canonical.text("argument", name);
            canonical.text("value", value);
        }
        Ingredient::Setting { name, value } => {
            canonical.text("setting", name);
            canonical.text("value", value);
        }
        Ingredient::File { path, digest, look: _ } => {
            canonical.text("file", path);
            canonical.bytes("digest", digest.as_bytes());
        }
    }
}
