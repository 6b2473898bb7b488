//! Keeps the store small and whole: what takes room, what may go, and whether everything is what it says.
//!
//! A *root* is an object that is kept for its own sake, with the objects that it needs: a name, a cache record, a pulled
//! image. An object goes when no root that stays needs it. Which roots stay is the policy: by what they are, by their last
//! use, and by what the store takes.
//!
//! # Invariants
//! What a lease names stays, whatever the policy. The images that have names stay.
//!
//! # Not here
//! How objects are removed while builds run: `store`. When gc runs by itself, and with which limits: `cli` asks.

mod auto;
mod fsck;
mod prune;
mod roots;
mod usage;

#[cfg(test)]
mod tests;

pub use auto::{DEFAULT_POLICY, GcOutcome, GcPolicy, Limit, collect_if_due};
pub use fsck::{Checkup, Fate, Finding, Repair, fsck};
pub use prune::{Extent, Pruned, Pruning, prune};
pub use usage::{Usage, UsageKind, usage};
