use std::io::{self, Read};
use std::sync::Arc;

use super::support::show;
use crate::context::{
    Kind, LayerContents, Parents, SelectOptions, Source as _, StackSource, contents, resolve, select,
};
use crate::digest::ContentDigest;
use crate::path::{ContextPath, ImagePath};
use crate::tree::{self, Attributes, Entry, Listing, Stack};

/// A file holds its own path and layer.
struct Paths;

impl LayerContents for Paths {
    fn open(&self, layer: usize, entry: &Entry) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(io::Cursor::new(format!("{layer}{}", entry.path).into_bytes())))
    }
}

fn entry(layer: usize, line: &str) -> Entry {
    let (kind, path) = line.split_once(' ').expect("kind and path");
    let (path, target) = path.split_once(" -> ").unwrap_or((path, ""));
    let path = ImagePath::new(path);
    let text = format!("{layer}{path}");
    let kind = match kind {
        "d" => tree::Kind::Directory { opaque: false },
        "o" => tree::Kind::Directory { opaque: true },
        "f" => tree::Kind::File { size: text.len() as u64, digest: ContentDigest::of(text.as_bytes()) },
        "l" => tree::Kind::Symlink { target: target.into() },
        "h" => tree::Kind::Hardlink { target: ImagePath::new(target) },
        "w" => tree::Kind::Whiteout,
        other => panic!("{other}"),
    };
    let attributes = Attributes { uid: 5, gid: 6, ..Attributes::of_root(0o711) };
    Entry { path, kind, attributes }
}

fn source(layers: &[&[&str]]) -> StackSource {
    let listing = |(at, lines): (usize, &&[&str])| Arc::new(Listing::new(lines.iter().map(|line| entry(at, line))));
    StackSource::new(Stack::new(layers.iter().enumerate().map(listing).collect()), Box::new(Paths))
}

fn selected(source: &StackSource, pattern: &str, parents: Parents) -> String {
    let options = SelectOptions { parents, ..SelectOptions::default() };
    match select(source, &[pattern.as_bytes()], &options) {
        Ok(selection) => show(&selection),
        Err(error) => format!("error: {error}\n"),
    }
}

#[test]
fn a_stack_shows_what_its_layers_show_together() {
    let s = source(&[
        &["d a", "d a/b", "f a/b/c", "f a/x", "d q", "f q/1", "f gone"],
        &["w a/b", "o q", "f q/2", "w gone"],
        &["d a", "d a/b", "f a/b/new"],
    ]);
    assert_eq!(selected(&s, "/", Parents::Dropped), "/: a/ a/b/ a/b/new a/x q/ q/2\n");
    assert_eq!(selected(&s, "/a/*/new", Parents::Dropped), "new: \n");
    assert_eq!(selected(&s, "gone", Parents::Dropped), "error: cannot find `gone`\n");
    assert_eq!(selected(&s, "a/b/new", Parents::Kept), "/: a/ a/b/ a/b/new\n");
    assert_eq!(s.list(&ContextPath::new("q")).expect("list"), [b"2".to_vec()]);
}

#[test]
fn lookups_agree_with_the_stack() {
    let layers: &[&[&str]] =
        &[&["d a", "d a/b", "f a/b/c", "f x", "f y"], &["f a", "w y"], &["d a", "f a/z", "w x", "f x/odd"]];
    let s = source(layers);
    let listing = |(at, lines): (usize, &&[&str])| Arc::new(Listing::new(lines.iter().map(|line| entry(at, line))));
    let stack = Stack::new(layers.iter().enumerate().map(listing).collect());
    for path in ["a", "a/b", "a/b/c", "a/z", "y"] {
        let here = s.lookup(&ContextPath::new(path)).expect("lookup").is_some();
        assert_eq!(here, stack.lookup(&ImagePath::new(path)).is_some(), "{path}");
    }
}

#[test]
fn a_folder_that_no_layer_lists_is_implied() {
    let s = source(&[&["f usr/lib/x"]]);
    assert_eq!(selected(&s, "/", Parents::Dropped), "/: usr/ usr/lib/ usr/lib/x\n");
    let meta = s.lookup(&ContextPath::new("usr")).expect("lookup").expect("usr");
    assert_eq!((meta.kind, meta.mode, meta.uid), (Kind::Directory, 0o755, 0));
}

#[test]
fn symlinks_of_a_stage_are_followed_inside_it() {
    let s = source(&[&["d real", "d real/sub", "f real/a", "l link -> /real", "l file -> ../../link/a"]]);
    assert_eq!(selected(&s, "/link", Parents::Dropped), "link/: a sub/\n");
    assert_eq!(selected(&s, "/file", Parents::Dropped), "file: \n");
    let (path, meta) = resolve(&s, &ContextPath::new("link/sub/../a")).expect("resolve");
    assert_eq!((path, meta.is_some()), (ContextPath::new("real/a"), true));
}

#[test]
fn owners_contents_and_hard_links_are_those_of_the_layer() {
    let s = source(&[&["d d", "f d/a", "h d/b -> d/a", "h d/c -> d/a", "f d/z"]]);
    let selection = select(&s, &[b"d"], &SelectOptions::default()).expect("selection");
    let metas: Vec<_> = selection.selected().map(|entry| entry.meta.clone()).collect();
    assert_eq!((metas[0].uid, metas[0].gid, metas[0].mode), (5, 6, 0o711));
    assert!(metas[0].link_group.is_some());
    assert_eq!(metas[0].link_group, metas[1].link_group);
    assert_eq!(metas[1].link_group, metas[2].link_group);
    assert_eq!(metas[3].link_group, None);
    let contents = contents(&s, &selection).expect("contents");
    assert_eq!(contents[&ContextPath::new("d/c")].digest, ContentDigest::of(b"0/d/a"));
    let mut bytes = Vec::new();
    s.open(&ContextPath::new("d/b")).expect("open").read_to_end(&mut bytes).expect("read");
    assert_eq!(bytes, b"0/d/a");
}

#[test]
fn a_hard_link_to_a_symlink_is_that_symlink() {
    let s = source(&[&["d d", "f d/f", "l a -> d", "h b -> a"]]);
    let meta = |name: &str| s.lookup(&ContextPath::new(name)).expect("lookup").expect(name);
    assert_eq!(meta("b").kind, Kind::Symlink { target: b"d".to_vec() });
    assert!(meta("a").link_group.is_some());
    assert_eq!(meta("a").link_group, meta("b").link_group);
    assert_eq!(selected(&s, "/b/f", Parents::Dropped), "f: \n");
}

#[test]
fn a_hard_link_to_nothing_is_an_error() {
    let s = source(&[&["h a -> b"]]);
    assert_eq!(selected(&s, "a", Parents::Dropped), "error: cannot read `a`: it is not a regular file\n");
}
