//! Cache folders: who uses which, and what becomes of them.

use std::fs;
use std::path::{Path, PathBuf};

use super::{collect_all, fixture, wait};
use crate::digest::ContentDigest;
use crate::store::{CacheFolder, CacheSharing, Error, Object, Store, Waiting};

fn take(store: &Store, text: &str, sharing: CacheSharing) -> CacheFolder {
    let digest = ContentDigest::of(text.as_bytes());
    let fill = &mut |folder: &Path| {
        fs::write(folder.join("seed"), text).unwrap();
        Ok::<(), Error>(())
    };
    store.cache_folder(digest, sharing, &mut wait, fill).unwrap()
}

/// The folder that is found without waiting; none if one would have to wait.
fn try_take(store: &Store, text: &str, sharing: CacheSharing) -> Option<PathBuf> {
    let digest = ContentDigest::of(text.as_bytes());
    let fill = &mut |_: &Path| Ok::<(), Error>(());
    match store.cache_folder(digest, sharing, &mut |asked| asked != Waiting::StillWanted, fill) {
        Ok(folder) => Some(folder.fs()),
        Err(Error::Interrupted) => None,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_folder_keeps_what_was_written_and_is_filled_once() {
    let (_folder, store) = fixture();
    let first = take(&store, "a", CacheSharing::Shared);
    fs::write(first.fs().join("file"), "kept").unwrap();
    fs::remove_file(first.fs().join("seed")).unwrap();
    drop(first);
    let again = take(&store, "a", CacheSharing::Shared);
    assert_eq!(fs::read_to_string(again.fs().join("file")).unwrap(), "kept");
    assert!(!again.fs().join("seed").exists());
    assert_ne!(take(&store, "b", CacheSharing::Shared).fs(), again.fs());
}

#[test]
fn shared_users_meet_private_ones_do_not_and_locked_ones_wait() {
    use CacheSharing::{Locked, Private, Shared};
    let (_folder, store) = fixture();
    let shared = take(&store, "a", Shared);
    assert_eq!(try_take(&store, "a", Shared), Some(shared.fs()));
    let private = take(&store, "a", Private);
    assert_ne!(private.fs(), shared.fs());
    assert_ne!(try_take(&store, "a", Private), Some(private.fs()));
    drop(private);
    let alone = take(&store, "b", Locked);
    assert_eq!(try_take(&store, "b", Locked), None);
    assert_ne!(try_take(&store, "b", Shared), Some(alone.fs()), "what is locked is left alone");
    let fs = alone.fs();
    drop(alone);
    assert_eq!(try_take(&store, "b", Locked), Some(fs));
}

#[test]
fn a_user_knows_whether_it_is_alone() {
    let (_folder, store) = fixture();
    let one = take(&store, "a", CacheSharing::Shared);
    let other = take(&store, "a", CacheSharing::Shared);
    assert!(!one.alone().unwrap());
    drop(other);
    assert!(one.alone().unwrap());
}

#[test]
fn a_folder_that_could_not_be_filled_is_not_there() {
    let (_folder, store) = fixture();
    let digest = ContentDigest::of(b"a");
    let failed = store.cache_folder(digest, CacheSharing::Shared, &mut wait, &mut |_| Err(Error::Interrupted));
    assert!(matches!(failed, Err(Error::Interrupted)));
    assert!(take(&store, "a", CacheSharing::Shared).fs().join("seed").exists());
}

#[test]
fn a_note_stays_with_the_folder() {
    let (_folder, store) = fixture();
    let cache = take(&store, "a", CacheSharing::Shared);
    assert_eq!(cache.note().unwrap(), None);
    cache.set_note(b"one").unwrap();
    cache.set_note(b"two").unwrap();
    drop(cache);
    assert_eq!(take(&store, "a", CacheSharing::Shared).note().unwrap().as_deref(), Some(&b"two"[..]));
}

#[test]
fn a_folder_is_counted_and_gc_leaves_it_alone_while_a_lease_lives() {
    let (_folder, store) = fixture();
    let lease = store.lease().unwrap();
    let fs = take(&store, "a", CacheSharing::Shared).fs();
    assert!(store.objects().unwrap().iter().any(|stored| matches!(stored.object, Object::Cache(_))));
    collect_all(&store);
    assert!(fs.exists());
    drop(lease);
    collect_all(&store);
    assert!(!fs.exists());
}
