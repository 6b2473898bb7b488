//! Locks by name: held by one process, or thread, at a time, and gone with their holder.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;

use super::{Error, Result, Store, record};
use crate::fsx::At as _;

/// How long a wait lasts before it is announced.
const PATIENCE: Duration = Duration::from_secs(1);

/// A held lock; dropping it lets the next one in.
#[must_use = "dropping the lock releases it"]
#[derive(Debug)]
pub struct KeyLock {
    path: PathBuf,
    _file: File,
}

/// What a waiter is told and asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Waiting {
    /// The lock is held by this process; said once, after a second.
    Behind {
        /// Its process id, as the lock file says; none if it cannot be read.
        pid: Option<u32>,
    },
    /// Asked at every turn; `false` gives up.
    StillWanted,
}

impl Store {
    /// Takes the lock `name` (any text of at most 80 bytes), waiting for its holder.
    ///
    /// `ask` is called with `StillWanted` about 50 times a second and gives up by answering `false`; with `Behind` once,
    /// after one second.
    pub fn lock(&self, name: &str, ask: &mut dyn FnMut(Waiting) -> bool) -> Result<KeyLock> {
        let path = self.folder("locks").join(record::escape(name));
        loop {
            let file = acquire(&path, ask)?;
            // The holder before us removed the file under its lock: ours is one that nobody else can find.
            if file.metadata().at("stat", &path)?.nlink() > 0 {
                return Ok(KeyLock { path, _file: file });
            }
        }
    }
}

impl Drop for KeyLock {
    fn drop(&mut self) {
        // Still locked, so nobody else holds it. A file that stays behind is harmless; `Store::sweep` removes it.
        let _unused = fs::remove_file(&self.path);
    }
}

/// Opens a lock file, creating it if need be.
pub(super) fn open(path: &Path) -> Result<File> {
    let flags = i32::try_from(OFlags::NOFOLLOW.bits()).expect("open flags are small");
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(flags);
    Ok(options.open(path).at("open", path)?)
}

/// Locks the file at `path` alone, asking while it waits, and writes who holds it.
pub(super) fn acquire(path: &Path, ask: &mut dyn FnMut(Waiting) -> bool) -> Result<File> {
    let mut file = open(path)?;
    let started = Instant::now();
    let mut announced = false;
    while !try_exclusive(&file, path)? {
        if !ask(Waiting::StillWanted) {
            return Err(Error::Interrupted);
        }
        if !announced && started.elapsed() >= PATIENCE {
            announced = true;
            ask(Waiting::Behind { pid: read_pid(&mut file) });
        }
        std::thread::sleep(Duration::from_millis(20).min(started.elapsed() / 4 + Duration::from_millis(1)));
    }
    // Only waiters read it, to tell people; on a full disk it cannot be written, and gc must work there.
    let _unused = write_pid(&mut file);
    Ok(file)
}

/// Locks a file alone if nobody holds it.
pub(super) fn try_exclusive(file: &File, path: &Path) -> Result<bool> {
    locked(file.try_lock(), path)
}

/// Locks a file together with others if nobody holds it alone.
pub(super) fn try_shared(file: &File, path: &Path) -> Result<bool> {
    locked(file.try_lock_shared(), path)
}

/// Repeats a waiting lock call that a signal interrupted.
pub(super) fn uninterrupted(mut call: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

fn locked(outcome: std::result::Result<(), TryLockError>, path: &Path) -> Result<bool> {
    match outcome {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error).at("lock", path).map_err(Error::from),
    }
}

fn write_pid(file: &mut File) -> io::Result<()> {
    // Padded instead of truncated: ext4 takes a truncated file for one being replaced and writes it out when it is closed.
    file.rewind()?;
    file.write_all(format!("{:<10}", std::process::id()).as_bytes())
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(20).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
