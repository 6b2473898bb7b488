//! What is asked of a build.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::files::Files;
use super::{BuildEvent, CommandOptions};
use crate::cache::{JournalStep, Portable};
use crate::dockerfile::Check;
use crate::fetch::Fetcher;
use crate::image::SealedConfig;
use crate::layer::{Compression, Layer, TimePolicy};
use crate::plan::Inputs;
use crate::reference::Reference;
use crate::registry;
use crate::remote::Remote;
use crate::sandbox::{self, Cancel, Sandbox};
use crate::store::Store;

/// What to build, from what, and how.
#[derive(Debug, Clone)]
pub struct Request {
    /// The Dockerfile's name, as messages show it.
    pub dockerfile_name: String,
    /// Its bytes.
    pub dockerfile: Vec<u8>,
    /// Where the Dockerfile lies, if it is a file: an ignore file may stand beside it.
    pub dockerfile_path: Option<PathBuf>,
    /// The folder that COPY copies from; none if only standard input was given.
    pub context: Option<PathBuf>,
    /// The ignore file of the context, if one is named; else it is found.
    pub ignore_file: Option<PathBuf>,
    /// What COPY copies from if it is no folder of this machine; `context` is then none.
    pub context_files: Option<Files>,
    /// The named contexts that are files, by the names that `inputs` has.
    pub named: BTreeMap<String, NamedFiles>,
    /// Host files that are left out of the context: outputs of earlier builds.
    pub outputs: Vec<PathBuf>,
    /// Target, arguments, labels, platform.
    pub inputs: Inputs,
    /// Which warnings count, in the place of what the Dockerfile says.
    pub check: Option<Check>,
    /// Whether earlier results may be used.
    pub cache: CacheUse,
    /// Stages, by name, whose steps are executed in any case.
    pub uncached_stages: Vec<String>,
    /// Caches of other stores.
    pub cache_from: Vec<CacheSource>,
    /// Whether the image tells of its steps.
    pub inline_cache: InlineCache,
    /// How much is told of why a step runs.
    pub detail: Detail,
    /// Whether a stored base image is good enough.
    pub pull: Pull,
    /// The times in layer bytes.
    pub times: Times,
    /// What the image says of when it was made, seconds since 1970.
    pub created: i64,
    /// Whether unchanged-looking context files are read again.
    pub stat_cache: StatCacheUse,
    /// The content of the host's resolv.conf.
    pub resolv_conf: Vec<u8>,
    /// What commands are given.
    pub commands: CommandOptions,
    /// How the image's layers are compressed when they leave the store; none if the image stays there.
    pub leaving: Option<Compression>,
}

/// Where the files of a named context are.
#[derive(Debug, Clone)]
pub enum NamedFiles {
    /// In a folder, with an ignore file of its own.
    Folder(PathBuf),
    /// Elsewhere.
    Remote(Remote),
}

/// Whether earlier results may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheUse {
    /// They may.
    Use,
    /// Every step is executed.
    Ignore,
}

/// Where a cache of another store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CacheSource {
    /// In a folder.
    Folder(PathBuf),
    /// In an image that tells of its steps, in its registry.
    Image(Reference),
}

/// Whether an image's config tells of the steps that made it, so that other stores find them by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InlineCache {
    /// It does not: the config holds nothing but the image's own.
    Absent,
    /// It does.
    Carried,
}

/// How much is told of why a step runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// The reason.
    Reason,
    /// Everything that differs from the last build.
    Everything,
}

/// Whether a stored base image is good enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pull {
    /// It is; the network is used only for what is missing.
    Missing,
    /// The registry is asked each time.
    Always,
}

/// The times in layer bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// One fixed time.
    Fixed,
    /// The files' own.
    Preserve,
}

impl Times {
    /// The policy for layers of copied files.
    pub(super) fn of_copies(self) -> TimePolicy {
        match self {
            Times::Fixed => TimePolicy::Fixed,
            Times::Preserve => TimePolicy::Preserve,
        }
    }

    /// The policy for layers of commands and extracted archives.
    pub(super) fn of_results(self) -> TimePolicy {
        match self {
            Times::Fixed => TimePolicy::Clamp,
            Times::Preserve => TimePolicy::Preserve,
        }
    }

    /// The name that enters keys.
    pub(super) fn name(self) -> &'static str {
        match self {
            Times::Fixed => "fixed",
            Times::Preserve => "preserve",
        }
    }
}

/// Whether unchanged-looking context files are read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatCacheUse {
    /// They are not.
    Use,
    /// They are.
    Ignore,
}

/// Set once, by anybody, to stop everything. Clones are one and the same.
#[derive(Debug, Clone)]
pub struct Interrupt(Arc<Asked>);

#[derive(Debug)]
struct Asked {
    asked: AtomicBool,
    cancel: Cancel,
    /// Those that stop with it.
    parts: Mutex<Vec<Weak<Asked>>>,
}

impl Interrupt {
    /// One that nobody has set.
    pub fn new() -> Result<Self, sandbox::Error> {
        Ok(Self(Arc::new(Asked { asked: AtomicBool::new(false), cancel: Cancel::new()?, parts: Mutex::default() })))
    }

    /// One that stops with this one, and can be set without it.
    pub fn part(&self) -> Result<Self, sandbox::Error> {
        let part = Self::new()?;
        let mut parts = self.0.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.retain(|part| part.strong_count() > 0);
        parts.push(Arc::downgrade(&part.0));
        if self.is_set() {
            part.set();
        }
        Ok(part)
    }

    /// Asks to stop: a running command gets SIGTERM, and SIGKILL when its grace is over or on a second call.
    pub fn set(&self) {
        self.0.set();
    }

    /// Whether somebody asked.
    pub fn is_set(&self) -> bool {
        self.0.asked.load(Ordering::Relaxed)
    }

    pub(super) fn cancel(&self) -> &Cancel {
        &self.0.cancel
    }
}

impl Asked {
    fn set(&self) {
        if self.asked.swap(true, Ordering::Relaxed) {
            self.cancel.kill();
        } else {
            self.cancel.cancel();
        }
        for part in self.parts.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade) {
            part.set();
        }
    }
}

/// What a build works with.
#[derive(Clone, Copy)]
pub struct Engine<'a> {
    /// Where everything is kept.
    pub store: &'a Store,
    /// How images are pulled.
    pub registry: &'a registry::Client,
    /// How everything else is fetched.
    pub fetcher: &'a Fetcher,
    /// How commands are run.
    pub sandbox: &'a Sandbox,
    /// Told what happens; may be called from any thread.
    pub events: &'a (dyn Fn(BuildEvent) + Sync),
    /// Asked often whether to stop.
    pub interrupt: &'a Interrupt,
    /// The most stages, pulls and the like that are at work at the same time; none for as many as there are.
    pub jobs: Option<NonZero<usize>>,
}

/// A finished image in the store.
#[derive(Debug, Clone, PartialEq)]
pub struct Built {
    /// Its config.
    pub config: SealedConfig,
    /// Its layers, bottom first.
    pub layers: Vec<Layer>,
    /// The steps in order, with their keys and layers.
    pub steps: Vec<JournalStep>,
    /// What caches of other stores tell of those that were found there.
    pub borrowed: Vec<Portable>,
    /// Steps that were found in the cache.
    pub cached: usize,
    /// Steps that were executed.
    pub ran: usize,
    /// The text that warnings refer to, and the warnings.
    pub warnings: (Arc<crate::dockerfile::Source>, Vec<crate::dockerfile::Diagnostic>),
    /// The repositories that base images came from.
    pub bases: Vec<Reference>,
}
