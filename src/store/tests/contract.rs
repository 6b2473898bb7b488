//! What every content store promises, as a table: one function a rule, each on a store of its own.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use super::{entries, fixture, make_tree, tree_id};
use crate::digest::BlobDigest;
use crate::store::durable::{mark_synced, unmarked};
use crate::store::{Bucket, Error, Store, Trust};

fn temporary_files(store: &Store) -> usize {
    let folders = entries(&store.root().join("tmp"));
    let folders = folders.iter().filter(|name| !name.ends_with(".lock"));
    folders.map(|name| entries(&store.root().join("tmp").join(name)).len()).sum()
}

fn flip(store: &Store, digest: &BlobDigest, at: u64) {
    let file = fs::OpenOptions::new().read(true).write(true).open(store.blob_path(digest)).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

#[test]
fn putting_a_blob_again_is_success_and_changes_nothing() {
    let (_folder, store) = fixture();
    let digest = store.put_blob(b"hello").unwrap();
    let before = fs::metadata(store.blob_path(&digest)).unwrap();
    assert_eq!(store.put_blob(b"hello").unwrap(), digest);
    let mut writer = store.blob_writer().unwrap();
    writer.write_all(b"hello").unwrap();
    assert_eq!(writer.commit().unwrap(), (digest, 5));
    let after = fs::metadata(store.blob_path(&digest)).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::ino(&before), std::os::unix::fs::MetadataExt::ino(&after));
    assert_eq!(store.read_blob(&digest, 5).unwrap(), b"hello");
}

#[test]
fn many_writers_of_one_blob_all_succeed() {
    let (_folder, store) = fixture();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..20 {
                    let mut writer = store.blob_writer().unwrap();
                    writer.write_all(b"same").unwrap();
                    assert_eq!(writer.commit().unwrap().1, 4);
                }
            });
        }
    });
    assert_eq!(store.verify_blob(&BlobDigest::of(b"same")).unwrap(), 4);
    assert_eq!(temporary_files(&store), 0);
}

#[test]
fn a_dropped_writer_or_draft_leaves_nothing() {
    let (_folder, store) = fixture();
    let mut writer = store.blob_writer().unwrap();
    writer.write_all(b"half").unwrap();
    let draft = store.tree_draft().unwrap();
    fs::write(draft.fs().join("x"), "").unwrap();
    assert_eq!(temporary_files(&store), 2);
    drop((writer, draft));
    assert_eq!(temporary_files(&store), 0);
    let root = store.root().to_path_buf();
    drop(store);
    assert!(entries(&root.join("tmp")).is_empty());
}

#[test]
fn a_blob_that_is_not_what_was_expected_is_not_stored() {
    let (_folder, store) = fixture();
    let mut writer = store.blob_writer().unwrap();
    writer.write_all(b"evil").unwrap();
    let expected = BlobDigest::of(b"good");
    assert!(matches!(writer.commit_expecting(&expected), Err(Error::Damaged { .. })));
    assert_eq!(store.blob_size(&expected).unwrap(), None);
    assert_eq!(store.blob_size(&BlobDigest::of(b"evil")).unwrap(), None);
    assert_eq!(temporary_files(&store), 0);
}

#[test]
fn a_flipped_bit_is_found_at_the_end_of_reading_and_the_blob_goes() {
    let (_folder, store) = fixture();
    let content = vec![7; 300_000];
    for at in [0, 150_000, 299_999] {
        let digest = store.put_blob(&content).unwrap();
        flip(&store, &digest, at);
        // Whoever only asks changes nothing.
        assert!(matches!(store.verify_blob(&digest), Err(Error::Damaged { .. })));
        let mut read = Vec::new();
        let error = store.open_blob(&digest).unwrap().read_to_end(&mut read).unwrap_err();
        assert_eq!((error.kind(), read.len()), (std::io::ErrorKind::InvalidData, content.len()));
        assert!(matches!(store.verify_blob(&digest), Err(Error::NoBlob { .. })));
        store.put_blob(&content).unwrap();
        flip(&store, &digest, at);
        assert!(matches!(store.read_blob(&digest, 1 << 20), Err(Error::Damaged { .. })));
        assert_eq!(store.blob_size(&digest).unwrap(), None);
    }
}

/// containerd's store says that a damaged blob exists already, and keeps it for ever.
#[test]
fn a_damaged_blob_is_replaced_by_whoever_writes_it_again() {
    let (_folder, store) = fixture();
    let digest = store.put_blob(b"content").unwrap();
    let damages: [&dyn Fn(); 4] = [
        &|| flip(&store, &digest, 3),
        &|| fs::write(store.blob_path(&digest), "").unwrap(),
        &|| fs::write(store.blob_path(&digest), "content and more").unwrap(),
        &|| fs::write(store.blob_path(&digest), [0; 7]).unwrap(),
    ];
    for damage in damages {
        damage();
        assert_eq!(store.put_blob(b"content").unwrap(), digest);
        assert_eq!(store.read_blob(&digest, 7).unwrap(), b"content");
        damage();
        let mut writer = store.blob_writer().unwrap();
        writer.write_all(b"content").unwrap();
        writer.commit_expecting(&digest).unwrap();
        assert_eq!(store.verify_blob(&digest).unwrap(), 7);
    }
}

#[test]
fn only_a_damaged_blob_is_discarded() {
    let (_folder, store) = fixture();
    let digest = store.put_blob(b"content").unwrap();
    assert!(!store.discard_blob(&digest).unwrap());
    flip(&store, &digest, 3);
    assert!(store.discard_blob(&digest).unwrap());
    assert!(!store.discard_blob(&digest).unwrap());
    assert!(matches!(store.read_blob(&digest, 7), Err(Error::NoBlob { .. })));
    assert!(entries(&store.root().join("trash")).is_empty());
}

#[test]
fn a_blob_larger_than_the_limit_is_an_error() {
    let (_folder, store) = fixture();
    let digest = store.put_blob(b"12345").unwrap();
    let error = store.read_blob(&digest, 4).unwrap_err().to_string();
    assert!(error.contains("larger than 4 bytes"), "{error}");
}

#[test]
fn a_reader_of_a_record_never_sees_half_of_it() {
    let (_folder, store) = fixture();
    let content = |fill: u8| vec![fill; 20_000];
    store.write_record(Bucket::Names, "a/b:1", &content(0)).unwrap();
    std::thread::scope(|scope| {
        let writers: Vec<_> = (1..=3)
            .map(|fill| {
                let (store, content) = (store.clone(), content(fill));
                scope.spawn(move || (0..30).for_each(|_| store.write_record(Bucket::Names, "a/b:1", &content).unwrap()))
            })
            .collect();
        while writers.iter().any(|writer| !writer.is_finished()) {
            let read = store.read_record(Bucket::Names, "a/b:1").unwrap().unwrap();
            assert!(read.len() == 20_000 && read.iter().all(|byte| *byte == read[0]));
        }
    });
    assert_eq!(store.record_names(Bucket::Names).unwrap(), ["a/b:1"]);
    store.remove_record(Bucket::Names, "a/b:1").unwrap();
    store.remove_record(Bucket::Names, "a/b:1").unwrap();
    assert_eq!(store.read_record(Bucket::Names, "a/b:1").unwrap(), None);
}

#[test]
fn a_record_name_that_cannot_be_a_file_name_is_an_error_to_write_and_absent_to_read() {
    let (_folder, store) = fixture();
    for name in ["", &"x".repeat(251), &"/".repeat(84)] {
        let error = store.write_record(Bucket::Names, name, b"x").unwrap_err();
        assert!(matches!(error, Error::Name { .. }), "{error}");
        assert_eq!(store.read_record(Bucket::Names, name).unwrap(), None);
        store.remove_record(Bucket::Names, name).unwrap();
    }
    store.write_record(Bucket::Names, &"x".repeat(250), b"x").unwrap();
}

#[test]
fn the_first_of_two_equal_trees_stays() {
    let (_folder, store) = fixture();
    let (first, second) = (store.tree_draft().unwrap(), store.tree_draft().unwrap());
    fs::write(first.fs().join("file"), "first").unwrap();
    fs::write(second.fs().join("file"), "second").unwrap();
    let tree = first.commit(tree_id("x")).unwrap();
    assert_eq!(second.commit(tree_id("x")).unwrap(), tree);
    assert_eq!(fs::read(tree.fs.join("file")).unwrap(), b"first");
    assert_eq!(temporary_files(&store), 0);
}

#[test]
fn what_is_left_of_a_tree_does_not_keep_it_from_being_made() {
    let (_folder, store) = fixture();
    let id = make_tree(&store, "x");
    store.mark_durable().unwrap();
    fs::remove_dir_all(store.tree_folder(id).join("fs")).unwrap();
    assert_eq!(store.tree(id).unwrap(), None);
    make_tree(&store, "x");
    assert_eq!(fs::read(store.tree(id).unwrap().unwrap().fs.join("file")).unwrap(), b"x");
}

#[test]
fn others_trust_a_tree_once_it_is_marked() {
    let (_folder, store) = fixture();
    let id = make_tree(&store, "x");
    let other = Store::open(store.root()).unwrap();
    assert_eq!(store.tree(id).unwrap().unwrap().trust, Trust::Trusted);
    assert_eq!(other.tree(id).unwrap().unwrap().trust, Trust::Unverified);
    store.mark_durable().unwrap();
    assert_eq!(other.tree(id).unwrap().unwrap().trust, Trust::Trusted);
    store.remove_tree(id).unwrap();
    store.mark_durable().unwrap();
    assert_eq!(other.tree(id).unwrap(), None);
}

#[test]
fn a_tree_that_took_the_place_of_a_synced_one_is_not_marked_even_with_its_inode() {
    let (_folder, store) = fixture();
    let (same, remade) = (make_tree(&store, "same"), make_tree(&store, "remade"));
    let synced = unmarked(store.root(), &store.own_trees);
    let folder = fs::File::open(store.tree_folder(remade)).unwrap();
    folder.set_modified(folder.metadata().unwrap().modified().unwrap() + Duration::from_nanos(1)).unwrap();
    mark_synced(synced).unwrap();
    let other = Store::open(store.root()).unwrap();
    assert_eq!(other.tree(same).unwrap().unwrap().trust, Trust::Trusted);
    assert_eq!(other.tree(remade).unwrap().unwrap().trust, Trust::Unverified);
}

#[test]
fn a_store_that_is_dropped_writes_no_more() {
    for _ in 0..20 {
        let (folder, store) = fixture();
        make_tree(&store, "x");
        store.sync_soon(1 << 30).unwrap();
        drop(store);
        folder.close().unwrap();
    }
}

#[test]
fn many_bytes_of_trees_are_synced_before_the_end_and_few_are_not() {
    let (_folder, store) = fixture();
    let other = Store::open(store.root()).unwrap();
    let (few, many) = (make_tree(&store, "few"), make_tree(&store, "many"));
    store.sync_soon(1 << 20).unwrap();
    store.join_early().unwrap();
    assert_eq!(other.tree(few).unwrap().unwrap().trust, Trust::Unverified);
    store.sync_soon(1 << 30).unwrap();
    store.join_early().unwrap();
    for tree in [few, many] {
        assert_eq!(other.tree(tree).unwrap().unwrap().trust, Trust::Trusted);
    }
}
