//! COPY and ADD.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::Arc;

use super::load::{Load, Piece, complete, pieces};
use super::origin::Origins;
use super::place::{Changes, Item, Placer};
use crate::build::error::Problem;
use crate::build::request::{Request, Times};
use crate::build::rootfs::{GROUP, MAX_USER_FILE, PASSWD};
use crate::build::step::{Current, Done, Found};
use crate::cache::{Ingredient, Ingredients, Look};
use crate::context::{self, Content as Hashed, Contents, LinkGroup, Match, Meta, Role, Selected, Source};
use crate::digest::{Canonical, ContentDigest};
use crate::fetch::Commit;
use crate::layer::{self, Content, LAYER_EPOCH, TimePolicy};
use crate::path::{ContextPath, ImagePath, Printable as _};
use crate::plan::{Chmod, Copy, CopySource, InlineFile, Origin, Verb, names_somebody};
use crate::remote::{self, GitSource};
use crate::sandbox;
use crate::tree::{Attributes, Kind, Timestamp};

/// Looks a COPY or ADD up, or makes its layer.
pub(in crate::build) fn copy(current: &Current<'_>, origins: &Origins<'_>, copy: &Copy) -> Result<Done, Problem> {
    let session = current.session;
    let pieces = pieces(current, origins, copy)?;
    refuse_outputs(origins.request, copy)?;
    let ingredients = ingredients(current, copy, &pieces);
    let (reason, _lock) = match current.find(&ingredients)? {
        Found::Hit(done) => return Ok(*done),
        Found::Miss(reason, lock) => (reason, lock),
    };
    let loads = complete(current, pieces, copy)?;
    let (entries, facts) = place(current, copy, &loads)?;
    current.check_interrupt()?;
    let policy = policy(session.request, &loads);
    let layer =
        session.shared.cores.take(|| layer::write_layer(session.engine.store, entries, policy, current.form))?;
    current.keep(&ingredients, facts, layer, reason)
}

/// A context without the output is not what the author of `COPY app.tar` had in mind.
fn refuse_outputs(request: &Request, copy: &Copy) -> Result<(), Problem> {
    let (Origin::Context, Some(root)) = (&copy.from, &request.context) else { return Ok(()) };
    for source in &copy.sources {
        let CopySource::Path { pattern, .. } = source else { continue };
        let named = ContextPath::new(pattern).in_dir(root);
        if !ContextPath::new(pattern).is_root() && request.outputs.contains(&named) {
            return Err(Problem::OutputCopied { path: pattern.clone() });
        }
    }
    Ok(())
}

fn ingredients(current: &Current<'_>, copy: &Copy, pieces: &[Piece]) -> Ingredients {
    // A field that is added must be looked at here.
    let Copy { verb, from: _, sources: _, inline, destination, chown, chmod, link, parents: _, exclude, unpack: _ } =
        copy;
    let mut ingredients = Ingredients::new(match verb {
        Verb::Copy => "copy",
        Verb::Add => "add",
    });
    ingredients.setting("the destination", destination.clone());
    ingredients.setting("--chown", chown.clone().unwrap_or_default());
    ingredients.setting("--chmod", chmod.clone().unwrap_or_default());
    ingredients.setting("--link", if *link { "on" } else { "" });
    ingredients.setting("--timestamps", current.session.request.times.name());
    let times = current.session.request.times;
    let has_archive = pieces.iter().any(|piece| matches!(piece, Piece::Files(load) if !load.archives.is_empty()));
    if has_archive || (times == Times::Preserve && !*link) {
        // What an archive becomes depends on all that is below it, and so do the times of the folders above the files.
        ingredients.push(Ingredient::Parent(current.rootfs.chain()));
    }
    for piece in pieces {
        match piece {
            Piece::Files(load) => add_files(load, times, &mut ingredients),
            Piece::Commit { source, commit, number } => {
                ingredients.push(file_of_commit(*number, source, commit, exclude));
            }
        }
    }
    for InlineFile { name, content } in inline {
        let digest = ContentDigest::of(content);
        ingredients.push(Ingredient::File { path: format!("<<{name}"), digest, look: None });
    }
    ingredients
}

fn add_files(load: &Load, times: Times, ingredients: &mut Ingredients) {
    for (offset, source) in load.selection.sources.iter().enumerate() {
        let number = load.number + offset;
        for matched in &source.matches {
            if matched.is_directory {
                let digest = ContentDigest::of(format!("folder {number}").as_bytes());
                ingredients.push(Ingredient::File { path: format!("{}/", matched.from), digest, look: None });
            }
            let links = link_numbers(matched, Linked::Files);
            let archive = load.archives.contains(&matched.from);
            let file = |selected| file((number, matched), selected, &load.contents, &links, (archive, times));
            let digests = matched.selected.iter().map(file);
            digests.for_each(|file| ingredients.push(file));
        }
    }
}

/// A commit says what its files are, wherever it comes from.
fn file_of_commit(number: usize, source: &GitSource, commit: &Commit, exclude: &[String]) -> Ingredient {
    let mut canonical = Canonical::new("commit");
    canonical.number("source", number as u64);
    canonical.text("commit", commit.hash());
    canonical.bytes("folder", source.subdir().as_bytes());
    canonical.number("submodules", u64::from(source.submodules == remote::Submodules::Included));
    canonical.number("times", u64::from(source.times == remote::Times::Commit));
    if source.keeps_git_dir() {
        // The folder `.git` says where it came from.
        canonical.text("repository", source.remote());
    }
    for pattern in exclude {
        canonical.text("exclude", pattern);
    }
    Ingredient::File { path: source.shown(), digest: canonical.finish(), look: None }
}

/// Of what the names of one inode are told.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::build) enum Linked {
    /// Of regular files: as in BuildKit, COPY makes of two names of a pipe two pipes.
    Files,
    /// Of everything that can have several names.
    All,
}

/// Numbers the groups of names of one file, from 1 in path order. A file whose other names are not selected has no group,
/// and what the host calls the group counts nowhere: the same tree elsewhere must have the same key.
pub(in crate::build) fn link_numbers(matched: &Match, linked: Linked) -> BTreeMap<LinkGroup, u64> {
    let mut names: BTreeMap<LinkGroup, u64> = BTreeMap::new();
    let counts = |meta: &Meta| linked == Linked::All || matches!(meta.kind, context::Kind::File { .. });
    let counting = || matched.selected.iter().map(|selected| &selected.meta).filter(|meta| counts(meta));
    let groups = || counting().filter_map(|meta| meta.link_group);
    for group in groups() {
        *names.entry(group).or_default() += 1;
    }
    let mut numbers = BTreeMap::new();
    for group in groups().filter(|group| names.get(group).is_some_and(|names| *names > 1)) {
        let next = numbers.len() as u64 + 1;
        numbers.entry(group).or_insert(next);
    }
    numbers
}

fn link_number(selected: &Selected, links: &BTreeMap<LinkGroup, u64>) -> Option<u64> {
    selected.meta.link_group.and_then(|group| links.get(&group).copied())
}

/// Everything of a selected path that counts: place, kind, mode, owner, content, other names; its time only if layers keep it.
pub(in crate::build) fn file(
    (number, matched): (usize, &Match),
    selected: &Selected,
    contents: &Contents,
    links: &BTreeMap<LinkGroup, u64>,
    (is_archive, times): (bool, Times),
) -> Ingredient {
    let Meta { kind, mode, uid, gid, mtime, xattrs, link_group: _ } = &selected.meta;
    let content = contents.get(&selected.from);
    let mut canonical = Canonical::new("selected");
    canonical.number("source", number as u64);
    if !matched.is_directory {
        canonical.bytes("name", &matched.name);
        canonical.number("archive", u64::from(is_archive));
    }
    canonical.bytes("relative", selected.relative.as_bytes());
    canonical.number("mode", u64::from(*mode));
    canonical.number("uid", u64::from(*uid));
    canonical.number("gid", u64::from(*gid));
    canonical.number("linked", link_number(selected, links).unwrap_or(0));
    if times == Times::Preserve {
        canonical.bytes("mtime", &mtime.secs.to_le_bytes());
        canonical.number("nanoseconds", u64::from(mtime.nanos));
    }
    for (name, value) in xattrs {
        canonical.bytes("xattr", name);
        canonical.bytes("value", value);
    }
    match kind {
        context::Kind::Directory => canonical.text("kind", folder_kind(selected.role)),
        context::Kind::File { .. } => {
            canonical.text("kind", "file");
            if let Some(content) = content {
                canonical.bytes("content", content.digest.as_bytes());
            }
        }
        context::Kind::Symlink { target } => canonical.bytes("link", target),
        context::Kind::Fifo => canonical.text("kind", "fifo"),
        context::Kind::CharDevice { major, minor } => canonical.text("char", &format!("{major}:{minor}")),
        context::Kind::BlockDevice { major, minor } => canonical.text("block", &format!("{major}:{minor}")),
    }
    let look = Some(look(&selected.meta, content));
    Ingredient::File { path: selected.from.to_string(), digest: canonical.finish(), look }
}

fn look(meta: &Meta, content: Option<&Hashed>) -> Look {
    let (kind, content) = match &meta.kind {
        context::Kind::Directory => ("folder", None),
        context::Kind::File { .. } => ("file", content.map(|content| content.digest)),
        context::Kind::Symlink { target } => ("link", Some(ContentDigest::of(target))),
        context::Kind::Fifo => ("pipe", None),
        context::Kind::CharDevice { .. } | context::Kind::BlockDevice { .. } => ("device", None),
    };
    Look { kind, mode: meta.mode, owner: (meta.uid, meta.gid), content }
}

/// What a folder is in a key: what becomes of one that is there already depends on it.
fn folder_kind(role: Role) -> &'static str {
    match role {
        Role::Meant => "folder",
        Role::Above => "folder above",
    }
}

type Placed = (Vec<(crate::tree::Entry, Content)>, Vec<crate::tree::Fact>);

fn place(current: &Current<'_>, copy: &Copy, loads: &[Load]) -> Result<Placed, Problem> {
    let chmod = copy.chmod.as_deref().map(Chmod::parse).transpose()?;
    let owner = match &copy.chown {
        Some(owner) => Some(resolve_owner(current, owner)?),
        None => None,
    };
    let store = current.session.engine.store;
    let lower = if copy.link { None } else { Some(current.rootfs.stack(store)?) };
    let mut placer: Placer<'_, Content> = Placer::new(lower, Changes { owner, chmod });
    if copy.chown.as_deref().is_some_and(names_somebody) {
        depend_on_users(&mut placer)?;
    }
    let destination = copy.destination.as_bytes();
    let times = if has_archives(loads) { FileTimes::Fixed } else { FileTimes::Own };
    for load in loads {
        for matched in load.selection.sources.iter().flat_map(|source| &source.matches) {
            if load.archives.contains(&matched.from) && !matched.is_directory {
                unpack(current, load, matched, destination, owner, &mut placer)?;
            } else {
                placer.copy(&matched.name, items(matched, load, times), destination)?;
            }
        }
    }
    for InlineFile { name, content } in &copy.inline {
        placer.copy(name.as_bytes(), vec![inline_item(content)], destination)?;
    }
    let (entries, facts) = placer.finish();
    let entries = entries.into_iter().map(|(entry, content)| (entry, content.unwrap_or(Content::None))).collect();
    Ok((entries, facts))
}

fn unpack(
    current: &Current<'_>,
    load: &Load,
    matched: &Match,
    destination: &[u8],
    owner: Option<(u32, u32)>,
    placer: &mut Placer<'_, Content>,
) -> Result<(), Problem> {
    let store = current.session.engine.store;
    let folder = placer.make_plain_folder(destination)?;
    let mut reader = load.source.open(&matched.from)?;
    for unpacked in layer::unpack_archive(store, &mut reader, current.rootfs.lower(store)?, &folder)? {
        let mut entry = unpacked.entry;
        if let Some((uid, gid)) = owner.filter(|_| unpacked.named) {
            (entry.attributes.uid, entry.attributes.gid) = (uid, gid);
        }
        placer.put(entry, unpacked.content);
    }
    Ok(())
}

fn items(matched: &Match, load: &Load, times: FileTimes) -> Vec<Item<Content>> {
    let mut items = Vec::with_capacity(matched.selected.len() + 1);
    if matched.is_directory {
        let attributes = Attributes::of_root(0o755);
        let (relative, kind) = (ImagePath::root(), Kind::Directory { opaque: false });
        items.push(Item { relative, kind, attributes, role: Role::Meant, link_group: None, content: None });
    }
    let links = link_numbers(matched, Linked::Files);
    items.extend(matched.selected.iter().map(|selected| item(selected, load, times, &links)));
    items
}

fn item(selected: &Selected, load: &Load, times: FileTimes, links: &BTreeMap<LinkGroup, u64>) -> Item<Content> {
    let Meta { kind, mode, uid, gid, mtime, xattrs, link_group: _ } = selected.meta.clone();
    let mut content = None;
    let kind = match kind {
        context::Kind::Directory => Kind::Directory { opaque: false },
        context::Kind::File { size } => {
            let hashed = load.contents.get(&selected.from).copied();
            let hashed = hashed.unwrap_or(Hashed { size, digest: ContentDigest::of(b"") });
            let (source, from): (Arc<dyn Source>, ContextPath) = (load.source.clone(), selected.from.clone());
            let open = move || -> std::io::Result<Box<dyn std::io::Read>> {
                let reader = source.open(&from).map_err(std::io::Error::other)?;
                Ok(Box::new(reader.take(u64::MAX)))
            };
            content = Some(Content::Open(Box::new(open)));
            Kind::File { size: hashed.size, digest: hashed.digest }
        }
        context::Kind::Symlink { target } => Kind::Symlink { target },
        context::Kind::Fifo => Kind::Fifo,
        context::Kind::CharDevice { major, minor } => Kind::CharDevice { major, minor },
        context::Kind::BlockDevice { major, minor } => Kind::BlockDevice { major, minor },
    };
    let mtime = match times {
        FileTimes::Own => mtime,
        FileTimes::Fixed => Timestamp::from_secs(LAYER_EPOCH),
    };
    let attributes = Attributes { mode, uid, gid, mtime, xattrs };
    let link_group = link_number(selected, links);
    let relative = ImagePath::new(selected.relative.as_bytes());
    Item { relative, kind, attributes, role: selected.role, link_group, content }
}

/// The times of copied files. Beside an unpacked archive the layer's times are only clamped, so that the archive's own
/// survive: then files of a context must bring a time that does not depend on the checkout.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FileTimes {
    Own,
    Fixed,
}

fn has_archives(loads: &[Load]) -> bool {
    loads.iter().any(|load| !load.archives.is_empty())
}

fn policy(request: &Request, loads: &[Load]) -> TimePolicy {
    if has_archives(loads) { request.times.of_results() } else { request.times.of_copies() }
}

fn inline_item(content: &[u8]) -> Item<Content> {
    let kind = Kind::File { size: content.len() as u64, digest: ContentDigest::of(content) };
    let attributes = Attributes { mtime: Timestamp::from_secs(LAYER_EPOCH), ..Attributes::of_root(0o644) };
    let content = Some(Content::Bytes(content.to_vec()));
    Item { relative: ImagePath::root(), kind, attributes, role: Role::Meant, link_group: None, content }
}

/// Notes that names were looked up among the image's users and groups.
pub(super) fn depend_on_users<C>(placer: &mut Placer<'_, C>) -> Result<(), Problem> {
    for path in [PASSWD, GROUP] {
        placer.depend_on_file(&ImagePath::new(path))?;
    }
    Ok(())
}

/// The ids of `--chown`. As in BuildKit, a name that is missing is 0, unless the image has no files at all.
pub(super) fn resolve_owner(current: &Current<'_>, owner: &str) -> Result<(u32, u32), Problem> {
    let store = current.session.engine.store;
    let (user, group) = owner.split_once(':').map_or((owner, None), |(user, group)| (user, Some(group)));
    let is_somebody = names_somebody(owner) && !matches!(user, "root" | "0");
    if is_somebody && current.rootfs.layers().is_empty() {
        return Err(Problem::OwnerOfNothing { owner: owner.as_bytes().escape_ascii_utf8() });
    }
    let read = |path| Ok::<_, Problem>(current.rootfs.read(store, path, MAX_USER_FILE)?.unwrap_or_default());
    let (passwd, groups) = if names_somebody(owner) { (read(PASSWD)?, read(GROUP)?) } else { (Vec::new(), Vec::new()) };
    let numeric = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let (uid, primary) = match sandbox::user::resolve(user, &passwd, &groups) {
        // A number gives the group of the same number, even if passwd knows better.
        Ok(identity) if numeric(user) => (identity.credentials.uid, identity.credentials.uid),
        Ok(identity) => (identity.credentials.uid, identity.credentials.gid),
        Err(sandbox::Error::UnknownUser { .. }) => (0, 0),
        Err(error) => return Err(error.into()),
    };
    let gid = match group.filter(|group| !group.is_empty()) {
        None => primary,
        Some(group) => match sandbox::user::resolve(&format!("0:{group}"), &passwd, &groups) {
            Ok(identity) => identity.credentials.gid,
            Err(sandbox::Error::UnknownGroup { .. }) => 0,
            Err(error) => return Err(error.into()),
        },
    };
    Ok((uid, gid))
}
