//! Full disks, few file descriptors, deep trees.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::process::{Resource, Rlimit, setrlimit};

use super::process::{child, succeeds};
use super::{collect_all, make_tree, tree_id, wait};
use crate::fsx;
use crate::store::{Bucket, Error, Store};

#[test]
fn a_full_disk_is_named_and_gc_works_on_it() {
    let folder = super::private_folder();
    let mount = r#"mount -t tmpfs -o size=2m,mode=700 none "$RBUILD_TEST_ROOT" && exec "$@""#;
    succeeds(child("full", folder.path(), &["unshare", "-m", "sh", "-c", mount, "sh"]));
}

/// In a process of its own, with a small file system of its own.
pub(super) fn full(root: &Path) {
    let store = Store::open(root).unwrap();
    let tree = make_tree(&store, "x");
    let content = |fill: u8| vec![fill; 50_000];
    let error = (0..=255).find_map(|fill| store.put_blob(&content(fill)).err()).expect("the disk is small");
    assert!(matches!(error, Error::Full(_)), "{error}");
    let text = error.to_string();
    assert!(text.contains(&root.display().to_string()) && text.contains("`rbuild prune`"), "{text}");
    // Down to the last byte.
    let lease = store.lease().unwrap();
    let filler = fs::File::create(root.join("tmp/filler")).unwrap();
    while std::io::Write::write(&mut &filler, &[1; 512]).is_ok() {}
    let error = store.write_record(Bucket::Names, "x", &content(1)).unwrap_err();
    assert!(matches!(error, Error::Full(_)), "{error}");
    drop(lease);
    drop(store);

    let store = Store::open(root).unwrap();
    let held = fs::OpenOptions::new().write(true).open(root.join("tmp/filler")).unwrap();
    let collection = store.collection(&mut wait).unwrap();
    let collected = collection.remove_unless(&|_, _| false).unwrap();
    drop(held);
    assert!(collected.objects > 20 && collected.bytes > 1_000_000, "{collected:?}");
    assert_eq!(store.tree(tree).unwrap(), None);
    store.put_blob(&content(255)).unwrap();
    make_tree(&store, "x");
}

#[test]
fn a_store_that_cannot_be_written_is_read_and_named() {
    let folder = super::private_folder();
    let store = Store::open(&folder.path().join("store")).unwrap();
    store.put_blob(b"x").unwrap();
    store.write_record(Bucket::Names, "x", b"x").unwrap();
    let mount = r#"mount --bind "$RBUILD_TEST_ROOT" "$RBUILD_TEST_ROOT" &&
        mount -o remount,bind,ro "$RBUILD_TEST_ROOT" && exec "$@""#;
    succeeds(child("readonly", folder.path(), &["unshare", "-m", "sh", "-c", mount, "sh"]));
}

/// In a process of its own, for which the file system is read-only.
pub(super) fn readonly(root: &Path) {
    let store = Store::open(&root.join("store")).unwrap();
    let digest = crate::digest::BlobDigest::of(b"x");
    assert_eq!(store.read_blob(&digest, 1).unwrap(), b"x");
    assert_eq!(store.put_blob(b"x").unwrap(), digest);
    assert_eq!(store.read_record(Bucket::Names, "x").unwrap().unwrap(), b"x");
    assert_eq!(store.objects().unwrap().len(), 2);
    let new = Store::open(&root.join("new")).map(drop);
    for outcome in [new, store.put_blob(b"y").map(drop), store.lease().map(drop), store.collection(&mut wait).map(drop)]
    {
        let error = outcome.unwrap_err();
        assert!(matches!(error, Error::Unwritable(_)), "{error}");
        let text = error.to_string();
        assert!(text.contains(&root.display().to_string()) && text.contains("read-only"), "{text}");
    }
}

#[test]
fn everything_works_with_64_file_descriptors() {
    let folder = super::private_folder();
    succeeds(child("few", folder.path(), &[]));
}

/// In a process of its own, whose limit it lowers.
pub(super) fn few(root: &Path) {
    setrlimit(Resource::Nofile, Rlimit { current: Some(64), maximum: Some(64) }).unwrap();
    let store = Store::open(&root.join("store")).unwrap();
    let lease = store.lease().unwrap();
    for number in 0..200_u32 {
        store.put_blob(&number.to_le_bytes()).unwrap();
        store.write_record(Bucket::Steps, &number.to_string(), b"x").unwrap();
    }
    for number in 0..100 {
        make_tree(&store, &number.to_string());
    }
    let draft = store.tree_draft().unwrap();
    deepen(&draft.fs(), 300);
    draft.commit(tree_id("deep")).unwrap();
    store.mark_durable().unwrap();
    assert_eq!(store.objects().unwrap().len(), 501);
    store.objects().unwrap();
    drop(lease);
    assert_eq!(collect_all(&store).objects, 501);
    store.sweep().unwrap();
}

#[test]
fn a_tree_deeper_than_a_path_can_say_is_counted_as_far_as_it_goes_and_removed() {
    let (_folder, store) = super::fixture();
    let draft = store.tree_draft().unwrap();
    deepen(&draft.fs(), 5000);
    draft.commit(tree_id("deep")).unwrap();
    assert_eq!(store.objects().unwrap().len(), 1);
    assert_eq!(collect_all(&store).objects, 1);
}

#[test]
fn two_may_remove_the_same_tree_and_modes_do_not_stop_them() {
    let folder = super::private_folder();
    for _ in 0..10 {
        let top = folder.path().join("top");
        for number in 0..10 {
            let below = top.join(number.to_string());
            fs::create_dir_all(&below).unwrap();
            deepen(&below, 40);
            fs::set_permissions(&below, fs::Permissions::from_mode(0o000)).unwrap();
        }
        std::thread::scope(|scope| {
            let threads = [(); 3].map(|()| scope.spawn(|| fsx::remove_tree(&top).unwrap()));
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        });
        assert!(!top.exists());
    }
}

/// Makes `levels` folders inside each other, with a file in each.
fn deepen(folder: &Path, levels: usize) {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut at: OwnedFd = rustix::fs::openat(CWD, folder, flags, Mode::empty()).unwrap();
    for _ in 0..levels {
        rustix::fs::mkdirat(&at, "d", Mode::RWXU).unwrap();
        rustix::fs::openat(&at, "f", OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC, Mode::RUSR).unwrap();
        at = rustix::fs::openat(&at, "d", flags, Mode::empty()).unwrap();
    }
}
