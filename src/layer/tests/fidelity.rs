//! What is rare on disk and must survive all the same: very deep paths and very long holes.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use super::*;

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Opens, and makes where they are missing, folders of that name below each other.
fn descend(root: &Path, name: &str, depth: usize) -> OwnedFd {
    let mut at = rustix::fs::open(root, FOLDER, Mode::empty()).expect("the root");
    for _ in 0..depth {
        // It may be there.
        let _made = rustix::fs::mkdirat(&at, name, Mode::from_raw_mode(0o755));
        at = rustix::fs::openat(&at, name, FOLDER, Mode::empty()).expect("a folder");
    }
    at
}

fn draft_layer(place: &Place, fill: impl FnOnce(&Path)) -> Result<Layer> {
    let draft = place.store.tree_draft().expect("a draft");
    fill(&draft.fs());
    layer_from_upper(&place.store, draft, &Stack::default(), TimePolicy::Fixed, Form::Leaving(Compression::DEFAULT))
}

/// Sends a layer's blob to another store, and unpacks it there.
fn elsewhere(from: &Place, layer: &Layer) -> (Place, std::path::PathBuf) {
    let to = place();
    let blob = compressed(&from.store, layer, Compression::DEFAULT).expect("a blob");
    let bytes = from.store.read_blob(&blob.digest, 64 << 20).expect("it is there");
    to.store.put_blob(&bytes).expect("stored");
    let nothing = Stack::default();
    let lower = Lower { layers: &[], stack: &nothing };
    let (diff_id, chain) = (Some(&layer.diff_id), ChainId::empty());
    let read = import(&to.store, &blob.digest, &blob.media_type, diff_id, lower, &chain, Unpack::Tree);
    let tree = to.store.tree(read.expect("a layer").tree).expect("it can be asked for").expect("it was unpacked");
    (to, tree.fs)
}

#[test]
fn a_path_of_64_kib_is_kept() {
    require_root();
    let (name, depth) = ("n".repeat(255), 255);
    let from = place();
    let layer = draft_layer(&from, |fs| {
        let folder = descend(fs, &name, depth);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&folder, "file", flags, Mode::from_raw_mode(0o640)).expect("a file");
        rustix::io::write(&file, b"deep").expect("room");
    })
    .expect("a layer");
    let entries = listing(&from.store, layer.tree).expect("a listing");
    let longest = entries.entries().iter().map(|entry| entry.path.as_bytes().len()).max();
    assert_eq!(longest, Some(255 * 256 + 4));
    let (_to, fs) = elsewhere(&from, &layer);
    let folder = descend(&fs, &name, depth);
    let file = rustix::fs::openat(&folder, "file", OFlags::RDONLY, Mode::empty()).expect("the file");
    let file = File::from(file);
    assert_eq!(file.metadata().expect("stat").mode() & 0o7777, 0o640);
    assert_eq!(std::io::read_to_string(file).expect("text"), "deep");
}

#[test]
fn a_hole_stays_a_hole() {
    require_root();
    let from = place();
    let layer = draft_layer(&from, |fs| {
        let file = File::create(fs.join("log")).expect("a file");
        file.set_len(48 << 20).expect("a hole");
        std::os::unix::fs::FileExt::write_all_at(&file, b"end", (48 << 20) - 3).expect("room");
    })
    .expect("a layer");
    let (_to, fs) = elsewhere(&from, &layer);
    let metadata = std::fs::metadata(fs.join("log")).expect("the file");
    assert_eq!(metadata.len(), 48 << 20);
    assert!(metadata.blocks() * 512 < 2 << 20, "{} blocks", metadata.blocks());
}

#[test]
fn a_hole_of_500_gigabytes_is_refused_by_its_name_and_at_once() {
    require_root();
    let from = place();
    let error = draft_layer(&from, |fs| {
        let file = File::create(fs.join("lastlog")).expect("a file");
        file.set_len(500_000_000_000).expect("a hole");
    });
    let text = error.expect_err("it is too long").to_string();
    assert_eq!(text, "`/lastlog` goes beyond a limit: the bytes of a layer may be at most 274877906944");
    assert_eq!(from.unfinished(), 0);
}
