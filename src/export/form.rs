//! Tells an archive of this program by its form, where no record of it is left: another store wrote it, or this one was
//! emptied since.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::contents::{DockerManifest, blob_path, index_json, layout_json};
use super::header::{Member, header, padding};
use crate::image::Index;

/// Archives with more members are not looked at.
const MAX_MEMBERS: usize = 1 << 16;
/// No document of an archive is longer, in bytes; registries refuse manifests above 4 MiB.
const MAX_DOCUMENT: u64 = 4 << 20;
/// The longest header: two blocks around a PAX record of one block.
const MAX_HEADER: u64 = 3 * 512;
/// What follows the blobs, in this order.
const DOCUMENTS: [&str; 3] = ["index.json", "manifest.json", "oci-layout"];

/// Whether a file has the form that `write_archive` alone gives: every header byte for byte, the order of members, documents
/// as this program writes them, which name nothing but blobs that are there, and nothing behind the end.
///
/// Layers are skipped, so the cost is a read for each member and its documents, whatever the archive's size. A symlink, or what
/// cannot be read, is none.
pub(super) fn is_archive(path: &Path) -> io::Result<bool> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = match opened {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(false),
        Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => return Ok(false),
        other => other?,
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Ok(false);
    }
    Ok(Reader { file, size: metadata.len(), at: 0 }.archive()?.is_some())
}

/// Reads an archive from its begin; none as soon as it is none of ours.
struct Reader {
    file: File,
    size: u64,
    at: u64,
}

impl Reader {
    fn archive(mut self) -> io::Result<Option<()>> {
        for folder in ["blobs/", "blobs/sha256/"] {
            let Some((name, Member::Folder)) = self.header()? else { return Ok(None) };
            if name != folder {
                return Ok(None);
            }
        }
        let mut blobs: BTreeMap<String, u64> = BTreeMap::new();
        let mut documents: Vec<Vec<u8>> = Vec::new();
        while documents.len() < DOCUMENTS.len() {
            let Some((name, Member::File(size))) = self.header()? else { return Ok(None) };
            let is_next = blobs.last_key_value().is_none_or(|(last, _)| *last < name);
            if name == DOCUMENTS[documents.len()] {
                let Some(bytes) = self.bytes(size)? else { return Ok(None) };
                documents.push(bytes);
            } else if documents.is_empty() && is_next && is_blob(&name) && blobs.len() < MAX_MEMBERS {
                blobs.insert(name, size);
            } else {
                return Ok(None);
            }
            self.at = self.at.saturating_add(size);
            let padding = padding(size) as u64;
            match self.bytes(padding)? {
                Some(zeros) if zeros.iter().all(|byte| *byte == 0) => self.at += padding,
                Some(_) | None => return Ok(None),
            }
        }
        let Some(end) = self.bytes(self.size.saturating_sub(self.at))? else { return Ok(None) };
        let is_ours = end == [0; 1024] && are_ours(&documents, &blobs);
        Ok(is_ours.then_some(()))
    }

    /// The name and kind that the next header tells, if it is as this program writes it.
    fn header(&mut self) -> io::Result<Option<(String, Member)>> {
        let left = self.size.saturating_sub(self.at).min(MAX_HEADER);
        let Some(bytes) = self.bytes(left)? else { return Ok(None) };
        let Some((name, member)) = parse(&bytes) else { return Ok(None) };
        let again = header(&name, member);
        self.at += again.len() as u64;
        Ok(bytes.starts_with(&again).then_some((name, member)))
    }

    /// So many bytes from here, without going on; none if that is too much or more than there is.
    fn bytes(&self, size: u64) -> io::Result<Option<Vec<u8>>> {
        let is_there = self.at.checked_add(size).is_some_and(|end| end <= self.size);
        let Some(length) = usize::try_from(size).ok().filter(|_| is_there && size <= MAX_DOCUMENT) else {
            return Ok(None);
        };
        let mut bytes = vec![0; length];
        match self.file.read_exact_at(&mut bytes, self.at) {
            // It became shorter meanwhile.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            other => other.map(|()| Some(bytes)),
        }
    }
}

/// What a header says that may be ours: whoever asks writes it again and compares.
pub(super) fn parse(bytes: &[u8]) -> Option<(String, Member)> {
    let first = bytes.get(..512)?;
    match first[156] {
        b'5' => Some((name(first)?, Member::Folder)),
        b'0' => Some((name(first)?, Member::File(octal(&first[124..136])?))),
        b'x' => {
            let record = bytes.get(512..1024)?;
            let record = record.split(|byte| *byte == b'\n').next()?;
            let (_, size) = std::str::from_utf8(record).ok()?.split_once(" size=")?;
            Some((name(bytes.get(1024..1536)?)?, Member::File(size.parse().ok()?)))
        }
        _ => None,
    }
}

fn name(block: &[u8]) -> Option<String> {
    let name = block[..100].split(|byte| *byte == 0).next()?;
    String::from_utf8(name.to_vec()).ok()
}

fn octal(field: &[u8]) -> Option<u64> {
    let digits = field.split(|byte| *byte == 0).next()?;
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()
}

fn is_blob(name: &str) -> bool {
    let hex = name.strip_prefix("blobs/sha256/").unwrap_or_default();
    hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether the documents are as this program writes them, and name blobs of the archive.
fn are_ours(documents: &[Vec<u8>], blobs: &BTreeMap<String, u64>) -> bool {
    let [index, manifest, layout] = documents else { return false };
    let (Ok(parsed), Ok(images)) =
        (serde_json::from_slice::<Index>(index), serde_json::from_slice::<Vec<DockerManifest>>(manifest))
    else {
        return false;
    };
    let there = parsed.manifests.iter().all(|found| blobs.get(&blob_path(&found.digest)) == Some(&found.size));
    let named: BTreeSet<&String> = images.iter().flat_map(|image| image.layers.iter().chain([&image.config])).collect();
    let is_complete = there && !images.is_empty() && named.into_iter().all(|path| blobs.contains_key(path));
    is_complete && *layout == layout_json() && index_json(parsed.manifests).is_ok_and(|again| again == *index)
}
