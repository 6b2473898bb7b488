//! Gc that runs by itself after a build, when the store has grown too large.

use super::prune::{Extent, Pruned, Pruning, carry_out};
use crate::build::error::Problem;
use crate::store::{Space, Store};

/// The store is measured when so much was added since the last time.
const MEASURE_AFTER: u64 = 512 << 20;

/// On a disk that is nearly full it is measured when so much was added.
const MEASURE_AFTER_FULL: u64 = 16 << 20;

/// Free space is no reason to make the store smaller than this.
const RESERVE: u64 = 2 << 30;

/// A command counts as much at least, as nobody sees what it leaves in cache mounts.
const COMMAND_GROWTH: u64 = 4 << 20;

/// A number of bytes, or a share of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// So many bytes.
    Bytes(u64),
    /// So many percent of the file system that the store lies on.
    Percent(u8),
}

impl Limit {
    /// In bytes, on a file system of that size.
    pub fn bytes(self, space: &Space) -> u64 {
        match self {
            Limit::Bytes(bytes) => bytes,
            Limit::Percent(percent) => space.total / 100 * u64::from(percent.min(100)),
        }
    }
}

/// When gc runs by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GcPolicy {
    /// What the store may take; none is the default: a fifth of its disk, but at least 10 GB and at most 100 GB.
    pub size: Option<Limit>,
    /// What shall stay free on its disk; that alone never makes it smaller than 2 GiB.
    pub free: Limit,
}

/// What holds where nothing else is said.
pub const DEFAULT_POLICY: GcPolicy = GcPolicy { size: None, free: Limit::Percent(5) };

impl GcPolicy {
    /// What the store may take, in bytes, on a file system of that size.
    pub fn size_limit(&self, space: &Space) -> u64 {
        let by_default = || (space.total / 5).clamp(10_000_000_000, 100_000_000_000);
        self.size.map_or_else(by_default, |limit| limit.bytes(space))
    }
}

/// What gc did by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GcOutcome {
    /// Nothing: the store has not grown much, fits, or another process sees to it.
    NotDue,
    /// It removed something.
    Removed {
        /// What.
        pruned: Pruned,
        /// What the store may take, in bytes.
        limit: u64,
    },
}

/// After a build that executed `ran` steps: removes what was used longest ago if the store takes more than it may.
///
/// Costs nothing if the build added nothing, and a small file operation and one system call if it did; only when enough was
/// added is the store measured. Images with names stay, and so does what running builds use.
pub fn collect_if_due(store: &Store, policy: &GcPolicy, ran: usize) -> Result<GcOutcome, Problem> {
    store.add_growth(COMMAND_GROWTH.saturating_mul(ran as u64));
    let grown = store.total_growth()?.unwrap_or(u64::MAX);
    if grown == 0 {
        return Ok(GcOutcome::NotDue);
    }
    let space = store.space()?;
    let wanted_free = policy.free.bytes(&space);
    let is_full = space.free < wanted_free && grown >= MEASURE_AFTER_FULL;
    let size_limit = policy.size_limit(&space);
    if !is_full && grown < MEASURE_AFTER.min(size_limit / 8) {
        return Ok(GcOutcome::NotDue);
    }
    // Another process that collects sees to it.
    let collection = match store.collection(&mut |_| false) {
        Err(crate::store::Error::Interrupted) => return Ok(GcOutcome::NotDue),
        other => other?,
    };
    let taken: u64 = store.objects()?.iter().map(|stored| stored.size).sum();
    let lacking = wanted_free.saturating_sub(space.free);
    let by_free = if lacking == 0 { u64::MAX } else { taken.saturating_sub(lacking).max(RESERVE) };
    let limit = size_limit.min(by_free);
    store.reset_growth()?;
    if taken <= limit {
        return Ok(GcOutcome::NotDue);
    }
    // A tenth more than needed, so that the next build is not the next one to collect.
    let pruning = Pruning { extent: Extent::Unused, older_than: None, keep_bytes: Some(limit - limit / 10) };
    let pruned = carry_out(store, collection, pruning)?;
    Ok(if pruned.objects == 0 { GcOutcome::NotDue } else { GcOutcome::Removed { pruned, limit } })
}
