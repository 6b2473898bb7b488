//! Small trees on disk.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use tempfile::TempDir;

use crate::context::{DirectorySource, Ignore, SelectOptions, Selection, StatCache, select};

/// A folder with one entry a line: `path`, `path/`, `path -> target`, any of the first two with ` mode=0755` behind.
/// A file holds its own path.
pub fn tree(lines: &str) -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary folder");
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some((path, target)) = line.split_once(" -> ") {
            make_parents(&dir.path().join(path));
            symlink(target, dir.path().join(path)).expect("symlink");
            continue;
        }
        let (path, mode) = line.split_once(" mode=").unwrap_or((line, ""));
        let host = dir.path().join(path);
        make_parents(&host);
        match path.strip_suffix('/') {
            Some(_) => fs::create_dir_all(&host).expect("folder"),
            None => fs::write(&host, path).expect("file"),
        }
        if let Ok(mode) = u32::from_str_radix(mode, 8) {
            fs::set_permissions(&host, fs::Permissions::from_mode(mode)).expect("mode");
        }
    }
    dir
}

fn make_parents(path: &Path) {
    fs::create_dir_all(path.parent().expect("below the root")).expect("parents");
}

pub fn open(dir: &Path, ignore: &str) -> DirectorySource {
    let ignore = Ignore::parse(".dockerignore", ignore.as_bytes()).expect("rules");
    DirectorySource::open(dir, ignore, &[], StatCache::default()).expect("context")
}

/// `NAME[/]: relative paths` for each match, a line each.
pub fn show(selection: &Selection) -> String {
    let mut shown = String::new();
    for matched in selection.sources.iter().flat_map(|source| &source.matches) {
        shown.push_str(&String::from_utf8_lossy(&matched.name));
        shown.push_str(if matched.is_directory { "/:" } else { ":" });
        for selected in &matched.selected {
            let slash = if selected.meta.kind.is_directory() { "/" } else { "" };
            shown.push_str(&format!(" {}{slash}", selected.relative));
        }
        shown.push('\n');
    }
    shown
}

pub fn selected(dir: &Path, ignore: &str, sources: &[&str], options: &SelectOptions) -> String {
    let sources: Vec<&[u8]> = sources.iter().map(|source| source.as_bytes()).collect();
    match select(&open(dir, ignore), &sources, options) {
        Ok(selection) => show(&selection),
        Err(error) => format!("error: {error}\n"),
    }
}
