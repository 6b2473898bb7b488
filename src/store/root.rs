//! The store's folder and its layout.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use super::durable::Early;
use super::lease::Current;
use super::measure::{GROWN, SIZES, write_number};
use super::owner::OwnFolder;
use super::{Error, Result, TreeId};
use crate::fsx::{self, At as _};

/// The version of the layout on disk; another version is refused.
pub const STORE_VERSION: u32 = 2;

pub(super) const FOLDERS: [&str; 8] = ["blobs", "trees", "caches", "records", "locks", "leases", "tmp", "trash"];

/// Locked by whoever removes objects or leftovers, for as long as that takes.
pub(super) const COLLECTING: &str = "collecting";

/// Locked, shared, while a lease grows, and alone while objects go to the trash.
pub(super) const HOLDING: &str = "holding";

/// What lies beside the folders; the last is a volume's own.
pub(super) const FILES: [&str; 6] = [COLLECTING, HOLDING, "version", GROWN, SIZES, "lost+found"];

/// An open store. Cloning is cheap; clones share what this process knows.
///
/// While a `Lease` of this store or a clone lives, every object that is put, found or read through them is held by it.
#[derive(Debug, Clone)]
pub struct Store {
    root: Arc<PathBuf>,
    pub(super) own_trees: Arc<Mutex<BTreeSet<TreeId>>>,
    pub(super) own_folder: Arc<Mutex<Option<OwnFolder>>>,
    pub(super) current: Arc<Mutex<Current>>,
    pub(super) grown: Arc<AtomicU64>,
    pub(super) early: Arc<Mutex<Early>>,
}

impl Store {
    /// Opens the store at `root`, creating it (mode 0700) if nothing is there.
    ///
    /// Fails if the folder is not ours, is writable by others, or is a store of another version.
    pub fn open(root: &Path) -> Result<Self> {
        if let Some(store) = Self::open_existing(root)? {
            return Ok(store);
        }
        create(root)?;
        Self::open_existing(root)?.ok_or_else(|| {
            let problem = "it was removed while it was being made".to_owned();
            Error::Unsafe { path: root.to_path_buf(), problem }
        })
    }

    /// Opens the store at `root`, writing nothing; none if there is no store.
    pub fn open_existing(root: &Path) -> Result<Option<Self>> {
        match fs::metadata(root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            found => check_owner(root, &found.at("stat", root)?)?,
        }
        let Some(version) = fsx::read_if_exists(&root.join("version"), 100)? else { return Ok(None) };
        let found = String::from_utf8_lossy(&version).trim().to_owned();
        if found != STORE_VERSION.to_string() {
            return Err(Error::Version { path: root.to_path_buf(), expected: STORE_VERSION, found });
        }
        Ok(Some(Self::at(root.canonicalize().at("resolve", root)?)))
    }

    /// The store's folder, absolute.
    pub fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn folder(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    fn at(root: PathBuf) -> Self {
        Self {
            root: Arc::new(root),
            own_trees: Arc::default(),
            own_folder: Arc::default(),
            current: Arc::default(),
            grown: Arc::default(),
            early: Arc::default(),
        }
    }
}

/// Makes the folders, and then the version file that makes them a store. Several first processes may race here.
fn create(root: &Path) -> Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(root).at("create the folder", root)?;
    let metadata = fs::metadata(root).at("stat", root)?;
    check_owner(root, &metadata)?;
    for entry in fs::read_dir(root).at("list", root)? {
        let name = entry.at("list", root)?.file_name();
        let name = name.to_string_lossy();
        if !FOLDERS.contains(&name.as_ref()) && !FILES.contains(&name.as_ref()) {
            let problem = format!("it holds other files, such as `{name}`; name an empty or a new folder");
            return Err(Error::Unsafe { path: root.to_path_buf(), problem });
        }
    }
    if metadata.mode() & 0o077 != 0 {
        fs::set_permissions(root, fs::Permissions::from_mode(0o700)).at("change the mode of", root)?;
    }
    for folder in FOLDERS {
        let folder = root.join(folder);
        builder.create(&folder).at("create the folder", &folder)?;
    }
    for lock in [COLLECTING, HOLDING] {
        // Made now, so that gc needs no new file on a full disk.
        super::lock::open(&root.join(lock))?;
    }
    // A store without it is taken for one that was never measured.
    write_number(&root.join(GROWN), 0)?;
    // Named, so that its folder in tmp/ lives until the end.
    let store = Store::at(root.to_path_buf());
    fsx::replace(&store.temporary("version")?, &root.join("version"), format!("{STORE_VERSION}\n").as_bytes())?;
    Ok(())
}

fn check_owner(root: &Path, metadata: &fs::Metadata) -> Result<()> {
    let ours = rustix::process::geteuid().as_raw();
    let problem = if !metadata.is_dir() {
        "it is not a folder".to_owned()
    } else if metadata.uid() != ours {
        format!("it belongs to user {}, not to user {ours} who runs this build", metadata.uid())
    } else if metadata.mode() & 0o022 != 0 {
        format!("others may write to it (mode {:04o}); run `chmod 700` on it", metadata.mode() & 0o7777)
    } else {
        return Ok(());
    };
    Err(Error::Unsafe { path: root.to_path_buf(), problem })
}
