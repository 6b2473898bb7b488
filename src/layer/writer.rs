//! Writes a tar: the only place that puts headers, content and padding together.

use std::io::{self, Read, Write};

use super::header::{self, BLOCK};
use super::{Error, Result, TimePolicy};
use crate::digest::{ContentDigest, Hasher};
use crate::path::ImagePath;
use crate::tree::{Entry, Kind};

/// How much is read at once.
pub(super) const BUFFER: usize = 256 << 10;

/// Writes entries as a tar, in the order they come.
///
/// The same entries and policy give the same bytes everywhere. Dropped without `finish`, the tar has no end.
#[must_use = "a tar without `finish` has no end"]
pub struct TarWriter<W: Write> {
    inner: W,
    policy: TimePolicy,
    written: u64,
    buffer: Vec<u8>,
}

impl<W: Write> TarWriter<W> {
    /// Starts a tar whose times follow `policy`.
    pub fn new(inner: W, policy: TimePolicy) -> Self {
        Self { inner, policy, written: 0, buffer: vec![0; BUFFER] }
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
        let digest = self.content(&entry.path, size, content)?;
        self.put(&[0; BLOCK][..header::padding(size)])?;
        Ok(digest)
    }

    /// Writes the end of the tar; the inner writer and the length of everything.
    pub fn finish(mut self) -> Result<(W, u64)> {
        self.put(&[0; 2 * BLOCK])?;
        self.inner.flush().map_err(write_error)?;
        Ok((self.inner, self.written))
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
