//! What is built, from the command line: Dockerfile, context, arguments.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::args::{BuildArgs, TimestampsArg};
use super::contexts::{Main, Text, Tools, main_context, named_contexts};
use super::environment::Environment;
use super::epoch::{self, Place};
use super::error::{Error, InPart, Part, Result};
use super::{argument_file, build_args, caches, commands, near};
use crate::build::{CacheUse, Detail, InlineCache, Pull, Request, StatCacheUse, Times};
use crate::dockerfile::Check;
use crate::fsx;
use crate::plan::{Inputs, Network, SOURCE_DATE_EPOCH, Scope};
use crate::platform::Platform;

/// The build argument that says which warnings count, whatever the Dockerfile says.
const CHECK: &str = "BUILDKIT_DOCKERFILE_CHECK";
/// No resolv.conf is longer, in bytes.
const MAX_RESOLV_CONF: u64 = 1 << 16;

/// Reads what the command line names. `outputs` are left out of the context.
pub fn request(
    args: &BuildArgs,
    environment: &Environment,
    tools: Tools<'_>,
    outputs: Vec<PathBuf>,
) -> Result<Request> {
    request_for(args, environment, tools, outputs, None).map_err(|wrong| wrong.error)
}

/// The same with another Dockerfile, if one is given, than the command line names, and with errors that say what they are about.
pub fn request_for(
    args: &BuildArgs,
    environment: &Environment,
    tools: Tools<'_>,
    outputs: Vec<PathBuf>,
    dockerfile: Option<Text>,
) -> std::result::Result<Request, InPart> {
    let given = args.path.as_deref().ok_or_else(|| {
        Error::usage(
            "the folder to build from is missing",
            "write `rbuild [OPTIONS] PATH`, for example `rbuild -t app .`",
        )
    })?;
    let (named_contexts, named) = named_contexts(&args.build_context)?;
    let mut inputs = Inputs { named_contexts, ..inputs(args, environment)? };
    let (main, text) = main_context(args, given, tools, &inputs.build_args, dockerfile)?;
    let place = Place { given, main: &main, named: &named };
    let created = epoch::resolve(&mut inputs, &text, place, tools).map_err(in_args)?;
    let ignore_file = args.ignorefile.as_deref().map(|file| ignore_file(file, &main, given)).transpose()?;
    let (context, context_files) = match main {
        Main::Nothing => (None, None),
        Main::Folder(folder) => (Some(folder), None),
        Main::Files(files) => (None, Some(files)),
    };
    let inline_cache =
        match caches::inline(&args.cache_to)? || build_args::inline_cache(&inputs.build_args).map_err(in_args)? {
            true => InlineCache::Carried,
            false => InlineCache::Absent,
        };
    let check = inputs.build_args.get(CHECK).map(|given| check(given)).transpose().map_err(in_args)?;
    // Without one the image's own stays; a host without the file has no name servers to tell.
    let resolv_conf = fsx::read_if_exists(Path::new("/etc/resolv.conf"), MAX_RESOLV_CONF)?.unwrap_or_default();
    Ok(Request {
        dockerfile_name: text.name,
        dockerfile: text.bytes,
        dockerfile_path: text.path,
        context,
        ignore_file,
        context_files,
        named,
        outputs,
        inputs,
        check,
        cache: if args.no_cache { CacheUse::Ignore } else { CacheUse::Use },
        uncached_stages: filtered(&args.no_cache_filter),
        cache_from: caches::sources(&args.cache_from)?,
        inline_cache,
        detail: if args.explain { Detail::Everything } else { Detail::Reason },
        pull: if args.pull { Pull::Always } else { Pull::Missing },
        times: match args.timestamps {
            TimestampsArg::Fixed => Times::Fixed,
            TimestampsArg::Preserve => Times::Preserve,
        },
        created,
        stat_cache: if args.no_stat_cache { StatCacheUse::Ignore } else { StatCacheUse::Use },
        resolv_conf,
        commands: commands::options(args, environment)?,
        leaving: None,
    })
}

fn in_args(error: Error) -> InPart {
    Part::BuildArgs.is_wrong(error)
}

/// `--ignorefile`: as with buildah it is found from the working folder, wherever the context is.
fn ignore_file(file: &Path, main: &Main, context: &str) -> Result<PathBuf> {
    if !matches!(main, Main::Folder(_)) {
        let message = format!("`--ignorefile` has no effect on `{context}`, which is no folder of this machine");
        return Err(Error::usage(message, "leave it out: what comes from elsewhere is used whole"));
    }
    let problem = match std::fs::metadata(file) {
        Ok(found) if found.is_dir() => format!("`{}` is a folder", file.display()),
        Ok(_) => return Ok(file.to_path_buf()),
        Err(error) => fsx::Error { action: "open", path: file.to_path_buf(), source: error }.to_string(),
    };
    let hint = match near::file(file).filter(|_| !file.exists()) {
        Some(near) => format!("did you mean `--ignorefile {near}`?"),
        None => "name the file as seen from the working folder, or leave `--ignorefile` out".to_owned(),
    };
    Err(Error::Input { message: format!("cannot read the ignore file: {problem}"), hint })
}

/// `--no-cache-filter`: names with commas between them.
fn filtered(given: &[String]) -> Vec<String> {
    let names = given.iter().flat_map(|names| names.split(',')).map(str::trim);
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn inputs(args: &BuildArgs, environment: &Environment) -> std::result::Result<Inputs, InPart> {
    let host = Platform::host();
    let platform = match &args.platform {
        None => host.clone(),
        Some(text) => text.parse().map_err(|error: crate::platform::ParseError| Error::usage(error.to_string(), ""))?,
    };
    check_platform(&platform)?;
    let network = match args.network.as_str() {
        "default" | "host" => Network::Host,
        "none" => Network::None,
        other => {
            return Err(
                Error::usage(format!("`{other}` is not a network"), "it may be `default`, `host` or `none`").into()
            );
        }
    };
    Ok(Inputs {
        build_args: build_args(args, environment).map_err(in_args)?,
        target: args.target.clone().filter(|target| !target.is_empty()),
        labels: labels(&args.label)?,
        platform,
        build_platform: host,
        network,
        insecure: commands::insecure(&args.allow)?,
        named_contexts: BTreeMap::new(),
        secret_files: BTreeMap::new(),
        scope: Scope::Target,
        unknown_bases: BTreeSet::new(),
    })
}

/// Another architecture is refused only where a RUN would need it.
pub(super) fn check_platform(platform: &Platform) -> Result<()> {
    let host = Platform::host();
    match host.os() == platform.os() {
        true => Ok(()),
        false => Err(Error::Unsupported { what: format!("building for {platform} on this machine, which is {host},") }),
    }
}

fn build_args(args: &BuildArgs, environment: &Environment) -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    // As docker buildx does, so that a reproducible build needs no flag.
    found.extend(environment.variable(SOURCE_DATE_EPOCH).map(|value| (SOURCE_DATE_EPOCH.to_owned(), value)));
    for file in &args.build_arg_file {
        argument_file::read(file, &|name| environment.variable(name), &mut found)?;
    }
    for arg in &args.build_arg {
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

fn check(given: &str) -> Result<Check> {
    let hint = "write for example `--build-arg BUILDKIT_DOCKERFILE_CHECK='skip=UndefinedVar;error=true'`";
    Check::parse(given).map_err(|problem| Error::usage(format!("cannot read {CHECK}: {problem}"), hint))
}
