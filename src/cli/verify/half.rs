//! One of the two builds, in a process of its own.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _, parent_id};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::ValueEnum;
use rustix::process::Signal;

use super::super::args::BuildArgs;
use super::super::build as build_command;
use super::super::environment::Environment;
use super::super::error::{Error, Result};
use super::super::signals::Received;
use super::memory::MEMORY;
use crate::build::Interrupt;
use crate::digest::ConfigDigest;
use crate::fsx::{self, At as _};
use crate::sandbox;

/// What a build writes behind its store: the image's id, and the conditions.
const RESULT: &str = "result.json";

/// Which of the two builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Half {
    /// The one under ordinary conditions.
    First,
    /// The one under others.
    Second,
}

impl fmt::Display for Half {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Half::First => "first",
            Half::Second => "second",
        })
    }
}

/// What `start` tells the process of a half, on its command line.
#[derive(Debug, Clone, clap::Args)]
pub struct HalfArgs {
    /// Only one of the two builds, in this folder.
    #[arg(long, hide = true, value_name = "DIR")]
    pub half: Option<PathBuf>,
    /// Which of the two.
    #[arg(long, hide = true, value_enum)]
    pub which: Option<Half>,
    /// The process to end with.
    #[arg(long, hide = true)]
    pub parent: Option<u32>,
}

/// What a half built, and under which conditions.
#[derive(serde::Serialize, serde::Deserialize)]
pub struct Outcome {
    pub image: ConfigDigest,
    pub conditions: Vec<String>,
}

/// Runs this program again with the same arguments for one of the two builds in `place`, whose store is there.
///
/// Signals that come meanwhile are passed on to it. Fails with `Error::Half` if it fails, or if a signal came.
pub fn start(half: Half, place: &Path, received: &Received) -> Result<Outcome> {
    let mut arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let word = arguments.iter().position(|argument| argument == "verify").map_or(0, |at| at + 1);
    let (which, parent) = (half.to_string(), std::process::id().to_string());
    let own = ["--half".into(), place.into(), "--which".into(), which.into(), "--parent".into(), parent.into()];
    arguments.splice(word..word, own);
    let mut command = Command::new("/proc/self/exe");
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
    // Ctrl-C on a terminal goes to a whole group: it would come to the half twice, by itself and from here.
    command.process_group(0);
    let (zone, locale) = match half {
        Half::First => ("UTC", "C"),
        Half::Second => ("Asia/Kathmandu", "C.UTF-8"),
    };
    command.env("TZ", zone).env("LC_ALL", locale).env_remove("RBUILD_STORE");
    let status = received.run(&mut command).at("start", Path::new("/proc/self/exe"))?;
    if let Some(status) = received.status() {
        return Err(Error::Half { half: half.to_string(), end: "was interrupted", status });
    }
    if !status.success() {
        let killed = status.signal().map(|signal| 128 + signal);
        let status = status.code().or(killed).and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
        return Err(Error::Half { half: half.to_string(), end: "failed", status });
    }
    let bytes = fsx::read_at_most(&place.join(RESULT), 1 << 20)?;
    Ok(serde_json::from_slice(&bytes).map_err(io::Error::other)?)
}

/// One of the two builds, in the process that `start` starts.
pub fn build_half(
    args: &BuildArgs,
    environment: &Environment,
    place: &Path,
    half: &HalfArgs,
    interrupt: &Interrupt,
) -> Result<()> {
    end_with(half.parent)?;
    // It has a group of its own, and shows what happens where the parent does.
    sandbox::write_in_background()?;
    let conditions = surround(half.which.unwrap_or(Half::First), place);
    let mut args = args.clone();
    args.output = vec!["type=image".to_owned()];
    args.iidfile = Some(place.join("id"));
    // The bases are here, the same for both; and gc could only take away what is compared.
    (args.pull, args.gc) = (false, Some("off".to_owned()));
    build_command::run(&args, environment, &place.join("store"), interrupt)?;
    let id = fsx::read_at_most(&place.join("id"), 200)?;
    let image = String::from_utf8_lossy(&id).trim().parse().map_err(io::Error::other)?;
    let bytes = serde_json::to_vec(&Outcome { image, conditions }).map_err(io::Error::other)?;
    Ok(std::fs::write(place.join(RESULT), bytes).at("write", &place.join(RESULT))?)
}

/// Ends this process when its parent ends, even by a kill; its commands end with it.
fn end_with(parent: Option<u32>) -> Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(io::Error::from)?;
    // It may have ended before that was asked for.
    match parent == Some(parent_id()) {
        true => Ok(()),
        false => Err(Error::usage("`--half` is for `rbuild verify` itself", "write `rbuild verify PATH`")),
    }
}

/// Changes what is around this process and all that it starts; what was changed, in words.
fn surround(half: Half, place: &Path) -> Vec<String> {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let umask = if half == Half::First { 0o022 } else { 0o077 };
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(umask));
    let mut told = vec![format!("umask {umask:03o}")];
    if let Ok(all) = sched_getaffinity(None) {
        let mut count = all.count();
        if half == Half::Second
            && let Some(one) = (0..CpuSet::MAX_CPU).find(|cpu| all.is_set(*cpu))
        {
            let mut set = CpuSet::new();
            set.set(one);
            count = if sched_setaffinity(None, &set).is_ok() { 1 } else { count };
        }
        told.push(format!("{count} CPU{}", if count == 1 { "" } else { "s" }));
    }
    if half == Half::Second && sandbox::take_host_name("elsewhere").is_ok() {
        told.push("host name elsewhere".to_owned());
    }
    let zone = std::env::var("TZ").unwrap_or_default();
    told.push(format!("time zone {zone}"));
    let place = if place.starts_with(MEMORY) { "store in memory" } else { "store on disk" };
    told.push(place.to_owned());
    told
}
