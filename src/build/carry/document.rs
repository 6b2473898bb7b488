//! The list of a cache, as it is written and read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::error::Problem;
use crate::cache::{Journal, JournalStep, KEY_VERSION, Portable};
use crate::digest::{CacheKey, DiffId};
use crate::layer;

/// Of the records of one key no more are taken.
const MAX_RESULTS: usize = 16;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Document {
    pub key_version: u64,
    pub records: Vec<Portable>,
    /// The blob of each layer; none where an image's manifest names them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub blobs: BTreeMap<DiffId, layer::Blob>,
    /// The steps of the build, by which later misses are explained.
    #[serde(default)]
    pub journal: Vec<JournalStep>,
}

/// A list as it is used.
#[derive(Debug, Default)]
pub(super) struct Listed {
    pub records: BTreeMap<CacheKey, Vec<Portable>>,
    pub blobs: BTreeMap<DiffId, layer::Blob>,
    pub journal: Journal,
}

impl Document {
    /// Sorts what is listed, unless it is of another version.
    pub fn listed(self) -> Result<Listed, Problem> {
        let Self { key_version, records, blobs, journal } = self;
        if key_version != KEY_VERSION {
            return Err(Problem::BadCache { problem: "it was written by another version of rbuild" });
        }
        let mut listed = Listed { blobs, ..Listed::default() };
        for record in records {
            let known = listed.records.entry(record.key()).or_default();
            if known.len() < MAX_RESULTS {
                known.push(record);
            }
        }
        journal.into_iter().for_each(|step| listed.journal.push(step));
        Ok(listed)
    }
}
