//! Writes a tar: the only place that puts headers, content and padding together.

use std::io::{self, BufWriter, Read, Write};
use std::sync::{Arc, mpsc};

use super::ahead::Small;
use super::header::{self, BLOCK};
use super::{Error, Result, TimePolicy};
use crate::digest::{ContentDigest, Hasher};
use crate::path::ImagePath;
use crate::tree::{Entry, Kind};

/// How much is read at once.
pub(super) const BUFFER: usize = 256 << 10;

/// From this length on two threads hash a content: one for itself, one as a part of the tar.
const LARGE: u64 = 4 << 20;

/// Pieces of a large content that are in memory.
const PIECES: usize = 4;

/// Writes entries as a tar, in the order they come.
///
/// The same entries and policy give the same bytes everywhere. Dropped without `finish`, the tar has no end.
#[must_use = "a tar without `finish` has no end"]
pub struct TarWriter<W: Write> {
    inner: BufWriter<W>,
    policy: TimePolicy,
    written: u64,
    buffer: Vec<u8>,
}

impl<W: Write> TarWriter<W> {
    /// Starts a tar whose times follow `policy`.
    pub fn new(inner: W, policy: TimePolicy) -> Self {
        Self { inner: BufWriter::with_capacity(BUFFER, inner), policy, written: 0, buffer: vec![0; BUFFER] }
    }

    /// Writes an entry that has no content: anything but a file that is not empty.
    pub fn entry(&mut self, entry: &Entry) -> Result<()> {
        match entry.kind {
            Kind::File { size, .. } if size > 0 => Err(Error::Changed { path: entry.path.clone() }),
            _ => self.put(&header::encode(entry, self.policy)?),
        }
    }

    /// Writes a regular file and returns the hash of its content.
    ///
    /// Fails with `Changed` if the content is not as long as the entry says.
    pub fn file(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<ContentDigest> {
        let Kind::File { size, .. } = entry.kind else {
            return Err(Error::entry(&entry.path, "it is no regular file but has content"));
        };
        self.put(&header::encode(entry, self.policy)?)?;
        let digest = match size {
            LARGE.. => self.large_content(&entry.path, size, content)?,
            _ => self.content(&entry.path, size, content)?,
        };
        self.put(&[0; BLOCK][..header::padding(size)])?;
        Ok(digest)
    }

    /// As `file`, for a content that was read and hashed before.
    pub(super) fn small_file(&mut self, entry: &Entry, content: &Small) -> Result<()> {
        let size = content.bytes.len() as u64;
        if !matches!(entry.kind, Kind::File { size: wanted, .. } if wanted == size) {
            return Err(Error::Changed { path: entry.path.clone() });
        }
        self.put(&header::encode(entry, self.policy)?)?;
        self.put(&content.bytes)?;
        self.put(&[0; BLOCK][..header::padding(size)])
    }

    /// Writes the end of the tar; the inner writer and the length of everything.
    pub fn finish(mut self) -> Result<(W, u64)> {
        self.put(&[0; 2 * BLOCK])?;
        self.inner.flush().map_err(write_error)?;
        let inner = self.inner.into_inner().map_err(|error| write_error(error.into_error()))?;
        Ok((inner, self.written))
    }

    fn content(&mut self, path: &ImagePath, size: u64, content: &mut dyn Read) -> Result<ContentDigest> {
        let mut hasher = Hasher::new();
        let mut left = size;
        let mut buffer = std::mem::take(&mut self.buffer);
        loop {
            let count =
                read_some(content, &mut buffer).map_err(|source| Error::Content { path: path.clone(), source })?;
            if count == 0 {
                break;
            }
            left = left.checked_sub(count as u64).ok_or_else(|| Error::Changed { path: path.clone() })?;
            hasher.update(&buffer[..count]);
            self.put(&buffer[..count])?;
        }
        self.buffer = buffer;
        if left > 0 {
            return Err(Error::Changed { path: path.clone() });
        }
        Ok(hasher.finish())
    }

    /// As `content`; its own hash is worked out by another thread than that of the tar.
    fn large_content(&mut self, path: &ImagePath, size: u64, content: &mut dyn Read) -> Result<ContentDigest> {
        std::thread::scope(|scope| {
            let (sender, pieces) = mpsc::sync_channel::<(Arc<Vec<u8>>, usize)>(PIECES);
            let (used, free) = mpsc::channel();
            let hash = move || {
                let mut hasher = Hasher::new();
                for (piece, length) in pieces {
                    hasher.update(&piece[..length]);
                    // At the end nobody takes them back.
                    let _unwanted = used.send(piece);
                }
                hasher.finish()
            };
            let Ok(hashing) = std::thread::Builder::new().spawn_scoped(scope, hash) else {
                // A machine that has no more threads to give costs time, nothing else.
                return self.content(path, size, content);
            };
            let mut left = size;
            let mut fresh = PIECES;
            loop {
                let mut piece = match fresh.checked_sub(1) {
                    Some(rest) => {
                        fresh = rest;
                        Arc::new(vec![0; BUFFER])
                    }
                    None => free.recv().map_err(|_ended| write_error(io::Error::other("a thread ended early")))?,
                };
                let buffer =
                    Arc::get_mut(&mut piece).expect("when a piece comes back, this thread is done with it, too");
                let count =
                    read_some(content, buffer).map_err(|source| Error::Content { path: path.clone(), source })?;
                if count == 0 {
                    break;
                }
                left = left.checked_sub(count as u64).ok_or_else(|| Error::Changed { path: path.clone() })?;
                let ours = piece.clone();
                sender.send((piece, count)).map_err(|_ended| write_error(io::Error::other("a thread ended early")))?;
                self.put(&ours[..count])?;
            }
            drop(sender);
            if left > 0 {
                return Err(Error::Changed { path: path.clone() });
            }
            hashing.join().or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.inner.write_all(bytes).map_err(write_error)?;
        self.written += bytes.len() as u64;
        Ok(())
    }
}

/// One read, tried again when a signal broke it off.
pub(super) fn read_some(reader: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match reader.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

fn write_error(source: io::Error) -> Error {
    Error::Write { source }
}
