//! The time that an image tells of when it was made.

use std::collections::BTreeMap;

use super::contexts::{Main, Text, Tools, remote_context};
use super::error::{Error, Result};
use crate::build::{self, NamedFiles, Problem, Silently};
use crate::dockerfile::{self, Diagnostic, nearest};
use crate::layer::LAYER_EPOCH;
use crate::plan::{self, Epoch, Inputs, SOURCE_DATE_EPOCH};
use crate::remote::Remote;

/// What may tell a time.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// The context as it was given.
    pub given: &'a str,
    pub main: &'a Main,
    pub named: &'a BTreeMap<String, NamedFiles>,
}

/// When the image was made, in seconds since 1970: SOURCE_DATE_EPOCH, else the fixed time of its layers.
///
/// Where it names something that tells the time, the number takes its place among the build arguments; as in BuildKit
/// nothing does if there is no time to tell, as in a folder.
pub fn resolve(inputs: &mut Inputs, text: &Text, place: Place<'_>, tools: Tools<'_>) -> Result<i64> {
    if let Some(Ok(seconds)) = inputs.build_args.get(SOURCE_DATE_EPOCH).map(|value| value.parse()) {
        return checked(seconds);
    }
    let is_named = text.bytes.windows(SOURCE_DATE_EPOCH.len()).any(|window| window == SOURCE_DATE_EPOCH.as_bytes());
    if !is_named && !inputs.build_args.contains_key(SOURCE_DATE_EPOCH) {
        return Ok(LAYER_EPOCH);
    }
    let (file, problems) = dockerfile::parse(&text.name, &text.bytes);
    if problems.iter().any(Diagnostic::is_error) {
        // The build reports them.
        return Ok(LAYER_EPOCH);
    }
    let epoch = plan::epoch(&file, inputs).map_err(|problems| {
        Error::Build(build::Error::Dockerfile { file: std::sync::Arc::new(file.source.clone()), problems })
    })?;
    let seconds = match epoch {
        Epoch::Unset => return Ok(LAYER_EPOCH),
        Epoch::Seconds(seconds) => return checked(seconds),
        Epoch::Unknown { value, names } => return Err(unknown(&value, &names)),
        Epoch::Context => of_context(place, tools)?,
        Epoch::Named(name) => match place.named.get(&name) {
            Some(NamedFiles::Remote(remote)) => of_remote(remote, tools)?,
            Some(NamedFiles::Folder(_)) | None => None,
        },
        Epoch::Remote { remote, checksum } => {
            let watch = Silently(tools.interrupt);
            build::time_of(tools.store, tools.fetcher, &remote, checksum.as_ref(), &watch)?
        }
    };
    let told = seconds.map(|seconds| seconds.to_string()).unwrap_or_default();
    inputs.build_args.insert(SOURCE_DATE_EPOCH.to_owned(), told);
    seconds.map_or(Ok(LAYER_EPOCH), checked)
}

fn of_context(place: Place<'_>, tools: Tools<'_>) -> Result<Option<i64>> {
    match (remote_context(place.given)?, place.main) {
        (Some(remote), _) => Ok(of_remote(&remote, tools)?),
        (None, Main::Files(files)) => Ok(build::newest(files)?),
        (None, Main::Folder(_) | Main::Nothing) => Ok(None),
    }
}

fn of_remote(remote: &Remote, tools: Tools<'_>) -> std::result::Result<Option<i64>, Problem> {
    build::time_of(tools.store, tools.fetcher, remote, None, &Silently(tools.interrupt))
}

fn checked(seconds: i64) -> Result<i64> {
    match jiff::Timestamp::from_second(seconds) {
        Ok(_) => Ok(seconds),
        Err(_) => Err(Error::usage(format!("{SOURCE_DATE_EPOCH} is {seconds}, which no calendar has"), "")),
    }
}

fn unknown(value: &str, names: &[String]) -> Error {
    let message = format!("{SOURCE_DATE_EPOCH} is `{value}`, which is not a number of seconds since 1970");
    Error::usage(
        message,
        match nearest(value, names.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "write the time of a commit, `git log -1 --format=%ct`, or `context` for that of a remote context"
                .to_owned(),
        },
    )
}
