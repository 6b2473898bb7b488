//! A cache in the config of the image itself.

use std::collections::BTreeSet;

use super::super::error::Problem;
use super::contents::records;
use super::document::Document;
use crate::cache::{JournalStep, KEY_VERSION, Portable};
use crate::digest::DiffId;
use crate::image::{CACHE_FIELDS, Error, SealedConfig, canonical_json};
use crate::store::Store;

/// No list in a config is longer, in bytes: registries, Docker and others read configs of a few MiB at most.
const MAX_LIST: usize = 1 << 20;

/// An image's config with the records of those of its steps whose layers it has, and how many of these had no room.
///
/// Without any record the config is what it was. Equal records give equal bytes. Where there is little room, long records go
/// without what explains a miss, or altogether.
pub(in crate::build) fn inlined(
    store: &Store,
    config: SealedConfig,
    steps: &[JournalStep],
    borrowed: &[Portable],
) -> Result<(SealedConfig, usize), Problem> {
    let layers: BTreeSet<DiffId> = config.config().rootfs.diff_ids.iter().copied().collect();
    let journal: Vec<JournalStep> = steps.iter().filter(|step| layers.contains(&step.layer)).cloned().collect();
    let records = records(store, &journal, borrowed)?;
    let count = records.len();
    let records = shortened(records, MAX_LIST)?;
    let left_out = count - records.len();
    if records.is_empty() {
        return Ok((config, left_out));
    }
    let mut document = Document { key_version: KEY_VERSION, records, blobs: [].into(), journal };
    if canonical_json(&document.journal, "cache")?.len() > MAX_LIST {
        document.journal.clear();
    }
    let list = serde_json::to_value(&document).map_err(|source| Error::Json { document: "cache", source })?;
    let mut config = config.config().clone();
    config.extra.insert(CACHE_FIELDS[0].to_owned(), list);
    Ok((config.seal()?, left_out))
}

/// The records as far as they have room, in their order: as many as possible, and of these as many as possible explained.
fn shortened(records: Vec<Portable>, room: usize) -> Result<Vec<Portable>, Problem> {
    let length = |record: &Portable| canonical_json(record, "cache").map(|bytes| bytes.len());
    let mut sized = Vec::with_capacity(records.len());
    for record in records {
        let bare = record.clone().unexplained();
        let (whole, least) = (length(&record)?, length(&bare)?);
        sized.push((whole, least, record, bare));
    }
    let mut left = room;
    let kept = taken(sized.iter().map(|(_, least, ..)| *least), &mut left);
    // One without room has nothing to be explained.
    let more = sized.iter().enumerate().map(|(at, (whole, least, ..))| match kept.contains(&at) {
        true => whole.saturating_sub(*least),
        false => usize::MAX,
    });
    let explained = taken(more, &mut left);
    let chosen = sized.into_iter().enumerate().filter(|(at, _)| kept.contains(at));
    Ok(chosen.map(|(at, (_, _, record, bare))| if explained.contains(&at) { record } else { bare }).collect())
}

/// The places of the smallest sizes that have room together; what they take is taken off.
fn taken(sizes: impl Iterator<Item = usize>, left: &mut usize) -> BTreeSet<usize> {
    let mut smallest: Vec<(usize, usize)> = sizes.enumerate().map(|(at, size)| (size, at)).collect();
    smallest.sort_unstable();
    let fits = |(size, _): &(usize, usize)| {
        let fits = size <= left;
        *left -= if fits { *size } else { 0 };
        fits
    };
    smallest.into_iter().filter(fits).map(|(_, at)| at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::{Cache, Hiding, Ingredient, Ingredients, Output};
    use crate::digest::{ChainId, ContentDigest};
    use crate::path::ImagePath;
    use crate::store::Store;
    use crate::tree::Stack;

    /// The record of a COPY of so many files, which took as many facts.
    fn record(cache: &Cache, name: &str, files: usize, facts: usize) -> Portable {
        let mut ingredients = Ingredients::new("copy");
        ingredients.push(Ingredient::Command(vec![name.into()]));
        for file in 0..files {
            let digest = ContentDigest::of(name.as_bytes());
            ingredients.push(Ingredient::File { path: format!("file-{file}"), digest, look: None });
        }
        let facts = (0..facts).map(|fact| Stack::default().fact(&ImagePath::new(format!("fact-{fact}")))).collect();
        let output = Output { diff_id: DiffId::of(name.as_bytes()), size: 1 };
        let key = cache.keep(&ingredients, ChainId::empty(), facts, output).expect("kept");
        cache.portable(&key, &output.diff_id).expect("read").expect("a record")
    }

    #[test]
    fn long_records_lose_their_explanations_and_then_their_places() {
        let dir = tempfile::tempdir().expect("there is room");
        let store = Store::open(&dir.path().join("store")).expect("a store");
        let cache = Cache::new(&store, Hiding::new([7; 32], []));
        let (small, many) = (record(&cache, "small", 1, 1), record(&cache, "many", 900, 1));
        let wide = record(&cache, "wide", 1, 900);
        let all = vec![wide.clone(), many.clone(), small.clone()];
        assert_eq!(shortened(all.clone(), 1 << 20).expect("short"), all);
        let left = shortened(vec![many.clone(), small.clone()], 10_000).expect("short");
        assert_eq!(left, [many.clone().unexplained(), small.clone()]);
        assert_eq!(shortened(all.clone(), 10_000).expect("short"), [many.unexplained(), small]);
        assert_eq!(shortened(all, 10).expect("short"), []);
    }
}
