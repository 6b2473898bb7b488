//! Makes the mounts of a RUN visible, and keeps what they need until it has ended.

use std::collections::BTreeSet;

use super::agent::Relay;
use super::files::Files;
use super::mounts::{Shown, Wanted};
use super::times::{self, Times};
use crate::build::BuildEvent;
use crate::build::commands::Secret;
use crate::build::error::Problem;
use crate::build::rootfs::Rootfs;
use crate::build::step::Current;
use crate::digest::ContentDigest;
use crate::dockerfile::Sharing;
use crate::fsx::{self, At as _};
use crate::path::ImagePath;
use crate::plan::{CacheMount, FileOwner, Mounted, Writing};
use crate::sandbox::{self, Access, Source, Writes};
use crate::store::{CacheFolder, CacheSharing, TreeDraft, Waiting};

/// No secret is longer, in bytes; BuildKit's limit.
const MAX_SECRET: u64 = 500 * 1024;

/// The variable that tells programs where their ssh agent is.
const AGENT_VARIABLE: &str = "SSH_AUTH_SOCK";

/// What a command sees, and what must be there until it has ended.
#[must_use = "`leave` tells later users of the caches that the command has ended"]
pub(super) struct Room {
    /// In the order in which they are mounted.
    pub(super) mounts: Vec<sandbox::Mount>,
    /// Variables that come from mounts.
    pub(super) env: Vec<(String, Vec<u8>)>,
    /// A folder over the layers of the root filesystem: files of theirs with other times.
    pub(super) over: Option<TreeDraft>,
    /// Cache folders, each with what it is called.
    caches: Vec<Cache>,
    /// Before the folders, in which their sockets are.
    _relays: Vec<Relay>,
    _folders: Vec<TreeDraft>,
}

struct Cache {
    name: ContentDigest,
    folder: CacheFolder,
    is_written: bool,
}

/// Makes everything that `wanted` shows. Waits for cache folders that others use alone.
pub(super) fn show(current: &Current<'_>, wanted: Vec<Wanted<'_>>) -> Result<Room, Problem> {
    let mut room = Room {
        mounts: Vec::new(),
        env: Vec::new(),
        over: None,
        caches: take_caches(current, &wanted)?,
        _relays: Vec::new(),
        _folders: Vec::new(),
    };
    let written = room.written();
    let mut times = if written.is_empty() { None } else { Some(Times::of(&written)?) };
    let hidden: BTreeSet<ImagePath> = wanted.iter().map(|wanted| ImagePath::new(&wanted.mount.target)).collect();
    if let Some(times) = &mut times {
        let root = ImagePath::root();
        room.over = retimed(current, times, current.rootfs, (&root, &root), &hidden)?;
    }
    for Wanted { mount, shown } in wanted {
        current.check_interrupt()?;
        let target = ImagePath::new(&mount.target);
        let inner: BTreeSet<ImagePath> = hidden.iter().filter(|path| **path != target).cloned().collect();
        let mut maker = Maker { current, room: &mut room, times: &mut times, target: &target, hidden: &inner };
        maker.add(&mount.what, shown).map_err(|problem| problem.at_mount(mount.span))?;
    }
    if let Some(times) = times {
        times.begin(&room.written())?;
    }
    Ok(room)
}

impl Room {
    /// Says that the command has ended.
    pub(super) fn leave(self) -> Result<(), Problem> {
        for cache in self.caches.into_iter().filter(|cache| cache.is_written) {
            times::end(cache.folder)?;
        }
        Ok(())
    }

    /// Adds what comes with devices. As under CDI a folder stands before what is mounted in it, whoever asked for it, and a
    /// variable takes the place of one with its name.
    pub(super) fn lend<'a>(
        &mut self,
        mounts: Vec<sandbox::Mount>,
        env: impl Iterator<Item = (&'a String, &'a String)>,
    ) {
        if !mounts.is_empty() {
            self.mounts.extend(mounts);
            self.mounts.sort_by_key(|mount| mount.target.as_bytes().iter().filter(|byte| **byte == b'/').count());
        }
        for (name, value) in env {
            self.env.retain(|(known, _)| known != name);
            self.env.push((name.clone(), value.clone().into_bytes()));
        }
    }

    fn written(&self) -> Vec<&CacheFolder> {
        self.caches.iter().filter(|cache| cache.is_written).map(|cache| &cache.folder).collect()
    }
}

/// Takes each cache folder once, however often it is mounted, and all builds in the same order: nobody waits in a circle.
fn take_caches(current: &Current<'_>, wanted: &[Wanted<'_>]) -> Result<Vec<Cache>, Problem> {
    let mut asked: Vec<(ContentDigest, &CacheMount, Option<&Files>)> = Vec::new();
    for wanted in wanted {
        if let Shown::Cache { cache, name, seed } = &wanted.shown {
            asked.push((*name, cache, seed.as_ref()));
        }
    }
    asked.sort_by_key(|(name, ..)| *name);
    let mut taken: Vec<Cache> = Vec::new();
    for (name, mount, seed) in asked {
        let is_written = mount.writing == Writing::Possible;
        if let Some(known) = taken.iter_mut().find(|cache| cache.name == name) {
            known.is_written |= is_written;
            continue;
        }
        taken.push(Cache { name, folder: take_cache(current, name, mount, seed)?, is_written });
    }
    Ok(taken)
}

fn take_cache(
    current: &Current<'_>,
    name: ContentDigest,
    mount: &CacheMount,
    seed: Option<&Files>,
) -> Result<CacheFolder, Problem> {
    let sharing = match mount.sharing {
        Sharing::Shared => CacheSharing::Shared,
        Sharing::Private => CacheSharing::Private,
        Sharing::Locked => CacheSharing::Locked,
    };
    let engine = &current.session.engine;
    let mut ask = |asked: Waiting| match asked {
        Waiting::StillWanted => !engine.interrupt.is_set(),
        Waiting::Behind { pid } => {
            let who = pid.map_or_else(|| "another build".to_owned(), |pid| format!("the build with process id {pid}"));
            let id = mount.id.split_once('/').map_or(mount.id.as_str(), |(_, id)| id);
            (engine.events)(BuildEvent::Note { text: format!("waiting for {who}, which uses the cache `{id}`") });
            true
        }
    };
    let mut fill = |folder: &std::path::Path| {
        if let Some(seed) = seed {
            seed.fill(folder, &|entry| entry.attributes.mtime)?;
        }
        if let Some(owner) = &mount.owner {
            give(folder, owner)?;
        }
        Ok::<(), Problem>(())
    };
    engine.store.cache_folder(name, sharing, &mut ask, &mut fill)
}

fn give(folder: &std::path::Path, FileOwner { mode, uid, gid }: &FileOwner) -> fsx::Result<()> {
    std::os::unix::fs::chown(folder, Some(*uid), Some(*gid)).at("change the owner of", folder)?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(*mode);
    std::fs::set_permissions(folder, mode).at("change the mode of", folder)
}

/// A folder with the files of `rootfs` that are to be shown with another time; none if there are none.
fn retimed(
    current: &Current<'_>,
    times: &mut Times,
    rootfs: &Rootfs,
    places: (&ImagePath, &ImagePath),
    hidden: &BTreeSet<ImagePath>,
) -> Result<Option<TreeDraft>, Problem> {
    let store = current.session.engine.store;
    let later = times.of_rootfs(rootfs.stack(store)?, rootfs.of_image(), places, hidden);
    if later.is_empty() {
        return Ok(None);
    }
    let draft = store.tree_draft()?;
    times::copy_out(store, rootfs, later, &draft.fs())?;
    Ok(Some(draft))
}

/// Makes one mount.
struct Maker<'a> {
    current: &'a Current<'a>,
    room: &'a mut Room,
    times: &'a mut Option<Times>,
    target: &'a ImagePath,
    /// The targets of the other mounts.
    hidden: &'a BTreeSet<ImagePath>,
}

impl Maker<'_> {
    fn add(&mut self, what: &Mounted, shown: Shown<'_>) -> Result<(), Problem> {
        match (what, shown) {
            (Mounted::Bind { writing, .. }, Shown::Files(files)) => self.add_files(&files, *writing),
            (Mounted::Bind { writing, .. }, Shown::Rootfs { rootfs, inside, .. }) => {
                self.add_rootfs(&rootfs, inside, *writing)
            }
            (Mounted::Cache(mount), Shown::Cache { name, .. }) => {
                let cache = self.room.caches.iter().find(|cache| cache.name == name);
                let path = cache.ok_or(Problem::BaseMismatch)?.folder.fs();
                let source = Source::Host { path, inside: ImagePath::new(&mount.source) };
                self.push(source, mount.writing);
                Ok(())
            }
            (Mounted::Tmpfs { size, writing }, _) => {
                self.push(Source::Tmpfs { size: *size, mode: 0o1777 }, *writing);
                Ok(())
            }
            (Mounted::Secret { id, env, owner, required }, _) => self.add_secret(id, env.as_deref(), *owner, *required),
            (Mounted::Ssh { id, owner, required }, _) => self.add_agent(id, *owner, *required),
            (Mounted::Bind { writing, .. } | Mounted::Cache(CacheMount { writing, .. }), _) => {
                let empty = self.current.session.engine.store.tree_draft()?;
                self.add_tree(vec![empty.fs()], ImagePath::root(), *writing)?;
                self.room._folders.push(empty);
                Ok(())
            }
        }
    }

    fn push(&mut self, source: Source, writing: Writing) {
        let access = match writing {
            Writing::Possible => Access::ReadWrite,
            Writing::Refused => Access::ReadOnly,
        };
        self.room.mounts.push(sandbox::Mount { target: self.target.clone(), source, access });
    }

    fn add_files(&mut self, files: &Files, writing: Writing) -> Result<(), Problem> {
        let shown = self.times.as_mut().map(|times| times.of_files(files, self.target)).unwrap_or_default();
        let draft = self.current.session.engine.store.tree_draft()?;
        files.fill(&draft.fs(), &|entry| shown.get(&entry.path).copied().unwrap_or(entry.attributes.mtime))?;
        self.add_tree(vec![draft.fs()], files.inside.clone(), writing)?;
        self.room._folders.push(draft);
        Ok(())
    }

    fn add_rootfs(&mut self, rootfs: &Rootfs, inside: ImagePath, writing: Writing) -> Result<(), Problem> {
        let store = self.current.session.engine.store;
        let mut lowers = rootfs.trees(store, &|| self.current.check_interrupt())?;
        if let Some(times) = self.times.as_mut() {
            let places = (&inside, self.target);
            let over = retimed(self.current, times, rootfs, places, self.hidden)?;
            lowers.extend(over.as_ref().map(TreeDraft::fs));
            self.room._folders.extend(over);
        }
        self.add_tree(lowers, inside, writing)
    }

    fn add_tree(
        &mut self,
        lowers: Vec<std::path::PathBuf>,
        inside: ImagePath,
        writing: Writing,
    ) -> Result<(), Problem> {
        let writes = match writing {
            Writing::Refused => None,
            Writing::Possible => {
                let draft = self.current.session.engine.store.tree_draft()?;
                let writes = Writes { upper: draft.fs(), work: draft.work() };
                self.room._folders.push(draft);
                Some(writes)
            }
        };
        self.push(Source::Tree { lowers, inside, writes }, writing);
        Ok(())
    }

    fn add_secret(&mut self, id: &str, env: Option<&str>, owner: FileOwner, required: bool) -> Result<(), Problem> {
        let bytes = match self.current.session.request.commands.secrets.get(id) {
            Some(Secret::Value(bytes)) => bytes.clone(),
            Some(Secret::File(path)) => fsx::read_at_most(path, MAX_SECRET)?,
            None if required => return Err(Problem::NoSecret { id: id.to_owned() }),
            None => return Ok(()),
        };
        if let Some(name) = env {
            self.room.env.push((name.to_owned(), bytes.clone()));
        }
        if !self.target.is_root() {
            let FileOwner { mode, uid, gid } = owner;
            self.push(Source::Content { bytes, mode, uid, gid }, Writing::Refused);
        }
        Ok(())
    }

    fn add_agent(&mut self, id: &str, owner: FileOwner, required: bool) -> Result<(), Problem> {
        // As in BuildKit it is set even if there is no agent, and to the first of several.
        if !self.room.env.iter().any(|(name, _)| name == AGENT_VARIABLE) {
            let value = format!("/{}", String::from_utf8_lossy(self.target.as_bytes())).into_bytes();
            self.room.env.push((AGENT_VARIABLE.to_owned(), value));
        }
        let Some(agent) = self.current.session.request.commands.agents.get(id) else {
            return if required { Err(Problem::NoAgent { id: id.to_owned() }) } else { Ok(()) };
        };
        let folder = self.current.session.engine.store.tree_draft()?;
        let relay = Relay::start(&folder.fs(), agent, owner)?;
        self.push(Source::Host { path: relay.path(), inside: ImagePath::root() }, Writing::Possible);
        self.room._relays.push(relay);
        self.room._folders.push(folder);
        Ok(())
    }
}
