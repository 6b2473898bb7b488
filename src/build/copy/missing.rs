//! Sources that are not in the context: told before anything is run.

use crate::build::error::Problem;
use crate::context::{self, SelectOptions, Source};
use crate::path::ContextPath;
use crate::plan::{Copy, CopySource};

/// Fails as the instruction would if one of its plain sources is not in the context. Costs a look at each source.
///
/// Patterns may match nothing, and what they match is found out where they are used; what is fetched is no path.
pub(in crate::build) fn check_sources(source: &dyn Source, copy: &Copy) -> Result<(), Problem> {
    let is_plain = |pattern: &str| !pattern.contains(['*', '?', '[', '\\', '\0']);
    let paths = copy.sources.iter().filter_map(|source| match source {
        CopySource::Path { pattern, .. } => Some(pattern),
        CopySource::Http { .. } | CopySource::Git { .. } => None,
    });
    for pattern in paths.filter(|pattern| !copy.parents && is_plain(pattern)) {
        if context::resolve(source, &ContextPath::new(pattern))?.1.is_none() {
            context::select(source, &[pattern.as_bytes()], &SelectOptions::default())?;
        }
    }
    Ok(())
}
