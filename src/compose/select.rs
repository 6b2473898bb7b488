//! Chooses the services to build, and the order.

use std::collections::{BTreeMap, BTreeSet};

use super::error::{Error, Result};
use super::model::{NamedContext, Project, Service};
use super::node::FileId;
use super::order::{Edges, in_order};
use super::problems::Report;
use crate::dockerfile::Diagnostic;

/// Whether the services that the chosen ones depend on are chosen, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dependencies {
    /// They are, and theirs.
    With,
    /// Only those whose images are contexts of others.
    Without,
}

impl Project {
    /// The services that were named, all active ones if none was, and those whose images they are built from; what an image
    /// is built from stands before it. Fails if something cannot be built that is asked for.
    pub fn select(&self, named: &[String], dependencies: Dependencies) -> Result<Vec<&Service>> {
        let by_name: BTreeMap<&str, &Service> =
            self.services.iter().map(|service| (service.name.as_str(), service)).collect();
        let mut chosen: BTreeSet<&str> = BTreeSet::new();
        let mut queue: Vec<&str> = match named {
            [] => self.services.iter().filter(|service| service.active).map(|service| service.name.as_str()).collect(),
            named => named.iter().map(String::as_str).collect(),
        };
        while let Some(name) = queue.pop() {
            let Some(service) = by_name.get(name).filter(|_| chosen.insert(name)) else { continue };
            queue.extend(contexts(service));
            if dependencies == Dependencies::With {
                queue.extend(service.depends_on.iter().map(String::as_str));
            }
        }
        let needs = |name: &&'_ str| by_name.get(name).map(|service| contexts(service)).unwrap_or_default();
        let edges: Edges<'_, ()> =
            by_name.keys().map(|name| (*name, needs(name).into_iter().map(|need| (need, ())).collect())).collect();
        // Circles were reported when the project was read.
        let order =
            in_order(by_name.keys().copied(), &edges).unwrap_or_else(|_circle| by_name.keys().copied().collect());
        let selected: Vec<&Service> = order
            .into_iter()
            .filter(|name| chosen.contains(name))
            .filter_map(|name| by_name.get(name).copied())
            .collect();
        let refused = selected.iter().filter_map(|service| service.build.as_ref()).flat_map(|build| &build.refused);
        match self.reports(refused) {
            reports if reports.is_empty() => Ok(selected),
            reports => Err(Error::Invalid(reports)),
        }
    }

    fn reports<'a>(&self, problems: impl Iterator<Item = &'a (FileId, Diagnostic)>) -> Vec<Report> {
        let mut by_file: BTreeMap<FileId, Vec<Diagnostic>> = BTreeMap::new();
        for (file, problem) in problems {
            let found = by_file.entry(*file).or_default();
            if !found.contains(problem) {
                found.push(problem.clone());
            }
        }
        let report = |(file, mut problems): (FileId, Vec<Diagnostic>)| {
            problems.sort_by_key(|problem| problem.span.start());
            Report { file: self.files[file.0].clone(), problems }
        };
        by_file.into_iter().map(report).collect()
    }
}

/// The services whose images a build begins with.
fn contexts(service: &Service) -> Vec<&str> {
    let contexts = service.build.iter().flat_map(|build| build.additional_contexts.values());
    contexts.filter_map(NamedContext::service).collect()
}
