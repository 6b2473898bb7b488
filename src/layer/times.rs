//! Which times the bytes of a layer carry.

use crate::tree::Timestamp;

/// The time that layer bytes carry: 1980-01-01, the earliest that zip archives can hold.
pub const LAYER_EPOCH: i64 = 315_532_800;

/// How true times become the times in a layer's bytes. Listings and trees keep the true ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TimePolicy {
    /// Always `LAYER_EPOCH`: for files of a context.
    Fixed,
    /// At most `LAYER_EPOCH`, whole seconds: for the results of commands and for archives.
    Clamp,
    /// As they are, to the nanosecond.
    Preserve,
}

impl TimePolicy {
    /// The time written for an entry that was last changed at `mtime`.
    pub fn apply(self, mtime: Timestamp) -> Timestamp {
        match self {
            TimePolicy::Fixed => Timestamp::from_secs(LAYER_EPOCH),
            TimePolicy::Clamp => Timestamp::from_secs(mtime.secs.min(LAYER_EPOCH)),
            TimePolicy::Preserve => mtime,
        }
    }
}
