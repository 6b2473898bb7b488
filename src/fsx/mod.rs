//! File system calls whose errors name the call and the path.
//!
//! # Invariants
//! `replace` leaves either the old file or the whole new one, also after a power cut. Nothing here follows a symlink in the
//! last component of a path it writes. Removing a tree takes a fixed number of file descriptors, however deep it is.
//!
//! # Not here
//! Paths inside a root filesystem that may cross symlinks: `tree::Stack` for listings, `layer` for folders on disk.

mod behind;

use std::ffi::{CStr, OsStr};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

pub use self::behind::{WriteBehind, is_hole};

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

/// The system's words, without the number, in lower case; or the words of the error that was wrapped.
fn explain(error: &io::Error) -> String {
    if let Some(inner) = error.get_ref() {
        return inner.to_string();
    }
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

/// Opens a file of ours for reading: no symlink is followed, and the time of last access stays as it is where possible.
pub fn open_own(path: &Path) -> Result<File> {
    let open = |flags: OFlags| {
        let flags = i32::try_from(flags.bits()).expect("open flags are small");
        OpenOptions::new().read(true).custom_flags(flags).open(path)
    };
    match open(OFlags::NOFOLLOW | OFlags::NOATIME) {
        // Only the owner may leave the time alone; a user namespace without a mapping for it has none.
        Err(error) if error.raw_os_error() == Some(Errno::PERM.raw_os_error()) => open(OFlags::NOFOLLOW),
        other => other,
    }
    .at("open", path)
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
    read_open(&open(path)?, path, limit)
}

/// Reads the rest of an open file of at most `limit` bytes; `path` is for the error.
pub fn read_open(file: &File, path: &Path, limit: u64) -> Result<Vec<u8>> {
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

/// Opens a file for reading below `folder`; a symlink anywhere on the way is an error, and nothing outside is reached.
pub fn open_beneath(folder: &Path, relative: &Path) -> Result<File> {
    use rustix::fs::{Mode, OFlags, ResolveFlags};
    let path = folder.join(relative);
    let base = open(folder)?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    Ok(rustix::fs::openat2(&base, relative, flags, Mode::empty(), resolve).at("open", &path)?.into())
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

/// As `replace`, but a power cut soon after may leave the old file, none, or a damaged one. A kill may not.
///
/// For what says by itself whether it is whole, and costs only time when it is lost: the two syncs of `replace` take longer than
/// all else where others write to the same disk.
pub fn replace_unsynced(temporary: &Path, target: &Path, bytes: &[u8]) -> Result<()> {
    let written = create_new(temporary).and_then(|mut file| file.write_all(bytes).at("write", temporary));
    let written = written.and_then(|()| rename(temporary, target));
    if written.is_err() {
        // The error being returned matters more than one of tidying up after it.
        let _unused = fs::remove_file(temporary);
    }
    written
}

fn write_synced(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = create_new(path)?;
    file.write_all(bytes).at("write", path)?;
    file.sync_all().at("sync", path)
}

/// Removes what is at `path` and everything in it, also where modes forbid their owner to; nothing there is fine.
///
/// Several processes may remove the same tree at once.
pub fn remove_tree(path: &Path) -> Result<()> {
    remove_counting(path).map(|_freed| ())
}

/// As `remove_tree`; returns how many bytes on disk are free now. A file that has another name elsewhere counts nothing.
pub fn remove_counting(path: &Path) -> Result<u64> {
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        other => other.at("stat", path)?,
    };
    if !metadata.is_dir() {
        remove_file(path)?;
        return Ok(if metadata.nlink() > 1 { 0 } else { metadata.blocks() * 512 });
    }
    if metadata.mode() & 0o700 != 0o700 {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).at("change the mode of", path)?;
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let top = match rustix::fs::openat(CWD, path, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(0),
        other => other.at("open", path)?,
    };
    let mut removal = Removal { top: top.as_fd(), here: path.to_path_buf(), freed: 0, steps: 0 };
    let mut idle = 0;
    loop {
        let before = removal.steps;
        removal.empty(top.try_clone().at("open", path)?, 0)?;
        match fs::remove_dir(path) {
            Ok(()) => return Ok(removal.freed + metadata.blocks() * 512),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(removal.freed),
            // Deep folders were moved up to the top, by us or by another who removes this tree, and are next.
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty && idle < MAX_IDLE => {
                idle = if removal.steps > before { 0 } else { idle + 1 };
            }
            Err(error) => return Err(error).at("remove", path),
        }
    }
}

/// Below this depth a folder is moved to the top instead of being entered: each level costs a file descriptor.
const MAX_DEPTH: usize = 16;

/// So many passes in a row may find a folder that is not empty and nothing in it to remove.
const MAX_IDLE: u32 = 10;

/// A tree being removed.
struct Removal<'a> {
    top: BorrowedFd<'a>,
    here: PathBuf,
    freed: u64,
    /// Grows with everything that was removed or moved.
    steps: u64,
}

impl Removal<'_> {
    fn empty(&mut self, folder: OwnedFd, depth: usize) -> Result<()> {
        let mut entries = Dir::new(folder).at("list", &self.here)?;
        entries.rewind();
        while let Some(entry) = entries.read() {
            let entry = entry.at("list", &self.here)?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let folder = entries.fd().at("list", &self.here)?;
            self.here.push(OsStr::from_bytes(name.to_bytes()));
            self.entry(folder, name, depth)?;
            self.here.pop();
        }
        Ok(())
    }

    fn entry(&mut self, parent: BorrowedFd<'_>, name: &CStr, depth: usize) -> Result<()> {
        let stat = match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(()),
            other => other.at("stat", &self.here)?,
        };
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            let removed = rustix::fs::unlinkat(parent, name, AtFlags::empty());
            return self.count(removed, if stat.st_nlink > 1 { 0 } else { size_on_disk(&stat) });
        }
        match rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
            Err(Errno::NOTEMPTY | Errno::EXIST | Errno::ACCESS | Errno::PERM) => {}
            removed => return self.count(removed, size_on_disk(&stat)),
        }
        if stat.st_mode & 0o700 != 0o700 {
            match rustix::fs::chmodat(parent, name, Mode::RWXU, AtFlags::empty()) {
                Err(Errno::NOENT) => return Ok(()),
                other => other.at("change the mode of", &self.here)?,
            }
        }
        if depth >= MAX_DEPTH {
            let moved = format!(".{}-{}-deep", std::process::id(), self.steps);
            // Where it cannot be moved, on a full disk for one, it is entered after all.
            if rustix::fs::renameat(parent, name, self.top, moved).is_ok() {
                self.steps += 1;
                return Ok(());
            }
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(parent, name, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(()),
            other => self.empty(other.at("open", &self.here)?, depth + 1)?,
        }
        match rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
            // Somebody else is removing the same tree and moves folders about: the next pass finds them.
            Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(()),
            removed => self.count(removed, size_on_disk(&stat)),
        }
    }

    fn count(&mut self, removed: rustix::io::Result<()>, bytes: u64) -> Result<()> {
        match removed {
            Ok(()) => {
                self.steps += 1;
                self.freed += bytes;
                Ok(())
            }
            Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error).at("remove", &self.here),
        }
    }
}

fn size_on_disk(stat: &Stat) -> u64 {
    u64::try_from(stat.st_blocks).unwrap_or(0) * 512
}
