//! Files and folders in the store that are no part of it.

use std::fs;
use std::path::{Path, PathBuf};

use super::root::{FILES, FOLDERS};
use super::{Bucket, CacheName, Result, Store, TreeId, object, owner, record};
use crate::digest::BlobDigest;

impl Store {
    /// What lies where objects lie, or at the top, and has no object's name, sorted; a name of an object with something of
    /// another kind under it counts too.
    ///
    /// Nothing of rbuild's looks at such files. `sweep` removes those in the folders for temporary files.
    pub fn strays(&self) -> Result<Vec<PathBuf>> {
        let mut strays = Vec::new();
        let is_top = |name: &str| FOLDERS.contains(&name) || FILES.contains(&name);
        list(self.root(), &mut strays, &mut |name, _| is_top(name))?;
        list(&self.folder("trees"), &mut strays, &mut |name, is_dir| is_dir && TreeId::parse(name).is_some())?;
        list(&self.folder("caches"), &mut strays, &mut |name, is_dir| is_dir && CacheName::parse(name).is_some())?;
        let blobs = self.folder("blobs");
        let is_shard = |name: &str| name.len() == 2 && name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        for shard in list(&blobs, &mut strays, &mut |name, is_dir| is_dir && is_shard(name))? {
            let is_blob =
                |name: &str| name.starts_with(&shard) && format!("sha256:{name}").parse::<BlobDigest>().is_ok();
            list(&blobs.join(&shard), &mut strays, &mut |name, is_dir| !is_dir && is_blob(name))?;
        }
        let records = self.folder("records");
        for bucket in list(&records, &mut strays, &mut |name, is_dir| is_dir && Bucket::from_folder(name).is_some())? {
            list(&records.join(bucket), &mut strays, &mut |name, is_dir| !is_dir && record::unescape(name).is_some())?;
        }
        strays.sort();
        Ok(strays)
    }
}

/// The names in a folder that belong there; the others are added to the strays.
fn list(folder: &Path, strays: &mut Vec<PathBuf>, belongs: &mut dyn FnMut(&str, bool) -> bool) -> Result<Vec<String>> {
    let mut known = Vec::new();
    for name in owner::names(folder)? {
        let path = folder.join(&name);
        let Some(metadata) = object::found(fs::symlink_metadata(&path), &path)? else { continue };
        match name.to_str().filter(|name| belongs(name, metadata.is_dir())) {
            Some(name) => known.push(name.to_owned()),
            None => strays.push(path),
        }
    }
    Ok(known)
}
