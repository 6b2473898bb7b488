//! Build arguments that are no arguments of the Dockerfile but steer the builder: BuildKit's, by their names.

use std::collections::BTreeMap;

use super::error::{Error, Result};
use crate::dockerfile::{foreign_front_end, nearest};

/// Whether a context keeps `.git`.
pub const KEEP_GIT_DIR: &str = "BUILDKIT_CONTEXT_KEEP_GIT_DIR";
const SYNTAX: &str = "BUILDKIT_SYNTAX";
const MULTI_PLATFORM: &str = "BUILDKIT_MULTI_PLATFORM";
const INLINE_CACHE: &str = "BUILDKIT_INLINE_CACHE";
const DISABLE_FILEOP: &str = "BUILDKIT_DISABLE_FILEOP";

/// Those that have their effect elsewhere, or none in BuildKit either as long as nobody asks for attestations.
const HEEDED: [&str; 6] = [
    "BUILDKIT_BUILD_NAME",
    "BUILDKIT_CACHE_MOUNT_NS",
    "BUILDKIT_DOCKERFILE_CHECK",
    "BUILDKIT_SANDBOX_HOSTNAME",
    "BUILDKIT_SBOM_SCAN_CONTEXT",
    "BUILDKIT_SBOM_SCAN_STAGE",
];

/// The value of an argument that is a switch; none if it is not given, or empty.
pub fn switch(build_args: &BTreeMap<String, String>, name: &str) -> Result<Option<bool>> {
    match build_args.get(name).map(String::as_str) {
        None | Some("") => Ok(None),
        Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(Some(true)),
        Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(Some(false)),
        Some(other) => Err(Error::usage(format!("the build argument {name} is `{other}`"), "it may be `1` or `0`")),
    }
}

/// Whether the image is to come in an index of its own, as one for several platforms does.
pub fn in_index(build_args: &BTreeMap<String, String>) -> Result<bool> {
    Ok(switch(build_args, MULTI_PLATFORM)? == Some(true))
}

/// Whether the image is to tell of its steps.
pub fn inline_cache(build_args: &BTreeMap<String, String>) -> Result<bool> {
    Ok(switch(build_args, INLINE_CACHE)? == Some(true))
}

/// What a person must be told of those that have another effect here than in BuildKit, or none; `takes_index` says whether the
/// image goes anywhere where an index is.
pub fn warnings(build_args: &BTreeMap<String, String>, takes_index: bool) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    for (name, value) in build_args.iter().filter(|(name, _)| name.starts_with("BUILDKIT_")) {
        match name.as_str() {
            name if HEEDED.contains(&name) => {}
            SYNTAX => warnings.extend(other_front_end(value)),
            MULTI_PLATFORM if in_index(build_args)? && !takes_index => warnings.push(format!(
                "the build argument {MULTI_PLATFORM} has no effect here: what is for Docker or the store has no index"
            )),
            MULTI_PLATFORM => {}
            // These have their effect elsewhere; here they must only be right.
            INLINE_CACHE => drop(inline_cache(build_args)?),
            KEEP_GIT_DIR => drop(switch(build_args, KEEP_GIT_DIR)?),
            DISABLE_FILEOP => {
                if switch(build_args, DISABLE_FILEOP)? == Some(true) {
                    return Err(Error::usage(format!("{DISABLE_FILEOP} is gone since BuildKit 0.11"), "leave it out"));
                }
            }
            name if name.starts_with("BUILDKIT_ATTEST_") => {
                warnings.push(format!("the build argument {name} has no effect: rbuild writes no attestations"));
            }
            name => warnings.push(unknown(name)),
        }
    }
    Ok(warnings)
}

fn unknown(name: &str) -> String {
    let known = HEEDED.into_iter().chain([SYNTAX, MULTI_PLATFORM, INLINE_CACHE, KEEP_GIT_DIR]);
    match nearest(name, known) {
        Some(near) => format!("the build argument {name} has no effect; did you mean {near}?"),
        None => format!("the build argument {name} has no effect: rbuild knows none of this name"),
    }
}

/// rbuild is itself the front end; another one than Docker's may read another language.
fn other_front_end(image: &str) -> Option<String> {
    let repository = foreign_front_end(image)?;
    Some(format!("the front end `{repository}` ({SYNTAX}) is not run: the file is read as a Dockerfile"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(name: &str, value: &str) -> String {
        match warnings(&[(name.to_owned(), value.to_owned())].into(), false) {
            Ok(warnings) => warnings.join("\n"),
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn an_argument_of_buildkit_has_its_effect_or_says_that_it_has_none() {
        for (name, value, said) in [
            ("BUILDKIT_SYNTAX", "docker/dockerfile:1", ""),
            ("BUILDKIT_SYNTAX", "docker.io/docker/dockerfile-upstream:master-labs@sha256:0", ""),
            (
                "BUILDKIT_SYNTAX",
                "localhost:5000/x/y",
                "the front end `localhost:5000/x/y` (BUILDKIT_SYNTAX) is not run",
            ),
            ("BUILDKIT_INLINE_CACHE", "1", ""),
            ("BUILDKIT_INLINE_CACHE", "yes", "error: the build argument BUILDKIT_INLINE_CACHE is `yes`"),
            ("BUILDKIT_MULTI_PLATFORM", "true", "BUILDKIT_MULTI_PLATFORM has no effect"),
            ("BUILDKIT_MULTI_PLATFORM", "maybe", "error: the build argument BUILDKIT_MULTI_PLATFORM is `maybe`"),
            ("BUILDKIT_DISABLE_FILEOP", "1", "error: BUILDKIT_DISABLE_FILEOP is gone"),
            ("BUILDKIT_ATTEST_SBOM", "x", "rbuild writes no attestations"),
            ("BUILDKIT_SANDBOX_HOSTNAM", "x", "did you mean BUILDKIT_SANDBOX_HOSTNAME?"),
            ("BUILDKIT_SBOM_SCAN_STAGE", "true", ""),
            ("OTHER", "x", ""),
        ] {
            let found = told(name, value);
            assert!(found.contains(said) && found.is_empty() == said.is_empty(), "{name}={value}: {found}");
        }
    }
}
