//! Work that keeps a core busy, a few pieces at a time.

use std::num::NonZero;
use std::sync::{Condvar, Mutex, PoisonError};

/// Lets as many in as there are cores. Whoever is in must not wait for another one.
#[derive(Debug)]
pub(in crate::build) struct Turns {
    free: Mutex<usize>,
    freed: Condvar,
}

impl Turns {
    /// One for each core.
    pub(in crate::build) fn of_cores() -> Self {
        Self::of(std::thread::available_parallelism().map_or(1, NonZero::get))
    }

    pub(super) fn of(count: usize) -> Self {
        Self { free: Mutex::new(count), freed: Condvar::new() }
    }

    /// Does something that keeps a core busy, when there is one.
    pub(in crate::build) fn take<T>(&self, work: impl FnOnce() -> T) -> T {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        while *free == 0 {
            free = self.freed.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        *free -= 1;
        drop(free);
        let _given_back = Held(self);
        work()
    }
}

struct Held<'t>(&'t Turns);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}
