//! An archive that ADD unpacks: whether a file is one, and the entries it holds.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use super::decode::{ArchiveKind, Decoder};
use super::place::{Placed, Placement, Rules};
use super::reader::TarReader;
use super::sink::Sink;
use super::{Content, Error, Lower, Result, read};
use crate::digest::{ContentDigest, HashingWriter};
use crate::fsx::{self, At as _};
use crate::path::ImagePath;
use crate::store::{Store, TreeDraft};
use crate::tree::{Entry, Kind, Listing, Stack};

/// One path that an archive makes.
#[derive(Debug)]
pub struct ArchiveEntry {
    /// The entry, at its place in the image.
    pub entry: Entry,
    /// Its bytes, in a temporary folder that lives as long as one of them.
    pub content: Content,
    /// Whether the archive names it. A folder that only follows from a file in it keeps its owner under `--chown`.
    pub named: bool,
}

/// What kind of archive a file is, by its content alone; none if it is no tar, compressed or not.
///
/// As in BuildKit, a file whose first header cannot be read is no archive: an empty file, or a gzip of something else.
pub fn sniff(reader: &mut dyn Read) -> Option<ArchiveKind> {
    // Any failure to read a header means that it is to be copied; a file that cannot be read fails then.
    let (kind, decoder) = Decoder::new(reader).ok()?;
    let first = TarReader::new(decoder).next().ok()?;
    first.map(|_| kind)
}

/// Reads an archive as it would be unpacked at `folder`, a resolved path of the stack `lower`.
///
/// Names stay inside `folder`, also those that lead through symbolic links, the archive's or the stack's. The entries
/// are in path order; folders above `folder`, and itself, are not among them. Of one name's entries the last stands. The
/// contents are in a temporary folder of the store, each once.
pub fn unpack_archive(
    store: &Store,
    reader: &mut dyn Read,
    lower: Lower<'_>,
    folder: &ImagePath,
) -> Result<Vec<ArchiveEntry>> {
    let (placed, draft) = spool(store, reader, lower, folder)?;
    let entries = placed.into_iter().map(|placed| {
        let content = match placed.entry.kind {
            Kind::File { size, digest } if size > 0 => content(&draft, &digest),
            _ => Content::None,
        };
        ArchiveEntry { entry: placed.entry, content, named: placed.named }
    });
    Ok(entries.collect())
}

/// The files of an archive, in a temporary folder that lives as long as this.
pub struct SpooledArchive {
    listing: Arc<Listing>,
    draft: Arc<TreeDraft>,
}

impl SpooledArchive {
    /// What the archive holds.
    pub fn listing(&self) -> &Arc<Listing> {
        &self.listing
    }

    /// Opens the content of a regular file of the listing.
    pub fn open(&self, entry: &Entry) -> io::Result<File> {
        match &entry.kind {
            Kind::File { digest, .. } => File::open(self.draft.fs().join(digest.hex())),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }
}

/// Reads an archive that is to be copied from. As in `unpack_archive`, no name of it becomes a name on this host.
pub fn spool_archive(store: &Store, reader: &mut dyn Read) -> Result<SpooledArchive> {
    let nothing = Stack::default();
    let (placed, draft) = spool(store, reader, Lower { layers: &[], stack: &nothing }, &ImagePath::root())?;
    let listing = Arc::new(Listing::new(placed.into_iter().map(|placed| placed.entry)));
    Ok(SpooledArchive { listing, draft })
}

fn spool(
    store: &Store,
    reader: &mut dyn Read,
    lower: Lower<'_>,
    folder: &ImagePath,
) -> Result<(Vec<Placed>, Arc<TreeDraft>)> {
    let spool = Spool { draft: Arc::new(store.tree_draft()?), store, lower, count: 0 };
    let draft = spool.draft.clone();
    let (_, mut decoder) = Decoder::new(reader)?;
    let mut tar = TarReader::new(&mut decoder);
    let mut placement = Placement::new(lower.stack, folder.clone(), Rules::Archive, spool);
    while let Some(member) = tar.next()? {
        placement.add(member, &mut tar)?;
    }
    tar.drain()?;
    decoder.finish()?;
    let (placed, _, _) = placement.finish()?;
    Ok((placed, draft))
}

fn content(draft: &Arc<TreeDraft>, digest: &ContentDigest) -> Content {
    let (draft, name) = (draft.clone(), digest.hex());
    Content::Open(Box::new(move || {
        let file = File::open(draft.fs().join(name))?;
        Ok(Box::new(Spooled { file, _draft: draft }))
    }))
}

/// A spooled content being read; the folder stays until then.
struct Spooled {
    file: File,
    _draft: Arc<TreeDraft>,
}

impl Read for Spooled {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer)
    }
}

/// Keeps contents under their hashes: no name of the archive becomes a name on this host.
struct Spool<'a> {
    draft: Arc<TreeDraft>,
    store: &'a Store,
    lower: Lower<'a>,
    count: u64,
}

impl Spool<'_> {
    fn keep(&mut self, path: &ImagePath, content: &mut dyn Read) -> Result<(u64, ContentDigest)> {
        self.count += 1;
        let temporary: PathBuf = self.draft.fs().join(format!("{}.tmp", self.count));
        let mut writer = HashingWriter::new(fsx::create_new(&temporary)?);
        io::copy(content, &mut writer).map_err(|source| Error::Content { path: path.clone(), source })?;
        let (_, digest, size) = writer.finish::<ContentDigest>();
        let target = self.draft.fs().join(digest.hex());
        std::fs::rename(&temporary, &target).at("rename to", &target)?;
        Ok((size, digest))
    }
}

impl Sink for Spool<'_> {
    fn directory(&mut self, _path: &ImagePath) -> Result<()> {
        Ok(())
    }

    fn file(&mut self, path: &ImagePath, content: &mut dyn Read) -> Result<(u64, ContentDigest)> {
        self.keep(path, content)
    }

    fn node(&mut self, _path: &ImagePath, _kind: &Kind) -> Result<()> {
        Ok(())
    }

    fn link(&mut self, _existing: &ImagePath, _path: &ImagePath) -> Result<()> {
        Ok(())
    }

    fn copy_up(&mut self, path: &ImagePath, layer: usize, source: &Entry) -> Result<()> {
        let mut content = read::open_entry(self.store, self.lower.layers, layer, source)?;
        let (size, digest) = self.keep(path, &mut content)?;
        if source.kind == (Kind::File { size, digest }) { Ok(()) } else { Err(Error::Changed { path: path.clone() }) }
    }

    fn remove(&mut self, _path: &ImagePath, _directory: bool) -> Result<()> {
        Ok(())
    }
}
