//! Removes what is not needed.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, SystemTime};

use super::roots::{Reason, Root, roots};
use crate::build::error::Problem;
use crate::build::request::Interrupt;
use crate::store::{Collection, Object, Store, Stored, Waiting};

/// A result that no last build of any Dockerfile used stays for so long all the same: a branch may be checked out again.
const SUPERSEDED_AGE: Duration = Duration::from_secs(7 * 24 * 3600);

/// How much may go where nothing else is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// What neither a named image, nor the last build of a Dockerfile, nor a pulled base needs.
    Unused,
    /// The cache, the folders of cache mounts, and pulled bases too.
    Everything,
}

/// What is to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pruning {
    /// How much may go. An age or a size lets the cache and pulled bases go too, whatever this says.
    pub extent: Extent,
    /// Only what was not used for so long goes.
    pub older_than: Option<Duration>,
    /// What was used longest ago goes first, until the store takes no more bytes than this.
    pub keep_bytes: Option<u64>,
}

/// What a prune did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pruned {
    /// How many objects are gone.
    pub objects: u64,
    /// The bytes on disk that they took.
    pub bytes: u64,
    /// What the store takes still, in bytes; none if nobody asked for a size.
    pub left: Option<u64>,
}

/// Removes what is not needed; what a running build uses stays in any case, and so do images with a name.
///
/// Waits for another process's prune, unless `interrupt` is set.
pub fn prune(store: &Store, pruning: Pruning, interrupt: &Interrupt) -> Result<Pruned, Problem> {
    store.sweep()?;
    let mut ask = |asked| asked != Waiting::StillWanted || !interrupt.is_set();
    let collection = store.collection(&mut ask)?;
    carry_out(store, collection, pruning)
}

pub(super) fn carry_out(store: &Store, collection: Collection, pruning: Pruning) -> Result<Pruned, Problem> {
    let (mut roots, now) = (roots(store)?, SystemTime::now());
    // A time of the future is no age.
    let age = |last_used: SystemTime| now.duration_since(last_used).unwrap_or_default();
    let is_old = |last_used| pruning.older_than.is_none_or(|limit| age(last_used) >= limit);
    let keeps = |root: &Root| root.reason == Reason::Firm || !is_old(root.last_used) || stays(root, pruning, &age);
    let objects = pruning.keep_bytes.map(|_| store.objects()).transpose()?;
    match (pruning.keep_bytes, &objects) {
        (Some(limit), Some(objects)) => {
            let may_go = |root: &Root| root.reason != Reason::Firm && is_old(root.last_used);
            roots = until_it_fits(roots, objects, limit, &may_go);
        }
        _ => roots.retain(keeps),
    }
    let needed: BTreeSet<Object> = roots.into_iter().flat_map(|root| root.needs).collect();
    let removed = collection.remove_unless(&|object, last_used| needed.contains(object) || !is_old(last_used))?;
    let before = objects.map(|objects| objects.iter().map(|stored| stored.size).sum::<u64>());
    let left = before.map(|before| before.saturating_sub(removed.bytes));
    Ok(Pruned { objects: removed.objects, bytes: removed.bytes, left })
}

/// Whether a root that may go stays, where no size decides.
fn stays(root: &Root, pruning: Pruning, age: &dyn Fn(SystemTime) -> Duration) -> bool {
    if pruning.extent == Extent::Everything || pruning.older_than.is_some() {
        return root.reason == Reason::Firm;
    }
    match root.reason {
        Reason::Firm | Reason::Result | Reason::Fetched | Reason::Note => true,
        Reason::Superseded => age(root.last_used) < SUPERSEDED_AGE,
        Reason::Nameless | Reason::Lost => false,
    }
}

/// The roots that are left when those that were used longest ago have gone, until what the rest needs takes at most `limit`.
pub(super) fn until_it_fits(
    mut roots: Vec<Root>,
    objects: &[Stored],
    limit: u64,
    may_go: &dyn Fn(&Root) -> bool,
) -> Vec<Root> {
    let sizes: HashMap<&Object, u64> = objects.iter().map(|stored| (&stored.object, stored.size)).collect();
    let size_of = |object: &Object| sizes.get(object).copied().unwrap_or(0);
    roots.sort_by(|a, b| b.last_used.cmp(&a.last_used).then_with(|| a.object.cmp(&b.object)));
    let mut users: HashMap<Object, u32> = HashMap::new();
    for needed in roots.iter().flat_map(|root| &root.needs) {
        *users.entry(needed.clone()).or_default() += 1;
    }
    // What no root needs goes first, and costs nothing.
    let mut total: u64 = objects.iter().filter(|s| users.contains_key(&s.object)).map(|s| s.size).sum();
    let mut kept = Vec::new();
    while let Some(root) = roots.pop() {
        // What has no use goes in any case.
        let wanted = total <= limit && !matches!(root.reason, Reason::Lost);
        if wanted || !may_go(&root) {
            kept.push(root);
            continue;
        }
        for object in &root.needs {
            if let Some(count) = users.get_mut(object) {
                *count -= 1;
                if *count == 0 {
                    total = total.saturating_sub(size_of(object));
                }
            }
        }
    }
    kept
}
