//! File system calls whose errors name the call and the path.
//!
//! # Invariants
//! `replace` leaves either the old file or the whole new one, also after a power cut. Nothing here follows a symlink in the
//! last component of a path it writes.
//!
//! # Not here
//! Paths inside a root filesystem that may cross symlinks: `tree::Stack` for listings, `layer` for folders on disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// A failed call, with what it was doing and where.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} `{}`: {}", path.display(), explain(source))]
pub struct Error {
    /// For example `open`.
    pub action: &'static str,
    /// The path it was given.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

impl Error {
    /// Whether the path does not exist.
    pub fn is_not_found(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }
}

/// The result of a file system call.
pub type Result<T> = std::result::Result<T, Error>;

/// The system's words, without the number, in lower case, with what to do about a full disk.
fn explain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::StorageFull => "no space left on the device".to_owned(),
        io::ErrorKind::QuotaExceeded => "the disk quota is used up".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        io::ErrorKind::ReadOnlyFilesystem => "the file system is read-only".to_owned(),
        _ => {
            let text = error.to_string();
            text.split(" (os error").next().unwrap_or(&text).to_lowercase()
        }
    }
}

/// Gives an `io::Result` its action and path.
pub trait At<T> {
    /// Adds what was being done and where to the error.
    fn at(self, action: &'static str, path: &Path) -> Result<T>;
}

impl<T, E: Into<io::Error>> At<T> for std::result::Result<T, E> {
    fn at(self, action: &'static str, path: &Path) -> Result<T> {
        self.map_err(|source| Error { action, path: path.to_path_buf(), source: source.into() })
    }
}

/// Opens a file for reading.
pub fn open(path: &Path) -> Result<File> {
    File::open(path).at("open", path)
}

/// Creates a file that must not exist yet, mode 0600.
pub fn create_new(path: &Path) -> Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path).at("create", path)
}

/// Creates a folder and those above it; existing ones are fine.
pub fn create_dir_all(path: &Path) -> Result<()> {
    fs::create_dir_all(path).at("create the folder", path)
}

/// Reads a whole file of at most `limit` bytes.
pub fn read_at_most(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let file = open(path)?;
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).at("read", path)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::other(format!("it is larger than {limit} bytes"))).at("read", path);
    }
    Ok(bytes)
}

/// As `read_at_most`; none if the file does not exist.
pub fn read_if_exists(path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
    match read_at_most(path, limit) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Renames, replacing a file at `to`.
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).at("rename to", to)
}

/// Removes a file; one that is gone already is fine.
pub fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.at("remove", path),
    }
}

/// Makes a folder's entries survive a power cut.
pub fn sync_dir(path: &Path) -> Result<()> {
    open(path)?.sync_all().at("sync", path)
}

/// Writes `bytes` to `temporary`, syncs it, renames it to `target` and syncs the folder: all or nothing.
///
/// Both must lie in one file system; `temporary` must not exist.
pub fn replace(temporary: &Path, target: &Path, bytes: &[u8]) -> Result<()> {
    let written = write_synced(temporary, bytes).and_then(|()| rename(temporary, target));
    if written.is_err() {
        // The error being returned matters more than one of tidying up after it.
        let _unused = fs::remove_file(temporary);
    }
    written?;
    match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_dir(parent),
        _ => sync_dir(Path::new(".")),
    }
}

fn write_synced(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = create_new(path)?;
    file.write_all(bytes).at("write", path)?;
    file.sync_all().at("sync", path)
}

/// Removes a folder and everything in it, also where the modes inside forbid their owner to; one that is gone is fine.
pub fn remove_tree(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_up(path)?;
            fs::remove_dir_all(path).at("remove", path)
        }
        other => other.at("remove", path),
    }
}

/// Gives the owner every right on the folders below `path`.
fn open_up(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).at("change the mode of", path)?;
    for entry in fs::read_dir(path).at("list", path)? {
        let entry = entry.at("list", path)?;
        if entry.file_type().at("stat", &entry.path())?.is_dir() {
            open_up(&entry.path())?;
        }
    }
    Ok(())
}
