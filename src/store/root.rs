//! The store's folder and its layout.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::{Error, Result, TreeId};
use crate::fsx::{self, At as _};

/// The version of the layout on disk; another version is refused.
pub const STORE_VERSION: u32 = 1;

const FOLDERS: [&str; 7] = ["blobs", "trees", "records", "locks", "leases", "tmp", "trash"];

/// An open store. Cloning is cheap; clones share what this process knows.
#[derive(Debug, Clone)]
pub struct Store {
    root: Arc<PathBuf>,
    pub(super) own_trees: Arc<Mutex<BTreeSet<TreeId>>>,
}

impl Store {
    /// Opens the store at `root`, creating it (mode 0700) if nothing is there.
    ///
    /// Fails if the folder is not ours, is writable by others, or is a store of another version.
    pub fn open(root: &Path) -> Result<Self> {
        let version = root.join("version");
        if fsx::read_if_exists(&version, 100)?.is_none() {
            create(root, &version)?;
        }
        check_version(root, &version)?;
        check_owner(root)?;
        let root = root.canonicalize().at("resolve", root)?;
        Ok(Self { root: Arc::new(root), own_trees: Arc::default() })
    }

    /// The store's folder, absolute.
    pub fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn folder(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// A path in `tmp/` that nobody else uses. Its name starts with the process id, so that leftovers can be told.
    pub(super) fn temporary(&self, what: &str) -> PathBuf {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        let mut random = [0; 8];
        // Without random bytes the pid and the counter still make the name unique among living processes.
        let _length = rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::NONBLOCK);
        let random = u64::from_le_bytes(random);
        self.root.join("tmp").join(format!("{}-{random:016x}-{count}-{what}", std::process::id()))
    }
}

fn create(root: &Path, version: &Path) -> Result<()> {
    let occupied = fs::read_dir(root).is_ok_and(|mut entries| {
        entries.any(|entry| entry.is_ok_and(|e| !FOLDERS.contains(&e.file_name().to_string_lossy().as_ref())))
    });
    if occupied {
        let problem = "it holds other files; name an empty or a new folder".to_owned();
        return Err(Error::Unsafe { path: root.to_path_buf(), problem });
    }
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(root).at("create the folder", root)?;
    for folder in FOLDERS {
        let folder = root.join(folder);
        builder.create(&folder).at("create the folder", &folder)?;
    }
    // Several first processes may race here: each renames the same content into place.
    let temporary = root.join("tmp").join(format!("{}-version", std::process::id()));
    fsx::replace(&temporary, version, format!("{STORE_VERSION}\n").as_bytes())?;
    Ok(())
}

fn check_version(root: &Path, version: &Path) -> Result<()> {
    let found = String::from_utf8_lossy(&fsx::read_at_most(version, 100)?).trim().to_owned();
    if found == STORE_VERSION.to_string() {
        return Ok(());
    }
    Err(Error::Version { path: root.to_path_buf(), expected: STORE_VERSION, found })
}

fn check_owner(root: &Path) -> Result<()> {
    let metadata = fs::metadata(root).at("stat", root)?;
    let ours = rustix::process::geteuid().as_raw();
    let problem = if metadata.uid() != ours {
        format!("it belongs to user {}, not to user {ours} who runs this build", metadata.uid())
    } else if metadata.mode() & 0o022 != 0 {
        format!("others may write to it (mode {:04o}); run `chmod 700` on it", metadata.mode() & 0o7777)
    } else {
        return Ok(());
    };
    Err(Error::Unsafe { path: root.to_path_buf(), problem })
}
