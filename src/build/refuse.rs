//! Dockerfiles that are not built.

use std::sync::Arc;

use super::error::{Error, Result};
use crate::dockerfile::{Diagnostic, Dockerfile, Rule, Severity, Source};

/// Ends a build whose Dockerfile is wrong.
pub(super) fn refuse_errors(source: &Arc<Source>, problems: &[Diagnostic]) -> Result<()> {
    if problems.iter().any(|problem| problem.severity == Severity::Error) {
        return Err(Error::Dockerfile { file: source.clone(), problems: problems.to_vec() });
    }
    Ok(())
}

/// `# check=error=true`: what BuildKit would warn of too ends the build before it begins.
///
/// Warnings of our own rules do not: a Dockerfile that BuildKit builds is built here.
pub(super) fn refuse_warnings(dockerfile: &Dockerfile, source: &Arc<Source>, warnings: &[Diagnostic]) -> Result<()> {
    if !dockerfile.directives.check.error {
        return Ok(());
    }
    let counts = |warning: &&Diagnostic| Rule::find(warning.code).is_some_and(Rule::can_fail_build);
    let mut problems: Vec<Diagnostic> = warnings.iter().filter(counts).cloned().collect();
    for problem in &mut problems {
        problem.severity = Severity::Error;
    }
    let Some(last) = problems.last_mut() else { return Ok(()) };
    last.notes.push("`check=error=true` is set: warnings are errors".to_owned());
    Err(Error::Dockerfile { file: source.clone(), problems })
}
