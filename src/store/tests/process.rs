//! Several processes on one store, and processes that are killed.
//!
//! The others are this test binary again: `worker` plays the part that the environment names.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::{collect_all, entries, limits, make_tree, tree_id, wait};
use crate::digest::BlobDigest;
use crate::store::{Bucket, Store};

const PART: &str = "RBUILD_TEST_PART";
const ROOT: &str = "RBUILD_TEST_ROOT";

/// Starts another process that plays `part`, by way of the command `before` if there is one.
pub(super) fn child(part: &str, root: &Path, before: &[&str]) -> Child {
    let own = std::env::current_exe().unwrap().into_os_string();
    let arguments = ["store::tests::process::worker", "--exact", "--nocapture"];
    let line: Vec<_> = before.iter().map(Into::into).chain([own]).chain(arguments.map(Into::into)).collect();
    let mut command = Command::new(&line[0]);
    command.args(&line[1..]).env(PART, part).env(ROOT, root);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap_or_else(|error| panic!("cannot start {:?}: {error}", line[0]))
}

#[track_caller]
pub(super) fn succeeds(child: Child) {
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
fn worker() {
    let (Ok(part), Some(root)) = (std::env::var(PART), std::env::var_os(ROOT)) else { return };
    let root = Path::new(&root);
    match part.split_once('-').unwrap_or((&part, "")) {
        ("full", _) => limits::full(root),
        ("readonly", _) => limits::readonly(root),
        ("few", _) => limits::few(root),
        ("build", seed) => (0..4).for_each(|more| build(root, seed.parse::<u64>().unwrap() + 100 * more)),
        ("collect", _) => collect(root),
        ("count", _) => count(root),
        ("linger", _) => linger(root),
        ("forever", seed) => loop {
            build(root, seed.parse().unwrap());
            std::io::stdout().write_all(b"built\n").unwrap();
        },
        _ => panic!("there is no part `{part}`"),
    }
}

/// What builds do with the store: look, use what is there, make what is not.
fn build(root: &Path, seed: u64) {
    let mut random = seed;
    for _ in 0..10 {
        let store = Store::open(root).unwrap();
        let lease = store.lease().unwrap();
        for _ in 0..10 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let text = format!("content {}", (random >> 40) % 8);
            use_blob(&store, &text);
            use_tree(&store, &text);
            use_record(&store, &text);
        }
        drop(lease);
    }
}

fn use_blob(store: &Store, text: &str) {
    let digest = BlobDigest::of(text.as_bytes());
    if store.blob_size(&digest).unwrap().is_none() {
        assert_eq!(store.put_blob(text.as_bytes()).unwrap(), digest);
    }
    assert_eq!(store.read_blob(&digest, 100).unwrap(), text.as_bytes());
}

fn use_tree(store: &Store, text: &str) {
    if store.tree(tree_id(text)).unwrap().is_none() {
        make_tree(store, text);
    }
    let tree = store.tree(tree_id(text)).unwrap().expect("it was there, and is held");
    assert_eq!(std::fs::read(tree.fs.join("file")).unwrap(), text.as_bytes());
}

fn use_record(store: &Store, text: &str) {
    if store.read_record(Bucket::Steps, text).unwrap().is_none() {
        store.write_record(Bucket::Steps, text, &[7; 9000]).unwrap();
    }
    assert_eq!(store.read_record(Bucket::Steps, text).unwrap().expect("it was there, and is held"), [7; 9000]);
}

fn collect(root: &Path) {
    for _ in 0..60 {
        let store = Store::open(root).unwrap();
        collect_all(&store);
        store.sweep().unwrap();
        store.objects().unwrap();
    }
}

/// Not atomic: only the lock makes it right.
fn count(root: &Path) {
    let store = Store::open(root).unwrap();
    let file = root.join("tmp/counter");
    for _ in 0..40 {
        let _lock = store.lock("counter", &mut wait).unwrap();
        let count: u32 = std::fs::read_to_string(&file).map_or(0, |text| text.parse().unwrap());
        std::fs::write(&file, (count + 1).to_string()).unwrap();
    }
}

/// Holds one of everything until it is killed.
fn linger(root: &Path) {
    let store = Store::open(root).unwrap();
    let lease = store.lease().unwrap();
    let lock = store.lock("x", &mut wait).unwrap();
    let mut writer = store.blob_writer().unwrap();
    writer.write_all(&[1; 10_000]).unwrap();
    let draft = store.tree_draft().unwrap();
    std::fs::write(draft.fs().join("x"), [2; 10_000]).unwrap();
    store.put_blob(b"lingering").unwrap();
    std::io::stdout().write_all(b"ready\n").unwrap();
    std::io::stdin().read_line(&mut String::new()).unwrap();
    drop((lease, lock, writer, draft));
}

/// Reads what the process says up to a line that ends in `word`.
fn wait_for(child: &mut BufReader<std::process::ChildStdout>, word: &str) {
    let mut line = String::new();
    while !line.trim_end().ends_with(word) {
        line.clear();
        assert_ne!(child.read_line(&mut line).unwrap(), 0, "the process ended before it said `{word}`");
    }
}

#[test]
fn many_processes_may_make_the_store_at_once() {
    for _ in 0..3 {
        let folder = super::private_folder();
        let root = folder.path().join("deep/store");
        let workers: Vec<Child> = (0..6).map(|_| child("count", &root, &[])).collect();
        // Made by all of them; the counter lies in it.
        workers.into_iter().for_each(succeeds);
        assert_eq!(std::fs::read_to_string(root.join("tmp/counter")).unwrap(), "240");
    }
}

/// buildah's `layer not known`: what a build has found is gone when it uses it.
#[test]
fn builds_and_collections_do_not_disturb_each_other() {
    let (_folder, store) = super::fixture();
    let parts = ["build-1", "build-2", "build-3", "collect", "collect"];
    let workers: Vec<Child> = parts.iter().map(|part| child(part, store.root(), &[])).collect();
    workers.into_iter().for_each(succeeds);
    store.sweep().unwrap();
    for folder in ["leases", "locks", "tmp", "trash"] {
        assert_eq!(entries(&store.root().join(folder)), [""; 0], "{folder}");
    }
}

#[test]
fn what_a_killed_process_left_is_removed_once_it_is_dead() {
    let (_folder, store) = super::fixture();
    let mut worker = child("linger", store.root(), &[]);
    wait_for(&mut BufReader::new(worker.stdout.take().unwrap()), "ready");
    assert_eq!(store.sweep().unwrap().leftovers, 0);
    assert_eq!(collect_all(&store).objects, 0);
    assert!(store.lock("x", &mut |_| false).is_err());
    worker.kill().unwrap();
    worker.wait().unwrap();
    // Its lease, its lock, and its folder.
    assert_eq!(store.sweep().unwrap().leftovers, 3);
    assert_eq!(collect_all(&store).objects, 1);
    for folder in ["leases", "locks", "tmp", "trash"] {
        assert_eq!(entries(&store.root().join(folder)), [""; 0], "{folder}");
    }
}

#[test]
fn a_kill_at_any_moment_leaves_a_store_that_works() {
    let (_folder, store) = super::fixture();
    for round in 0..8 {
        let mut worker = child(&format!("forever-{round}"), store.root(), &[]);
        let mut output = BufReader::new(worker.stdout.take().unwrap());
        (0..=round % 4).for_each(|_| wait_for(&mut output, "built"));
        worker.kill().unwrap();
        worker.wait().unwrap();
        for stored in store.objects().unwrap() {
            if let crate::store::Object::Blob(digest) = stored.object {
                store.verify_blob(&digest).unwrap();
            }
        }
        build(store.root(), round);
        collect_all(&store);
        assert_eq!(entries(&store.root().join("trash")), [""; 0]);
    }
    store.sweep().unwrap();
    assert_eq!(entries(&store.root().join("leases")), [""; 0]);
}
