//! Asks running steps to end.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::event::{EventfdFlags, eventfd};

use super::error::{Error, Result};

/// Stops every step that was given it, from any thread; copies are one and the same.
#[derive(Clone, Debug)]
pub struct Cancel(Arc<Events>);

#[derive(Debug)]
struct Events {
    terminate: OwnedFd,
    kill: OwnedFd,
}

impl Cancel {
    /// One that nobody has used yet.
    ///
    /// # Errors
    /// `Error::Start` if the process has no descriptors left.
    pub fn new() -> Result<Self> {
        let event = || {
            let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
            event.map_err(|error| Error::Start { action: "prepare", source: error.into() })
        };
        Ok(Self(Arc::new(Events { terminate: event()?, kill: event()? })))
    }

    /// Asks the steps to end: SIGTERM now, SIGKILL when their grace is over. Steps that start later end at once.
    pub fn cancel(&self) {
        raise(&self.0.terminate);
    }

    /// Ends the steps now.
    pub fn kill(&self) {
        raise(&self.0.terminate);
        raise(&self.0.kill);
    }

    pub(super) fn terminate_event(&self) -> BorrowedFd<'_> {
        self.0.terminate.as_fd()
    }

    pub(super) fn kill_event(&self) -> BorrowedFd<'_> {
        self.0.kill.as_fd()
    }
}

/// Nobody reads the counter, so it stays readable; that it is full already says the same.
fn raise(event: &OwnedFd) {
    let _already_raised = rustix::io::write(event, &1_u64.to_ne_bytes());
}
