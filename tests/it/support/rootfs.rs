//! Puts layers on top of each other and writes the resulting file tree as text, one line an entry.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::support::layer::{Entry, Kind, parent, whiteout};

/// The file tree of an image. Names that are hard links of each other share one entry.
#[derive(Debug, Default)]
pub struct Rootfs {
    entries: BTreeMap<Vec<u8>, Rc<Entry>>,
}

impl Rootfs {
    /// Applies the layers in their order, the lowest first.
    pub fn merge<'a>(layers: impl IntoIterator<Item = &'a [Entry]>) -> Result<Self, String> {
        let mut rootfs = Self::default();
        for (number, layer) in layers.into_iter().enumerate() {
            rootfs.apply(layer).map_err(|problem| format!("layer {}: {problem}", number + 1))?;
        }
        Ok(rootfs)
    }

    /// An entry by its path without a slash at the front.
    pub fn get(&self, path: &str) -> Option<&Entry> {
        self.entries.get(path.as_bytes()).map(Rc::as_ref)
    }

    /// `kind mode uid:gid size mtime sha256 /path`, with what is special after it: ` -> target`, `{name=value}`,
    /// `(2 names)`, `(same file as /x)`.
    pub fn dump(&self) -> String {
        self.lines(Times::Shown).into_iter().map(|(_, line)| line + "\n").collect()
    }

    /// Each path, without a slash at its front, and its line in the form of `dump` without the time.
    pub fn listing(&self) -> BTreeMap<Vec<u8>, String> {
        self.lines(Times::LeftOut).into_iter().map(|(path, line)| (path.clone(), line)).collect()
    }

    fn lines(&self, times: Times) -> Vec<(&Vec<u8>, String)> {
        let mut names: BTreeMap<*const Entry, Vec<&[u8]>> = BTreeMap::new();
        for (path, entry) in &self.entries {
            names.entry(Rc::as_ptr(entry)).or_default().push(path);
        }
        let line = |path: &Vec<u8>, entry: &Rc<Entry>| {
            let same = names.get(&Rc::as_ptr(entry)).map_or(&[][..], Vec::as_slice);
            let note = match same {
                [first, ..] if first != path => format!(" (same file as {})", absolute(first)),
                [_, _, ..] => format!(" ({} names)", same.len()),
                _ => String::new(),
            };
            format!("{} {}{}{note}", facts(entry, times), absolute(path), tail(entry))
        };
        self.entries.iter().map(|(path, entry)| (path, line(path, entry))).collect()
    }

    fn apply(&mut self, layer: &[Entry]) -> Result<(), String> {
        let mut fresh: BTreeSet<Vec<u8>> = BTreeSet::new();
        for entry in layer.iter().filter(|entry| !entry.path.is_empty()) {
            if let Some(dir) = opaque(&entry.path) {
                self.remove_below(dir, &fresh);
            } else if let Some(hidden) = whiteout(&entry.path) {
                self.remove(&hidden, &fresh);
            } else {
                self.put(entry)?;
                fresh.insert(entry.path.clone());
            }
        }
        Ok(())
    }

    fn put(&mut self, entry: &Entry) -> Result<(), String> {
        let name = String::from_utf8_lossy(&entry.path).into_owned();
        let mut above = parent(&entry.path);
        while let Some(dir) = above {
            match self.entries.get(dir).map(|folder| &folder.kind) {
                Some(Kind::Dir) => {}
                Some(_) => return Err(format!("`{name}` lies below `{}`, which is no folder", quoted(dir))),
                None => drop(self.entries.insert(dir.to_owned(), Rc::new(implied_folder(dir)))),
            }
            above = parent(dir);
        }
        let new = match &entry.kind {
            Kind::Hardlink(target) => match self.entries.get(target) {
                Some(file) => Rc::clone(file),
                None => return Err(format!("`{name}` is a hard link to `{}`, which is not there", quoted(target))),
            },
            _ => Rc::new(entry.clone()),
        };
        if new.kind != Kind::Dir {
            self.remove(&entry.path, &BTreeSet::new());
        }
        self.entries.insert(entry.path.clone(), new);
        Ok(())
    }

    fn remove(&mut self, path: &[u8], keep: &BTreeSet<Vec<u8>>) {
        if !keep.contains(path) {
            self.entries.remove(path);
        }
        self.remove_below(path, keep);
    }

    fn remove_below(&mut self, dir: &[u8], keep: &BTreeSet<Vec<u8>>) {
        let prefix = if dir.is_empty() { Vec::new() } else { [dir, b"/"].concat() };
        let below = self.entries.range(prefix.clone()..).take_while(|(path, _)| path.starts_with(&prefix));
        let gone: Vec<Vec<u8>> = below.map(|(path, _)| path.clone()).filter(|path| !keep.contains(path)).collect();
        for path in gone {
            self.entries.remove(&path);
        }
    }
}

/// Whether a line tells the time of its entry.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Times {
    Shown,
    LeftOut,
}

/// Entries as they stand in a layer, one line each, in their order.
pub fn dump_layer(entries: &[Entry]) -> String {
    entries
        .iter()
        .map(|entry| format!("{} {}{}\n", facts(entry, Times::Shown), quoted(&entry.raw_path), tail(entry)))
        .collect()
}

/// The folder whose lower content an opaque marker takes away.
fn opaque(path: &[u8]) -> Option<&[u8]> {
    match path.strip_suffix(b".wh..wh..opq".as_slice())? {
        b"" => Some(b""),
        dir => dir.strip_suffix(b"/"),
    }
}

fn implied_folder(path: &[u8]) -> Entry {
    let (path, raw_path) = (path.to_owned(), path.to_owned());
    Entry { path, raw_path, kind: Kind::Dir, mode: 0o755, uid: 0, gid: 0, mtime: 0, xattrs: BTreeMap::new() }
}

fn facts(entry: &Entry, times: Times) -> String {
    let (kind, size, digest) = match &entry.kind {
        Kind::File { size, sha256 } => ("f", size.to_string(), &sha256[..12]),
        Kind::Dir => ("d", "-".to_owned(), "-"),
        Kind::Symlink(_) => ("l", "-".to_owned(), "-"),
        Kind::Hardlink(_) => ("h", "-".to_owned(), "-"),
        Kind::Char(major, minor) => ("c", format!("{major},{minor}"), "-"),
        Kind::Block(major, minor) => ("b", format!("{major},{minor}"), "-"),
        Kind::Fifo => ("p", "-".to_owned(), "-"),
    };
    // A symlink's mode means nothing, and writers differ in it.
    let mode = if kind == "l" { "-".to_owned() } else { format!("{:04o}", entry.mode) };
    let mtime = if times == Times::Shown { format!(" {}", entry.mtime) } else { String::new() };
    format!("{kind} {mode} {}:{} {size}{mtime} {digest}", entry.uid, entry.gid)
}

fn tail(entry: &Entry) -> String {
    let mut tail = match &entry.kind {
        Kind::Symlink(target) | Kind::Hardlink(target) => format!(" -> {}", quoted(target)),
        _ => String::new(),
    };
    if !entry.xattrs.is_empty() {
        let all: Vec<String> = entry.xattrs.iter().map(|(name, value)| format!("{name}={}", quoted(value))).collect();
        tail.push_str(&format!(" {{{}}}", all.join(", ")));
    }
    tail
}

/// A path of a tree, which has no slash at its front, as it stands in a line.
pub fn absolute(path: &[u8]) -> String {
    quoted(&[b"/", path].concat())
}

/// Bytes as text; as a string of JSON where they would break a line or are no text.
fn quoted(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.trim() == text && !text.contains(char::is_control) => text.to_owned(),
        _ => format!("\"{}\"", bytes.utf8_chunks().map(escaped).collect::<String>()),
    }
}

/// The inside of a JSON string in ASCII; a byte that is no text becomes half of a surrogate pair, as in Python.
fn escaped(chunk: std::str::Utf8Chunk<'_>) -> String {
    let mut out = String::new();
    for c in chunk.valid().chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            ' '..='~' => out.push(c),
            _ => out.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}"))),
        }
    }
    out.extend(chunk.invalid().iter().map(|byte| format!("\\udc{byte:02x}")));
    out
}
