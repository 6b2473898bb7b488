//! Reads an image archive (or an unpacked one) into memory, with nothing but a tar reader.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use serde_json::Value;
use sha2::{Digest, Sha256};

/// The files of an archive, by their names.
#[derive(Debug, Default)]
pub struct Archive {
    /// Each file's bytes. A symlink, which old archives of Docker have for repeated layers, counts as its target.
    pub files: BTreeMap<String, Vec<u8>>,
    /// The folders.
    pub folders: BTreeSet<String>,
    /// What is wrong with the archive as a tar.
    pub problems: Vec<String>,
}

impl Archive {
    /// Reads a tar file, or a folder such as an OCI layout.
    pub fn open(path: &Path) -> Result<Self, String> {
        let mut archive = Self::default();
        if path.is_dir() {
            archive.read_folder(path, "")?;
        } else {
            archive.read_tar(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
        }
        Ok(archive)
    }

    /// The bytes of a file that must be there.
    pub fn file(&self, name: &str) -> Result<&[u8], String> {
        self.files.get(name).map(Vec::as_slice).ok_or_else(|| format!("the archive has no `{name}`"))
    }

    /// A JSON file that must be there.
    pub fn json(&self, name: &str) -> Result<Value, String> {
        serde_json::from_slice(self.file(name)?).map_err(|error| format!("`{name}`: {error}"))
    }

    fn read_folder(&mut self, dir: &Path, prefix: &str) -> Result<(), String> {
        let explain = |error: std::io::Error| format!("cannot read `{}`: {error}", dir.display());
        for entry in fs::read_dir(dir).map_err(explain)? {
            let entry = entry.map_err(explain)?;
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                self.read_folder(&entry.path(), &format!("{name}/"))?;
                self.folders.insert(name);
            } else {
                self.files.insert(name, fs::read(entry.path()).map_err(explain)?);
            }
        }
        Ok(())
    }

    fn read_tar(&mut self, path: &Path) -> std::io::Result<()> {
        let mut links = Vec::new();
        let mut seen = BTreeSet::new();
        let mut tar = tar::Archive::new(File::open(path)?);
        for entry in tar.entries()? {
            let mut entry = entry?;
            let name = String::from_utf8_lossy(&entry.path_bytes()).trim_end_matches('/').to_owned();
            if !seen.insert(name.clone()) {
                self.problems.push(format!("the archive has `{name}` twice"));
            }
            match entry.header().entry_type() {
                tar::EntryType::Regular => {
                    let mut bytes = Vec::new();
                    entry.read_to_end(&mut bytes)?;
                    self.files.insert(name, bytes);
                }
                tar::EntryType::Directory => {
                    self.folders.insert(name);
                }
                tar::EntryType::Symlink => {
                    let target = entry.link_name_bytes().unwrap_or_default();
                    links.push((name, String::from_utf8_lossy(&target).into_owned()));
                }
                kind => self.problems.push(format!("the archive's `{name}` is of the kind {kind:?}")),
            }
        }
        self.follow(links);
        Ok(())
    }

    fn follow(&mut self, links: Vec<(String, String)>) {
        for (name, target) in links {
            // `ID/layer.tar -> ../OTHER/layer.tar`, or a bare name at the top.
            let target = target.trim_start_matches("../");
            match self.files.get(target).cloned() {
                Some(bytes) => drop(self.files.insert(name, bytes)),
                None => self.problems.push(format!("the archive's `{name}` points to `{target}`, which is not there")),
            }
        }
    }
}

/// The SHA-256 of the bytes in hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
