//! Locks by name: held by one process, or thread, at a time, and gone with their holder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::{Duration, Instant};

use super::{Error, Result, Store};
use crate::fsx::At as _;

/// How long a wait lasts before it is announced.
const PATIENCE: Duration = Duration::from_secs(1);

/// A held lock; dropping it lets the next one in.
#[must_use = "dropping the lock releases it"]
#[derive(Debug)]
pub struct KeyLock {
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
    /// Takes the lock `name` (letters, digits, `-`), waiting for its holder.
    ///
    /// `ask` is called with `StillWanted` about 50 times a second and gives up by answering `false`; with `Behind` once,
    /// after one second.
    pub fn lock(&self, name: &str, ask: &mut dyn FnMut(Waiting) -> bool) -> Result<KeyLock> {
        let path = self.folder("locks").join(name);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .at("open", &path)?;
        let started = Instant::now();
        let mut announced = false;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error).at("lock", &path).map_err(Error::from),
            }
            if !ask(Waiting::StillWanted) {
                return Err(Error::Interrupted);
            }
            if !announced && started.elapsed() >= PATIENCE {
                announced = true;
                ask(Waiting::Behind { pid: read_pid(&mut file) });
            }
            std::thread::sleep(Duration::from_millis(20).min(started.elapsed() / 4 + Duration::from_millis(1)));
        }
        file.set_len(0).at("write", &path)?;
        file.rewind().at("write", &path)?;
        file.write_all(std::process::id().to_string().as_bytes()).at("write", &path)?;
        Ok(KeyLock { _file: file })
    }
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(20).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
