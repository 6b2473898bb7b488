//! Blobs: bytes named by their hash.

use std::fs::{DirBuilder, File};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::PathBuf;

use super::{Error, Object, Result, Store};
use crate::digest::{BlobDigest, Hasher, HashingReader, HashingWriter};
use crate::fsx::{self, At as _, WriteBehind};

/// Bytes on their way into the store; dropped, nothing has happened.
#[must_use = "a blob that is not committed is thrown away"]
pub struct BlobWriter {
    store: Store,
    path: PathBuf,
    file: Option<HashingWriter<WriteBehind>>,
}

/// A blob being read: the end of the bytes is reached only if they hash to the blob's name.
///
/// One that does not is removed from the store, so that the next build makes or fetches it again.
pub struct BlobReader {
    store: Store,
    file: BufReader<File>,
    expected: BlobDigest,
    hasher: Option<Hasher>,
}

impl Store {
    /// Starts a blob whose name is not known yet.
    pub fn blob_writer(&self) -> Result<BlobWriter> {
        let path = self.temporary("blob")?;
        let file = fsx::create_new(&path)?;
        Ok(BlobWriter { store: self.clone(), path, file: Some(HashingWriter::new(WriteBehind::new(file))) })
    }

    /// Stores `bytes` and names them. Finding them already there is success; a damaged blob of that name is replaced.
    pub fn put_blob(&self, bytes: &[u8]) -> Result<BlobDigest> {
        let digest = BlobDigest::of(bytes);
        self.hold(&Object::Blob(digest))?;
        // Any way of not being able to read it back, also a damaged disk, is a reason to write it anew.
        if self.read_blob(&digest, bytes.len() as u64).is_ok() {
            return Ok(digest);
        }
        let mut writer = self.blob_writer()?;
        writer.write_all(bytes).map_err(|error| self.typed(&digest, error))?;
        Ok(writer.commit()?.0)
    }

    /// The length of a blob in bytes; none if it is not here. The content is not looked at.
    pub fn blob_size(&self, digest: &BlobDigest) -> Result<Option<u64>> {
        self.hold(&Object::Blob(*digest))?;
        let path = self.blob_path(digest);
        match std::fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_file() => Ok(Some(metadata.len())),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).at("stat", &path).map_err(Error::from),
        }
    }

    /// Opens a blob; the reader fails at the end if the bytes are not those of the name.
    pub fn open_blob(&self, digest: &BlobDigest) -> Result<BlobReader> {
        let file = self.open_blob_file(digest)?;
        Ok(BlobReader::new(self, file, digest))
    }

    /// Opens a blob's file without verification, for a caller that hashes what it reads itself.
    pub fn open_blob_file(&self, digest: &BlobDigest) -> Result<File> {
        self.hold(&Object::Blob(*digest))?;
        match fsx::open_own(&self.blob_path(digest)) {
            Err(error) if error.is_not_found() => Err(Error::NoBlob { digest: *digest }),
            other => Ok(other?),
        }
    }

    /// A whole small blob, verified; an error if it is longer than `limit` bytes.
    pub fn read_blob(&self, digest: &BlobDigest, limit: u64) -> Result<Vec<u8>> {
        let file = self.open_blob_file(digest)?;
        let bytes = fsx::read_open(&file, &self.blob_path(digest), limit)?;
        let found = BlobDigest::of(&bytes);
        if found != *digest {
            self.discard_blob(digest)?;
            return Err(Error::Damaged { expected: *digest, found });
        }
        Ok(bytes)
    }

    /// Reads a whole blob and returns its length; an error if it is damaged or not here. Removes nothing.
    pub fn verify_blob(&self, digest: &BlobDigest) -> Result<u64> {
        let mut hashed = HashingReader::new(self.open_blob_file(digest)?);
        let size = io::copy(&mut hashed, &mut io::sink()).map_err(|error| self.typed(digest, error))?;
        let found = hashed.finish::<BlobDigest>().1;
        if found == *digest { Ok(size) } else { Err(Error::Damaged { expected: *digest, found }) }
    }

    /// Removes a blob that a reader found damaged, so that it is fetched or made again.
    ///
    /// Reads it once more: one that is intact, because another process has replaced it, stays. Returns whether one was
    /// removed.
    pub fn discard_blob(&self, digest: &BlobDigest) -> Result<bool> {
        let path = self.blob_path(digest);
        let file = match self.open_blob_file(digest) {
            Err(Error::NoBlob { .. }) => return Ok(false),
            other => other?,
        };
        let judged = file.metadata().at("stat", &path)?;
        let mut hashed = HashingReader::new(file);
        let read = io::copy(&mut hashed, &mut io::sink());
        if read.is_ok() && hashed.finish::<BlobDigest>().1 == *digest {
            return Ok(false);
        }
        // Not to the trash, which a sweep may empty at any time: it may have to go back.
        let aside = self.temporary("damaged")?;
        match fsx::rename(&path, &aside) {
            Err(error) if error.is_not_found() => return Ok(false),
            other => other?,
        }
        let taken = std::fs::symlink_metadata(&aside).at("stat", &aside)?;
        if (taken.dev(), taken.ino()) != (judged.dev(), judged.ino()) {
            // Replaced between the look and the rename.
            fsx::rename(&aside, &path)?;
            return Ok(false);
        }
        fsx::remove_file(&aside)?;
        Ok(true)
    }

    /// Gives an error that passed through `Read` or `Write` its type back.
    fn typed(&self, digest: &BlobDigest, error: io::Error) -> Error {
        match error.downcast::<Error>() {
            Ok(error) => error,
            Err(source) => fsx::Error { action: "use", path: self.blob_path(digest), source }.into(),
        }
    }

    pub(super) fn blob_path(&self, digest: &BlobDigest) -> PathBuf {
        let hex = digest.hex();
        self.folder("blobs").join(&hex[..2]).join(hex)
    }
}

impl BlobWriter {
    /// Syncs the bytes and gives them their name: digest and length.
    ///
    /// Idempotent: a blob of that name may be there already; it is read, and replaced if it is damaged.
    pub fn commit(mut self) -> Result<(BlobDigest, u64)> {
        let (mut file, digest, size) = self.take_file().finish::<BlobDigest>();
        self.publish(&mut file, &digest, size)?;
        Ok((digest, size))
    }

    /// As `commit`, but only if the bytes hash to `expected`; otherwise nothing is stored. Returns the length.
    pub fn commit_expecting(mut self, expected: &BlobDigest) -> Result<u64> {
        let (mut file, found, size) = self.take_file().finish::<BlobDigest>();
        if found != *expected {
            return Err(Error::Damaged { expected: *expected, found });
        }
        self.publish(&mut file, expected, size)?;
        Ok(size)
    }

    fn publish(&self, file: &mut WriteBehind, digest: &BlobDigest, size: u64) -> Result<()> {
        // Whoever wrote all of it again may have done so because the one that is here is damaged.
        if self.store.blob_size(digest)? == Some(size) && self.store.verify_blob(digest).is_ok() {
            return Ok(());
        }
        let target = self.store.blob_path(digest);
        let shard = target.parent().expect("a blob lies in a shard folder");
        file.sync().at("sync", &self.path)?;
        match DirBuilder::new().mode(0o700).create(shard) {
            Ok(()) => fsx::sync_dir(&self.store.folder("blobs"))?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => other.at("create the folder", shard)?,
        }
        fsx::rename(&self.path, &target)?;
        self.store.add_growth(size);
        fsx::sync_dir(shard)?;
        Ok(())
    }

    fn take_file(&mut self) -> HashingWriter<WriteBehind> {
        self.file.take().expect("the file is taken only by the two consuming methods")
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let file = self.file.as_mut().expect("the file is taken only by the two consuming methods");
        file.write(bytes).map_err(|source| {
            let kind = source.kind();
            let error = fsx::Error { action: "write", path: self.path.clone(), source };
            io::Error::new(kind, Error::from(error))
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for BlobWriter {
    fn drop(&mut self) {
        // After a commit the name is gone; otherwise a leftover in tmp/ is harmless and removed by a sweep.
        let _unused = std::fs::remove_file(&self.path);
    }
}

impl BlobReader {
    fn new(store: &Store, file: File, digest: &BlobDigest) -> Self {
        let file = BufReader::with_capacity(1 << 17, file);
        Self { store: store.clone(), file, expected: *digest, hasher: Some(Hasher::new()) }
    }
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        if count > 0 {
            if let Some(hasher) = &mut self.hasher {
                hasher.update(&buffer[..count]);
            }
            return Ok(count);
        }
        if !buffer.is_empty()
            && let Some(hasher) = self.hasher.take()
        {
            let found: BlobDigest = hasher.finish();
            if found != self.expected {
                let damaged = Error::Damaged { expected: self.expected, found };
                // The damage is what is told; what cannot be removed is found again.
                let _unused = self.store.discard_blob(&self.expected);
                return Err(io::Error::new(io::ErrorKind::InvalidData, damaged));
            }
        }
        Ok(0)
    }
}
