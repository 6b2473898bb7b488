//! COPY and ADD.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::Arc;

use super::chmod::Chmod;
use super::origin::{Open, Origins};
use super::place::{Changes, Item, Placer};
use crate::build::error::Problem;
use crate::build::request::Request;
use crate::build::rootfs::{GROUP, MAX_USER_FILE, PASSWD};
use crate::build::step::{Current, Done, Found};
use crate::cache::{Ingredient, Ingredients};
use crate::context::{
    self, Content as Hashed, LinkGroup, Match, Meta, Parents, Role, SelectOptions, Selected, Selection, Source,
};
use crate::digest::{Canonical, ContentDigest};
use crate::layer::{self, Content, LAYER_EPOCH, TimePolicy};
use crate::path::{ContextPath, ImagePath, Printable as _};
use crate::plan::{Copy, InlineFile, Verb};
use crate::sandbox;
use crate::tree::{Attributes, Kind, Timestamp};

/// What one instruction brings.
struct Load {
    open: Open,
    selection: Selection,
    contents: BTreeMap<ContextPath, Hashed>,
    /// Of each file that ADD takes to be an archive.
    archives: Vec<ContextPath>,
}

/// Looks a COPY or ADD up, or makes its layer.
pub(in crate::build) fn copy(current: &Current<'_>, origins: &Origins<'_>, copy: &Copy) -> Result<Done, Problem> {
    let session = current.session;
    let open = origins.open(session, &copy.from)?;
    let load = load(open, copy)?;
    refuse_outputs(origins.request, &load, copy)?;
    let ingredients = ingredients(current, copy, &load);
    let (reason, _lock) = match current.find(&ingredients)? {
        Found::Hit(done) => return Ok(*done),
        Found::Miss(reason, lock) => (reason, lock),
    };
    let (entries, facts) = place(current, copy, &load)?;
    current.check_interrupt()?;
    let policy = policy(session.request, &load);
    let layer = layer::write_layer(session.engine.store, entries, policy)?;
    current.keep(&ingredients, facts, layer, reason)
}

fn load(open: Open, copy: &Copy) -> Result<Load, Problem> {
    let patterns: Vec<&[u8]> = copy.sources.iter().map(|(pattern, _)| pattern.as_bytes()).collect();
    let options = SelectOptions {
        exclude: copy.exclude.iter().map(|pattern| pattern.clone().into_bytes()).collect(),
        parents: if copy.parents { Parents::Kept } else { Parents::Dropped },
    };
    let selection = context::select(open.source.as_ref(), &patterns, &options)?;
    let contents = context::contents(open.source.as_ref(), &selection)?;
    let archives = match (copy.verb, copy.unpack) {
        (Verb::Add, true) => archives(open.source.as_ref(), &selection)?,
        _ => Vec::new(),
    };
    Ok(Load { open, selection, contents, archives })
}

/// A context without the output is not what the author of `COPY app.tar` had in mind.
fn refuse_outputs(request: &Request, load: &Load, copy: &Copy) -> Result<(), Problem> {
    let (true, Some(root)) = (load.open.is_context, &request.context) else { return Ok(()) };
    for (pattern, _) in &copy.sources {
        let named = ContextPath::new(pattern).in_dir(root);
        if !ContextPath::new(pattern).is_root() && request.outputs.contains(&named) {
            return Err(Problem::OutputCopied { path: pattern.clone() });
        }
    }
    Ok(())
}

/// The sources themselves that are archives; what lies in a copied folder is never one.
fn archives(source: &dyn Source, selection: &Selection) -> Result<Vec<ContextPath>, Problem> {
    let mut found = Vec::new();
    for matched in selection.sources.iter().flat_map(|source| &source.matches) {
        let is_file = matched.selected.first().is_some_and(|s| matches!(s.meta.kind, context::Kind::File { .. }));
        if !matched.is_directory && is_file {
            let mut reader = source.open(&matched.from)?;
            if layer::sniff(&mut reader).is_some() {
                found.push(matched.from.clone());
            }
        }
    }
    Ok(found)
}

fn ingredients(current: &Current<'_>, copy: &Copy, load: &Load) -> Ingredients {
    // A field that is added must be looked at here.
    let Copy { verb, from: _, sources: _, inline, destination, chown, chmod, link, parents: _, exclude: _, unpack: _ } =
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
    if !load.archives.is_empty() {
        // What an archive becomes depends on all that is below it.
        ingredients.push(Ingredient::Parent(current.rootfs.chain()));
    }
    for (number, source) in load.selection.sources.iter().enumerate() {
        for matched in &source.matches {
            if matched.is_directory {
                let digest = ContentDigest::of(format!("folder {number}").as_bytes());
                ingredients.push(Ingredient::File { path: format!("{}/", matched.from), digest });
            }
            let links = link_numbers(matched);
            let digests = matched.selected.iter().map(|selected| file(number, matched, selected, load, &links));
            digests.for_each(|file| ingredients.push(file));
        }
    }
    for InlineFile { name, content } in inline {
        let digest = ContentDigest::of(content);
        ingredients.push(Ingredient::File { path: format!("<<{name}"), digest });
    }
    ingredients
}

/// Numbers the groups of names of one file, from 1 in path order. A file whose other names are not selected has no group,
/// and what the host calls the group counts nowhere: the same tree elsewhere must have the same key.
pub(super) fn link_numbers(matched: &Match) -> BTreeMap<LinkGroup, u64> {
    let mut names: BTreeMap<LinkGroup, u64> = BTreeMap::new();
    let groups = || matched.selected.iter().filter_map(|selected| selected.meta.link_group);
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

/// Everything of a selected path that counts: place, kind, mode, owner, content, other names; never its time.
fn file(
    number: usize,
    matched: &Match,
    selected: &Selected,
    load: &Load,
    links: &BTreeMap<LinkGroup, u64>,
) -> Ingredient {
    let Meta { kind, mode, uid, gid, mtime: _, xattrs, link_group: _ } = &selected.meta;
    let mut canonical = Canonical::new("selected");
    canonical.number("source", number as u64);
    if !matched.is_directory {
        canonical.bytes("name", &matched.name);
        canonical.number("archive", u64::from(load.archives.contains(&matched.from)));
    }
    canonical.bytes("relative", selected.relative.as_bytes());
    canonical.number("mode", u64::from(*mode));
    canonical.number("uid", u64::from(*uid));
    canonical.number("gid", u64::from(*gid));
    canonical.number("linked", link_number(selected, links).unwrap_or(0));
    for (name, value) in xattrs {
        canonical.bytes("xattr", name);
        canonical.bytes("value", value);
    }
    match kind {
        context::Kind::Directory => canonical.text("kind", folder_kind(selected.role)),
        context::Kind::File { .. } => {
            canonical.text("kind", "file");
            if let Some(content) = load.contents.get(&selected.from) {
                canonical.bytes("content", content.digest.as_bytes());
            }
        }
        context::Kind::Symlink { target } => canonical.bytes("link", target),
        context::Kind::Fifo => canonical.text("kind", "fifo"),
        context::Kind::CharDevice { major, minor } => canonical.text("char", &format!("{major}:{minor}")),
        context::Kind::BlockDevice { major, minor } => canonical.text("block", &format!("{major}:{minor}")),
    }
    Ingredient::File { path: selected.from.to_string(), digest: canonical.finish() }
}

/// What a folder is in a key: what becomes of one that is there already depends on it.
fn folder_kind(role: Role) -> &'static str {
    match role {
        Role::Meant => "folder",
        Role::Above => "folder above",
    }
}

type Placed = (Vec<(crate::tree::Entry, Content)>, Vec<crate::tree::Fact>);

fn place(current: &Current<'_>, copy: &Copy, load: &Load) -> Result<Placed, Problem> {
    let chmod = copy.chmod.as_deref().map(Chmod::parse).transpose()?;
    let owner = match &copy.chown {
        Some(owner) if copy.link && names_somebody(owner) => {
            return Err(Problem::OwnerWithLink { owner: owner.as_bytes().escape_ascii_utf8() });
        }
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
    for matched in load.selection.sources.iter().flat_map(|source| &source.matches) {
        if load.archives.contains(&matched.from) && !matched.is_directory {
            unpack(current, load, matched, destination, owner, &mut placer)?;
        } else {
            placer.copy(&matched.name, items(matched, load), destination)?;
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
    let mut reader = load.open.source.open(&matched.from)?;
    for unpacked in layer::unpack_archive(store, &mut reader, current.rootfs.lower(store)?, &folder)? {
        let mut entry = unpacked.entry;
        if let Some((uid, gid)) = owner.filter(|_| unpacked.named) {
            (entry.attributes.uid, entry.attributes.gid) = (uid, gid);
        }
        placer.put(entry, unpacked.content);
    }
    Ok(())
}

fn items(matched: &Match, load: &Load) -> Vec<Item<Content>> {
    let mut items = Vec::with_capacity(matched.selected.len() + 1);
    if matched.is_directory {
        let attributes = Attributes::of_root(0o755);
        let (relative, kind) = (ImagePath::root(), Kind::Directory { opaque: false });
        items.push(Item { relative, kind, attributes, role: Role::Meant, link_group: None, content: None });
    }
    let links = link_numbers(matched);
    items.extend(matched.selected.iter().map(|selected| item(selected, load, &links)));
    items
}

fn item(selected: &Selected, load: &Load, links: &BTreeMap<LinkGroup, u64>) -> Item<Content> {
    let Meta { kind, mode, uid, gid, mtime, xattrs, link_group: _ } = selected.meta.clone();
    let mut content = None;
    let kind = match kind {
        context::Kind::Directory => Kind::Directory { opaque: false },
        context::Kind::File { size } => {
            let hashed = load.contents.get(&selected.from).copied();
            let hashed = hashed.unwrap_or(Hashed { size, digest: ContentDigest::of(b"") });
            let (source, from): (Arc<dyn Source>, ContextPath) = (load.open.source.clone(), selected.from.clone());
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
    let mtime = time(mtime, load);
    let attributes = Attributes { mode, uid, gid, mtime, xattrs };
    let link_group = link_number(selected, links);
    let relative = ImagePath::new(selected.relative.as_bytes());
    Item { relative, kind, attributes, role: selected.role, link_group, content }
}

/// The time of a copied file. Beside an unpacked archive the layer's times are only clamped, so that the archive's own
/// survive: then files of a context must bring a time that does not depend on the checkout.
fn time(mtime: Timestamp, load: &Load) -> Timestamp {
    if load.archives.is_empty() { mtime } else { Timestamp::from_secs(LAYER_EPOCH) }
}

fn policy(request: &Request, load: &Load) -> TimePolicy {
    if load.archives.is_empty() { request.times.of_copies() } else { request.times.of_results() }
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

/// Whether an owner holds a name that only the image's files can resolve.
pub(super) fn names_somebody(owner: &str) -> bool {
    owner.split(':').any(|part| !part.is_empty() && !part.bytes().all(|b| b.is_ascii_digit()))
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
