//! A layer into a tree that an overlay can use, and a tree compared with its listing.

use std::collections::BTreeMap;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, XattrFlags};

use super::beneath::Root;
use super::disk::Ownership;
use super::import::{disk, read_tar};
use super::place::keeps_xattr;
use super::read::{hash_file, packed};
use super::record;
use super::scan::{OnDisk, scan};
use super::{Error, Layer, Lower, Result, listing};
use crate::path::ImagePath;
use crate::store::{Store, Tree, TreeId, Trust};
use crate::tree::{Entry, Kind, Listing};

/// The tree of a layer, unpacked if it is not, and compared with its listing if nobody vouches for it.
///
/// A damaged tree is removed, and made anew if a blob of the layer is in the store. Its files have the listing's times.
/// Several that want the same tree, in any process, wait for the first of them.
pub fn ensure_tree(store: &Store, layer: &Layer, lower: Lower<'_>) -> Result<Tree> {
    let is_trusted = |tree: &Tree| tree.trust == Trust::Trusted;
    if let Some(tree) = store.tree(layer.tree)?.filter(is_trusted) {
        return Ok(tree);
    }
    // A tree must not be found damaged, and removed, by one while another one has just made it again and uses it.
    let _alone = store.lock(&format!("tree-{}", layer.tree), &mut |_| true)?;
    let listing = listing(store, layer.tree)?;
    if let Some(tree) = store.tree(layer.tree)? {
        if tree.trust == Trust::Trusted {
            return Ok(tree);
        }
        match verify(&tree, &listing) {
            Ok(()) => {
                store.trust_tree(layer.tree);
                return Ok(Tree { trust: Trust::Trusted, ..tree });
            }
            Err(error @ Error::DamagedTree { .. }) => {
                store.remove_tree(layer.tree)?;
                if !super::read::is_packed(store, &layer.diff_id)? {
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
        }
    }
    unpack(store, layer, &listing, lower)
}

/// Whether a tree is here and can be used: nobody may vouch for it, and then it is compared with its listing now.
///
/// A damaged one is removed. Costs a look at two files, or reading the tree once in the life of this process.
pub fn tree_is_whole(store: &Store, id: TreeId) -> Result<bool> {
    let Some(tree) = store.tree(id)? else { return Ok(false) };
    if tree.trust == Trust::Trusted {
        return Ok(true);
    }
    match verify(&tree, &*listing(store, id)?) {
        Ok(()) => {
            store.trust_tree(id);
            Ok(true)
        }
        Err(Error::DamagedTree { .. }) => {
            store.remove_tree(id)?;
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

fn unpack(store: &Store, layer: &Layer, listing: &Listing, lower: Lower<'_>) -> Result<Tree> {
    let mut plain = packed(store, layer)?.ok_or(Error::Missing { diff_id: layer.diff_id })?;
    let draft = store.tree_draft()?;
    let (read, diff_id, _) = read_tar(&mut plain, lower, disk(store, &draft.fs(), lower)?)?;
    if diff_id != layer.diff_id {
        return Err(Error::DiffId { expected: layer.diff_id, found: diff_id });
    }
    let pairs = read.listing.entries().iter().zip(listing.entries());
    let fits = |(read_now, listed): &(&Entry, &Entry)| {
        read_now.path == listed.path
            && (read_now.kind == listed.kind || is_name_of(&read.listing, read_now, &listed.kind))
    };
    let differs = pairs.into_iter().find(|pair| !fits(pair)).map(|(_, listed)| listed.path.clone());
    if differs.is_some() || read.listing.entries().len() != listing.entries().len() {
        let path = differs.unwrap_or_default();
        return Err(damaged(layer.tree, &path, "its listing does not fit its layer"));
    }
    read.sink.finish(listing)?;
    record::commit_tree(store, draft, layer.tree, listing)
}

/// Whether the entry is a hard link to what, in a listing of before links of every kind were told, stands as one of its own.
fn is_name_of(listing: &Listing, entry: &Entry, listed: &Kind) -> bool {
    let Kind::Hardlink { target } = &entry.kind else { return false };
    !matches!(listed, Kind::File { .. }) && listing.find(target).is_some_and(|target| target.kind == *listed)
}

/// Compares a tree with its listing, the content of every file included.
pub(super) fn verify(tree: &Tree, listing: &Listing) -> Result<()> {
    let ownership = Ownership::of_process();
    let mut root = Root::open(&tree.fs)?;
    let found = scan(&tree.fs)?;
    let mut on_disk = found.iter().peekable();
    let mut inodes: BTreeMap<&ImagePath, u64> = BTreeMap::new();
    for entry in listing.entries().iter().filter(|entry| !entry.path.is_root()) {
        let kind = match &entry.kind {
            Kind::Hardlink { target } => listing.find(target).map_or(&entry.kind, |named| &named.kind),
            kind => kind,
        };
        let device = matches!(kind, Kind::CharDevice { .. } | Kind::BlockDevice { .. });
        if ownership == Ownership::Listed && device {
            continue;
        }
        let bad = |problem| damaged(tree.id, &entry.path, problem);
        let here = on_disk.next().ok_or_else(|| bad("it is missing"))?;
        if here.path < entry.path {
            return Err(damaged(tree.id, &here.path, "nothing should be there"));
        }
        if here.path != entry.path {
            return Err(bad("it is missing"));
        }
        compare(entry, kind, here, ownership).map_err(bad)?;
        if !compare_xattrs(entry, here, &tree.fs) {
            return Err(bad("its extended attributes differ"));
        }
        match &entry.kind {
            Kind::File { digest, .. } if hash_file(&mut root, &entry.path)? != *digest => {
                return Err(bad("its content differs"));
            }
            Kind::Hardlink { target } if inodes.get(target) != Some(&here.stat.st_ino) => {
                return Err(bad("it is no hard link any more"));
            }
            kind if kind.can_have_names() => drop(inodes.insert(&entry.path, here.stat.st_ino)),
            _ => {}
        }
    }
    match on_disk.next() {
        Some(extra) => Err(damaged(tree.id, &extra.path, "nothing should be there")),
        None => Ok(()),
    }
}

/// Compares everything but content. `kind` is the entry's, or that of what it is a hard link to.
fn compare(entry: &Entry, kind: &Kind, here: &OnDisk, ownership: Ownership) -> std::result::Result<(), &'static str> {
    let size = u64::try_from(here.stat.st_size).unwrap_or(0);
    let same_kind = match (kind, FileType::from_raw_mode(here.stat.st_mode)) {
        (Kind::Directory { opaque }, FileType::Directory) => {
            let marked = ["trusted.overlay.opaque", "user.overlay.opaque"]
                .iter()
                .any(|name| here.xattrs.get(name.as_bytes()).is_some_and(|value| value == b"y"));
            marked == *opaque
        }
        (Kind::File { size: listed, .. }, FileType::RegularFile) => *listed == size,
        (Kind::Symlink { target }, FileType::Symlink) => *target == here.target,
        (Kind::Fifo, FileType::Fifo) => true,
        (Kind::CharDevice { major, minor }, FileType::CharacterDevice)
        | (Kind::BlockDevice { major, minor }, FileType::BlockDevice) => (*major, *minor) == here.device(),
        (Kind::Whiteout, FileType::CharacterDevice) => {
            return if here.device() == (0, 0) { Ok(()) } else { Err("it differs") };
        }
        _ => false,
    };
    if !same_kind {
        return Err("its kind or size differs");
    }
    if !matches!(kind, Kind::Symlink { .. }) && here.stat.st_mode & 0o7777 != ownership.mode(entry) {
        return Err("its mode differs");
    }
    if ownership == Ownership::Real
        && (here.stat.st_uid, here.stat.st_gid) != (entry.attributes.uid, entry.attributes.gid)
    {
        return Err("its owner differs");
    }
    if here.mtime() != entry.attributes.mtime {
        return Err("its time differs");
    }
    Ok(())
}

/// Compares the extended attributes that only an image puts there; other ones, the kernel and its modules may change.
///
/// One that is missing matters only where it could have been set when the tree was made.
fn compare_xattrs(entry: &Entry, here: &OnDisk, fs: &Path) -> bool {
    let is_own = |name: &[u8]| {
        keeps_xattr(name)
            && (name.starts_with(b"user.") || name.starts_with(b"trusted.") || name == b"security.capability")
    };
    if matches!(entry.kind, Kind::Hardlink { .. } | Kind::Whiteout) {
        // They are those of the file that it is a link to.
        return true;
    }
    let listed = &entry.attributes.xattrs;
    if here.xattrs.iter().any(|(name, value)| is_own(name) && listed.get(name) != Some(value)) {
        return false;
    }
    let has_place = matches!(entry.kind, Kind::File { .. } | Kind::Directory { .. });
    let mut missing = listed.keys().filter(|name| is_own(name) && !here.xattrs.contains_key(*name)).peekable();
    if missing.peek().is_none() || !has_place {
        return true;
    }
    let kept = kept_xattrs(fs, listed);
    !missing.any(|name| kept.contains(&name))
}

/// Those of these attributes that a file on the file system of this folder can have, for this user; none if it cannot be told.
fn kept_xattrs<'x>(folder: &Path, xattrs: &'x BTreeMap<Vec<u8>, Vec<u8>>) -> Vec<&'x Vec<u8>> {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let Ok(file) = rustix::fs::open(folder, flags, Mode::RUSR | Mode::WUSR) else { return Vec::new() };
    let set = |name: &[u8], value: &[u8]| rustix::fs::fsetxattr(&file, name, value, XattrFlags::empty());
    xattrs.iter().filter(|(name, value)| set(name, value).is_ok()).map(|(name, _)| name).collect()
}

pub(super) fn damaged(tree: TreeId, path: &ImagePath, problem: &'static str) -> Error {
    Error::DamagedTree { tree, path: path.clone(), problem }
}
