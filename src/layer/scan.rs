//! Lists what a folder on disk holds, without opening files: for the upper of an overlay, and for checking a tree.

use std::collections::BTreeMap;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, Stat};
use rustix::io::Errno;

use super::beneath::{Root, through_proc};
use super::{Error, Result, limits};
use crate::path::ImagePath;
use crate::tree::Timestamp;

/// What is at one path on disk.
pub(super) struct OnDisk {
    pub(super) path: ImagePath,
    pub(super) stat: Stat,
    /// Where it points, if it is a symbolic link.
    pub(super) target: Vec<u8>,
    /// All of them, an overlay's too.
    pub(super) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl OnDisk {
    /// The time of last change.
    pub(super) fn mtime(&self) -> Timestamp {
        // The kernel's nanoseconds are below 10^9.
        Timestamp { secs: self.stat.st_mtime, nanos: u32::try_from(self.stat.st_mtime_nsec).unwrap_or(0) }
    }

    /// The number of the device that it is.
    pub(super) fn device(&self) -> (u32, u32) {
        (rustix::fs::major(self.stat.st_rdev), rustix::fs::minor(self.stat.st_rdev))
    }
}

/// Everything below the host path `fs`, the folder itself not included, in path order.
pub(super) fn scan(fs: &Path) -> Result<Vec<OnDisk>> {
    let mut root = Root::open(fs)?;
    let mut found: Vec<OnDisk> = Vec::new();
    let mut pending = vec![ImagePath::root()];
    while let Some(folder) = pending.pop() {
        for name in names(&mut root, &folder)? {
            let here = look(&mut root, folder.child(&name))?;
            if rustix::fs::FileType::from_raw_mode(here.stat.st_mode).is_dir() {
                pending.push(here.path.clone());
            }
            found.push(here);
            if found.len() as u64 > limits::MAX_ENTRIES {
                return Err(Error::limit(&folder, "the entries of a layer", limits::MAX_ENTRIES));
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn names(root: &mut Root, folder: &ImagePath) -> Result<Vec<Vec<u8>>> {
    let host = root.path().to_path_buf();
    let failed = || Error::call("list", &host, folder);
    let fd = root.folder(folder)?;
    let mut names = Vec::new();
    for entry in Dir::read_from(fd).map_err(failed())? {
        let entry = entry.map_err(failed())?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(name.to_vec());
        }
    }
    Ok(names)
}

fn look(root: &mut Root, path: ImagePath) -> Result<OnDisk> {
    let host = root.path().to_path_buf();
    let (folder, name) = root.parent(&path)?;
    let stat =
        rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).map_err(Error::call("stat", &host, &path))?;
    let target = match rustix::fs::FileType::from_raw_mode(stat.st_mode) {
        rustix::fs::FileType::Symlink => {
            let target = rustix::fs::readlinkat(folder, name, Vec::new());
            target.map_err(Error::call("read the symbolic link", &host, &path))?.into_bytes()
        }
        _ => Vec::new(),
    };
    let xattrs =
        xattrs(&through_proc(folder, name)).map_err(Error::call("read the extended attributes of", &host, &path))?;
    Ok(OnDisk { path, stat, target, xattrs })
}

/// The extended attributes of what stands at a path, which is not followed.
fn xattrs(path: &[u8]) -> std::result::Result<BTreeMap<Vec<u8>, Vec<u8>>, Errno> {
    let mut xattrs = BTreeMap::new();
    let mut list: Vec<u8> = Vec::new();
    match grow(&mut list, |buffer| rustix::fs::llistxattr(path, buffer)) {
        Ok(()) => {}
        Err(Errno::OPNOTSUPP) => return Ok(xattrs),
        Err(errno) => return Err(errno),
    }
    for name in list.split(|&b| b == 0).filter(|name| !name.is_empty()) {
        let mut value = Vec::new();
        match grow(&mut value, |buffer| rustix::fs::lgetxattr(path, name, buffer)) {
            Ok(()) => {
                xattrs.insert(name.to_vec(), value);
            }
            // `trusted.*` cannot be read without privilege, and nothing put there without privilege matters.
            Err(Errno::NODATA | Errno::PERM) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(xattrs)
}

/// Calls with a larger and larger buffer until the answer fits.
fn grow(
    out: &mut Vec<u8>,
    mut call: impl FnMut(&mut [u8]) -> std::result::Result<usize, Errno>,
) -> std::result::Result<(), Errno> {
    let mut size = 256;
    loop {
        out.resize(size, 0);
        match call(out) {
            Ok(length) => {
                out.truncate(length);
                return Ok(());
            }
            Err(Errno::RANGE) if size < 1 << 20 => size *= 4,
            Err(errno) => return Err(errno),
        }
    }
}
