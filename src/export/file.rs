//! An archive as a file.

use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::outputs::{announce, confirm, lock_output};
use super::temporary::{Replace, Temporary};
use super::{Error, NamedImage, OutputRecord, OutputState, Result, archive_size, check_output, write_archive};
use crate::digest::{Canonical, ContentDigest};
use crate::fsx::{self, At as _};
use crate::store::Store;

/// Which files an output may replace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overwrite {
    /// Those that this program wrote, from this store or another one: for an output that the user did not name.
    OwnOnly,
    /// Any regular file: for `-o dest=FILE`.
    Any,
}

/// What became of an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was written.
    Written {
        /// Its length in bytes.
        size: u64,
    },
    /// It held the same images under the same names already.
    Unchanged {
        /// Its length in bytes.
        size: u64,
    },
}

/// Writes the archive of `images` to the file `destination`, all or nothing, and remembers it as ours.
///
/// `progress` is told the number of bytes written so far, `archive_size` at the end. An output that is ours and holds the
/// same is left alone. The file's folder must exist.
pub fn write_file(
    store: &Store,
    images: &[NamedImage<'_>],
    destination: &Path,
    overwrite: Overwrite,
    progress: &mut dyn FnMut(u64),
) -> Result<Outcome> {
    let path = absolute(destination)?;
    let size = archive_size(images)?;
    let record = OutputRecord::new(images, size).ok_or(Error::Nothing)?;
    let state = replaceable(store, &path, overwrite)?;
    if state == OutputState::Ours(record.clone()) {
        let between = between(store, &path)?;
        if between.symlink_metadata().is_ok() {
            let _lock = lock_output(store, &path)?;
            fsx::remove_file(&between)?;
        }
        return Ok(Outcome::Unchanged { size });
    }
    let folder = path.parent().expect("an absolute path with a file name has a parent");
    let temporary = Temporary::create(folder).map_err(|error| name_folder(error, folder))?;
    let mut counted = Counted { inner: temporary, written: 0, progress };
    write_archive(store, images, &mut counted).map_err(|error| name_file(error, &path))?;
    let mut temporary = counted.inner;
    temporary.sync(&path)?;
    publish(store, &path, overwrite, temporary, &record)?;
    Ok(Outcome::Written { size })
}

/// Fails if `write_file` would refuse to write there: asked before a build, so that nobody waits for nothing.
pub fn check_destination(store: &Store, destination: &Path, overwrite: Overwrite) -> Result<()> {
    let path = absolute(destination)?;
    replaceable(store, &path, overwrite)?;
    // Nothing is left of it; where it cannot be made, the output cannot be made either.
    let folder = path.parent().expect("an absolute path with a file name has a parent");
    Temporary::create(folder).map(drop).map_err(|error| name_folder(error, folder))
}

/// Says which folder cannot be written to, not the name of a temporary file in it.
fn name_folder(error: fsx::Error, folder: &Path) -> Error {
    fsx::Error { action: "write to the folder", path: folder.to_path_buf(), source: error.source }.into()
}

/// Gives the file its name, unless what was there has changed meanwhile into something that must stay.
fn publish(
    store: &Store,
    path: &Path,
    overwrite: Overwrite,
    temporary: Temporary,
    record: &OutputRecord,
) -> Result<()> {
    let _lock = lock_output(store, path)?;
    let replace = match replaceable(store, path, overwrite)? {
        OutputState::Absent if overwrite == Overwrite::OwnOnly => Replace::No,
        OutputState::Absent | OutputState::Ours(_) | OutputState::Recognised | OutputState::Foreign => Replace::Yes,
    };
    announce(store, path, &temporary.file().metadata().at("stat", path)?, record)?;
    let between = between(store, path)?;
    // Under the lock, only a killed predecessor can have left it.
    fsx::remove_file(&between)?;
    match temporary.publish_by(path, replace, Some(&between)) {
        Err(error) if error.source.kind() == io::ErrorKind::AlreadyExists => {
            return Err(Error::Foreign { path: path.to_path_buf() });
        }
        other => other?,
    }
    confirm(store, path, record)
}

/// The name that a new file has for a moment before it replaces the one at `path`: always the same one, so that what a kill
/// leaves is found, and one that no other store uses.
fn between(store: &Store, path: &Path) -> Result<PathBuf> {
    let mut canonical = Canonical::new("output");
    canonical.bytes("store", &store.secret()?);
    canonical.bytes("path", path.as_os_str().as_bytes());
    let name = format!(".rbuild-{}.tmp", &canonical.finish::<ContentDigest>().hex()[..16]);
    Ok(path.with_file_name(name))
}

/// What is at `path`, if it may be replaced.
fn replaceable(store: &Store, path: &Path, overwrite: Overwrite) -> Result<OutputState> {
    let problem = match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => "it is a folder; name a file in it",
        Ok(metadata) if metadata.is_symlink() => "it is a symlink, which is never replaced; name a file",
        Ok(metadata) if !metadata.is_file() => "it is not a regular file; use `dest=-` and redirect standard output",
        _ => {
            let state = check_output(store, path)?;
            return match (overwrite, state) {
                (Overwrite::OwnOnly, OutputState::Foreign) => Err(Error::Foreign { path: path.to_path_buf() }),
                (_, state) => Ok(state),
            };
        }
    };
    Err(Error::Destination { path: path.to_path_buf(), problem })
}

/// The path with its folder resolved, so that one file has one record.
pub(super) fn absolute(destination: &Path) -> Result<PathBuf> {
    let no_name =
        || Error::Destination { path: destination.to_path_buf(), problem: "it is a folder; name a file in it" };
    if destination.as_os_str().as_bytes().ends_with(b"/") {
        return Err(no_name());
    }
    let name = destination.file_name().ok_or_else(no_name)?;
    let folder = match destination.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    Ok(folder.canonicalize().at("resolve the folder", folder)?.join(name))
}

/// Says which file could not be written.
fn name_file(error: Error, path: &Path) -> Error {
    match error {
        Error::Write { source } => fsx::Error { action: "write", path: path.to_path_buf(), source }.into(),
        other => other,
    }
}

/// A writer that tells how far it is.
pub(super) struct Counted<'a, W> {
    /// Where the bytes go.
    pub inner: W,
    /// How many went there.
    pub written: u64,
    /// Who is told.
    pub progress: &'a mut dyn FnMut(u64),
}

impl<W: Write> Write for Counted<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.written += count as u64;
        (self.progress)(self.written);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
