//! Named contexts in the place of stages and images.

use super::graph::Meaning;
use super::{ImageNeed, Inputs, NamedContext};
use crate::dockerfile::{Diagnostic, Span};
use crate::platform::Platform;
use crate::reference::{ParseError, Reference};

/// What a name means that is none of a stage.
pub(super) fn image_or_context(
    name: &str,
    span: Span,
    inputs: &Inputs,
    platform: &Platform,
) -> Result<Meaning, Box<Diagnostic>> {
    if let Some((context, what)) = inputs.named_context(name, platform) {
        return meaning_of_context(&context, what, span, platform);
    }
    match name.parse::<Reference>() {
        Ok(reference) => Ok(Meaning::Image(ImageNeed { reference, platform: platform.clone(), layout: None })),
        Err(error) => Err(bad_reference(name, span, &error)),
    }
}

fn bad_reference(name: &str, span: Span, error: &ParseError) -> Box<Diagnostic> {
    let report = Diagnostic::error("bad-reference", span, error.to_string());
    let lower = name.to_lowercase();
    let help = if let Some((_, rest)) = name.split_once("://") {
        format!(
            "an image is not named by a URL: leave out the scheme and what is not registry, repository and tag in `{rest}`"
        )
    } else if name.starts_with(['.', '/']) {
        "an image in a folder gets a name on the command line: `--build-context name=oci-layout://FOLDER`".to_owned()
    } else if let Some(untagged) = name.strip_suffix(':') {
        format!("write a tag behind the colon, or leave it out: `{untagged}`")
    } else if lower != name && lower.parse::<Reference>().is_ok() {
        format!("write `{lower}`")
    } else {
        "for example `alpine`, `alpine:3.20` or `ghcr.io/owner/app:1`".to_owned()
    };
    Box::new(report.with_help(help))
}

/// What a named context means in the place of a stage or image.
pub(super) fn meaning_of_context(
    name: &str,
    context: &NamedContext,
    span: Span,
    platform: &Platform,
) -> Result<Meaning, Box<Diagnostic>> {
    let platform = platform.clone();
    Ok(match context {
        NamedContext::Files => Meaning::Named(name.to_owned()),
        NamedContext::Scratch => Meaning::Scratch,
        NamedContext::Image(reference) => {
            Meaning::Image(ImageNeed { reference: reference.clone(), platform, layout: None })
        }
        NamedContext::Layout(layout) => {
            let called = name.split_once("::").map_or(name, |(name, _)| name);
            let reference = called.parse::<Reference>();
            let bad = |error: ParseError| Diagnostic::error("bad-reference", span, error.to_string());
            let reference = reference.map_err(|error| Box::new(bad(error)))?;
            Meaning::Image(ImageNeed { reference, platform, layout: Some(Box::new(layout.clone())) })
        }
    })
}

impl Inputs {
    /// What the command line puts in the place of a stage or image: the name of the context, and what it is.
    pub(super) fn named_context(&self, name: &str, platform: &Platform) -> Option<(String, &NamedContext)> {
        if self.named_contexts.is_empty() {
            return None;
        }
        let name = context_name(name)?;
        let for_platform = format!("{name}::{platform}");
        [for_platform, name]
            .into_iter()
            .find_map(|key| self.named_contexts.get_key_value(&key))
            .map(|(k, v)| (k.clone(), v))
    }
}

/// The one spelling of a context's name: that of an image, without `docker.io/library/` and `:latest`; none if it is no name.
pub fn context_name(name: &str) -> Option<String> {
    let familiar = name.parse::<Reference>().ok()?.familiar();
    Some(familiar.strip_suffix(":latest").unwrap_or(&familiar).to_owned())
}
