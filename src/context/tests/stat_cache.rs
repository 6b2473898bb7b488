use std::path::Path;
use std::sync::Arc;

use super::support::{show, tree};
use crate::context::stat::{Name, Stat};
use crate::context::{
    Damaged, DirectorySource, Ignore, SelectOptions, Selection, Source as _, StatCache, contents, select,
};
use crate::digest::ContentDigest;
use crate::path::ContextPath;
use crate::tree::Timestamp;

fn stat(inode: u64, ctime: Timestamp) -> Stat {
    Stat {
        device: 1,
        inode,
        mode: 0o100_644,
        names: 1,
        size: 3,
        mtime: Timestamp::from_secs(5),
        ctime,
        special: (0, 0),
    }
}

fn names() -> Arc<Vec<Name>> {
    let name = |bytes: &[u8], is_directory| Name { bytes: bytes.to_vec(), is_directory };
    Arc::new(vec![name(b"a", false), name(b"b\n\xff", true)])
}

fn cache() -> StatCache {
    let mut cache = StatCache::default();
    let later = Timestamp::from_secs(100);
    cache.insert_file(&stat(1, Timestamp::from_secs(6)), later, ContentDigest::of(b"abc"));
    cache.insert_folder(&stat(2, Timestamp::from_secs(6)), later, names());
    cache
}

#[test]
fn any_change_of_size_time_or_inode_is_a_miss() {
    let mut cache = cache();
    let known = stat(1, Timestamp::from_secs(6));
    assert_eq!(cache.find_file(&known), Some(ContentDigest::of(b"abc")));
    for changed in [
        Stat { size: 4, ..known },
        Stat { device: 2, ..known },
        Stat { inode: 2, ..known },
        Stat { mtime: Timestamp { secs: 5, nanos: 1 }, ..known },
        Stat { ctime: Timestamp { secs: 6, nanos: 1 }, ..known },
    ] {
        assert_eq!(cache.find_file(&changed), None, "{changed:?}");
    }
}

#[test]
fn what_was_changed_within_a_tick_of_being_read_is_not_kept() {
    let read_at = Timestamp { secs: 100, nanos: 0 };
    let known = |ctime| {
        let mut cache = StatCache::default();
        cache.insert_file(&stat(1, ctime), read_at, ContentDigest::of(b"abc"));
        !cache.is_empty()
    };
    assert!(known(Timestamp { secs: 99, nanos: 990_000_000 }));
    assert!(!known(Timestamp { secs: 99, nanos: 990_000_001 }));
    assert!(!known(read_at));
    assert!(!known(Timestamp::from_secs(101)));
}

#[test]
fn a_racy_read_forgets_what_was_known() {
    let mut cache = cache();
    cache.insert_file(&stat(1, Timestamp::from_secs(6)), Timestamp::from_secs(6), ContentDigest::of(b"new"));
    assert_eq!(cache.find_file(&stat(1, Timestamp::from_secs(6))), None);
}

#[test]
fn a_disabled_cache_knows_nothing() {
    let mut cache = StatCache::disabled();
    cache.insert_file(&stat(1, Timestamp::from_secs(6)), Timestamp::from_secs(100), ContentDigest::of(b"abc"));
    assert!(cache.is_empty());
}

#[test]
fn a_cache_survives_its_bytes_and_any_damage_is_noticed() {
    let bytes = cache().to_bytes();
    let mut read = StatCache::from_bytes(&bytes).expect("a cache");
    assert_eq!(read.find_file(&stat(1, Timestamp::from_secs(6))), Some(ContentDigest::of(b"abc")));
    assert_eq!(read.find_folder(&stat(2, Timestamp::from_secs(6))), Some(names()));
    for at in 0..bytes.len() {
        assert_eq!(StatCache::from_bytes(&bytes[..at]), Err(Damaged));
        let mut flipped = bytes.clone();
        flipped[at] ^= 1;
        assert_eq!(StatCache::from_bytes(&flipped), Err(Damaged));
    }
}

#[test]
fn a_well_sealed_lie_about_names_is_refused() {
    for name in [&b".."[..], b"", b"a/b", b"a\0"] {
        let mut cache = StatCache::default();
        let names = Arc::new(vec![Name { bytes: name.to_vec(), is_directory: false }]);
        cache.insert_folder(&stat(2, Timestamp::from_secs(6)), Timestamp::from_secs(100), names);
        assert_eq!(StatCache::from_bytes(&cache.to_bytes()), Err(Damaged), "{name:?}");
    }
}

#[test]
fn records_without_use_are_dropped_after_many_builds() {
    let mut cache = cache();
    for _ in 0..32 {
        cache = StatCache::from_bytes(&cache.to_bytes()).expect("a cache");
        assert!(cache.find_file(&stat(1, Timestamp::from_secs(6))).is_some());
    }
    cache = StatCache::from_bytes(&cache.to_bytes()).expect("a cache");
    assert_eq!(cache.len(), 1);
}

fn build(root: &Path, cache: StatCache) -> (Selection, Vec<String>, StatCache) {
    let source = DirectorySource::open(root, Ignore::nothing(), &[], cache).expect("context");
    let selection = select(&source, &[b"."], &SelectOptions::default()).expect("selection");
    let contents = contents(&source, &selection).expect("contents");
    // They are in a map, which has no order.
    let mut shown: Vec<String> = contents.iter().map(|(path, content)| format!("{path} {}", content.digest)).collect();
    shown.sort();
    (selection, shown, source.into_stat_cache())
}

#[test]
fn a_second_build_reads_nothing_that_is_known() {
    // Files of the repository: older than a clock tick, as those of a fresh folder are not.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/dockerignore");
    let (first, digests, cache) = build(&root, StatCache::default());
    assert!(cache.len() > 50, "{}: the checkout must lie on a file system that keeps change times", cache.len());
    let mut cache = StatCache::from_bytes(&cache.to_bytes()).expect("a cache");
    let fd = rustix::fs::open(
        root.join("star-alone-covers-everything"),
        rustix::fs::OFlags::PATH,
        rustix::fs::Mode::empty(),
    );
    let fd = fd.expect("a case");
    let known = crate::context::stat::stat_at(std::os::fd::AsFd::as_fd(&fd), b"paths.txt").expect("paths.txt");
    // A digest that only the cache can have told.
    cache.insert_file(&known, Timestamp::from_secs(i64::MAX), ContentDigest::of(b"forged"));
    let (second, forged, _) = build(&root, cache);
    assert_eq!(show(&first), show(&second));
    let differing: Vec<&String> = forged.iter().filter(|line| !digests.contains(line)).collect();
    assert_eq!(differing, [&format!("star-alone-covers-everything/paths.txt {}", ContentDigest::of(b"forged"))]);
}

#[test]
fn edits_are_seen_at_once() {
    let dir = tree("a\nd/b");
    let (_, _, cache) = build(dir.path(), StatCache::default());
    std::fs::write(dir.path().join("a"), "z").expect("write");
    std::fs::write(dir.path().join("d/c"), "c").expect("write");
    let cache = StatCache::from_bytes(&cache.to_bytes()).expect("a cache");
    let (selection, digests, _) = build(dir.path(), cache);
    assert_eq!(show(&selection), "/: a d/ d/b d/c\n");
    assert_eq!(digests[0], format!("a {}", ContentDigest::of(b"z")));
    let source = DirectorySource::open(dir.path(), Ignore::nothing(), &[], StatCache::disabled()).expect("context");
    assert_eq!(source.content(&ContextPath::new("a")).expect("content").digest, ContentDigest::of(b"z"));
}

#[test]
fn two_that_began_as_one_are_merged_and_what_was_of_use_counts() {
    let reread = || StatCache::from_bytes(&cache().to_bytes()).expect("it was just written");
    let (mut one, mut two) = (reread(), reread());
    let later = Timestamp::from_secs(100);
    // One found the file as it was; the other one saw it changed, and a new one.
    assert!(one.find_file(&stat(1, Timestamp::from_secs(6))).is_some());
    two.insert_file(&stat(1, Timestamp::from_secs(7)), later, ContentDigest::of(b"new"));
    two.insert_file(&stat(3, Timestamp::from_secs(6)), later, ContentDigest::of(b"third"));
    let mut merged = reread().merged(two);
    assert_eq!(merged.len(), 3);
    assert_eq!(merged.find_file(&stat(1, Timestamp::from_secs(7))), Some(ContentDigest::of(b"new")));
    assert_eq!(merged.find_file(&stat(3, Timestamp::from_secs(6))), Some(ContentDigest::of(b"third")));
    let mut kept = one.merged(reread());
    assert!(kept.find_file(&stat(1, Timestamp::from_secs(6))).is_some());
    assert!(kept.find_folder(&stat(2, Timestamp::from_secs(6))).is_some());
}
