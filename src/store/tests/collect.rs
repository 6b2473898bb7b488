//! Leases, collection, sweeping and counting.

use std::fs;
use std::time::{Duration, SystemTime};

use super::{collect_all, entries, fixture, make_tree, tree_id, wait};
use crate::digest::BlobDigest;
use crate::store::{Bucket, Collected, Error, Object, Store, Swept, Waiting};

#[test]
fn what_nobody_keeps_or_holds_is_removed_and_counted() {
    let (_folder, store) = fixture();
    let kept = store.put_blob(b"kept").unwrap();
    store.put_blob(b"lost").unwrap();
    make_tree(&store, "lost");
    store.write_record(Bucket::Steps, "lost", b"x").unwrap();
    let sizes: u64 = store.objects().unwrap().iter().map(|stored| stored.size).sum();
    let keep = |object: &Object, _| *object == Object::Blob(kept);
    let collected = store.collection(&mut wait).unwrap().remove_unless(&keep).unwrap();
    let left = store.objects().unwrap();
    assert_eq!(left.iter().map(|stored| &stored.object).collect::<Vec<_>>(), [&Object::Blob(kept)]);
    assert_eq!(collected, Collected { objects: 3, bytes: sizes - left[0].size });
    assert!(entries(&store.root().join("trash")).is_empty());
}

#[test]
fn everything_that_a_leased_store_puts_or_finds_is_held() {
    let (_folder, store) = fixture();
    let found = store.put_blob(b"found").unwrap();
    let tree = make_tree(&store, "found");
    store.write_record(Bucket::Steps, "found", b"x").unwrap();
    store.write_record(Bucket::Steps, "asked", b"x").unwrap();
    let other = Store::open(store.root()).unwrap();
    let lease = store.lease().unwrap();
    assert!(store.blob_size(&found).unwrap().is_some() && store.tree(tree).unwrap().is_some());
    assert!(store.read_record(Bucket::Steps, "found").unwrap().is_some());
    assert!(store.has_record(Bucket::Steps, "asked").unwrap() && !store.has_record(Bucket::Steps, "other").unwrap());
    let put = store.put_blob(b"put").unwrap();
    let made = make_tree(&store, "made");
    store.write_record(Bucket::Steps, "written", b"x").unwrap();
    other.put_blob(b"nobody's").unwrap();
    assert_eq!(collect_all(&other).objects, 1);
    assert!(store.verify_blob(&found).is_ok() && store.verify_blob(&put).is_ok());
    assert!(store.tree(tree).unwrap().is_some() && store.tree(made).unwrap().is_some());
    assert_eq!(store.record_names(Bucket::Steps).unwrap(), ["asked", "found", "written"]);
    drop(lease);
    assert!(entries(&store.root().join("leases")).is_empty());
    assert_eq!(collect_all(&other).objects, 7);
}

#[test]
fn a_lease_names_what_is_not_there_yet_and_holding_twice_writes_once() {
    let (_folder, store) = fixture();
    let lease = store.lease().unwrap();
    let object = Object::Blob(BlobDigest::of(b"later"));
    lease.hold(&object).unwrap();
    lease.hold(&object).unwrap();
    let file = store.root().join("leases").join(&entries(&store.root().join("leases"))[0]);
    // Names that no record can have would make the lease unreadable.
    for name in [String::new(), "x".repeat(300)] {
        lease.hold(&Object::Record(Bucket::Steps, name)).unwrap();
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), format!("{object}\n"));
    Store::open(store.root()).unwrap().put_blob(b"later").unwrap();
    assert_eq!(collect_all(&store), Collected::default());
}

#[test]
fn no_lease_grows_while_gc_takes_names_away() {
    let (_folder, store) = fixture();
    let gate = fs::File::open(store.root().join("holding")).unwrap();
    gate.lock().unwrap();
    let lease = store.lease().unwrap();
    let file = store.root().join("leases").join(&entries(&store.root().join("leases"))[0]);
    let (started, start) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let holder = scope.spawn(|| {
            started.send(()).unwrap();
            lease.hold(&Object::Tree(tree_id("x"))).unwrap();
        });
        start.recv().unwrap();
        // Time enough for a thread that does not wait to be caught; one that waits cannot fail here.
        for _ in 0..3000 {
            assert_eq!(fs::metadata(&file).unwrap().len(), 0);
            std::thread::yield_now();
        }
        gate.unlock().unwrap();
        holder.join().unwrap();
    });
    assert_ne!(fs::metadata(&file).unwrap().len(), 0);
}

#[test]
fn clones_share_one_lease_until_the_last_is_dropped() {
    let (_folder, store) = fixture();
    let (first, second) = (store.lease().unwrap(), store.clone().lease().unwrap());
    assert_eq!(entries(&store.root().join("leases")).len(), 1);
    drop(first);
    store.put_blob(b"x").unwrap();
    assert_eq!(collect_all(&store).objects, 0);
    drop(second);
    assert_eq!(collect_all(&store).objects, 1);
}

#[test]
fn a_lease_that_ends_during_a_collection_counts_until_its_end() {
    let (_folder, store) = fixture();
    let lease = store.lease().unwrap();
    store.put_blob(b"x").unwrap();
    let collector = Store::open(store.root()).unwrap();
    let collection = collector.collection(&mut wait).unwrap();
    // Here the collector reads the names, and then the build names its image and ends.
    drop(lease);
    assert_eq!(collection.remove_unless(&|_, _| false).unwrap().objects, 0);
    assert_eq!(collect_all(&collector).objects, 1);
}

#[test]
fn a_lease_cut_by_a_kill_is_read_to_its_last_whole_line_and_a_strange_one_stops_gc() {
    let (_folder, store) = fixture();
    let digest = store.put_blob(b"x").unwrap();
    let collection = store.collection(&mut wait).unwrap();
    let lease = store.root().join("leases/1-x");
    fs::write(&lease, format!("blob {}\nblob 12", digest.hex())).unwrap();
    assert_eq!(collection.remove_unless(&|_, _| false).unwrap().objects, 0);
    let collection = store.collection(&mut wait).unwrap();
    fs::write(&lease, "planet mars\n").unwrap();
    let error = collection.remove_unless(&|_, _| false).unwrap_err();
    assert!(matches!(&error, Error::Lease { line, .. } if line == "planet mars"), "{error}");
    assert!(store.verify_blob(&digest).is_ok());
}

#[test]
fn the_last_use_is_when_a_lease_held_it_and_looking_does_not_change_it() {
    let (_folder, store) = fixture();
    let old = SystemTime::now() - Duration::from_secs(1_000_000);
    let digest = store.put_blob(b"x").unwrap();
    store.write_record(Bucket::Steps, "x", b"x").unwrap();
    let objects =
        [Object::Record(Bucket::Steps, "x".to_owned()), Object::Tree(make_tree(&store, "x")), Object::Blob(digest)];
    for object in &objects {
        let file = fs::File::open(store.object_path(object)).unwrap();
        file.set_times(fs::FileTimes::new().set_accessed(old).set_modified(old)).unwrap();
    }
    store.verify_blob(&digest).unwrap();
    store.read_record(Bucket::Steps, "x").unwrap();
    store.objects().unwrap();
    assert!(store.objects().unwrap().iter().all(|stored| stored.last_used == old));
    let lease = store.lease().unwrap();
    objects.iter().for_each(|object| lease.hold(object).unwrap());
    assert!(store.objects().unwrap().iter().all(|stored| stored.last_used > old));
    let record = fs::metadata(store.record_path(Bucket::Steps, "x")).unwrap();
    assert_eq!(record.modified().unwrap(), old);
}

#[test]
fn objects_are_measured_with_everything_in_them_and_hard_links_once() {
    let (_folder, store) = fixture();
    store.put_blob(&[1; 10_000]).unwrap();
    let draft = store.tree_draft().unwrap();
    fs::write(draft.fs().join("file"), [3; 100_000]).unwrap();
    fs::hard_link(draft.fs().join("file"), draft.fs().join("again")).unwrap();
    draft.commit(tree_id("x")).unwrap();
    fs::write(store.root().join("trash/x"), [4; 10_000]).unwrap();
    for _ in 0..2 {
        let sizes: Vec<u64> = store.objects().unwrap().into_iter().map(|stored| stored.size).collect();
        assert!(matches!(sizes[..], [100_000..150_000, 10_000..20_000]), "{sizes:?}");
    }
    // The trash, and this process's own folder.
    assert!(matches!(store.temporary_usage().unwrap(), (2, 10_000..40_000)));
}

#[test]
fn a_tree_that_is_made_again_is_measured_again() {
    let (_folder, store) = fixture();
    let make = |size: usize| {
        let draft = store.tree_draft().unwrap();
        fs::write(draft.fs().join("file"), vec![3; size]).unwrap();
        draft.commit(tree_id("x")).unwrap();
        store.objects().unwrap()[0].size
    };
    assert!(make(100_000) < 200_000);
    // Kept, so that the next folder has another inode.
    fs::rename(store.root().join("trees").join(tree_id("x").to_string()), store.root().join("trash/x")).unwrap();
    assert!(make(300_000) > 300_000);
}

#[test]
fn growth_is_added_up_over_processes_until_it_is_reset() {
    let (_folder, store) = fixture();
    assert_eq!(store.total_growth().unwrap(), Some(0));
    store.put_blob(&[1; 10_000]).unwrap();
    assert_eq!(store.total_growth().unwrap(), Some(10_000));
    let other = Store::open(store.root()).unwrap();
    assert_eq!(other.total_growth().unwrap(), Some(0));
    other.add_growth(5);
    assert_eq!(other.total_growth().unwrap(), Some(10_005));
    other.reset_growth().unwrap();
    store.add_growth(1);
    assert_eq!(store.total_growth().unwrap(), Some(1));
    fs::write(store.root().join("grown"), "x").unwrap();
    store.add_growth(1);
    assert_eq!(store.total_growth().unwrap(), None);
}

#[test]
fn what_has_no_name_of_an_object_is_a_stray() {
    let (_folder, store) = fixture();
    let digest = store.put_blob(b"x").unwrap();
    store.write_record(Bucket::Names, "x", b"x").unwrap();
    assert_eq!(store.strays().unwrap(), Vec::<std::path::PathBuf>::new());
    let shard = format!("blobs/{}/x", &digest.hex()[..2]);
    let strays = ["blobs/x", shard.as_str(), "records/names/%zz", "records/x", "stray", "trees/x", "trees/file"];
    for stray in strays {
        fs::write(store.root().join(stray), "").unwrap();
    }
    let mut expected = strays.map(|stray| store.root().join(stray));
    expected.sort();
    assert_eq!(store.strays().unwrap(), expected);
}

#[test]
fn a_lease_that_ends_beside_a_sweep_or_a_collection_leaves_nothing() {
    let (_folder, store) = fixture();
    let leases = store.root().join("leases");
    let lease = store.lease().unwrap();
    let sweeping = fs::File::open(store.root().join("collecting")).unwrap();
    sweeping.lock_shared().unwrap();
    drop(lease);
    assert!(entries(&leases).is_empty());
    drop(sweeping);
    let lease = store.lease().unwrap();
    let collection = Store::open(store.root()).unwrap().collection(&mut wait).unwrap();
    drop(lease);
    assert_eq!(entries(&leases).len(), 1);
    collection.remove_unless(&|_, _| false).unwrap();
    assert!(entries(&leases).is_empty());
    let lease = store.lease().unwrap();
    let given_up = Store::open(store.root()).unwrap().collection(&mut wait).unwrap();
    drop(lease);
    assert_eq!(entries(&leases).len(), 1);
    drop(given_up);
    assert!(entries(&leases).is_empty());
}

#[test]
fn a_sweep_removes_what_is_nobodys_and_leaves_what_is_in_use() {
    let (_folder, store) = fixture();
    let (lease, lock) = (store.lease().unwrap(), store.lock("in use", &mut wait).unwrap());
    let draft = store.tree_draft().unwrap();
    let writer = store.blob_writer().unwrap();
    let state = |store: &Store| ["leases", "locks", "tmp", "trash"].map(|folder| entries(&store.root().join(folder)));
    let before = state(&store);
    assert_eq!(store.sweep().unwrap(), Swept::default());
    for leftover in
        ["leases/1-dead", "locks/dead", "tmp/1-dead.lock", "tmp/1-dead/1-blob", "tmp/stray", "trash/1-dead/fs/x"]
    {
        let path = store.root().join(leftover);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, [0; 5000]).unwrap();
    }
    let swept = Store::open(store.root()).unwrap().sweep().unwrap();
    assert_eq!(swept.leftovers, 5);
    assert!(swept.bytes >= 30_000, "{swept:?}");
    assert_eq!(state(&store), before);
    drop((lease, lock, draft, writer));
    assert!(entries(&store.root().join("locks")).is_empty());
}

#[test]
fn a_sweep_does_not_wait_for_a_collection() {
    let (_folder, store) = fixture();
    let collection = store.collection(&mut wait).unwrap();
    fs::write(store.root().join("trash/x"), "").unwrap();
    assert_eq!(store.sweep().unwrap(), Swept::default());
    assert_eq!(entries(&store.root().join("trash")), ["x"]);
    drop(collection);
    assert_eq!(store.sweep().unwrap().leftovers, 1);
}

#[test]
fn a_waiter_is_asked_told_who_it_waits_for_and_may_give_up() {
    let (_folder, store) = fixture();
    let held = store.lock("a/b", &mut wait).unwrap();
    let mut told = None;
    let mut ask = |waiting| match waiting {
        Waiting::Behind { pid } => {
            told = pid;
            true
        }
        Waiting::StillWanted => told.is_none(),
    };
    assert!(matches!(store.lock("a/b", &mut ask), Err(Error::Interrupted)));
    assert_eq!(told, Some(std::process::id()));
    drop(held);
    drop(store.lock("a/b", &mut |_| false).unwrap());
}
