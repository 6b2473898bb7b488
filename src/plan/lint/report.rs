//! Collects warnings, but those that are skipped.

use crate::dockerfile::{Check, Diagnostic};

/// No file has more warnings than are worth reading.
const MAX_REPORTED: usize = 100;

/// The warnings found so far.
pub(in crate::plan) struct Report<'a> {
    check: &'a Check,
    found: Vec<Diagnostic>,
}

impl<'a> Report<'a> {
    /// No warnings yet; those of rules that `check` skips are not kept.
    pub(in crate::plan) fn new(check: &'a Check) -> Self {
        Self { check, found: Vec::new() }
    }

    /// Adds a warning about an instruction with these comments, unless it is skipped.
    pub(super) fn add(&mut self, comments: &[String], warning: Diagnostic) {
        if self.found.len() < MAX_REPORTED && self.check.reports(warning.code, comments) {
            self.found.push(warning);
        }
    }

    /// The warnings, in the order in which they were found.
    pub(in crate::plan) fn into_found(self) -> Vec<Diagnostic> {
        self.found
    }
}
