//! What a build looks for before its first step.

use std::sync::{Arc, OnceLock};

use super::{ignored, uncopied};
use crate::build::copy::open_context;
use crate::build::request::{Engine, Request};
use crate::context::DirectorySource;
use crate::dockerfile::{self, Diagnostic, Dockerfile};
use crate::plan::{Action, Origin, Plan};

/// What the context tells before anything is planned.
pub(in crate::build) fn hints_of(
    engine: &Engine<'_>,
    request: &Request,
    dockerfile: &Dockerfile,
    context: &OnceLock<Arc<DirectorySource>>,
) -> Vec<Diagnostic> {
    let has_run = dockerfile.stages.iter().flat_map(|stage| &stage.instructions);
    let has_run = has_run.into_iter().any(|i| matches!(i.kind, dockerfile::InstructionKind::Run(_)));
    if has_run && let Some(files) = &request.context_files {
        return uncopied(dockerfile, files.source().as_ref());
    }
    if !has_run || request.context.is_none() {
        return Vec::new();
    }
    // A context that cannot be opened is reported by the first COPY that needs it.
    let Ok(opened) = open_context(engine.store, request) else { return Vec::new() };
    uncopied(dockerfile, context.get_or_init(|| Arc::new(opened)).as_ref())
}

/// The sources that the ignore file of a context folder leaves out.
pub(in crate::build) fn ignored_sources(
    engine: &Engine<'_>,
    request: &Request,
    dockerfile: &Dockerfile,
    plan: &Plan,
    context: &OnceLock<Arc<DirectorySource>>,
) -> Vec<Diagnostic> {
    let copies = plan.stages.iter().flat_map(|stage| &stage.steps);
    let mut copies = copies.filter(|step| matches!(&step.action, Action::Copy(c) if c.from == Origin::Context));
    if copies.next().is_none() || request.context.is_none() {
        return Vec::new();
    }
    if context.get().is_none()
        && let Ok(opened) = open_context(engine.store, request)
    {
        // A context that cannot be opened is reported by the first COPY that needs it.
        context.get_or_init(|| Arc::new(opened));
    }
    context.get().map(|context| ignored(dockerfile, plan, context.ignore())).unwrap_or_default()
}
