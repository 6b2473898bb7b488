use std::sync::Arc;

use super::*;
use crate::digest::ContentDigest;
use crate::tree::{Listing, Timestamp};

fn entry(text: &str) -> Entry {
    let (kind, path) = text.split_once(' ').expect("kind and path");
    let (path, target) = path.split_once(" -> ").unwrap_or((path, ""));
    let kind = match kind {
        "d" => Kind::Directory { opaque: false },
        "o" => Kind::Directory { opaque: true },
        "f" => Kind::File { size: 1, digest: ContentDigest::of(path.as_bytes()) },
        "l" => Kind::Symlink { target: target.into() },
        "h" => Kind::Hardlink { target: ImagePath::new(target) },
        "w" => Kind::Whiteout,
        other => panic!("{other}"),
    };
    Entry { path: ImagePath::new(path), kind, attributes: Attributes::of_root(0o755) }
}

fn stack(layers: &[&[&str]]) -> Stack {
    Stack::new(layers.iter().map(|lines| Arc::new(Listing::new(lines.iter().map(|l| entry(l))))).collect())
}

fn paths(stack: &Stack) -> Vec<String> {
    stack.merged(&ImagePath::root()).keys().map(ToString::to_string).collect()
}

#[test]
fn whiteouts_and_opaque_folders_hide_what_is_below() {
    let s = stack(&[
        &["d a", "d a/b", "f a/b/c", "f a/x", "d q", "f q/1"],
        &["w a/b", "o q", "f q/2"],
        &["d a/b", "f a/b/new"],
    ]);
    assert_eq!(paths(&s), ["/a", "/a/b", "/a/b/new", "/a/x", "/q", "/q/2"]);
    assert!(s.lookup(&ImagePath::new("a/b/c")).is_none());
    assert!(s.lookup(&ImagePath::new("q/1")).is_none());
    assert!(s.lookup(&ImagePath::new("q/2")).is_some());
}

#[test]
fn lookup_and_merged_agree() {
    let s = stack(&[&["d a", "d a/b", "f a/b/c", "f x"], &["f a"], &["d a", "f a/z", "w x"]]);
    let merged = s.merged(&ImagePath::root());
    for path in ["a", "a/b", "a/b/c", "a/z", "x"].map(ImagePath::new) {
        assert_eq!(s.lookup(&path), merged.get(&path).copied(), "{path}");
    }
}

#[test]
fn symlinks_stay_inside_and_loops_end() {
    let s = stack(&[&[
        "d usr",
        "d usr/lib",
        "f usr/lib/x",
        "l lib -> usr/lib",
        "l out -> ../../../usr",
        "l a -> b",
        "l b -> a",
        "l abs -> /lib",
    ]]);
    let resolve = |p: &str| s.resolve(&ImagePath::new(p)).map(|r| r.path.to_string());
    assert_eq!(resolve("lib/x"), Ok("/usr/lib/x".into()));
    assert_eq!(resolve("out/lib/x"), Ok("/usr/lib/x".into()));
    assert_eq!(resolve("abs/x"), Ok("/usr/lib/x".into()));
    assert_eq!(resolve("lib/new/file"), Ok("/usr/lib/new/file".into()));
    assert!(resolve("a/x").is_err());
    assert_eq!(s.resolve_parent(&ImagePath::new("lib")).map(|r| r.path.to_string()), Ok("/lib".into()));
}

#[test]
fn symlinks_are_followed_by_any_of_their_names() {
    let s = stack(&[&["d real", "f real/x", "l a -> real", "h b -> a"], &["f unrelated"]]);
    let resolved = s.resolve(&ImagePath::new("b/x")).expect("no loop");
    assert_eq!((resolved.path, resolved.found.is_some()), (ImagePath::new("real/x"), true));
    assert_eq!(s.resolve_parent(&ImagePath::new("b")).map(|r| r.path.to_string()), Ok("/b".into()));
}

#[test]
fn a_listing_survives_its_bytes() {
    let mut odd = entry("l we\tird -> a%b=c");
    odd.path = ImagePath::new(b"\xff\n \t%=");
    odd.attributes.mtime = Timestamp { secs: -5, nanos: 7 };
    odd.attributes.xattrs.insert(b"user.a=b".to_vec(), vec![0, 255, 10]);
    let listing = Listing::new(vec![entry("d a"), entry("f a/b"), entry("h z -> a/b"), entry("w gone"), odd]);
    assert_eq!(Listing::from_bytes(&listing.to_bytes()), Ok(listing.clone()));
    let bytes = listing.to_bytes();
    for cut in 0..bytes.len() {
        assert!(Listing::from_bytes(&bytes[..cut]).is_err(), "cut at {cut}");
    }
}

#[test]
fn a_fact_is_refuted_by_a_change() {
    let before = stack(&[&["d a", "f a/f"]]);
    let fact = before.fact(&ImagePath::new("a"));
    assert!(before.holds(&fact));
    assert!(!stack(&[&["f a"]]).holds(&fact));
    assert!(stack(&[&["d a", "f a/other"]]).holds(&fact));
}
