//! Where files come from: the context and the named ones, as the command line gives them.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::args::{BuildArgs, CommandLine};
use super::build_args::{KEEP_GIT_DIR, switch};
use super::error::{Error, InPart, Part, Result};
use super::near;
use crate::build::{self, Brought, Files, Interrupt, NamedFiles, Problem, Silently};
use crate::context::{Kind, resolve};
use crate::digest::{self, BlobDigest};
use crate::dockerfile::{MAX_SOURCE, nearest};
use crate::fetch::{Fetcher, limits};
use crate::fsx;
use crate::path::ContextPath;
use crate::plan::{LayoutImage, NamedContext, SOURCE_DATE_EPOCH, context_name};
use crate::platform::Platform;
use crate::reference;
use crate::remote::{self, HttpUrl, Remote};
use crate::store::Store;

/// What to do about a folder of `--build-context` that is not there.
const NAMED: &str =
    "`--build-context NAME=FOLDER` takes a folder, a URL, `docker-image://NAME` or `oci-layout://FOLDER`";

/// A Dockerfile: its bytes, its name in messages, and where it lies if it is a file.
pub struct Text {
    pub name: String,
    pub bytes: Vec<u8>,
    pub path: Option<PathBuf>,
}

/// The place that COPY copies from.
pub enum Main {
    /// Nothing: there is only a Dockerfile.
    Nothing,
    /// A folder of this machine.
    Folder(PathBuf),
    /// Files from elsewhere.
    Files(Files),
}

/// What fetching needs.
#[derive(Clone, Copy)]
pub struct Tools<'a> {
    pub store: &'a Store,
    pub fetcher: &'a Fetcher,
    pub interrupt: &'a Interrupt,
}

/// Finds the context and, unless it is given, the Dockerfile.
pub fn main_context(
    args: &BuildArgs,
    given: &str,
    tools: Tools<'_>,
    build_args: &BTreeMap<String, String>,
    dockerfile: Option<Text>,
) -> std::result::Result<(Main, Text), InPart> {
    let in_file = |error| Part::Dockerfile.is_wrong(error);
    let in_args = |error| Part::BuildArgs.is_wrong(error);
    let dockerfile = match (dockerfile, &args.file) {
        (None, Some(file)) => fetched_file(file, tools).map_err(in_file)?,
        (dockerfile, _) => dockerfile,
    };
    if given == "-" {
        return Ok(from_stdin(args, tools, dockerfile)?);
    }
    if let Some(mut remote) = parse_remote(given)? {
        if let (Remote::Git(source), Some(true)) = (&mut remote, switch(build_args, KEEP_GIT_DIR).map_err(in_args)?) {
            source.keep_git_dir(true).map_err(|error| Error::usage(error.to_string(), ""))?;
        }
        // As in BuildKit: whoever fixes the time of an image gets files with that of the commit.
        if let (Remote::Git(source), Some(_)) =
            (&mut remote, build_args.get(SOURCE_DATE_EPOCH).filter(|v| !v.is_empty()))
        {
            source.times = remote::Times::Commit;
        }
        let brought = build::fetch_context(tools.store, tools.fetcher, &remote, &Silently(tools.interrupt))?;
        return match brought {
            Brought::Files(files) => {
                let text = match (dockerfile, args.file.as_deref()) {
                    (Some(text), _) => text,
                    (None, Some("-")) => read_stdin()?,
                    (None, file) => text_in(&files, file).map_err(in_file)?,
                };
                Ok((Main::Files(files), text))
            }
            Brought::Text(blob, size) => {
                let text = plain_text(args, tools, &blob, size, remote.shown()).map_err(in_file)?;
                Ok((Main::Nothing, text))
            }
        };
    }
    let context = folder(given, "name the folder that COPY copies from")?;
    let text = match (dockerfile, args.file.as_deref()) {
        (Some(text), _) => text,
        (None, Some("-")) => read_stdin()?,
        (None, Some(file)) => read_file(Path::new(file), file).map_err(in_file)?,
        (None, None) => default_file(&context, given).map_err(in_file)?,
    };
    Ok((Main::Folder(context), text))
}

/// The remote that is the context, if it is one.
pub fn remote_context(given: &str) -> Result<Option<Remote>> {
    if given == "-" { Ok(None) } else { parse_remote(given) }
}

/// `github.com/owner/name` may also be a folder: then it is one.
fn parse_remote(given: &str) -> Result<Option<Remote>> {
    if Path::new(given).exists() {
        return Ok(None);
    }
    Remote::parse_context(given).map_err(|error| Error::usage(error.to_string(), ""))
}

/// Standard input as a context: an archive, or a lone Dockerfile.
fn from_stdin(args: &BuildArgs, tools: Tools<'_>, dockerfile: Option<Text>) -> Result<(Main, Text)> {
    if args.file.as_deref() == Some("-") {
        let hint = "give the context as a folder, or leave `-f -` out";
        return Err(Error::usage("standard input cannot be both the context and the Dockerfile", hint));
    }
    let mut writer = tools.store.blob_writer()?;
    let mut buffer = vec![0; 128 << 10];
    let mut size = 0;
    while let Some(count) = read_or_stop(&mut buffer, tools.interrupt)? {
        size += count as u64;
        if size > limits::BODY {
            return Err(Error::usage(format!("standard input holds more than {} bytes", limits::BODY), ""));
        }
        writer.write_all(&buffer[..count])?;
    }
    let (blob, size) = writer.commit()?;
    match build::context_of_blob(tools.store, &blob, size, "<stdin>")? {
        Brought::Files(files) => {
            let text = dockerfile.map_or_else(|| text_in(&files, args.file.as_deref()), Ok)?;
            Ok((Main::Files(files), text))
        }
        Brought::Text(blob, size) => {
            let text = plain_text(args, tools, &blob, size, "<stdin>".to_owned())?;
            Ok((Main::Nothing, text))
        }
    }
}

/// Reads from standard input; none at its end. A person who asks to stop is heard also while nothing comes.
fn read_or_stop(buffer: &mut [u8], interrupt: &Interrupt) -> Result<Option<usize>> {
    let tick = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
    let stdin = rustix::stdio::stdin();
    loop {
        if interrupt.is_set() {
            return Err(Problem::Interrupted.into());
        }
        match poll(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(&tick)) {
            Ok(0) | Err(Errno::INTR) => continue,
            Ok(_) => {}
            Err(error) => return Err(io::Error::from(error).into()),
        }
        match rustix::io::read(stdin, &mut *buffer) {
            Ok(0) => return Ok(None),
            Ok(count) => return Ok(Some(count)),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(error) => return Err(io::Error::from(error).into()),
        }
    }
}

/// A Dockerfile that came instead of a context.
fn plain_text(args: &BuildArgs, tools: Tools<'_>, blob: &BlobDigest, size: u64, name: String) -> Result<Text> {
    if args.file.is_some() {
        let hint = "leave `-f` out, or give an archive with that file in it";
        return Err(Error::usage(format!("`{name}` is a Dockerfile, and `-f` names another one"), hint));
    }
    if size > MAX_SOURCE as u64 {
        return Err(Error::Input {
            message: format!("`{name}` is no archive, and too large for a Dockerfile"),
            hint: String::new(),
        });
    }
    Ok(Text { name, bytes: tools.store.read_blob(blob, MAX_SOURCE as u64)?, path: None })
}

/// The Dockerfile among files from elsewhere.
fn text_in(files: &Files, file: Option<&str>) -> Result<Text> {
    let names = match file {
        Some(file) => vec![file],
        None => vec!["Dockerfile", "dockerfile"],
    };
    let source = files.source();
    for name in &names {
        let (path, meta) = resolve(source.as_ref(), &ContextPath::new(name)).map_err(Problem::from)?;
        match meta.map(|meta| meta.kind) {
            None => {}
            Some(Kind::File { size }) if size <= MAX_SOURCE as u64 => {
                let mut bytes = Vec::new();
                let reader = source.open(&path).map_err(Problem::from)?;
                reader.take(MAX_SOURCE as u64 + 1).read_to_end(&mut bytes)?;
                return Ok(Text { name: (*name).to_owned(), bytes, path: None });
            }
            Some(Kind::File { .. }) => return Err(unusable(files, name, "is too large")),
            Some(_) => return Err(unusable(files, name, "is no regular file")),
        }
    }
    let message = format!("there is no `{}` in `{}`", names[0], files.name());
    Err(Error::Input { message, hint: "name the file in it with `-f FILE`".to_owned() })
}

fn unusable(files: &Files, name: &str, problem: &str) -> Error {
    let message = format!("cannot read the Dockerfile: `{name}` in `{}` {problem}", files.name());
    Error::Input { message, hint: String::new() }
}

/// A folder that the command line names; without a near name, `advice` says what it is for.
fn folder(given: &str, advice: &str) -> Result<PathBuf> {
    let hint = |hint: &str| hint.to_owned();
    let input = |message: String, hint: String| Error::Input { message, hint };
    match Path::new(given).canonicalize() {
        Ok(path) if path.is_dir() => Ok(path),
        Ok(_) => Err(input(
            format!("`{given}` is not a folder"),
            hint("name the folder to build from, and the file with `-f`"),
        )),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let near = near_command(given).or_else(|| near::folder(Path::new(given)));
            let near = near.map(|near| format!("did you mean `{near}`?"));
            Err(input(format!("there is no folder `{given}`"), near.unwrap_or_else(|| hint(advice))))
        }
        Err(error) => Err(input(format!("cannot open the folder `{given}`: {error}"), String::new())),
    }
}

/// A mistyped command is taken for a folder.
fn near_command(given: &str) -> Option<String> {
    let commands = CommandLine::command();
    let names: Vec<&str> = commands.get_subcommands().map(clap::Command::get_name).collect();
    nearest(given, names).map(|name| format!("rbuild {name}"))
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
        hint: match (error.is_not_found(), near::file(path)) {
            (true, Some(near)) => format!("did you mean `-f {near}`?"),
            (true, None) => "name the file with `-f FILE`".to_owned(),
            (false, _) => String::new(),
        },
    })?;
    let path = path.canonicalize().ok();
    Ok(Text { name: shown.to_owned(), bytes, path })
}

/// The Dockerfile that `-f URL` names: whatever comes from there, also where the name is that of a repository.
fn fetched_file(file: &str, tools: Tools<'_>) -> Result<Option<Text>> {
    if !file.starts_with("http://") && !file.starts_with("https://") {
        return Ok(None);
    }
    let url = HttpUrl::parse(file).map_err(|error| Error::usage(error.to_string(), ""))?;
    let (name, watch) = (url.shown(), Silently(tools.interrupt));
    let download = tools.fetcher.download(tools.store, &url, None, &watch).map_err(Problem::from)?;
    if download.size > MAX_SOURCE as u64 {
        let message = format!("`{name}` is too large for a Dockerfile: it has {} bytes", download.size);
        return Err(Error::Input { message, hint: "`-f URL` takes the address of the file itself".to_owned() });
    }
    let bytes = tools.store.read_blob(&download.blob, MAX_SOURCE as u64)?;
    Ok(Some(Text { name, bytes, path: None }))
}

fn read_stdin() -> Result<Text> {
    let mut bytes = Vec::new();
    io::stdin().lock().take(MAX_SOURCE as u64 + 1).read_to_end(&mut bytes)?;
    Ok(Text { name: "<stdin>".to_owned(), bytes, path: None })
}

/// The named contexts, for planning and for opening.
pub type Named = (BTreeMap<String, NamedContext>, BTreeMap<String, NamedFiles>);

/// Reads every `--build-context NAME=VALUE`; of one name the last counts.
pub fn named_contexts(given: &[String]) -> Result<Named> {
    let (mut contexts, mut places) = Named::default();
    for text in given {
        let hint = "write `--build-context NAME=FOLDER`, or a URL, `docker-image://NAME` or `oci-layout://FOLDER`";
        let Some((name, value)) = text.split_once('=').filter(|(name, value)| !name.is_empty() && !value.is_empty())
        else {
            return Err(Error::usage(format!("`{text}` is not a named context"), hint));
        };
        let key =
            key_of(name).ok_or_else(|| Error::usage(format!("`{name}` cannot be the name of a context"), hint))?;
        let (context, place) = named_context(value)?;
        places.remove(&key);
        places.extend(place.map(|place| (key.clone(), place)));
        contexts.insert(key, context);
    }
    Ok((contexts, places))
}

/// The name as the plan looks for it; a platform may stand behind `::`.
fn key_of(name: &str) -> Option<String> {
    match name.split_once("::") {
        None => context_name(name),
        Some((name, platform)) => {
            let platform: Platform = platform.parse().ok()?;
            Some(format!("{}::{platform}", context_name(name)?))
        }
    }
}

fn named_context(value: &str) -> Result<(NamedContext, Option<NamedFiles>)> {
    let usage = |error: String| Error::usage(error, "");
    if let Some(image) = value.strip_prefix("docker-image://") {
        if image == "scratch" {
            return Ok((NamedContext::Scratch, None));
        }
        let reference = image.parse().map_err(|error: reference::ParseError| usage(error.to_string()))?;
        return Ok((NamedContext::Image(reference), None));
    }
    if let Some(layout) = value.strip_prefix("oci-layout://") {
        return Ok((NamedContext::Layout(layout_image(layout)?), None));
    }
    if !Path::new(value).exists()
        && let Some(remote) = Remote::parse_context(value).map_err(|error| usage(error.to_string()))?
    {
        return Ok((NamedContext::Files, Some(NamedFiles::Remote(remote))));
    }
    Ok((NamedContext::Files, Some(NamedFiles::Folder(folder(value, NAMED)?))))
}

/// Reads `FOLDER[:TAG][@DIGEST]`.
fn layout_image(text: &str) -> Result<LayoutImage> {
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => {
            let digest = digest.parse().map_err(|error: digest::ParseError| Error::usage(error.to_string(), ""))?;
            (rest, Some(digest))
        }
        None => (text, None),
    };
    // A colon before the last slash belongs to the path.
    let (path, tag) = match rest.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') && !tag.is_empty() => (path, Some(tag.to_owned())),
        _ => (rest, None),
    };
    let folder = folder(path, NAMED)?;
    Ok(LayoutImage { folder, tag, digest })
}
