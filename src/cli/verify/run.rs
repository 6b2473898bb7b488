//! The two builds one after the other, and the verdict.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::super::args::BuildArgs;
use super::super::environment::Environment;
use super::super::error::{Error, Result};
use super::super::inputs;
use super::super::means::Means;
use super::super::outputs::left_out;
use super::super::signals::Received;
use super::flags;
use super::half::{self, Half, Outcome};
use super::memory::{self, MEMORY, MemoryFolder};
use super::report::report;
use crate::build::{self, Interrupt, Problem, Pull, Request};
use crate::sandbox::Sandbox;
use crate::store::{Bucket, Store, TreeDraft};

/// The second build starts so long after the end of the first one: each of its steps sees another second on the clock.
const LATER: Duration = Duration::from_millis(1100);
/// So often that time passes again if the clock was set back into the first build.
const WAITS: usize = 4;
/// The second build takes place in memory only where there is as much room, in bytes.
const ROOM: u64 = 4 << 30;

/// Builds twice and names every file that differs; fails with `Error::Differ` if one does.
pub fn run(
    args: &BuildArgs,
    environment: &Environment,
    store: &Path,
    interrupt: &Interrupt,
    received: &Received,
) -> Result<()> {
    flags::check(args)?;
    memory::sweep(Path::new(MEMORY));
    let means = Means::open(args, environment, store)?;
    let _lease = means.store.lease()?;
    means.store.sweep()?;
    let request = inputs::request(args, environment, means.tools(interrupt), left_out(&means.store, args)?)?;
    let mut builds = Builds { means: &means, args, request, interrupt };
    let near = builds.place(on_disk(&means.store)?)?;
    let far = builds.far()?;
    let began = SystemTime::now();
    let first = half::start(Half::First, &near.path(), received)?;
    let clock = wait(received, LATER, began, SystemTime::now());
    stop_if_asked(interrupt)?;
    let (far, mut second) = builds.second(far, received)?;
    second.conditions.push(clock.to_owned());
    let mut stdout = io::stdout().lock();
    for (half, outcome) in [(Half::First, &first), (Half::Second, &second)] {
        writeln!(stdout, "{half} build: {}", outcome.conditions.join(", "))?;
    }
    let stores = [near.store, far.store];
    let text = report(&builds.request, &stores, [&first, &second], interrupt)?;
    stdout.write_all(text.as_bytes())?;
    if first.image == second.image { Ok(()) } else { Err(Error::Differ) }
}

fn stop_if_asked(interrupt: &Interrupt) -> Result<()> {
    if interrupt.is_set() { Err(Problem::Interrupted.into()) } else { Ok(()) }
}

/// Waits until the clock shows another time than during the first build; what it then shows, in words.
pub(super) fn wait(received: &Received, later: Duration, began: SystemTime, ended: SystemTime) -> &'static str {
    // It may be set at any moment, also back: then it may show such a time once more.
    let second = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let first = second(began)..=second(ended);
    for _ in 0..WAITS {
        received.wait(later);
        if received.status().is_some() || !first.contains(&second(SystemTime::now())) {
            break;
        }
    }
    match SystemTime::now().duration_since(ended) {
        Ok(since) if since >= later => "at least 1.1 s later",
        _ => "the clock set back",
    }
}

/// What both builds begin with.
struct Builds<'a> {
    means: &'a Means,
    args: &'a BuildArgs,
    request: Request,
    interrupt: &'a Interrupt,
}

impl Builds<'_> {
    /// A store with the base images and nothing else. Bases come from a registry for the first one; the others get the same.
    fn place(&mut self, folder: Folder) -> Result<Place> {
        let store = Store::open(&folder.path().join("store"))?;
        build::share_bases(&self.means.engine(self.args, &|_| {}, self.interrupt), &self.request, &[&store])?;
        self.request.pull = Pull::Missing;
        // Archives of earlier builds that lie in the context are no part of it here either.
        for name in self.means.store.record_names(Bucket::Outputs)? {
            if let Some(record) = self.means.store.read_record(Bucket::Outputs, &name)? {
                store.write_record(Bucket::Outputs, &name, &record)?;
            }
        }
        Ok(Place { store, folder })
    }

    /// The place of the second build: in memory if there is room for the base images, and steps can run there; else on disk.
    fn far(&mut self) -> Result<Place> {
        match memory_folder(&self.means.sandbox).map(|folder| self.place(Folder::Memory(folder))) {
            Some(Ok(place)) => Ok(place),
            // If memory is not to blame, it fails once more.
            Some(Err(_)) | None => {
                stop_if_asked(self.interrupt)?;
                self.place(on_disk(&self.means.store)?)
            }
        }
    }

    /// The second build in `far`, and on disk if it failed in memory, which others fill too; and where it then was.
    fn second(&mut self, far: Place, received: &Received) -> Result<(Place, Outcome)> {
        match half::start(Half::Second, &far.path(), received) {
            Err(Error::Half { status, .. }) if far.is_in_memory() && received.status().is_none() => {
                drop(far);
                let text = format!("note: the second build failed in memory (status {status}); once more on disk\n");
                // The verdict matters more than a note that cannot be written.
                let _unwritten = io::stderr().write_all(text.as_bytes());
                let again = self.place(on_disk(&self.means.store)?)?;
                let outcome = half::start(Half::Second, &again.path(), received)?;
                Ok((again, outcome))
            }
            outcome => Ok((far, outcome?)),
        }
    }
}

/// Where a build takes place: its store, in a folder that goes after it.
struct Place {
    store: Store,
    folder: Folder,
}

impl Place {
    fn path(&self) -> PathBuf {
        self.folder.path()
    }

    fn is_in_memory(&self) -> bool {
        matches!(self.folder, Folder::Memory(_))
    }
}

enum Folder {
    Memory(MemoryFolder),
    Disk(TreeDraft),
}

impl Folder {
    fn path(&self) -> PathBuf {
        match self {
            Self::Memory(folder) => folder.path().to_path_buf(),
            Self::Disk(draft) => draft.work(),
        }
    }
}

fn on_disk(store: &Store) -> Result<Folder> {
    Ok(Folder::Disk(store.tree_draft()?))
}

/// A folder in memory, if there is room and steps can run there.
fn memory_folder(sandbox: &Sandbox) -> Option<MemoryFolder> {
    let room = rustix::fs::statvfs(MEMORY).map_or(0, |stat| stat.f_bavail.saturating_mul(stat.f_frsize));
    let folder = if room >= ROOM { MemoryFolder::new(Path::new(MEMORY)) } else { None };
    folder.filter(|folder| sandbox.probe(folder.path()).is_empty())
}
