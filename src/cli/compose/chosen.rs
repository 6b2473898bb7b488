//! The services that a command is about, with the names of their images.

use super::super::caches::{self, CacheTarget};
use super::super::error::Result;
use super::args::ComposeBuildArgs;
use crate::compose::{self, Project, Service};
use crate::dockerfile::Diagnostic;
use crate::reference::{self, Reference};

/// A service, and the names that its image gets, the one that compose runs first.
pub struct Chosen<'a> {
    pub service: &'a Service,
    pub names: Vec<Reference>,
}

impl Chosen<'_> {
    /// The caches that are written after its build.
    pub fn cache_targets(&self) -> Result<Vec<CacheTarget>> {
        self.service.build.as_ref().map_or(Ok(Vec::new()), |build| caches::targets(&build.cache_to))
    }
}

/// Names the image of each service; reports all that cannot have their names.
pub fn chosen<'a>(project: &Project, services: Vec<&'a Service>, args: &ComposeBuildArgs) -> Result<Vec<Chosen<'a>>> {
    let (mut chosen, mut reports) = (Vec::new(), Vec::new());
    for service in services {
        match names(project, service, args) {
            Ok(names) => chosen.push(Chosen { service, names }),
            Err(error) => {
                let message = format!("the service `{}` cannot have its default name: {error}", service.name);
                let problem = Diagnostic::error("wrong-name", service.place.span, message);
                reports.push(project.report(service.place, problem.with_help("give it an `image`")));
            }
        }
    }
    if reports.is_empty() { Ok(chosen) } else { Err(compose::Error::Invalid(reports).into()) }
}

fn names(
    project: &Project,
    service: &Service,
    args: &ComposeBuildArgs,
) -> std::result::Result<Vec<Reference>, reference::ParseError> {
    let mut names = match &service.image {
        Some(image) => vec![image.clone()],
        None => {
            let mut names = vec![project.default_name(service).parse()?];
            if args.compat_names {
                names.push(project.compatible_name(service).parse()?);
            }
            names
        }
    };
    for tag in service.build.iter().flat_map(|build| &build.tags) {
        if !names.contains(tag) {
            names.push(tag.clone());
        }
    }
    Ok(names)
}
