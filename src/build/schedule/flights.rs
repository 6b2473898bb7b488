//! What is being made, so that it is made once.

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How long a waiter sleeps before it asks whether it should go on.
const ASK: Duration = Duration::from_millis(20);

/// The names of what is being made.
#[derive(Debug)]
pub(in crate::build) struct Flights<K: Ord + Clone> {
    under_way: Mutex<BTreeSet<K>>,
    landed: Condvar,
}

/// Something that is being made by whoever holds this.
#[must_use = "dropping it lets the next one in"]
#[derive(Debug)]
pub(in crate::build) struct Flight<'f, K: Ord + Clone> {
    flights: &'f Flights<K>,
    key: K,
}

impl<K: Ord + Clone> Default for Flights<K> {
    fn default() -> Self {
        Self { under_way: Mutex::default(), landed: Condvar::new() }
    }
}

impl<K: Ord + Clone> Flights<K> {
    /// Waits until nobody makes `key`; none if `is_wanted` says meanwhile, asked about 50 times a second, that it is not.
    pub(in crate::build) fn enter(&self, key: K, is_wanted: &dyn Fn() -> bool) -> Option<Flight<'_, K>> {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        while under_way.contains(&key) {
            if !is_wanted() {
                return None;
            }
            under_way = self.landed.wait_timeout(under_way, ASK).unwrap_or_else(PoisonError::into_inner).0;
        }
        under_way.insert(key.clone());
        Some(Flight { flights: self, key })
    }
}

impl<K: Ord + Clone> Drop for Flight<'_, K> {
    fn drop(&mut self) {
        self.flights.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
        self.flights.landed.notify_all();
    }
}
