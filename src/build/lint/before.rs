//! What a build looks for before its first step.

use std::sync::{Arc, OnceLock};

use super::{ignored, uncopied};
use crate::build::engine::Group;
use crate::build::request::Request;
use crate::context::DirectorySource;
use crate::dockerfile::{self, Diagnostic, Dockerfile};
use crate::plan::{Action, Origin, Plan};

/// What the context tells before anything is planned; it is then open.
pub(in crate::build) fn hints_of(
    group: &Group<'_>,
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
    let Ok(opened) = group.contexts.of_request(group.engine.store, request) else { return Vec::new() };
    uncopied(dockerfile, context.get_or_init(|| opened).as_ref())
}

/// The sources that the ignore file of a context folder leaves out.
pub(in crate::build) fn ignored_sources(
    group: &Group<'_>,
    request: &Request,
    dockerfile: &Dockerfile,
    plan: &Plan,
) -> Vec<Diagnostic> {
    let mut steps = plan.stages.iter().flat_map(|stage| &stage.steps);
    let copies = steps.any(|step| matches!(&step.action, Action::Copy(copy) if copy.from == Origin::Context));
    if !copies || request.context.is_none() {
        return Vec::new();
    }
    // A context that cannot be opened is reported by the first COPY that needs it.
    let Ok(context) = group.contexts.of_request(group.engine.store, request) else { return Vec::new() };
    ignored(dockerfile, plan, context.ignore())
}
