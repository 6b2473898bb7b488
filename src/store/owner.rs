//! The folder in `tmp/` that belongs to one process, and how others can tell that it lives.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::PathBuf;
use std::sync::PoisonError;

use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};

use super::{Result, Store, lock};
use crate::fsx::{self, At as _};

/// `tmp/<name>/`, and `tmp/<name>.lock`, which is locked from before the folder exists until the process is gone.
#[derive(Debug)]
pub(super) struct OwnFolder {
    path: PathBuf,
    made: u64,
    _lock: File,
}

impl Store {
    /// A path in `tmp/` that nobody else uses, on the file system of the objects.
    pub(super) fn temporary(&self, what: &str) -> Result<PathBuf> {
        let mut own = self.own_folder.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = match &mut *own {
            Some(folder) => folder,
            none => none.insert(OwnFolder::new(self)?),
        };
        folder.made += 1;
        let own_name = folder.path.file_name().and_then(std::ffi::OsStr::to_str).unwrap_or_default();
        Ok(folder.path.join(format!("{}-{what}-{own_name}", folder.made)))
    }

    /// A path in the trash that nobody else uses. Takes no space, so it works on a full disk.
    pub(super) fn trash_path(&self) -> PathBuf {
        self.folder("trash").join(unique_name())
    }
}

impl OwnFolder {
    fn new(store: &Store) -> Result<Self> {
        loop {
            let name = unique_name();
            let lock_path = store.folder("tmp").join(format!("{name}.lock"));
            let Some(lock) = create_locked(&lock_path)? else { continue };
            let path = store.folder("tmp").join(name);
            DirBuilder::new().mode(0o700).create(&path).at("create the folder", &path)?;
            spread(&path);
            return Ok(Self { path, made: 0, _lock: lock });
        }
    }
}

/// Asks ext4 to place each folder made in this one far from the others, as it does with home folders.
///
/// Trees are begun here. Left alone, ext4 puts their files beside those of the trees before, and where such a tree has just
/// been removed it steps over the number of each of its files, again and again, for minutes (`recently_deleted`). The place
/// follows from the name of the folder made, so that must be another one each time. Other file systems do not know the
/// flag, and nothing depends on it.
fn spread(folder: &std::path::Path) {
    if let Ok(opened) = File::open(folder)
        && let Ok(flags) = ioctl_getflags(&opened)
    {
        let _unsupported = ioctl_setflags(&opened, flags | IFlags::TOPDIR);
    }
}

impl Drop for OwnFolder {
    fn drop(&mut self) {
        // Something left inside, or an error, keeps both names for `Store::sweep`.
        if fs::remove_dir(&self.path).is_ok() {
            let _unused = fs::remove_file(self.path.with_extension("lock"));
        }
    }
}

/// Creates a file and locks it; none if a sweep found it between the two and took it for a dead process's.
pub(super) fn create_locked(path: &std::path::Path) -> Result<Option<File>> {
    let file = fsx::create_new(path)?;
    if !lock::try_exclusive(&file, path)? {
        return Ok(None);
    }
    let metadata = file.metadata().at("stat", path)?;
    Ok((metadata.nlink() > 0).then_some(file))
}

/// A name that no other process uses: the process id, for people, and random digits.
pub(super) fn unique_name() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let mut random = [0; 8];
    if !matches!(rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::NONBLOCK), Ok(8)) {
        // Early in boot; a clash is possible then, and found by exclusive creation.
        random = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or([0; 8], |now| u64::try_from(now.as_nanos()).unwrap_or(u64::MAX).to_le_bytes());
    }
    format!("{}-{:016x}-{count}", std::process::id(), u64::from_le_bytes(random))
}

/// The names in a folder of the store; none if it is not there.
pub(super) fn names(folder: &std::path::Path) -> Result<Vec<std::ffi::OsString>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.at("list", folder)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry.at("list", folder)?.file_name());
    }
    names.sort();
    Ok(names)
}
