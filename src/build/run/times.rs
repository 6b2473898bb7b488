//! Which times a command that has a writable cache mount sees.

use std::collections::btree_map::Entry::{Occupied, Vacant};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::files::Files;
use super::memory::{Memory, Seen, Verdict};
use crate::build::error::Problem;
use crate::build::rootfs::Rootfs;
use crate::digest::{Canonical, ContentDigest};
use crate::fsx;
use crate::layer::{self, Content};
use crate::path::ImagePath;
use crate::store::{CacheFolder, KeyLock, Store};
use crate::tree::{Attributes, Entry, Found, Kind, Stack, Timestamp};

/// The memories of the cache folders that a command can write to, while it is decided what it is shown.
pub(super) struct Times {
    memories: Vec<Memory>,
    locks: Vec<KeyLock>,
    /// Later than everything in the folders, and not later than what the command will write.
    now: Option<Timestamp>,
    shown: Vec<Seen>,
}

impl Times {
    /// Reads the memories of `caches`; other builds that use the folders too wait until `begin`.
    pub(super) fn of(caches: &[&CacheFolder]) -> Result<Self, Problem> {
        let mut memories = Vec::with_capacity(caches.len());
        let mut locks = Vec::with_capacity(caches.len());
        for cache in caches {
            locks.push(cache.lock_note()?);
            memories.push(Memory::read(cache.note()?.as_deref()));
        }
        Ok(Self { memories, locks, now: None, shown: Vec::new() })
    }

    /// Remembers what was decided: from here on the command may have seen it.
    pub(super) fn begin(mut self, caches: &[&CacheFolder]) -> Result<(), Problem> {
        for (cache, memory) in caches.iter().zip(std::mem::take(&mut self.memories)) {
            cache.set_note(&memory.begun(&self.shown).to_bytes())?;
        }
        drop(self.locks);
        Ok(())
    }

    /// The time that a path is shown with; `is_free` if it costs nothing to show another one than its own.
    fn decide(&mut self, seen: Seen, is_free: bool) -> Timestamp {
        let verdicts: Vec<Verdict> = self.memories.iter().map(|memory| memory.verdict(&seen)).collect();
        let same = verdicts.iter().filter_map(|verdict| match verdict {
            Verdict::Same(time) => Some(*time),
            Verdict::Unknown | Verdict::Fresh | Verdict::Stale => None,
        });
        let mtime = match same.max() {
            _ if verdicts.contains(&Verdict::Stale) => self.now(),
            // A time that is later than it need be makes work, and never a mistake.
            Some(time) if verdicts.contains(&Verdict::Fresh) || !is_free => time.max(seen.mtime),
            Some(time) => time,
            None => seen.mtime,
        };
        self.shown.push(Seen { mtime, ..seen });
        mtime
    }

    fn now(&mut self) -> Timestamp {
        let latest = self.memories.iter().filter_map(Memory::last_end).max();
        *self.now.get_or_insert_with(|| {
            let now = next_tick();
            // The clock was set back since.
            latest.filter(|latest| *latest >= now).map_or(now, |latest| after(&latest))
        })
    }

    /// The time of each path of `files`, seen at `target`; the paths are those of `Files::entries`.
    pub(super) fn of_files(&mut self, files: &Files, target: &ImagePath) -> BTreeMap<ImagePath, Timestamp> {
        let entries = files.entries();
        let names = names(entries.iter().map(|entry| &entry.path));
        let mut times = BTreeMap::new();
        for entry in &entries {
            let below = entry.path.strip_prefix(&files.inside).unwrap_or_default();
            if let Some(digest) = digest(&entry.kind, names.get(&entry.path)) {
                let seen = Seen { path: target.join(below), digest, mtime: entry.attributes.mtime };
                times.insert(entry.path.clone(), self.decide(seen, true));
            }
        }
        times
    }

    /// The paths of a root filesystem below `inside` that must be shown with a later time, seen at `target`, with that time.
    ///
    /// Only what steps of this build brought is looked at: an image is as it is. What lies at `hidden` is not seen.
    pub(super) fn of_rootfs(
        &mut self,
        stack: &Stack,
        of_image: usize,
        (inside, target): (&ImagePath, &ImagePath),
        hidden: &BTreeSet<ImagePath>,
    ) -> Vec<Entry> {
        let own = Stack::new(stack.layers().iter().skip(of_image).cloned().collect());
        let merged = own.merged(&ImagePath::root());
        let names = names(merged.keys());
        let mut later: BTreeMap<ImagePath, Timestamp> = BTreeMap::new();
        for (path, found) in merged.iter().filter(|(path, _)| path.is_within(inside)) {
            let at = target.join(path.strip_prefix(inside).unwrap_or_default());
            if at.ancestors().any(|above| hidden.contains(&above)) || hidden.contains(&at) {
                continue;
            }
            let entry = own.content_of(*found).unwrap_or(*found).entry;
            let Some(digest) = digest(&entry.kind, names.get(path)) else { continue };
            let mtime = entry.attributes.mtime;
            let shown = self.decide(Seen { path: at, digest, mtime }, false);
            if shown != mtime {
                later.insert(path.clone(), shown);
            }
        }
        with_folders(&own, &merged, &later)
    }
}

/// The entries of `later` with their new times, and the folders above them.
fn with_folders(
    own: &Stack,
    merged: &BTreeMap<ImagePath, Found<'_>>,
    later: &BTreeMap<ImagePath, Timestamp>,
) -> Vec<Entry> {
    let mut entries: BTreeMap<ImagePath, Entry> = BTreeMap::new();
    for path in later.keys() {
        for at in path.ancestors().chain([path.clone()]).filter(|at| !at.is_root()) {
            let Some(found) = merged.get(&at) else { continue };
            let mut entry = own.content_of(*found).unwrap_or(*found).entry.clone();
            if let Kind::Directory { .. } = entry.kind {
                // What lower layers have in it shows through; what they hid stays hidden by the layer that hid it.
                entry.kind = Kind::Directory { opaque: false };
            }
            entry.path = at.clone();
            if let Some(time) = later.get(&at) {
                entry.attributes.mtime = *time;
            }
            entries.insert(at, entry);
        }
    }
    entries.into_values().collect()
}

/// Copies entries of `rootfs` into an empty folder, which then lies over its layers.
pub(super) fn copy_out(store: &Store, rootfs: &Rootfs, entries: Vec<Entry>, folder: &Path) -> Result<(), Problem> {
    let stack = rootfs.stack(store)?;
    let mut trees: BTreeMap<usize, PathBuf> = BTreeMap::new();
    let mut placed = Vec::with_capacity(entries.len());
    for entry in entries {
        let content = match entry.kind {
            Kind::File { .. } => {
                let found = stack.lookup(&entry.path).and_then(|found| stack.content_of(found));
                let found = found.ok_or(Problem::BaseMismatch)?;
                let tree = match trees.entry(found.layer) {
                    Occupied(known) => known.get().clone(),
                    Vacant(new) => new.insert(rootfs.tree(store, found.layer)?).clone(),
                };
                let path = found.entry.path.clone();
                let open = move || -> std::io::Result<Box<dyn std::io::Read>> {
                    Ok(Box::new(fsx::open_beneath(&tree, path.as_path()).map_err(std::io::Error::other)?))
                };
                Content::Open(Box::new(open))
            }
            _ => Content::None,
        };
        placed.push((entry, content));
    }
    let root = Entry::directory(ImagePath::root(), Attributes::of_root(0o755));
    if !placed.iter().any(|(entry, _)| entry.path.is_root()) {
        placed.push((root, Content::None));
    }
    Ok(layer::fill_folder(folder, placed)?)
}

/// Says in the memory of a folder that the command has ended, unless others still use the folder.
pub(super) fn end(cache: CacheFolder) -> Result<(), Problem> {
    if cache.alone()? {
        let _held = cache.lock_note()?;
        let memory = Memory::read(cache.note()?.as_deref());
        cache.set_note(&memory.ended(coarse()).to_bytes())?;
    }
    Ok(())
}

/// What counts of a path: a file's content, the names in a folder. A link has no time that anybody asks for.
fn digest(kind: &Kind, names: Option<&ContentDigest>) -> Option<ContentDigest> {
    match kind {
        Kind::File { digest, .. } => Some(*digest),
        Kind::Directory { .. } => Some(names.copied().unwrap_or_else(|| ContentDigest::of(b""))),
        Kind::Symlink { .. }
        | Kind::Hardlink { .. }
        | Kind::Fifo
        | Kind::CharDevice { .. }
        | Kind::BlockDevice { .. }
        | Kind::Whiteout => None,
    }
}

/// For each folder the hash of the names in it.
fn names<'p>(paths: impl Iterator<Item = &'p ImagePath>) -> BTreeMap<ImagePath, ContentDigest> {
    let mut folders: BTreeMap<ImagePath, Canonical> = BTreeMap::new();
    for path in paths.filter(|path| !path.is_root()) {
        let folder = folders.entry(path.parent().unwrap_or_default()).or_insert_with(|| Canonical::new("names"));
        folder.bytes("name", path.file_name().unwrap_or_default());
    }
    folders.into_iter().map(|(path, names)| (path, names.finish())).collect()
}

/// The time that files get which are written now: that of the clock's last tick.
fn coarse() -> Timestamp {
    let now = clock_gettime(ClockId::RealtimeCoarse);
    Timestamp { secs: now.tv_sec, nanos: u32::try_from(now.tv_nsec).unwrap_or_default() }
}

/// Waits for the clock's next tick, a few milliseconds: what was written before has an earlier time, what is written later
/// not.
fn next_tick() -> Timestamp {
    let before = coarse();
    for _ in 0..100 {
        if coarse() != before {
            break;
        }
        std::thread::sleep(Duration::from_micros(500));
    }
    coarse()
}

fn after(time: &Timestamp) -> Timestamp {
    match time.nanos {
        999_999_999 => Timestamp::from_secs(time.secs + 1),
        nanos => Timestamp { secs: time.secs, nanos: nanos + 1 },
    }
}
