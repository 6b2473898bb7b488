//! Dockerfiles that are not built.

use std::sync::Arc;

use super::error::{Error, Result};
use crate::dockerfile::{Diagnostic, Dockerfile, Severity, Source};
use crate::plan;

/// Ends a build whose Dockerfile is wrong.
pub(super) fn refuse_errors(source: &Arc<Source>, problems: &[Diagnostic]) -> Result<()> {
    if problems.iter().any(|problem| problem.severity == Severity::Error) {
        return Err(Error::Dockerfile { file: source.clone(), problems: problems.to_vec() });
    }
    Ok(())
}

/// `# check=error=true`: what BuildKit would warn of too ends the build before it begins.
pub(super) fn refuse_warnings(
    dockerfile: &Dockerfile,
    source: &Arc<Source>,
    hints: &[Diagnostic],
    warnings: &[Diagnostic],
) -> Result<()> {
    if !dockerfile.directives.check.error {
        return Ok(());
    }
    let counts = |warning: &Diagnostic| warning.code != plan::UNUSED_ARGUMENT && !hints.contains(warning);
    let mut problems: Vec<Diagnostic> = warnings.iter().filter(|warning| counts(warning)).cloned().collect();
    if problems.is_empty() {
        return Ok(());
    }
    for problem in &mut problems {
        problem.severity = Severity::Error;
    }
    if let Some(last) = problems.last_mut() {
        *last = last.clone().with_note("this file says `# check=error=true`: its warnings are errors");
    }
    Err(Error::Dockerfile { file: source.clone(), problems })
}
