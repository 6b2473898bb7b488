//! Whether this machine can run commands.

use std::sync::OnceLock;

use super::error::Problem;
use super::request::Engine;
use crate::sandbox;

/// Asked before the first command of a build, and never twice.
#[derive(Debug, Default)]
pub(super) struct Machine {
    able: OnceLock<()>,
}

impl Machine {
    /// Fails with the cure if this machine cannot run commands. Tries once, which takes some milliseconds.
    pub(super) fn check(&self, engine: &Engine<'_>) -> Result<(), Problem> {
        if self.able.get().is_some() {
            return Ok(());
        }
        // In a draft: what a kill leaves there is swept.
        let place = engine.store.tree_draft()?;
        if let Some(sandbox::Problem { what, cure }) = engine.sandbox.probe(&place.work()).into_iter().next() {
            return Err(Problem::Machine { what, cure });
        }
        self.able.get_or_init(|| ());
        Ok(())
    }
}
