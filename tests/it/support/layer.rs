//! Reads the tar of a layer into entries and says what is wrong with it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use crate::support::archive::sha256;

/// The time that rbuild writes into layers: 1980-01-01.
pub const LAYER_EPOCH: u64 = 315_532_800;

/// One entry of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its path, as bytes and without slashes at either end or a leading `./`; empty for the root folder.
    pub path: Vec<u8>,
    /// Its path as it is written.
    pub raw_path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// Whole seconds.
    pub mtime: u64,
    /// Extended attributes.
    pub xattrs: BTreeMap<String, Vec<u8>>,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A file: its size and the SHA-256 of its content.
    File { size: u64, sha256: String },
    /// A folder.
    Dir,
    /// A symlink and its target.
    Symlink(Vec<u8>),
    /// Another name of an earlier entry.
    Hardlink(Vec<u8>),
    /// A character device.
    Char(u32, u32),
    /// A block device.
    Block(u32, u32),
    /// A named pipe.
    Fifo,
}

/// Reads all entries of a tar.
pub fn read(tar: &[u8]) -> Result<Vec<Entry>, String> {
    let mut archive = tar::Archive::new(tar);
    let mut entries = Vec::new();
    for entry in archive.entries().map_err(|error| error.to_string())? {
        let entry = entry.map_err(|error| format!("after {} entries: {error}", entries.len()))?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if entry.header().entry_type().is_pax_global_extensions() {
            continue;
        }
        entries.push(read_entry(entry).map_err(|error| format!("`{name}`: {error}"))?);
    }
    Ok(entries)
}

fn read_entry(mut entry: tar::Entry<'_, &[u8]>) -> Result<Entry, String> {
    let explain = |error: std::io::Error| error.to_string();
    let mut xattrs = BTreeMap::new();
    let mut pax_mtime = None;
    if let Some(records) = entry.pax_extensions().map_err(explain)? {
        for record in records {
            let record = record.map_err(explain)?;
            let key = record.key().map_err(|error| error.to_string())?;
            if let Some(name) = key.strip_prefix("SCHILY.xattr.") {
                xattrs.insert(name.to_owned(), record.value_bytes().to_owned());
            } else if key == "mtime" {
                let value = record.value().map_err(|error| error.to_string())?;
                pax_mtime = value.split('.').next().and_then(|seconds| seconds.parse().ok());
            }
        }
    }
    let header = entry.header().clone();
    let raw_path = entry.path_bytes().into_owned();
    let link = entry.link_name_bytes().unwrap_or_default().into_owned();
    let device = || -> Result<(u32, u32), String> {
        let part = |number: std::io::Result<Option<u32>>| number.map_err(explain)?.ok_or("no device number".to_owned());
        Ok((part(header.device_major())?, part(header.device_minor())?))
    };
    let kind = match header.entry_type() {
        tar::EntryType::Regular | tar::EntryType::Continuous => {
            let mut content = Vec::new();
            entry.read_to_end(&mut content).map_err(explain)?;
            Kind::File { size: content.len() as u64, sha256: sha256(&content) }
        }
        tar::EntryType::Directory => Kind::Dir,
        tar::EntryType::Symlink => Kind::Symlink(link),
        tar::EntryType::Link => Kind::Hardlink(clean(&link)),
        tar::EntryType::Char => device().map(|(major, minor)| Kind::Char(major, minor))?,
        tar::EntryType::Block => device().map(|(major, minor)| Kind::Block(major, minor))?,
        tar::EntryType::Fifo => Kind::Fifo,
        other => return Err(format!("the kind {other:?} has no place in a layer")),
    };
    Ok(Entry {
        path: clean(&raw_path),
        raw_path,
        kind,
        mode: header.mode().map_err(explain)? & 0o7777,
        // The reader has put PAX owners into the header.
        uid: header.uid().map_err(explain)?,
        gid: header.gid().map_err(explain)?,
        mtime: pax_mtime.map_or_else(|| header.mtime().map_err(explain), Ok)?,
        xattrs,
    })
}

/// A path without leading `/` and `./` and without a slash at its end.
pub fn clean(path: &[u8]) -> Vec<u8> {
    let mut path = path;
    while let Some(rest) = path.strip_prefix(b"./").or_else(|| path.strip_prefix(b"/")) {
        path = rest;
    }
    while let Some(rest) = path.strip_suffix(b"/") {
        path = rest;
    }
    if path == b"." { Vec::new() } else { path.to_owned() }
}

/// The part before the last slash, or nothing for a path at the top.
pub fn parent(path: &[u8]) -> Option<&[u8]> {
    path.iter().rposition(|byte| *byte == b'/').map(|at| &path[..at])
}

/// What rbuild's own layers must hold and do not; `fixed_times` if they were written with the default policy.
pub fn problems(entries: &[Entry], fixed_times: bool) -> Vec<String> {
    let mut found = Vec::new();
    let mut seen: BTreeMap<&[u8], &Entry> = BTreeMap::new();
    let mut whiteouts = BTreeSet::new();
    for entry in entries {
        let name = String::from_utf8_lossy(&entry.raw_path).into_owned();
        let mut say = |what: &str| found.push(format!("`{name}` {what}"));
        if !is_legal(entry) {
            say("is no clean relative path");
        }
        if seen.contains_key(entry.path.as_slice()) {
            say("is there twice");
        }
        match parent(&entry.path).map(|parent| seen.get(parent)) {
            Some(None) => say("comes without its folder before it"),
            Some(Some(folder)) if folder.kind != Kind::Dir => say("lies in something that is no folder"),
            _ => {}
        }
        if let Kind::Hardlink(target) = &entry.kind {
            match seen.get(target.as_slice()).map(|entry| &entry.kind) {
                None => say("is a hard link to nothing that this layer has before it"),
                Some(Kind::Dir | Kind::Hardlink(_)) => say("is a hard link to a folder or a link"),
                Some(_) => {}
            }
        }
        if let Some(hidden) = whiteout(&entry.path) {
            if !matches!(&entry.kind, Kind::File { size: 0, .. }) {
                say("is a whiteout that is no empty file");
            }
            whiteouts.insert(hidden);
        }
        if fixed_times && entry.mtime > LAYER_EPOCH {
            say(&format!("is of the time {}, after the layer epoch", entry.mtime));
        }
        seen.insert(&entry.path, entry);
    }
    let both = whiteouts.iter().filter(|path| seen.contains_key(path.as_slice()));
    found.extend(both.map(|path| format!("`{}` is there and has a whiteout too", String::from_utf8_lossy(path))));
    found
}

/// The path that a whiteout takes away; nothing for an opaque marker or any other entry.
pub fn whiteout(path: &[u8]) -> Option<Vec<u8>> {
    let name_at = parent(path).map_or(0, |parent| parent.len() + 1);
    let hidden = path[name_at..].strip_prefix(b".wh.".as_slice())?;
    (!hidden.starts_with(b".wh.")).then(|| [&path[..name_at], hidden].concat())
}

fn is_legal(entry: &Entry) -> bool {
    let mut expected = entry.path.clone();
    if entry.kind == Kind::Dir {
        expected.push(b'/');
    }
    let parts_are_names = entry.path.split(|byte| *byte == b'/').all(|part| !matches!(part, b"" | b"." | b".."));
    parts_are_names && entry.raw_path == expected && !entry.path.contains(&0)
}
