//! The value of `--call`.

use crate::cli::args::BuildArgs;
use crate::cli::error::{Error, Result};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// What is told.
    pub method: Method,
    /// In which form.
    pub format: Format,
    /// Whether warnings leave the exit status at 0.
    pub ignore_status: bool,
}

/// What is told about a Dockerfile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Its warnings.
    Check,
    /// What the target takes from outside.
    Outline,
    /// Its stages.
    Targets,
    /// Nothing of it: what can be asked for.
    Describe,
}

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

const HINT: &str = "it may be `build`, `check`, `outline` or `targets`, with `,format=json` behind it";

impl Call {
    /// What the flags ask for; none for a build.
    pub fn of(args: &BuildArgs) -> Result<Option<Self>> {
        match args.check {
            Some(true) => Self::parse("check"),
            Some(false) | None => Self::parse(&args.call),
        }
    }

    fn parse(text: &str) -> Result<Option<Self>> {
        let mut name = None;
        let mut format = Format::Text;
        let mut ignore_status = false;
        for field in text.split(',').map(str::trim).filter(|field| !field.is_empty()) {
            match field.split_once('=') {
                Some(("format", "json")) => format = Format::Json,
                Some(("format", "text" | "")) => format = Format::Text,
                Some(("ignorestatus", "true" | "1")) => ignore_status = true,
                Some(("ignorestatus", "false" | "0")) => ignore_status = false,
                None if name.is_none() => name = Some(field),
                _ => return Err(Error::usage(format!("`--call` does not know `{field}`"), HINT)),
            }
        }
        let method = match name {
            None | Some("build") => return Ok(None),
            Some("check" | "lint") => Method::Check,
            Some("outline") => Method::Outline,
            Some("targets") => Method::Targets,
            Some("subrequests.describe") => Method::Describe,
            Some(other) => return Err(Error::usage(format!("there is nothing to call `{other}`"), HINT)),
        };
        Ok(Some(Self { method, format, ignore_status }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_has_a_form_and_may_ignore_the_status() {
        let call = |text: &str| Call::parse(text).ok().flatten();
        let made = |method, format, ignore_status| Some(Call { method, format, ignore_status });
        assert_eq!(call("check"), made(Method::Check, Format::Text, false));
        assert_eq!(call("lint,format=json"), made(Method::Check, Format::Json, false));
        assert_eq!(call("format=json,outline"), made(Method::Outline, Format::Json, false));
        assert_eq!(call("targets,ignorestatus=true"), made(Method::Targets, Format::Text, true));
        assert_eq!(call("subrequests.describe"), made(Method::Describe, Format::Text, false));
        assert_eq!(call("build"), None);
        assert!(Call::parse("build").is_ok() && Call::parse("").is_ok());
        for wrong in ["nothing", "check,outline", "check,format=xml", "check,ignorestatus=maybe", "check,x=y"] {
            assert!(Call::parse(wrong).is_err(), "{wrong}");
        }
    }
}
