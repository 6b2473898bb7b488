//! `rbuild verify`: builds twice, under different conditions, and compares.
//!
//! Each build is a process of its own with a store of its own, which begins with the base images and nothing else. The
//! second one sets its conditions itself (`half`), and tells which it got.

use std::ffi::OsString;
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use super::args::BuildArgs;
use super::diff::file_line;
use super::environment::Environment;
use super::error::{Error, Result};
use super::means::Means;
use super::outputs::left_out;
use super::progress::escape;
use super::{build as build_command, inputs};
use crate::build::{self, Interrupt, Request, StoredImage};
use crate::cache::JournalStep;
use crate::compare::{self, Aspect, Fate, FileChange};
use crate::digest::{ConfigDigest, DiffId};
use crate::fsx::{self, At as _};
use crate::sandbox::{self, Sandbox};
use crate::store::Store;

/// The second build starts so long after the end of the first one: each of its steps sees another second on the clock.
const LATER: Duration = Duration::from_millis(1100);
/// A file system in memory: its folders list their files in another order than those of a disk.
const MEMORY: &str = "/dev/shm";
/// The second build takes place in memory only where there is as much room, in bytes.
const ROOM: u64 = 4 << 30;
/// So many bytes are shown from where two files begin to differ.
const SHOWN: usize = 24;
/// What a build writes behind its store: the image's id, and the conditions.
const RESULT: &str = "result.json";

/// Which of the two builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Half {
    First,
    Second,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Outcome {
    image: ConfigDigest,
    conditions: Vec<String>,
}

/// Builds twice and names every file that differs; fails with `Error::Differ` if one does.
pub fn run(args: &BuildArgs, environment: &Environment, store: &Path, interrupt: &Interrupt) -> Result<()> {
    if args.path.as_deref() == Some("-") || args.file.as_deref() == Some("-") {
        let hint = "give a folder, a URL or a repository";
        return Err(Error::usage("`rbuild verify` builds twice, but standard input can be read once only", hint));
    }
    let means = Means::open(args, environment, store)?;
    let _lease = means.store.lease()?;
    means.store.sweep()?;
    let request = inputs::request(args, environment, means.tools(interrupt), left_out(&means.store, args)?)?;
    let near = means.store.tree_draft()?;
    let far = Far::choose(&means.store, &means.sandbox)?;
    let places = [near.work(), far.path()];
    let stores = [Store::open(&places[0].join("store"))?, Store::open(&places[1].join("store"))?];
    build::share_bases(&means.engine(args, &|_| {}, interrupt), &request, &[&stores[0], &stores[1]])?;
    let first = half(Half::First, &places[0])?;
    thread::sleep(LATER);
    let second = half(Half::Second, &places[1])?;
    let mut stdout = io::stdout().lock();
    for (name, outcome) in [("first", &first), ("second", &second)] {
        writeln!(stdout, "{name} build: {}", outcome.conditions.join(", "))?;
    }
    let text = report(&request, &stores, &first, &second)?;
    stdout.write_all(text.as_bytes())?;
    if first.image == second.image { Ok(()) } else { Err(Error::Differ) }
}

/// Where the second build takes place.
enum Far {
    Memory(PathBuf),
    Disk(crate::store::TreeDraft),
}

impl Far {
    fn choose(store: &Store, sandbox: &Sandbox) -> Result<Self> {
        let room = rustix::fs::statvfs(MEMORY).map_or(0, |stat| stat.f_bavail.saturating_mul(stat.f_frsize));
        let folder = Path::new(MEMORY).join(format!("rbuild-verify-{}", std::process::id()));
        if room >= ROOM && std::fs::create_dir(&folder).is_ok() {
            let far = Self::Memory(folder.clone());
            if sandbox.probe(&folder).is_empty() {
                return Ok(far);
            }
        }
        Ok(Self::Disk(store.tree_draft()?))
    }

    fn path(&self) -> PathBuf {
        match self {
            Self::Memory(folder) => folder.clone(),
            Self::Disk(draft) => draft.work(),
        }
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        if let Self::Memory(folder) = self {
            // Memory that stays taken is not worth an error: the verdict is there.
            let _left_behind = fsx::remove_tree(folder);
        }
    }
}

/// Runs this program again with the same arguments, for one of the two builds.
fn half(half: Half, place: &Path) -> Result<Outcome> {
    let mut arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let word = arguments.iter().position(|argument| argument == "verify").map_or(0, |at| at + 1);
    let own = [OsString::from("--half"), place.into(), "--surroundings".into(), half.name().into()];
    arguments.splice(word..word, own);
    let mut command = Command::new("/proc/self/exe");
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
    let (zone, locale) = match half {
        Half::First => ("UTC", "C"),
        Half::Second => ("Asia/Kathmandu", "C.UTF-8"),
    };
    command.env("TZ", zone).env("LC_ALL", locale).env_remove("RBUILD_STORE");
    let status = command.status().at("start", Path::new("/proc/self/exe"))?;
    if !status.success() {
        let status = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
        return Err(Error::Half { which: half.name(), status });
    }
    let path = place.join(RESULT);
    let bytes = fsx::read_at_most(&path, 1 << 20)?;
    Ok(serde_json::from_slice(&bytes).map_err(io::Error::other)?)
}

impl Half {
    fn name(self) -> &'static str {
        match self {
            Half::First => "first",
            Half::Second => "second",
        }
    }
}

/// One of the two builds, in the process that `half` starts.
pub fn build_half(
    args: &BuildArgs,
    environment: &Environment,
    place: &Path,
    surroundings: &str,
    interrupt: &Interrupt,
) -> Result<()> {
    let half = if surroundings == Half::Second.name() { Half::Second } else { Half::First };
    let conditions = surround(half, place);
    let mut args = args.clone();
    args.output = vec!["type=image".to_owned()];
    args.tag.clear();
    (args.push, args.load, args.iidfile, args.metadata_file) = (false, false, Some(place.join("id")), None);
    build_command::run(&args, environment, &place.join("store"), interrupt)?;
    let id = fsx::read_at_most(&place.join("id"), 200)?;
    let image = String::from_utf8_lossy(&id).trim().parse().map_err(io::Error::other)?;
    let bytes = serde_json::to_vec(&Outcome { image, conditions }).map_err(io::Error::other)?;
    Ok(std::fs::write(place.join(RESULT), bytes).at("write", &place.join(RESULT))?)
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
    if half == Half::Second {
        told.push(format!("at least {:.1} s later", LATER.as_secs_f64()));
    }
    let place = if place.starts_with(MEMORY) { "store in memory" } else { "store on disk" };
    told.push(place.to_owned());
    told
}

/// What differs, by step.
fn report(request: &Request, stores: &[Store; 2], first: &Outcome, second: &Outcome) -> Result<String> {
    let steps = [build::last_steps(&stores[0], request)?, build::last_steps(&stores[1], request)?];
    let mut text = String::new();
    let (mut files, mut differing) = (0, 0);
    for (left, right) in steps[0].iter().zip(&steps[1]).filter(|(left, right)| left.layer != right.layer) {
        differing += 1;
        let listings = [build::layer_listing(&stores[0], left.layer)?, build::layer_listing(&stores[1], right.layer)?];
        let changes = compare::layer_changes(&listings[0], &listings[1]);
        files += changes.len();
        text.push_str(&headline(left));
        for change in &changes {
            let from = bytes(stores, left.layer, right.layer, change)?;
            text.push_str(&format!("  {}{from}\n", file_line(change)));
        }
    }
    if first.image == second.image {
        return Ok(format!("identical: {} ({} steps)\n", first.image, steps[0].len()));
    }
    if differing == 0 {
        let image = |store: &Store, id| -> Result<StoredImage> {
            build::image(store, id)?.ok_or_else(|| Error::NoImage { name: id.to_string() })
        };
        let (left, right) = (image(&stores[0], &first.image)?, image(&stores[1], &second.image)?);
        for change in compare::config_changes(left.config.config(), right.config.config()) {
            let value = |value: &Option<String>| value.as_deref().map_or_else(|| "nothing".to_owned(), escape);
            text.push_str(&format!("{}: {} → {}\n", escape(&change.key), value(&change.left), value(&change.right)));
        }
    }
    let noun = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    text.push_str(&format!(
        "different: {} in {} of {}\n",
        noun(files, "file"),
        noun(differing, "step"),
        steps[0].len()
    ));
    Ok(text)
}

fn headline(step: &JournalStep) -> String {
    match step.stage.as_str() {
        "" => format!("{}\n", escape(&step.text)),
        stage => format!("[{}] {}\n", escape(stage), escape(&step.text)),
    }
}

/// Where the bytes of a file begin to differ, and what stands there.
fn bytes(stores: &[Store; 2], left: DiffId, right: DiffId, change: &FileChange) -> Result<String> {
    let Fate::Changed(aspects) = &change.fate else { return Ok(String::new()) };
    if !aspects.iter().any(|aspect| matches!(aspect, Aspect::Size(..) | Aspect::Content(..))) {
        return Ok(String::new());
    }
    let open = |store, layer| build::open_layer_file(store, layer, &change.path);
    let (Some(left), Some(right)) = (open(&stores[0], left)?, open(&stores[1], right)?) else {
        return Ok(String::new());
    };
    let (at, left, right) = first_difference(left, right)?;
    let shown = |bytes: &[u8]| format!("\"{}\"", bytes.escape_ascii());
    Ok(format!("; from byte {at}: {} → {}", shown(&left), shown(&right)))
}

/// The first place at which two streams differ, and some bytes of each from there on.
fn first_difference(left: Box<dyn Read>, right: Box<dyn Read>) -> io::Result<(u64, Vec<u8>, Vec<u8>)> {
    let (mut left, mut right) = (io::BufReader::new(left).bytes(), io::BufReader::new(right).bytes());
    let mut at = 0;
    loop {
        let (a, b) = (left.next().transpose()?, right.next().transpose()?);
        if a != b || a.is_none() {
            let rest = |first: Option<u8>, bytes: io::Bytes<io::BufReader<Box<dyn Read>>>| -> io::Result<Vec<u8>> {
                first.map(Ok).into_iter().chain(bytes).take(SHOWN).collect()
            };
            return Ok((at, rest(a, left)?, rest(b, right)?));
        }
        at += 1;
    }
}
