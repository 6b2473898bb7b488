//! What is built, from the command line: Dockerfile, context, arguments.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::args::{BuildArgs, TimestampsArg};
use super::environment::Environment;
use super::error::{Error, Result};
use crate::build::{CacheUse, Pull, Request, StatCacheUse, Times};
use crate::dockerfile::MAX_SOURCE;
use crate::fsx;
use crate::layer::LAYER_EPOCH;
use crate::plan::{Inputs, Network};
use crate::platform::Platform;

const EPOCH: &str = "SOURCE_DATE_EPOCH";
/// No resolv.conf is longer, in bytes.
const MAX_RESOLV_CONF: u64 = 1 << 16;

/// A Dockerfile: its bytes, its name in messages, and where it lies if it is a file.
struct Text {
    name: String,
    bytes: Vec<u8>,
    path: Option<PathBuf>,
}

/// Reads what the command line names. `outputs` are left out of the context.
pub fn request(args: &BuildArgs, environment: &Environment, outputs: Vec<PathBuf>) -> Result<Request> {
    let given = args.path.as_deref().ok_or_else(|| {
        Error::usage(
            "the folder to build from is missing",
            "write `rbuild [OPTIONS] PATH`, for example `rbuild -t app .`",
        )
    })?;
    let (context, text) = sources(args, given)?;
    let inputs = inputs(args, environment)?;
    let created = created(&inputs)?;
    // Without one the image's own stays; a host without the file has no name servers to tell.
    let resolv_conf = fsx::read_if_exists(Path::new("/etc/resolv.conf"), MAX_RESOLV_CONF)?.unwrap_or_default();
    Ok(Request {
        dockerfile_name: text.name,
        dockerfile: text.bytes,
        dockerfile_path: text.path,
        context,
        outputs,
        inputs,
        cache: if args.no_cache { CacheUse::Ignore } else { CacheUse::Use },
        pull: if args.pull { Pull::Always } else { Pull::Missing },
        times: match args.timestamps {
            TimestampsArg::Fixed => Times::Fixed,
            TimestampsArg::Preserve => Times::Preserve,
        },
        created,
        stat_cache: if args.no_stat_cache { StatCacheUse::Ignore } else { StatCacheUse::Use },
        resolv_conf,
    })
}

fn sources(args: &BuildArgs, given: &str) -> Result<(Option<PathBuf>, Text)> {
    if given == "-" {
        if args.file.is_some() {
            return Err(Error::Unsupported { what: "a tar on standard input as the context".to_owned() });
        }
        let text = read_stdin()?;
        let head = text.bytes.get(..6).unwrap_or_default();
        if head.starts_with(&[0x1f, 0x8b]) || head.starts_with(b"BZh") || text.bytes.get(257..262) == Some(b"ustar") {
            return Err(Error::Unsupported { what: "a tar on standard input as the context".to_owned() });
        }
        return Ok((None, text));
    }
    if ["http://", "https://", "git://", "git@", "ssh://"].iter().any(|scheme| given.starts_with(scheme)) {
        return Err(Error::Unsupported {
            what: format!("the context `{given}`, which is not a folder of this machine,"),
        });
    }
    let context = folder(given)?;
    let text = match args.file.as_deref() {
        Some("-") => read_stdin()?,
        Some(file) => read_file(Path::new(file), file)?,
        None => default_file(&context, given)?,
    };
    Ok((Some(context), text))
}

fn folder(given: &str) -> Result<PathBuf> {
    let hint = |hint: &str| hint.to_owned();
    let input = |message: String, hint: String| Error::Input { message, hint };
    match Path::new(given).canonicalize() {
        Ok(path) if path.is_dir() => Ok(path),
        Ok(_) => Err(input(
            format!("`{given}` is not a folder"),
            hint("name the folder to build from, and the file with `-f`"),
        )),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(input(format!("there is no folder `{given}`"), hint("name the folder that COPY copies from")))
        }
        Err(error) => Err(input(format!("cannot open the folder `{given}`: {error}"), String::new())),
    }
}

fn default_file(context: &Path, given: &str) -> Result<Text> {
    for name in ["Dockerfile", "dockerfile"] {
        let path = context.join(name);
        if path.symlink_metadata().is_ok() {
            return read_file(&path, name);
        }
    }
    let hint = "write one, or name another file with `-f FILE`".to_owned();
    Err(Error::Input { message: format!("there is no Dockerfile in `{given}`"), hint })
}

fn read_file(path: &Path, shown: &str) -> Result<Text> {
    let bytes = fsx::read_at_most(path, MAX_SOURCE as u64).map_err(|error| Error::Input {
        message: format!("cannot read the Dockerfile: {error}"),
        hint: if error.is_not_found() { "name the file with `-f FILE`".to_owned() } else { String::new() },
    })?;
    let path = path.canonicalize().ok();
    Ok(Text { name: shown.to_owned(), bytes, path })
}

fn read_stdin() -> Result<Text> {
    let mut bytes = Vec::new();
    io::stdin().lock().take(MAX_SOURCE as u64 + 1).read_to_end(&mut bytes)?;
    Ok(Text { name: "<stdin>".to_owned(), bytes, path: None })
}

fn inputs(args: &BuildArgs, environment: &Environment) -> Result<Inputs> {
    let host = Platform::host();
    let platform = match &args.platform {
        None => host.clone(),
        Some(text) => text.parse().map_err(|error: crate::platform::ParseError| Error::usage(error.to_string(), ""))?,
    };
    // Another architecture is refused only where a RUN would need it.
    if host.os() != platform.os() {
        return Err(Error::Unsupported { what: format!("building for {platform} on this machine, which is {host},") });
    }
    let network = match args.network.as_str() {
        "default" | "host" => Network::Host,
        "none" => Network::None,
        other => {
            return Err(Error::usage(format!("`{other}` is not a network"), "it may be `default`, `host` or `none`"));
        }
    };
    Ok(Inputs {
        build_args: build_args(&args.build_arg, environment)?,
        target: args.target.clone().filter(|target| !target.is_empty()),
        labels: labels(&args.label)?,
        platform,
        build_platform: host,
        network,
    })
}

fn build_args(given: &[String], environment: &Environment) -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    // As docker buildx does, so that a reproducible build needs no flag.
    found.extend(environment.variable(EPOCH).map(|value| (EPOCH.to_owned(), value)));
    for arg in given {
        let (name, value) = match arg.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (arg.as_str(), environment.variable(arg)),
        };
        if name.is_empty() {
            return Err(Error::usage("a build argument has no name", "write `--build-arg NAME=VALUE`"));
        }
        found.extend(value.map(|value| (name.to_owned(), value)));
    }
    Ok(found)
}

fn labels(given: &[String]) -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for label in given {
        let (name, value) = label.split_once('=').unwrap_or((label, ""));
        if name.is_empty() {
            return Err(Error::usage("a label has no name", "write `--label NAME=VALUE`"));
        }
        found.insert(name.to_owned(), value.to_owned());
    }
    Ok(found)
}

/// What the image says of when it was made: SOURCE_DATE_EPOCH, else the fixed time of its layers.
fn created(inputs: &Inputs) -> Result<i64> {
    match inputs.build_args.get(EPOCH).filter(|value| !value.is_empty()) {
        None => Ok(LAYER_EPOCH),
        Some(value) => {
            let seconds = value.parse().ok().filter(|seconds| jiff::Timestamp::from_second(*seconds).is_ok());
            let problem = || format!("{EPOCH} is `{value}`, which is not a number of seconds since 1970");
            seconds.ok_or_else(|| {
                Error::usage(problem(), "write for example the time of a commit: `git log -1 --format=%ct`")
            })
        }
    }
}
