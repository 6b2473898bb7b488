//! Entries into a folder that is not kept: what a command sees mounted.

use std::io::{self, Read};
use std::path::Path;

use super::disk::{Disk, Ownership};
use super::sink::Sink as _;
use super::write::{check, gather_links};
use super::{Content, Error, Result};
use crate::tree::{Entry, Kind, Listing};

/// Unpacks entries, in whatever order, into the empty folder `fs`, with their owners, modes and true times.
///
/// Every folder above an entry must be among them. The hash that a file's entry names is checked against the bytes read
/// (`Changed` if they differ).
pub fn fill_folder(fs: &Path, mut entries: Vec<(Entry, Content)>) -> Result<()> {
    entries.sort_by(|(a, _), (b, _)| a.path.cmp(&b.path));
    check(&entries)?;
    gather_links(&mut entries)?;
    let no_lower = |_, entry: &Entry| Err(Error::entry(&entry.path, "it is a name of a file of a lower layer"));
    let mut disk = Disk::new(fs, Ownership::of_process(), Box::new(no_lower))?;
    for (entry, content) in &mut entries {
        place(&mut disk, entry, std::mem::replace(content, Content::None))?;
    }
    disk.finish(&Listing::new(entries.into_iter().map(|(entry, _)| entry)))
}

fn place(disk: &mut Disk<'_>, entry: &Entry, content: Content) -> Result<()> {
    let path = &entry.path;
    match &entry.kind {
        Kind::Directory { .. } if path.is_root() => Ok(()),
        Kind::Directory { .. } => disk.directory(path),
        Kind::File { size, digest } => {
            let mut reader: Box<dyn Read> = match content {
                Content::None => Box::new(io::empty()),
                Content::Bytes(bytes) => Box::new(io::Cursor::new(bytes)),
                Content::Open(open) => open().map_err(|source| Error::Content { path: path.clone(), source })?,
            };
            // One byte more than there should be is enough to know that there are too many.
            let mut limited = (&mut reader).take(size.saturating_add(1));
            if disk.file(path, &mut limited)? == (*size, *digest) {
                Ok(())
            } else {
                Err(Error::Changed { path: path.clone() })
            }
        }
        Kind::Hardlink { target } => disk.link(target, path),
        // Made together with its attributes.
        Kind::Whiteout => Ok(()),
        Kind::Symlink { .. } | Kind::Fifo | Kind::CharDevice { .. } | Kind::BlockDevice { .. } => {
            disk.node(path, &entry.kind)
        }
    }
}
