//! Whether this machine can run commands.

use std::sync::{Mutex, PoisonError};

use super::error::Problem;
use super::request::Engine;
use crate::sandbox;

/// Asked before the first command of a build, and never twice.
#[derive(Debug, Default)]
pub(super) struct Machine {
    is_able: Mutex<bool>,
}

impl Machine {
    /// Fails with the cure if this machine cannot run commands. Tries once, which takes some milliseconds.
    pub(super) fn check(&self, engine: &Engine<'_>) -> Result<(), Problem> {
        // Whoever comes while it is tried waits for the answer.
        let mut is_able = self.is_able.lock().unwrap_or_else(PoisonError::into_inner);
        if *is_able {
            return Ok(());
        }
        // In a draft: what a kill leaves there is swept.
        let place = engine.store.tree_draft()?;
        if let Some(sandbox::Problem { what, cure }) = engine.sandbox.probe(&place.work()).into_iter().next() {
            return Err(Problem::Machine { what, cure });
        }
        *is_able = true;
        Ok(())
    }
}
