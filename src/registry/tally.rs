//! The transfers of one pull or push added up.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::Progress;
use crate::digest::BlobDigest;

/// Tells, at each step of a transfer, how many bytes of how many are there, all blobs together.
pub struct Tally<'a> {
    tell: &'a (dyn Fn(u64, u64) + Sync),
    cancelled: &'a (dyn Fn() -> bool + Sync),
    /// Bytes that are there, and that there will be.
    sums: Mutex<(u64, u64)>,
    /// Blobs that are there.
    blobs: AtomicUsize,
}

impl<'a> Tally<'a> {
    /// `tell` gets both sums after each change, from any thread; `cancelled` says whether to give up.
    pub fn new(tell: &'a (dyn Fn(u64, u64) + Sync), cancelled: &'a (dyn Fn() -> bool + Sync)) -> Self {
        Self { tell, cancelled, sums: Mutex::default(), blobs: AtomicUsize::new(0) }
    }

    /// Bytes that were transferred so far.
    pub fn transferred(&self) -> u64 {
        self.sums.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    /// Blobs that were transferred so far.
    pub fn blobs(&self) -> usize {
        self.blobs.load(Ordering::Relaxed)
    }

    fn add(&self, done: u64, total: u64) {
        let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        sums.0 += done;
        sums.1 += total;
        let (done, total) = *sums;
        drop(sums);
        (self.tell)(done, total);
    }
}

impl Progress for Tally<'_> {
    fn blob_started(&self, _digest: &BlobDigest, total: u64) {
        self.add(0, total);
    }

    fn bytes(&self, _digest: &BlobDigest, count: u64) {
        self.add(count, 0);
    }

    fn blob_done(&self, _digest: &BlobDigest) {
        self.blobs.fetch_add(1, Ordering::Relaxed);
    }

    fn cancelled(&self) -> bool {
        (self.cancelled)()
    }
}
