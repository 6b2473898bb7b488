//! Looks at a Dockerfile without building: nothing is run, and of base images only the configs are fetched.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::contexts::Contexts;
use super::error::Problem;
use super::request::{Interrupt, Request};
use super::{images, lint};
use crate::context::{DirectorySource, Source};
use crate::dockerfile::{self, Diagnostic, Dockerfile, Severity};
use crate::image::ImageConfig;
use crate::plan::{self, ImageNeed, Needed, Outcome, Plan};
use crate::registry;
use crate::store::{Lease, Store};

/// What looking at a Dockerfile needs.
#[derive(Clone, Copy)]
pub struct Inspector<'a> {
    /// Where images and configs are kept.
    pub store: &'a Store,
    /// How configs of images that are not stored are fetched.
    pub registry: &'a registry::Client,
    /// Asked often whether to stop.
    pub interrupt: &'a Interrupt,
}

/// What was found.
#[derive(Debug)]
pub struct Inspected {
    /// The file.
    pub dockerfile: Dockerfile,
    /// Its plan, if there is no error.
    pub plan: Option<Box<Plan>>,
    /// Errors and warnings, in the order of the file.
    pub problems: Vec<Diagnostic>,
    /// What could not be looked at, and why.
    pub notes: Vec<String>,
}

/// Parses and plans, and looks for what the files of the context tell. `request.inputs.scope` says which stages count.
///
/// A base image that cannot be reached is noted, and the rest is done without it. Fails if the store fails, or when
/// interrupted.
pub fn inspect(inspector: &Inspector<'_>, request: &Request) -> Result<Inspected, Problem> {
    let check = request.check.as_ref();
    let (dockerfile, problems) = dockerfile::parse_checked(&request.dockerfile_name, &request.dockerfile, check);
    let mut inspected = Inspected { dockerfile, plan: None, problems, notes: Vec::new() };
    let is_sound = !inspected.problems.iter().any(Diagnostic::is_error);
    if is_sound {
        inspected.plan = plan_it(inspector, request, &mut inspected)?;
    }
    look_at_context(inspector, request, &mut inspected)?;
    inspected.problems.sort_by_key(|problem| problem.span.start());
    Ok(inspected)
}

fn plan_it(
    inspector: &Inspector<'_>,
    request: &Request,
    inspected: &mut Inspected,
) -> Result<Option<Box<Plan>>, Problem> {
    let lease = inspector.store.lease()?;
    let mut inputs = request.inputs.clone();
    let mut configs: BTreeMap<ImageNeed, ImageConfig> = BTreeMap::new();
    loop {
        match plan::plan(&inspected.dockerfile, &inputs, &configs) {
            Err(found) => {
                inspected.problems.extend(found);
                return Ok(None);
            }
            Ok(Outcome::Ready(plan, found)) => {
                inspected.problems.extend(found);
                return Ok(Some(plan));
            }
            Ok(Outcome::Needs { images, .. }) => {
                for Needed { image, .. } in images {
                    match config(inspector, request, &lease, &image) {
                        Ok(config) => {
                            configs.insert(image, config);
                        }
                        Err(_) if inspector.interrupt.is_set() => return Err(Problem::Interrupted),
                        Err(problem) => {
                            let name = image.reference.familiar();
                            let said = problem.to_string();
                            let said = said.lines().next().unwrap_or_default();
                            inspected.notes.push(format!("what depends on `{name}` was not checked: {said}"));
                            inputs.unknown_bases.insert(image);
                        }
                    }
                }
            }
        }
    }
}

fn config(
    inspector: &Inspector<'_>,
    request: &Request,
    lease: &Lease,
    need: &ImageNeed,
) -> Result<ImageConfig, Problem> {
    if let Some(image) = images::stored(inspector.store, lease, need, request.pull)? {
        return Ok(image.config.config().clone());
    }
    let cancelled = || inspector.interrupt.is_set();
    let progress = registry::Tally::new(&|_done, _total| {}, &cancelled);
    let documents = inspector.registry.documents(inspector.store, &need.reference, &need.platform, &progress)?;
    Ok(documents.config.config().clone())
}

fn look_at_context(inspector: &Inspector<'_>, request: &Request, inspected: &mut Inspected) -> Result<(), Problem> {
    let Inspected { dockerfile, plan, problems, notes } = inspected;
    let contexts = Contexts::default();
    let folder: Option<Arc<DirectorySource>> = match &request.context {
        None => None,
        Some(_) => match contexts.of_request(inspector.store, request) {
            Ok(folder) => Some(folder),
            Err(problem @ Problem::Context(_)) => {
                notes.push(format!("the context was not looked at: {problem}"));
                return Ok(());
            }
            Err(problem) => return Err(problem),
        },
    };
    let files = request.context_files.as_ref().map(|files| files.source().as_ref());
    let Some(context) = files.or_else(|| folder.as_ref().map(|folder| -> &dyn Source { folder.as_ref() })) else {
        return Ok(());
    };
    problems.extend(lint::uncopied(dockerfile, context));
    let Some(plan) = plan else { return Ok(()) };
    let ignored = folder.as_ref().map(|folder| lint::ignored(dockerfile, plan, folder.ignore())).unwrap_or_default();
    problems.extend(lint::missing(dockerfile, plan, context, &ignored));
    problems.extend(lint::late_installs(dockerfile, plan, context));
    problems.extend(ignored);
    Ok(())
}

impl Inspected {
    /// The problems of one severity.
    pub fn of(&self, severity: Severity) -> Vec<Diagnostic> {
        self.problems.iter().filter(|problem| problem.severity == severity).cloned().collect()
    }
}
