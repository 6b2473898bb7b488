//! The plan of a build that is not made.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::error::{Error, Problem, Result};
use super::images;
use super::refuse::refuse_errors;
use super::request::{Pull, Request};
use crate::dockerfile::{self, Diagnostic, Source};
use crate::image::ImageConfig;
use crate::plan::{self, ImageNeed, Outcome, Plan};
use crate::store::Store;

/// What a build would do.
#[derive(Debug)]
pub struct Preview {
    /// The text of the Dockerfile.
    pub source: Arc<Source>,
    /// What would be done.
    pub plan: Plan,
    /// What the Dockerfile is warned of.
    pub warnings: Vec<Diagnostic>,
    /// Base images that are not in the store: the plan was made as if their configs were empty.
    pub unknown: Vec<String>,
}

/// Plans a build as far as the store knows its base images. Pulls nothing, runs nothing, and does not look at the context.
pub fn preview(store: &Store, request: &Request) -> Result<Preview> {
    let (dockerfile, mut warnings) = dockerfile::parse(&request.dockerfile_name, &request.dockerfile);
    let source = Arc::new(dockerfile.source.clone());
    refuse_errors(&source, &warnings)?;
    let lease = store.lease().map_err(Problem::from)?;
    let mut configs: BTreeMap<ImageNeed, ImageConfig> = BTreeMap::new();
    let mut unknown = Vec::new();
    loop {
        let outcome = plan::plan(&dockerfile, &request.inputs, &configs).map_err(|mut problems| {
            problems.append(&mut warnings);
            problems.sort_by_key(|problem| problem.span.start());
            Error::Dockerfile { file: source.clone(), problems }
        })?;
        let needs = match outcome {
            Outcome::Needs { images, has_run: _ } => images,
            Outcome::Ready(plan, found) => {
                warnings.extend(found);
                return Ok(Preview { source, plan: *plan, warnings, unknown });
            }
        };
        for need in needs.into_iter().map(|needed| needed.image) {
            let config = match images::stored(store, &lease, &need, Pull::Missing)? {
                Some(image) => image.config.config().clone(),
                None => {
                    unknown.push(need.reference.familiar());
                    ImageConfig::scratch(&need.platform)
                }
            };
            configs.insert(need, config);
        }
    }
}
