//! What the store promises, to one process and to several.
#![expect(clippy::unwrap_used, reason = "a failed precondition fails the test where it stands")]

mod caches;
mod collect;
mod contract;
mod limits;
mod names;
mod open;
mod process;

use std::path::Path;

use tempfile::TempDir;

use super::{Collected, Store, TreeId, Waiting};
use crate::digest::DiffId;

/// Closed to others whatever the umask is.
fn private_folder() -> TempDir {
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    tempfile::Builder::new().permissions(mode).tempdir().unwrap()
}

fn fixture() -> (TempDir, Store) {
    let folder = private_folder();
    let store = Store::open(&folder.path().join("store")).unwrap();
    (folder, store)
}

fn wait(_: Waiting) -> bool {
    true
}

fn tree_id(text: &str) -> TreeId {
    TreeId::Layer(DiffId::of(text.as_bytes()))
}

/// A committed tree with one file, `file`, that holds `text`.
fn make_tree(store: &Store, text: &str) -> TreeId {
    let draft = store.tree_draft().unwrap();
    std::fs::write(draft.fs().join("file"), text).unwrap();
    draft.commit(tree_id(text)).unwrap().id
}

fn collect_all(store: &Store) -> Collected {
    store.collection(&mut wait).unwrap().remove_unless(&|_, _| false).unwrap()
}

fn entries(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
