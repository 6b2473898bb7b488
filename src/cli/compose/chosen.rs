//! The services that a command is about, with the names of their images.

use super::super::caches::{self, CacheTarget};
use super::super::error::{Error, Result};
use super::args::ComposeBuildArgs;
use crate::compose::{Project, Service};
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

/// Names the image of each service.
pub fn chosen<'a>(project: &Project, services: Vec<&'a Service>, args: &ComposeBuildArgs) -> Result<Vec<Chosen<'a>>> {
    services.into_iter().map(|service| Ok(Chosen { service, names: names(project, service, args)? })).collect()
}

fn names(project: &Project, service: &Service, args: &ComposeBuildArgs) -> Result<Vec<Reference>> {
    let parse = |name: String| -> Result<Reference> {
        name.parse().map_err(|error: reference::ParseError| Error::Input {
            message: format!("the service `{}` cannot have its default name: {error}", service.name),
            hint: "give it an `image`".to_owned(),
        })
    };
    let mut names = match &service.image {
        Some(image) => vec![image.clone()],
        None => {
            let mut names = vec![parse(project.default_name(service))?];
            if args.compat_names {
                names.push(parse(project.compatible_name(service))?);
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
