//! Entries into a layer: the result of COPY, ADD and WORKDIR.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Read};

use super::ahead::{SMALL, Small, read_ahead, read_small};
use super::form::{Form, Plain, Written, write_tar};
use super::record;
use super::{Error, Layer, Result, TarWriter, TimePolicy, limits};
use crate::path::ImagePath;
use crate::store::{Store, TreeId};
use crate::tree::{Entry, Kind, Listing};

/// Opens a file's content when its turn comes, perhaps on another thread.
pub type Opener = Box<dyn FnOnce() -> io::Result<Box<dyn Read>> + Send>;

/// Where the bytes of an entry come from.
pub enum Content {
    /// There are none: folders, links, devices, empty files.
    None,
    /// They are here.
    Bytes(Vec<u8>),
    /// They are read when their turn comes, once.
    Open(Opener),
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Content::None => f.write_str("None"),
            Content::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
            Content::Open(_) => f.write_str("Open"),
        }
    }
}

/// Writes entries, in whatever order, as a layer: a plain or compressed tar, a listing and a record.
///
/// Every folder above an entry must be among them. The hash that a file's entry names is checked against the bytes read
/// (`Changed` if they differ). Each content is read once. No entries give an empty layer.
pub fn write_layer(store: &Store, mut entries: Vec<(Entry, Content)>, policy: TimePolicy, form: Form) -> Result<Layer> {
    entries.sort_by(|(a, _), (b, _)| a.path.cmp(&b.path));
    check(&entries)?;
    gather_links(&mut entries)?;
    let (entries, contents): (Vec<Entry>, Vec<Content>) = entries.into_iter().unzip();
    let contents = RefCell::new(contents);
    let take = |index: usize| std::mem::replace(&mut contents.borrow_mut()[index], Content::None);
    let small = |index: usize| {
        let is_open = matches!(contents.borrow()[index], Content::Open(_));
        match (&entries[index].kind, is_open) {
            (Kind::File { size: size @ ..=SMALL, .. }, true) => Some((*size, (index, take(index)))),
            _ => None,
        }
    };
    let read = || |(index, content): (usize, Content)| read_content(&entries[index], content);
    let written = write_tar(store, (form, Plain::Kept), policy, |writer| {
        let write = |index: usize, small| write_entry(writer, &entries[index], take(index), small);
        read_ahead(entries.len(), small, read, write)
    })?;
    let Written { diff_id, size, blob } = written;
    let layer = Layer { diff_id, size, tree: TreeId::Layer(diff_id) };
    let listing = Listing::new(entries);
    record::store_listing(store, layer.tree, &listing)?;
    record::add_to_record(store, &layer, Some(policy), blob)?;
    Ok(layer)
}

fn read_content(entry: &Entry, content: Content) -> Result<Small> {
    let Kind::File { size, .. } = entry.kind else {
        return Err(Error::entry(&entry.path, "it is no regular file but has content"));
    };
    read_small(&entry.path, size, &mut reader(entry, content)?)
}

fn reader(entry: &Entry, content: Content) -> Result<Box<dyn Read>> {
    match content {
        Content::None => Ok(Box::new(io::empty())),
        Content::Bytes(bytes) => Ok(Box::new(io::Cursor::new(bytes))),
        Content::Open(open) => open().map_err(|source| Error::Content { path: entry.path.clone(), source }),
    }
}

fn write_entry<W: io::Write>(
    writer: &mut TarWriter<W>,
    entry: &Entry,
    content: Content,
    small: Option<Small>,
) -> Result<()> {
    let Kind::File { digest, .. } = entry.kind else {
        return match content {
            Content::None => writer.entry(entry),
            Content::Bytes(_) | Content::Open(_) => {
                Err(Error::entry(&entry.path, "it is no regular file but has content"))
            }
        };
    };
    let found = match small {
        Some(small) => {
            writer.small_file(entry, &small)?;
            small.digest
        }
        None => writer.file(entry, &mut reader(entry, content)?)?,
    };
    if found == digest { Ok(()) } else { Err(Error::Changed { path: entry.path.clone() }) }
}

/// Whether the entries stand by themselves: each path once, and each folder above it among them.
pub(super) fn check(entries: &[(Entry, Content)]) -> Result<()> {
    if entries.len() as u64 > limits::MAX_ENTRIES {
        return Err(Error::limit(&ImagePath::root(), "the entries of a layer", limits::MAX_ENTRIES));
    }
    let mut open: Vec<&ImagePath> = Vec::new();
    let mut previous: Option<&ImagePath> = None;
    for (entry, _) in entries {
        if previous == Some(&entry.path) {
            return Err(Error::entry(&entry.path, "it is there twice"));
        }
        previous = Some(&entry.path);
        while open.last().is_some_and(|folder| !entry.path.is_within(folder)) {
            open.pop();
        }
        let parent = entry.path.parent().unwrap_or_default();
        if !parent.is_root() && open.last() != Some(&&parent) {
            return Err(Error::entry(&entry.path, "the folder it lies in is not in the layer"));
        }
        match entry.is_directory() {
            true if !entry.path.is_root() => open.push(&entry.path),
            false if entry.path.is_root() => return Err(Error::entry(&entry.path, "the root is a folder")),
            _ => {}
        }
    }
    Ok(())
}

/// Makes the first name of each file, pipe and so on, in path order, the one that carries the content: a link must come after its target.
pub(super) fn gather_links(entries: &mut [(Entry, Content)]) -> Result<()> {
    let place = |entries: &[(Entry, Content)], path: &ImagePath| {
        entries.binary_search_by(|(entry, _)| entry.path.cmp(path)).ok()
    };
    let mut names: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for index in 0..entries.len() {
        let Kind::Hardlink { target } = &entries[index].0.kind else { continue };
        let target = place(entries, target).filter(|&at| entries[at].0.kind.can_have_names());
        let Some(target) = target else {
            return Err(Error::entry(&entries[index].0.path, "the file that it is a name of is not in the layer"));
        };
        names.entry(target).or_default().push(index);
    }
    for (target, links) in names {
        let first = links[0].min(target);
        let kind = entries[target].0.kind.clone();
        let attributes = entries[target].0.attributes.clone();
        let content = std::mem::replace(&mut entries[target].1, Content::None);
        let carrier = entries[first].0.path.clone();
        for at in links.into_iter().chain([target]) {
            entries[at].0.kind = Kind::Hardlink { target: carrier.clone() };
            entries[at].0.attributes = attributes.clone();
        }
        entries[first].0.kind = kind;
        entries[first].1 = content;
    }
    Ok(())
}
