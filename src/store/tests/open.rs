//! Opening: what is a store, whose, and what is refused.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use super::{entries, fixture};
use crate::store::{Error, Store};

#[test]
fn a_new_store_is_closed_to_others_whatever_the_folder_was() {
    let folder = super::private_folder();
    let root = folder.path().join("store");
    fs::create_dir(&root).unwrap();
    fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).unwrap();
    let store = Store::open(&root).unwrap();
    store.put_blob(b"x").unwrap();
    for entry in walkdir::WalkDir::new(&root) {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().mode() & 0o077, 0, "{}", entry.path().display());
    }
}

#[test]
fn open_existing_makes_nothing() {
    let folder = super::private_folder();
    assert!(Store::open_existing(&folder.path().join("none")).unwrap().is_none());
    assert!(Store::open_existing(folder.path()).unwrap().is_none());
    assert!(entries(folder.path()).is_empty());
    let (kept, store) = fixture();
    assert!(Store::open_existing(store.root()).unwrap().is_some());
    drop(kept);
}

#[test]
fn a_folder_with_other_files_is_refused_and_a_fresh_volume_is_not() {
    let folder = super::private_folder();
    fs::create_dir(folder.path().join("lost+found")).unwrap();
    Store::open(folder.path()).unwrap();
    let other = super::private_folder();
    fs::write(other.path().join("thesis.tex"), "").unwrap();
    let error = Store::open(other.path()).unwrap_err().to_string();
    assert!(error.contains("thesis.tex") && error.contains(&other.path().display().to_string()), "{error}");
    assert_eq!(entries(other.path()), ["thesis.tex"]);
}

#[test]
fn a_folder_that_others_may_write_to_or_own_is_refused() {
    let (_folder, store) = fixture();
    fs::set_permissions(store.root(), fs::Permissions::from_mode(0o770)).unwrap();
    let error = Store::open(store.root()).unwrap_err();
    assert!(matches!(&error, Error::Unsafe { problem, .. } if problem.contains("chmod 700")), "{error}");
    fs::set_permissions(store.root(), fs::Permissions::from_mode(0o700)).unwrap();
    assert!(rustix::process::geteuid().is_root(), "this test gives a folder away, and must run as root");
    std::os::unix::fs::chown(store.root(), Some(12345), None).unwrap();
    let error = Store::open(store.root()).unwrap_err();
    assert!(matches!(&error, Error::Unsafe { problem, .. } if problem.contains("12345")), "{error}");
}

#[test]
fn another_version_is_refused_by_name() {
    let (_folder, store) = fixture();
    fs::write(store.root().join("version"), "99\n").unwrap();
    let error = Store::open(store.root()).unwrap_err();
    assert!(matches!(&error, Error::Version { found, .. } if found == "99"), "{error}");
}

#[test]
fn a_store_that_was_half_made_is_made() {
    let (_folder, store) = fixture();
    fs::remove_file(store.root().join("version")).unwrap();
    fs::remove_dir(store.root().join("locks")).unwrap();
    fs::write(store.root().join("tmp/1-version"), "").unwrap();
    drop(Store::open(store.root()).unwrap().lock("x", &mut super::wait).unwrap());
}

#[test]
fn a_lock_file_or_object_that_is_a_symlink_is_not_followed() {
    let (folder, store) = fixture();
    let victim = folder.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    std::os::unix::fs::symlink(&victim, store.root().join("locks/x")).unwrap();
    store.lock("x", &mut super::wait).unwrap_err();
    let digest = store.put_blob(b"precious").unwrap();
    let path = store.blob_path(&digest);
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink(&victim, &path).unwrap();
    store.open_blob_file(&digest).unwrap_err();
    assert_eq!(store.put_blob(b"precious").unwrap(), digest);
    assert!(fs::symlink_metadata(&path).unwrap().is_file());
    assert_eq!(fs::read(&victim).unwrap(), b"precious");
}

#[test]
fn the_secret_is_one_for_all_and_closed_to_others() {
    let (_folder, store) = fixture();
    let path = store.record_path(crate::store::Bucket::Keys, "secret");
    let secrets: Vec<[u8; 32]> = std::thread::scope(|scope| {
        let open = || Store::open(store.root()).unwrap().secret().unwrap();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(secrets.iter().all(|secret| *secret == secrets[0] && *secret != [0; 32]));
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
    super::collect_all(&store);
    assert_eq!(store.secret().unwrap(), secrets[0]);
    fs::write(&path, "short").unwrap();
    assert_ne!(store.secret().unwrap(), secrets[0]);
}
