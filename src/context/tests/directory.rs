use std::fs;
use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{FileType, Mode, OFlags};

use super::support::{open, selected, show, tree};
use crate::context::{
    Content, DirectorySource, Error, Ignore, Kind, SelectOptions, Source as _, StatCache, Verified, beneath, contents,
    read_ignore, select,
};
use crate::digest::ContentDigest;
use crate::path::ContextPath;

#[test]
fn owners_are_root_and_modes_and_times_are_kept() {
    let dir = tree("a mode=4751\nd/ mode=1750");
    rustix::fs::chown(dir.path().join("a"), None, Some(rustix::fs::Gid::from_raw(7))).expect("this test needs root");
    rustix::fs::chmod(dir.path().join("a"), Mode::from_raw_mode(0o4751)).expect("chmod");
    let source = open(dir.path(), "");
    let meta = source.lookup(&ContextPath::new("a")).expect("lookup").expect("a");
    assert_eq!((meta.mode, meta.uid, meta.gid, meta.kind), (0o4751, 0, 0, Kind::File { size: 1 }));
    let host = fs::metadata(dir.path().join("a")).expect("metadata");
    assert_eq!((meta.mtime.secs, i64::from(meta.mtime.nanos)), (host.mtime(), host.mtime_nsec()));
    let folder = source.lookup(&ContextPath::new("d")).expect("lookup").expect("d");
    assert_eq!((folder.mode, folder.kind), (0o1750, Kind::Directory));
}

#[test]
fn names_of_one_file_share_a_group() {
    let dir = tree("a\nc");
    fs::hard_link(dir.path().join("a"), dir.path().join("b")).expect("link");
    let source = open(dir.path(), "");
    let group = |name: &str| source.lookup(&ContextPath::new(name)).expect("lookup").expect(name).link_group;
    assert!(group("a").is_some());
    assert_eq!(group("a"), group("b"));
    assert_eq!(group("c"), None);
}

#[test]
fn pipes_and_devices_are_listed_unopened_and_sockets_are_skipped() {
    let dir = tree("a");
    let node = |name: &str, kind, mode, device| {
        rustix::fs::mknodat(rustix::fs::CWD, dir.path().join(name), kind, mode, device).expect("this test needs root");
    };
    node("pipe", FileType::Fifo, Mode::from_raw_mode(0o600), 0);
    node("tty", FileType::CharacterDevice, Mode::from_raw_mode(0o600), rustix::fs::makedev(5, 0));
    let _server = UnixListener::bind(dir.path().join("socket")).expect("socket");
    let source = open(dir.path(), "");
    let selection = select(&source, &[b"."], &SelectOptions::default()).expect("selection");
    assert_eq!(show(&selection), "/: a pipe tty\n");
    let kinds: Vec<&Kind> = selection.selected().map(|entry| &entry.meta.kind).collect();
    assert_eq!(kinds, [&Kind::File { size: 1 }, &Kind::Fifo, &Kind::CharDevice { major: 5, minor: 0 }]);
    assert_eq!(contents(&source, &selection).expect("contents").len(), 1);
    assert!(matches!(source.content(&ContextPath::new("pipe")), Err(Error::NotAFile { .. })));
    assert!(matches!(source.open(&ContextPath::new("pipe")), Err(Error::NotAFile { .. })));
    assert!(source.lookup(&ContextPath::new("socket")).expect("lookup").is_none());
}

#[test]
fn nothing_is_opened_through_a_symlink() {
    let outside = tree("canary");
    let dir = tree("a");
    symlink(outside.path(), dir.path().join("d")).expect("symlink");
    symlink(outside.path().join("canary"), dir.path().join("f")).expect("symlink");
    let source = open(dir.path(), "");
    assert!(source.lookup(&ContextPath::new("d/canary")).expect("lookup").is_none());
    for path in ["d/canary", "f"].map(ContextPath::new) {
        assert!(source.open(&path).is_err(), "{path}");
        assert!(source.content(&path).is_err(), "{path}");
    }
    assert_eq!(selected(dir.path(), "", &["."], &SelectOptions::default()), "/: a d f\n");
    assert!(selected(dir.path(), "", &["d/canary"], &SelectOptions::default()).starts_with("error"));
}

#[test]
fn opening_by_component_follows_no_symlink_either() {
    let outside = tree("x/canary");
    let dir = tree("a/b/c");
    symlink(outside.path(), dir.path().join("d")).expect("symlink");
    symlink("a/b/c", dir.path().join("l")).expect("symlink");
    let root = rustix::fs::open(dir.path(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).expect("root");
    for opener in [beneath::open, beneath::open_by_component] {
        let opened = |path: &str| opener(root.as_fd(), &ContextPath::new(path), OFlags::RDONLY).is_ok();
        assert!(opened("a/b/c") && opened("a") && opened(""));
        assert!(!opened("d/x/canary") && !opened("d") && !opened("l") && !opened("a/nope"));
    }
}

#[test]
fn a_folder_that_is_swapped_for_a_symlink_leads_nowhere() {
    let outside = tree("secret");
    let dir = tree("d/secret");
    fs::write(outside.path().join("secret"), "CANARY").expect("canary");
    let (real, link) = (dir.path().join("real"), dir.path().join("link"));
    symlink(outside.path(), &link).expect("symlink");
    let place = dir.path().join("d");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                fs::rename(&place, &real).expect("swap out");
                fs::rename(&link, &place).expect("swap in");
                fs::rename(&place, &link).expect("swap out");
                fs::rename(&real, &place).expect("swap in");
            }
        });
        for _ in 0..3000 {
            let source = open(dir.path(), "");
            let Ok(mut reader) = source.open(&ContextPath::new("d/secret")) else { continue };
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes).expect("read");
            assert_ne!(bytes, b"CANARY");
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn recorded_outputs_are_left_out_and_named() {
    let dir = tree("a\napp.tar\nd/out/x\nd/b");
    let outputs =
        [dir.path().join("app.tar"), dir.path().join("d/out"), "/elsewhere/x".into(), dir.path().join("gone")];
    let cache = StatCache::default();
    let source = DirectorySource::open(dir.path(), Ignore::nothing(), &outputs, cache).expect("context");
    let all = select(&source, &[b"."], &SelectOptions::default()).expect("selection");
    assert_eq!(show(&all), "/: a d/ d/b\n");
    assert_eq!(source.present_outputs(), ["app.tar", "d/out"].map(ContextPath::new));
    let error = select(&source, &[b"app.tar"], &SelectOptions::default()).expect_err("hidden").to_string();
    let expected = "cannot find `app.tar`: it is the output of an earlier build, which is left out of the context; \
                    hint: write the output elsewhere with `-o FILE.tar`, or give this file another name";
    assert_eq!(error, expected);
}

#[test]
fn an_output_that_is_ignored_anyway_is_not_named() {
    let dir = tree("a\napp.tar\nb.tar");
    let outputs = [dir.path().join("app.tar"), dir.path().join("b.tar")];
    let ignore = Ignore::parse(".dockerignore", b"app.*").expect("rules");
    let source = DirectorySource::open(dir.path(), ignore, &outputs, StatCache::default()).expect("context");
    assert_eq!(source.present_outputs(), [ContextPath::new("b.tar")]);
}

#[test]
fn a_file_that_never_stands_still_is_refused() {
    // The kernel's files have no size and yet a content.
    let source = open(Path::new("/proc/self"), "");
    assert!(matches!(source.content(&ContextPath::new("status")), Err(Error::Changing { .. })));
}

#[test]
fn a_reader_notices_that_the_bytes_are_not_those_that_were_hashed() {
    let content = Content { size: 3, digest: ContentDigest::of(b"abc") };
    let read = |bytes: &'static [u8]| {
        let mut out = Vec::new();
        Verified::new(bytes, ContextPath::new("f"), content).read_to_end(&mut out).map(|_| out)
    };
    assert_eq!(read(b"abc").expect("same"), b"abc");
    for changed in [&b"abd"[..], b"ab", b"", b"abcd"] {
        let error = read(changed).expect_err("changed").to_string();
        assert_eq!(error, "`f` was changed while the build was reading it");
    }
}

#[test]
fn equal_paths_of_two_sources_are_hashed_once_and_alike() {
    let dir = tree("a\nb");
    fs::write(dir.path().join("b"), "a").expect("write");
    let source = open(dir.path(), "");
    let selection = select(&source, &[b"a", b"b", b"a*"], &SelectOptions::default()).expect("selection");
    let contents = contents(&source, &selection).expect("contents");
    assert_eq!(contents.len(), 2);
    assert!(contents.values().all(|content| content.digest == ContentDigest::of(b"a")));
}

#[test]
fn a_file_that_vanishes_after_the_selection_is_an_error_that_names_it() {
    let dir = tree("a");
    let source = open(dir.path(), "");
    let selection = select(&source, &[b"a"], &SelectOptions::default()).expect("selection");
    fs::remove_file(dir.path().join("a")).expect("remove");
    let error = contents(&source, &selection).expect_err("gone").to_string();
    assert!(error.starts_with("cannot open `/") && error.ends_with("/a`: no such file or directory"), "{error}");
}

fn ignore_file_of(dir: &Path, dockerfile: Option<&str>) -> String {
    let dockerfile = dockerfile.map(|name| dir.join(name));
    read_ignore(dir, dockerfile.as_deref(), None).expect("ignore file").file().to_owned()
}

#[test]
fn the_ignore_file_of_the_dockerfile_comes_first() {
    let dir = tree("Dockerfile\nsub/Dockerfile\nsub/Dockerfile.dockerignore\n.dockerignore\nmy\nmy.dockerignore");
    assert_eq!(ignore_file_of(dir.path(), Some("my")), "my.dockerignore");
    assert_eq!(ignore_file_of(dir.path(), Some("sub/Dockerfile")), "Dockerfile.dockerignore");
    assert_eq!(ignore_file_of(dir.path(), Some("Dockerfile")), ".dockerignore");
    assert_eq!(ignore_file_of(dir.path(), None), ".dockerignore");
    assert_eq!(ignore_file_of(tree("a").path(), None), "");
}

#[test]
fn an_ignore_file_is_never_read_from_outside() {
    let outside = tree("rules");
    let dir = tree("inner");
    symlink(outside.path().join("rules"), dir.path().join(".dockerignore")).expect("symlink");
    assert_eq!(ignore_file_of(dir.path(), None), "");
    fs::remove_file(dir.path().join(".dockerignore")).expect("remove");
    symlink("/inner", dir.path().join(".dockerignore")).expect("symlink");
    assert_eq!(ignore_file_of(dir.path(), None), ".dockerignore");
}

#[test]
fn an_ignore_file_that_is_a_pipe_is_refused() {
    let dir = tree("a");
    let pipe = dir.path().join(".dockerignore");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, FileType::Fifo, Mode::from_raw_mode(0o600), 0).expect("pipe");
    assert!(matches!(read_ignore(dir.path(), None, None), Err(Error::NotAFile { .. })));
}
