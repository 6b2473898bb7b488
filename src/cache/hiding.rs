//! Records without the values that nobody may read.

use std::collections::BTreeMap;
use std::fmt;

use hmac::{KeyInit as _, Mac as _};

use crate::digest::ContentDigest;

/// A shorter value stands in other texts by chance.
const LEAST: usize = 4;

/// Stands between a text without a value and what tells it from others.
const MARK: char = '\0';

/// Takes values out of what is recorded, so that it can still be compared.
#[derive(Clone)]
pub struct Hiding {
    key: [u8; 32],
    /// Names and values, the longest value first.
    values: Vec<(String, String)>,
}

impl fmt::Debug for Hiding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&String> = self.values.iter().map(|(name, _)| name).collect();
        f.debug_struct("Hiding").field("names", &names).finish_non_exhaustive()
    }
}

impl Hiding {
    /// Hides with a key of the store. `secrets` are names and values that are hidden also where they are a part of a text.
    pub fn new(key: [u8; 32], secrets: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut values: Vec<(String, String)> = secrets.into_iter().filter(|(_, value)| value.len() >= LEAST).collect();
        values.sort_by(|a, b| b.1.len().cmp(&a.1.len()).then_with(|| a.cmp(b)));
        values.dedup();
        Self { key, values }
    }

    /// A value that can be compared with itself later, in this store only.
    pub(super) fn value(&self, name: &str, value: &str) -> String {
        let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(&self.key)
            .expect("HMAC takes keys of every length, 32 bytes too");
        mac.update(name.as_bytes());
        mac.update(&[0]);
        mac.update(value.as_bytes());
        let bytes: [u8; 32] = mac.finalize().into_bytes().into();
        ContentDigest::of(&bytes).hex()[..24].to_owned()
    }

    /// The text with `$NAME` for each secret value, and behind it what tells it from others; as it is if there is none in it.
    pub(super) fn text(&self, text: &str) -> String {
        match self.without(text) {
            None => text.to_owned(),
            Some(hidden) => format!("{hidden}{MARK}{}", self.value("", text)),
        }
    }

    /// The text with `$NAME` for each secret value; none if there is none in it.
    pub(super) fn without(&self, text: &str) -> Option<String> {
        let mut hidden = text.to_owned();
        for (name, value) in &self.values {
            if hidden.contains(value) {
                hidden = hidden.replace(value, &format!("${name}"));
            }
        }
        (hidden != text).then_some(hidden)
    }
}

/// What a person may read of a text as it was recorded.
pub(super) fn readable(recorded: &str) -> &str {
    recorded.split(MARK).next().unwrap_or_default()
}

/// The same of one of several texts, by its name; nothing if there is none.
pub(super) fn readable_of(recorded: &BTreeMap<String, String>, name: &str) -> String {
    recorded.get(name).map(|text| readable(text).to_owned()).unwrap_or_default()
}
