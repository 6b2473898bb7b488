//! Turns one string into a folder of files.
//!
//! `//- path [mode=755] [-> target]` starts a file, and its lines follow; a path that ends in `/` is a folder, and
//! one with a target is a symlink. The indentation of the first marker is taken off every line. Modes are set
//! whatever the umask is: 644 for a file and 755 for a folder where none is given.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

/// One file, folder or symlink of a fixture.
#[derive(Debug, PartialEq, Eq)]
pub struct Item {
    /// Its path in the folder, without a slash at the end.
    pub path: String,
    /// What it is.
    pub kind: Kind,
    /// The mode that the marker tells.
    pub mode: Option<u32>,
}

/// What an item of a fixture is.
#[derive(Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file with its content.
    File(Vec<u8>),
    /// A folder.
    Dir,
    /// A symlink with its target.
    Symlink(String),
}

/// Writes the fixture into `dir`, which must exist.
#[track_caller]
pub fn write(dir: &Path, fixture: &str) {
    write_items(dir, &parse(fixture));
}

/// Writes the items into `dir`, which must exist.
#[track_caller]
pub fn write_items(dir: &Path, items: &[Item]) {
    for item in items {
        write_item(dir, item);
    }
}

/// Reads the items of a fixture in their order.
#[track_caller]
pub fn parse(fixture: &str) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    let indent = fixture.lines().find(|line| line.trim_start().starts_with("//-")).map_or(0, indentation);
    // A raw string that is closed on a line of its own ends in spaces, which are no line of the last file.
    let body = fixture.rsplit_once('\n').filter(|(_, end)| end.trim().is_empty()).map_or(fixture, |(body, _)| body);
    for line in body.split('\n') {
        let line = &line[indentation(line).min(indent)..];
        if let Some(marker) = line.strip_prefix("//-") {
            items.push(parse_marker(marker));
        } else if let Some(item) = items.last_mut() {
            match &mut item.kind {
                Kind::File(content) => {
                    content.extend(line.as_bytes());
                    content.push(b'\n');
                }
                _ => assert!(line.is_empty(), "fixture: `{}` is no file but has the line `{line}`", item.path),
            }
        } else {
            assert!(line.is_empty(), "fixture: `{line}` stands before the first `//-`");
        }
    }
    assert!(!items.is_empty(), "fixture: there is no `//-` line");
    items
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

#[track_caller]
fn parse_marker(marker: &str) -> Item {
    let (head, target) = match marker.split_once(" -> ") {
        Some((head, target)) => (head, Some(target.trim().to_owned())),
        None => (marker, None),
    };
    let mut words = head.split_whitespace();
    let path = words.next().expect("fixture: `//-` needs a path");
    let legal = !path.starts_with('/') && path.split('/').all(|part| part != "..");
    assert!(legal, "fixture: `{path}` would leave the folder");
    let mut mode = None;
    for word in words {
        let digits = word.strip_prefix("mode=").unwrap_or_else(|| panic!("fixture: `{word}` is no attribute"));
        mode = Some(u32::from_str_radix(digits, 8).unwrap_or_else(|_| panic!("fixture: `{digits}` is no mode")));
    }
    let kind = match target {
        Some(target) => Kind::Symlink(target),
        None if path.ends_with('/') => Kind::Dir,
        None => Kind::File(Vec::new()),
    };
    Item { path: path.trim_end_matches('/').to_owned(), kind, mode }
}

/// Writes one item of a fixture into `dir`.
#[track_caller]
pub fn write_item(dir: &Path, item: &Item) {
    let path = dir.join(&item.path);
    make_parents(dir, Path::new(&item.path));
    let default = match &item.kind {
        Kind::File(content) => {
            fs::write(&path, content).unwrap_or_else(|error| panic!("cannot write `{}`: {error}", path.display()));
            0o644
        }
        Kind::Dir => {
            fs::create_dir_all(&path).unwrap_or_else(|error| panic!("cannot make `{}`: {error}", path.display()));
            0o755
        }
        Kind::Symlink(target) => {
            symlink(target, &path).unwrap_or_else(|error| panic!("cannot link `{}`: {error}", path.display()));
            return;
        }
    };
    set_mode(&path, item.mode.unwrap_or(default));
}

fn make_parents(dir: &Path, path: &Path) {
    let mut parents: Vec<&Path> = path.ancestors().skip(1).collect();
    parents.reverse();
    for parent in parents {
        let parent = dir.join(parent);
        if !parent.exists() {
            fs::create_dir(&parent).unwrap_or_else(|error| panic!("cannot make `{}`: {error}", parent.display()));
            set_mode(&parent, 0o755);
        }
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .unwrap_or_else(|error| panic!("cannot set the mode of `{}`: {error}", path.display()));
}
