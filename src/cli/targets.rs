//! Where the image goes, from `-t`, `-o`, `--push` and `--load`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::args::BuildArgs;
use super::error::{Error, Result};
use crate::export::Overwrite;
use crate::layer::{Compression, Pulled};
use crate::plan::SOURCE_DATE_EPOCH;
use crate::reference::Reference;

/// Names, places, and how layers are compressed on the way.
#[derive(Debug, Clone, PartialEq)]
pub struct Targets {
    /// The names of the image.
    pub names: Vec<Reference>,
    /// Where it goes, in the order given.
    pub places: Vec<Place>,
    /// For every place.
    pub compression: Compression,
    /// Whether layers that came compressed get that compression too, at every place.
    pub pulled: Pulled,
    /// The times of files in the layers.
    pub times: LayerTimes,
}

/// The times of files in the layers that go to the places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerTimes {
    /// As they were built.
    AsBuilt,
    /// None later than SOURCE_DATE_EPOCH.
    Rewritten,
}

/// One place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// An archive.
    File {
        /// Where.
        path: PathBuf,
        /// What it may replace.
        overwrite: Overwrite,
        /// For whom it is.
        form: Form,
    },
    /// An archive on standard output.
    Stdout(Form),
    /// A folder with an OCI image layout.
    Layout(PathBuf, Form),
    /// The store, under the names.
    Store,
    /// Nowhere: only the cache is filled.
    CacheOnly,
    /// The registries of the names.
    Registry,
    /// The running Docker.
    Docker,
}

impl LayerTimes {
    /// Fails if nothing says how late a file may be.
    pub fn check(self, build_args: &BTreeMap<String, String>) -> Result<()> {
        if self == LayerTimes::Rewritten && !build_args.contains_key(SOURCE_DATE_EPOCH) {
            let hint = "set it, for example `SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)`";
            return Err(Error::usage("`rewrite-timestamp=true` needs SOURCE_DATE_EPOCH to say which time", hint));
        }
        Ok(())
    }
}

/// For whom an archive or layout is. Both hold the same, but an image in an index of its own is for readers of OCI: Docker's
/// type has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `type=docker`.
    Docker,
    /// `type=oci`.
    Oci,
}

impl Place {
    /// Whether an image comes here in an index of its own if one is asked for.
    pub fn takes_index(&self) -> bool {
        match self {
            Place::File { form, .. } | Place::Stdout(form) | Place::Layout(_, form) => *form == Form::Oci,
            Place::Registry => true,
            Place::Store | Place::CacheOnly | Place::Docker => false,
        }
    }

    /// The `-o` of a place from which some Docker loads the image later; none for the others.
    pub fn docker_output(&self) -> Option<String> {
        match self {
            Place::File { path, form: Form::Docker, .. } => Some(format!("type=docker,dest={}", path.display())),
            Place::Stdout(Form::Docker) => Some("type=docker,dest=-".to_owned()),
            Place::File { .. } | Place::Stdout(_) | Place::Layout(..) => None,
            Place::Store | Place::CacheOnly | Place::Registry | Place::Docker => None,
        }
    }
}

impl Targets {
    /// No place yet.
    pub fn of_names(names: Vec<Reference>) -> Self {
        Self {
            names,
            places: Vec::new(),
            compression: Compression::DEFAULT,
            pulled: Pulled::Kept,
            times: LayerTimes::AsBuilt,
        }
    }

    /// Adds what an `-o` with attributes says.
    pub fn add(&mut self, spec: &str) -> Result<()> {
        let attributes = attributes(spec, &mut self.names)?;
        if let Some(compression) = attributes.compression {
            self.compression = compression_of(compression, attributes.level)?;
        } else if let Some(level) = attributes.level {
            self.compression = compression_of("gzip", Some(level))?;
        }
        if let Some(pulled) = attributes.pulled {
            self.pulled = pulled;
        }
        if attributes.rewrite {
            self.times = LayerTimes::Rewritten;
        }
        self.places.push(place(spec, &attributes)?);
        if attributes.push && attributes.kind != Some("registry") {
            self.places.push(Place::Registry);
        }
        Ok(())
    }

    /// How layers are compressed while the build goes on; none if they stay, or leave as others.
    pub fn leaving(&self) -> Option<Compression> {
        (self.leaves_store() && self.times == LayerTimes::AsBuilt).then_some(self.compression)
    }

    /// Whether an archive goes to standard output.
    pub fn has_stdout(&self) -> bool {
        self.places.iter().any(|place| matches!(place, Place::Stdout(_)))
    }

    /// Whether an image in an index of its own has a place to go to.
    pub fn takes_index(&self) -> bool {
        self.places.iter().any(Place::takes_index)
    }

    /// Whether the image goes anywhere but into the store.
    pub fn leaves_store(&self) -> bool {
        self.places.iter().any(|place| !matches!(place, Place::Store | Place::CacheOnly))
    }
}

/// Reads the flags.
pub fn targets(args: &BuildArgs) -> Result<Targets> {
    let mut names = Vec::new();
    for tag in &args.tag {
        names.push(name(tag)?);
    }
    let mut targets = Targets::of_names(names);
    for spec in &args.output {
        match spec.contains('=') {
            true => targets.add(spec)?,
            false => targets.places.push(plain_output(spec)?),
        }
    }
    if args.push {
        targets.places.push(Place::Registry);
    }
    if args.load {
        targets.places.push(Place::Docker);
    }
    if targets.places.contains(&Place::Registry) && targets.names.is_empty() {
        return Err(Error::usage("pushing needs a name", "name the image with `-t REGISTRY/NAME:TAG`"));
    }
    if targets.places.is_empty() {
        targets.places.push(match targets.names.first() {
            Some(name) => {
                let path = PathBuf::from(format!("{}.tar", name.short_name()));
                Place::File { path, overwrite: Overwrite::OwnOnly, form: Form::Docker }
            }
            None => Place::Store,
        });
    }
    Ok(targets)
}

/// A name for an image: it has a tag, and no digest.
pub fn name(text: &str) -> Result<Reference> {
    let parsed = text.parse::<Reference>();
    let name = parsed.map_err(|error| Error::usage(error.to_string(), hint_of_name(text)))?;
    if name.digest().is_some() {
        return Err(Error::usage(
            format!("`{text}` has a digest: that cannot be given to an image"),
            "write `-t NAME:TAG`",
        ));
    }
    Ok(name)
}

/// Capitals are what people get wrong most often.
fn hint_of_name(text: &str) -> String {
    let (repository, tag) = text.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).unwrap_or((text, ""));
    let lower = format!("{}{}{tag}", repository.to_lowercase(), if tag.is_empty() { "" } else { ":" });
    match lower.parse::<Reference>() {
        Ok(_) => format!("write `-t {lower}`"),
        Err(_) => "write `-t NAME` or `-t NAME:TAG`".to_owned(),
    }
}

/// The attributes of one `-o`.
#[derive(Default)]
struct Attributes<'a> {
    kind: Option<&'a str>,
    dest: Option<&'a str>,
    tar: bool,
    push: bool,
    rewrite: bool,
    compression: Option<&'a str>,
    level: Option<u8>,
    pulled: Option<Pulled>,
}

/// `-o FILE.tar`; as with docker, `-` alone is a root filesystem, and so is a folder.
fn plain_output(spec: &str) -> Result<Place> {
    if spec.ends_with(".tar") {
        return Ok(Place::File { path: PathBuf::from(spec), overwrite: Overwrite::Any, form: Form::Docker });
    }
    Err(match spec {
        "-" => Error::Unsupported {
            what: "`-o -`, the root filesystem as a tar; `-o type=docker,dest=-` writes an image:".to_owned()
                + " the former",
        },
        _ => Error::Unsupported { what: format!("`-o {spec}`, the root filesystem as a folder,") },
    })
}

fn attributes<'a>(spec: &'a str, names: &mut Vec<Reference>) -> Result<Attributes<'a>> {
    let mut found = Attributes { tar: true, ..Attributes::default() };
    for part in spec.split(',') {
        let (key, value) = match part.split_once('=') {
            Some((key, value)) if !value.is_empty() => (key, value),
            None if matches!(part, "tar" | "push") => (part, "true"),
            _ => return Err(Error::usage(format!("`{part}` in `-o {spec}` has no value"), "write `KEY=VALUE`")),
        };
        match key.trim().to_ascii_lowercase().as_str() {
            "type" => found.kind = Some(value),
            "dest" => found.dest = Some(value),
            "name" => names.push(name(value)?),
            "tar" => found.tar = boolean(key, value)?,
            "push" => found.push = boolean(key, value)?,
            "rewrite-timestamp" => found.rewrite = boolean(key, value)?,
            "compression" => found.compression = Some(value),
            "compression-level" => found.level = Some(level_of(value)?),
            "force-compression" => {
                found.pulled = Some(if boolean(key, value)? { Pulled::Recompressed } else { Pulled::Kept });
            }
            other => return Err(Error::Unsupported { what: format!("the output attribute `{other}` in `-o {spec}`") }),
        }
    }
    Ok(found)
}

fn place(spec: &str, attributes: &Attributes<'_>) -> Result<Place> {
    let needs_dest = || Error::usage(format!("`-o {spec}` does not say where to"), "add `dest=FILE`");
    match attributes.kind {
        Some("docker") if attributes.dest.is_none() => Ok(Place::Docker),
        Some(kind @ ("docker" | "oci")) => {
            let form = if kind == "oci" { Form::Oci } else { Form::Docker };
            match attributes.dest.ok_or_else(needs_dest)? {
                "-" if attributes.tar => Ok(Place::Stdout(form)),
                folder if !attributes.tar => Ok(Place::Layout(PathBuf::from(folder), form)),
                file => Ok(Place::File { path: PathBuf::from(file), overwrite: Overwrite::Any, form }),
            }
        }
        Some("image") => Ok(Place::Store),
        Some("registry") => Ok(Place::Registry),
        Some("cacheonly") => Ok(Place::CacheOnly),
        Some(kind @ ("local" | "tar")) => {
            Err(Error::Unsupported { what: format!("`-o type={kind}`, a root filesystem,") })
        }
        Some(other) => {
            let hint = "the types are docker, oci, image, registry and cacheonly";
            Err(Error::usage(format!("`{other}` is not a type of output"), hint))
        }
        None => Err(Error::usage(format!("`-o {spec}` has no type"), "write `-o type=docker,dest=FILE`")),
    }
}

/// The compression of that name. gzip's level 0 stores, zstd's is its default, as everywhere.
pub(super) fn compression_of(kind: &str, level: Option<u8>) -> Result<Compression> {
    let within = |level: u8, most: u8| match level {
        level if level <= most => Ok(level),
        level => {
            let hint = format!("write `compression-level={most}`, or leave it out");
            Err(Error::usage(format!("`{level}` is not a level of {kind}: they are 0 to {most}"), hint))
        }
    };
    match kind {
        "gzip" => Ok(Compression::Gzip { level: within(level.unwrap_or(4), 12)?, single_member: false }),
        "zstd" => match within(level.unwrap_or(0), 22)? {
            0 => Ok(Compression::Zstd { level: 3 }),
            level => Ok(Compression::Zstd { level }),
        },
        "uncompressed" => Ok(Compression::None),
        "estargz" => Err(Error::Unsupported { what: "`compression=estargz`".to_owned() }),
        other => Err(Error::usage(format!("`{other}` is not a compression"), "it may be gzip, zstd or uncompressed")),
    }
}

/// A level of any compression.
pub(super) fn level_of(value: &str) -> Result<u8> {
    value.parse().map_err(|_bad: std::num::ParseIntError| {
        let hint = "levels of gzip are 0 to 12, those of zstd 0 to 22";
        Error::usage(format!("`{value}` is not a compression level"), hint)
    })
}

fn boolean(key: &str, value: &str) -> Result<bool> {
    match value {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        other => {
            let hint = format!("write `{key}=true` or `{key}=false`");
            Err(Error::usage(format!("`{key}={other}` is neither true nor false"), hint))
        }
    }
}

#[cfg(test)]
#[path = "targets_tests.rs"]
mod tests;
