//! The upper folder of an overlay into a layer: the result of RUN.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as MapEntry;
use std::io;

use rustix::fs::{AtFlags, FileType};

use super::ahead::{SMALL, read_ahead, read_small};
use super::beneath::Root;
use super::form::{Form, Plain, Written, write_tar};
use super::header::WHITEOUT;
use super::place::keeps_xattr;
use super::scan::{OnDisk, scan};
use super::{Error, Layer, Ownership, Result, TimePolicy, limits, record};
use crate::digest::{ContentDigest, HashingWriter};
use crate::fsx::At as _;
use crate::path::ImagePath;
use crate::store::{Store, TreeDraft, TreeId};
use crate::tree::{Attributes, Entry, Found, Kind, Listing, Stack};

/// Makes the changes that an overlay left in `draft` a layer, and `draft` its tree.
///
/// The overlay must not be mounted any more. Each file is read once, for its own hash and the layer's; no plain tar is kept. An
/// upper that holds nothing gives the empty layer, as in BuildKit. The upper's own attributes are no part of the layer.
/// Files that were copied up from `lower`, what the overlay lies on, and are still the same stay out, as in BuildKit: a
/// `chown -R` that changes nothing costs nothing. One with a name that is new is in the layer all the same, unlike in BuildKit:
/// else its names would be those of two files.
pub fn layer_from_upper(
    store: &Store,
    draft: TreeDraft,
    lower: &Stack,
    policy: TimePolicy,
    form: Form,
) -> Result<Layer> {
    let fs = draft.fs();
    let mut root = Root::open(&fs)?;
    let mut entries = entries(&mut root, scan(&fs)?, lower, Ownership::of_process())?;
    let small = |index: usize| match &entries[index].kind {
        Kind::File { size: size @ ..=SMALL, .. } => Some((*size, (&entries[index].path, *size))),
        _ => None,
    };
    let read = || {
        // A thread that reads nothing opens nothing.
        let mut opened: Option<Root> = None;
        let fs = &fs;
        move |(path, size): (&ImagePath, u64)| {
            let root = match &mut opened {
                Some(root) => root,
                none => none.insert(Root::open(fs)?),
            };
            read_small(path, size, &mut root.file(path)?)
        }
    };
    let mut digests: Vec<(usize, ContentDigest)> = Vec::new();
    let written = write_tar(store, (form, Plain::Dropped), policy, |writer| {
        read_ahead(entries.len(), small, read, |index, small| {
            let entry = &entries[index];
            let digest = match (&entry.kind, small) {
                (Kind::File { .. }, Some(small)) => {
                    writer.small_file(entry, &small)?;
                    small.digest
                }
                (Kind::File { .. }, None) => writer.file(entry, &mut root.file(&entry.path)?)?,
                _ => return writer.entry(entry),
            };
            digests.push((index, digest));
            Ok(())
        })
    })?;
    for (index, found) in digests {
        if let Kind::File { digest, .. } = &mut entries[index].kind {
            *digest = found;
        }
    }
    let Written { diff_id, size, blob } = written;
    let layer = Layer { diff_id, size, tree: TreeId::Layer(diff_id) };
    record::commit_tree(store, draft, layer.tree, &Listing::new(entries))?;
    record::add_to_record(store, &layer, Some(policy), blob)?;
    Ok(layer)
}

/// What stands in an entry until its file is read.
fn unread() -> ContentDigest {
    ContentDigest::of(&[])
}

fn entries(root: &mut Root, found: Vec<OnDisk>, lower: &Stack, ownership: Ownership) -> Result<Vec<Entry>> {
    let stays_out = stays_out(root, &found, lower, ownership)?;
    let mut entries: Vec<Entry> = Vec::with_capacity(found.len());
    let mut opaque: Option<ImagePath> = None;
    let mut links: BTreeMap<(u64, u64), ImagePath> = BTreeMap::new();
    let mut total: u64 = 0;
    for (here, stays_out) in found.into_iter().zip(stays_out) {
        if opaque.as_ref().is_some_and(|folder| !here.path.is_within(folder)) {
            opaque = None;
        }
        // A name that goes here is never the first name of a hard link.
        if stays_out {
            remove(root, &here.path)?;
            continue;
        }
        let Some(kind) = kind(&here, &mut links)? else {
            remove(root, &here.path)?;
            continue;
        };
        match &kind {
            // An opaque folder hides everything already; saying it twice confuses readers.
            Kind::Whiteout if opaque.is_some() => {
                remove(root, &here.path)?;
                continue;
            }
            Kind::Directory { opaque: true } if opaque.is_none() => opaque = Some(here.path.clone()),
            Kind::File { size, .. } => {
                total = total.saturating_add(*size);
                if total > limits::MAX_LAYER_SIZE {
                    return Err(Error::limit(&here.path, "the bytes of a layer", limits::MAX_LAYER_SIZE));
                }
            }
            _ => {}
        }
        let entry = match kind {
            Kind::Whiteout => Entry::whiteout(here.path),
            kind => Entry { kind, attributes: attributes(&here, ownership), path: here.path },
        };
        entries.push(entry);
    }
    Ok(entries)
}

/// What is known of the names that one file has in an upper.
#[derive(Default)]
struct Names<'a> {
    /// What those that are unchanged are in the lower layers.
    below: Option<Found<'a>>,
    /// Whether the layer must say that they are names of one file.
    joined: bool,
}

/// For each path whether it is as it is in `lower`, and hence no part of the layer.
///
/// A file with a name that is new, or with two names that are of two files below, is in the layer with all its names:
/// without the unchanged ones the others would be names of a copy.
fn stays_out(root: &mut Root, found: &[OnDisk], lower: &Stack, ownership: Ownership) -> Result<Vec<bool>> {
    let mut unchanged = Vec::with_capacity(found.len());
    let mut files: BTreeMap<(u64, u64), Names<'_>> = BTreeMap::new();
    let mut opaque: Option<&ImagePath> = None;
    for here in found {
        // What lies below an opaque folder hides nothing and is hidden by nothing.
        opaque = opaque.filter(|folder| here.path.is_within(folder));
        let below = if opaque.is_none() { unchanged_from(root, here, lower, ownership)? } else { None };
        if is_opaque(here) {
            opaque.get_or_insert(&here.path);
        }
        unchanged.push(below.is_some());
        if here.stat.st_nlink > 1 && !FileType::from_raw_mode(here.stat.st_mode).is_dir() {
            let names = files.entry(inode(here)).or_default();
            names.joined |= below.is_none() || names.below.is_some_and(|first| Some(first) != below);
            names.below = names.below.or(below);
        }
    }
    let is_joined = |here| files.get(&inode(here)).is_some_and(|names| names.joined);
    Ok(found.iter().zip(unchanged).map(|(here, unchanged)| unchanged && !is_joined(here)).collect())
}

/// What a file or link is in `lower`, if it is the same, its time included. Its content is read only if all else is the same.
fn unchanged_from<'a>(
    root: &mut Root,
    here: &OnDisk,
    lower: &'a Stack,
    ownership: Ownership,
) -> Result<Option<Found<'a>>> {
    let Some(below) = lower.lookup(&here.path).and_then(|found| lower.content_of(found)) else { return Ok(None) };
    let is_whiteout = overlay(here, "whiteout").is_some();
    if is_whiteout || below.entry.attributes != attributes(here, ownership) {
        return Ok(None);
    }
    let same = match (FileType::from_raw_mode(here.stat.st_mode), &below.entry.kind) {
        (FileType::Symlink, Kind::Symlink { target }) => *target == here.target,
        (FileType::RegularFile, Kind::File { size, digest }) if u64::try_from(here.stat.st_size) == Ok(*size) => {
            let mut hasher = HashingWriter::new(io::sink());
            io::copy(&mut root.file(&here.path)?, &mut hasher).at("read", &here.path.in_dir(root.path()))?;
            let (_, found, _) = hasher.finish::<ContentDigest>();
            found == *digest
        }
        _ => false,
    };
    Ok(same.then_some(below))
}

fn inode(here: &OnDisk) -> (u64, u64) {
    (here.stat.st_dev, here.stat.st_ino)
}

fn is_opaque(here: &OnDisk) -> bool {
    FileType::from_raw_mode(here.stat.st_mode).is_dir() && overlay(here, "opaque").is_some_and(|value| value == b"y")
}

/// What an overlay has noted about a path, with privilege or without.
fn overlay<'a>(here: &'a OnDisk, name: &str) -> Option<&'a Vec<u8>> {
    let value = |space: &str| here.xattrs.get(format!("{space}.overlay.{name}").as_bytes());
    value("trusted").or_else(|| value("user"))
}

/// What it is in a layer; none for a socket, which only its process could use.
fn kind(here: &OnDisk, links: &mut BTreeMap<(u64, u64), ImagePath>) -> Result<Option<Kind>> {
    let overlay = |name: &str| overlay(here, name);
    if overlay("redirect").is_some() || overlay("metacopy").is_some() {
        return Err(Error::entry(&here.path, "the overlay was mounted with redirect_dir or metacopy"));
    }
    if here.path.file_name().is_some_and(|name| name.starts_with(WHITEOUT)) {
        return Err(Error::entry(&here.path, "a name that starts with `.wh.` means that a file is removed"));
    }
    let (major, minor) = here.device();
    let kind = match FileType::from_raw_mode(here.stat.st_mode) {
        FileType::Directory => Kind::Directory { opaque: is_opaque(here) },
        FileType::Symlink => Kind::Symlink { target: here.target.clone() },
        FileType::Fifo => Kind::Fifo,
        FileType::CharacterDevice if (major, minor) == (0, 0) => Kind::Whiteout,
        FileType::CharacterDevice => Kind::CharDevice { major, minor },
        FileType::BlockDevice => Kind::BlockDevice { major, minor },
        FileType::RegularFile if overlay("whiteout").is_some() => Kind::Whiteout,
        FileType::RegularFile => Kind::File { size: u64::try_from(here.stat.st_size).unwrap_or(0), digest: unread() },
        FileType::Socket => return Ok(None),
        _ => return Err(Error::entry(&here.path, "its type is unknown")),
    };
    if here.stat.st_nlink < 2 || !kind.can_have_names() {
        return Ok(Some(kind));
    }
    // An overlay makes all whiteouts names of one; they were sorted out above.
    Ok(Some(match links.entry(inode(here)) {
        MapEntry::Vacant(first) => {
            first.insert(here.path.clone());
            kind
        }
        MapEntry::Occupied(first) => Kind::Hardlink { target: first.get().clone() },
    }))
}

fn attributes(here: &OnDisk, ownership: Ownership) -> Attributes {
    let (mut uid, mut gid) = (here.stat.st_uid, here.stat.st_gid);
    if ownership == Ownership::Listed {
        // Without privilege our own user stands for root.
        uid = if uid == rustix::process::geteuid().as_raw() { 0 } else { uid };
        gid = if gid == rustix::process::getegid().as_raw() { 0 } else { gid };
    }
    let xattrs: BTreeMap<_, _> =
        here.xattrs.iter().filter(|(name, _)| keeps_xattr(name)).map(|(n, v)| (n.clone(), v.clone())).collect();
    Attributes { mode: here.stat.st_mode & 0o7777, uid, gid, mtime: here.mtime(), xattrs }
}

fn remove(root: &mut Root, path: &ImagePath) -> Result<()> {
    let host = root.path().to_path_buf();
    let (folder, name) = root.parent(path)?;
    let removed = rustix::fs::unlinkat(folder, name, AtFlags::empty());
    removed.map_err(Error::call("remove", &host, path))
}
