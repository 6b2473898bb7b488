//! Reads and hashes small files on other cores before the tar gets to them.

use std::io::Read;

use super::pipeline;
use super::writer::read_some;
use super::{Error, Result};
use crate::digest::ContentDigest;
use crate::path::ImagePath;

/// Longer files are read when their turn comes.
pub(super) const SMALL: u64 = 128 << 10;

/// A batch ends after so many bytes, or so many entries: what one batch costs outweighs handing it over.
const BATCH_BYTES: u64 = 1 << 20;
const BATCH: usize = 128;

/// Fewer entries than this are not worth a thread.
const MIN_ENTRIES: usize = 2 * BATCH;

/// A small file's content.
pub(super) struct Small {
    pub(super) bytes: Vec<u8>,
    pub(super) digest: ContentDigest,
}

/// Reads content that is `size` bytes long; `Changed` if it is shorter, and most often if it is longer.
pub(super) fn read_small(path: &ImagePath, size: u64, content: &mut dyn Read) -> Result<Small> {
    let size = usize::try_from(size.min(SMALL)).expect("small files are small");
    // One byte more shows a file that has grown, without another call.
    let mut bytes = vec![0; size + 1];
    let mut filled = 0;
    while filled < size {
        let count = read_some(content, &mut bytes[filled..]);
        match count.map_err(|source| Error::Content { path: path.clone(), source })? {
            0 => break,
            count => filled += count,
        }
    }
    if filled != size {
        return Err(Error::Changed { path: path.clone() });
    }
    bytes.truncate(size);
    let digest = ContentDigest::of(&bytes);
    Ok(Small { bytes, digest })
}

/// Goes through `count` entries in order: `job` says which of them are small files, the workers that `make` makes read
/// these, and `write` gets each entry's number, with the content if it was read.
pub(super) fn read_ahead<J: Send, W: FnMut(J) -> Result<Small>>(
    count: usize,
    mut job: impl FnMut(usize) -> Option<(u64, J)>,
    make: impl Fn() -> W + Sync,
    mut write: impl FnMut(usize, Option<Small>) -> Result<()>,
) -> Result<()> {
    let threads = if count < MIN_ENTRIES { 0 } else { pipeline::cores().saturating_sub(1).max(1) };
    let mut at = 0;
    let next = || {
        let (first, mut bytes) = (at, 0);
        let mut jobs = Vec::new();
        while at < count && at - first < BATCH && bytes < BATCH_BYTES {
            let job = job(at);
            bytes += job.as_ref().map_or(0, |(size, _)| *size);
            jobs.push(job.map(|(_, job)| job));
            at += 1;
        }
        Ok((!jobs.is_empty()).then_some((first, jobs)))
    };
    let work = || {
        let mut read = make();
        move |(first, jobs): (usize, Vec<Option<J>>)| {
            let results = jobs.into_iter().map(|job| job.map(&mut read).transpose());
            (first, results.collect::<Vec<Result<Option<Small>>>>())
        }
    };
    pipeline::in_order(threads, next, work, |(first, results): (usize, Vec<Result<Option<Small>>>)| {
        results.into_iter().enumerate().try_for_each(|(offset, read)| write(first + offset, read?))
    })
}
