//! Where the content of an archive goes once its place is known.

use std::io::{self, Read};

use super::{Error, Result};
use crate::digest::{ContentDigest, HashingWriter};
use crate::path::ImagePath;
use crate::tree::{Entry, Kind};

/// Takes what has found its place. The parent of each path was made before, as a folder.
pub(super) trait Sink {
    /// Makes a folder; it may be there already.
    fn directory(&mut self, path: &ImagePath) -> Result<()>;
    /// Takes a file's content, and returns its length and hash.
    fn file(&mut self, path: &ImagePath, content: &mut dyn Read) -> Result<(u64, ContentDigest)>;
    /// Makes a symbolic link, a pipe or a device.
    fn node(&mut self, path: &ImagePath, kind: &Kind) -> Result<()>;
    /// Gives the file at `existing` another name.
    fn link(&mut self, existing: &ImagePath, path: &ImagePath) -> Result<()>;
    /// Copies a file of a lower layer, counted from the bottom.
    fn copy_up(&mut self, path: &ImagePath, layer: usize, source: &Entry) -> Result<()>;
    /// Removes what is there; a folder is empty by then.
    fn remove(&mut self, path: &ImagePath, directory: bool) -> Result<()>;
}

/// A sink that only hashes.
pub(super) struct HashOnly;

impl Sink for HashOnly {
    fn directory(&mut self, _path: &ImagePath) -> Result<()> {
        Ok(())
    }

    fn file(&mut self, path: &ImagePath, content: &mut dyn Read) -> Result<(u64, ContentDigest)> {
        let mut writer = HashingWriter::new(io::sink());
        io::copy(content, &mut writer).map_err(|source| Error::Content { path: path.clone(), source })?;
        let (_, digest, size) = writer.finish();
        Ok((size, digest))
    }

    fn node(&mut self, _path: &ImagePath, _kind: &Kind) -> Result<()> {
        Ok(())
    }

    fn link(&mut self, _existing: &ImagePath, _path: &ImagePath) -> Result<()> {
        Ok(())
    }

    fn copy_up(&mut self, _path: &ImagePath, _layer: usize, _source: &Entry) -> Result<()> {
        Ok(())
    }

    fn remove(&mut self, _path: &ImagePath, _directory: bool) -> Result<()> {
        Ok(())
    }
}
