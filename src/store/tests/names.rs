//! Names on disk and in leases.

use super::tree_id;
use crate::digest::{BlobDigest, ChainId};
use crate::store::record::{escape, unescape};
use crate::store::{Bucket, Object, TreeId};

#[test]
fn a_name_never_leaves_its_folder_and_comes_back() {
    for name in ["../../etc/passwd", ".", "..", "docker.io/library/python:3.8", "a%b", "x@sha256:00", "ä\n\0"] {
        let file = escape(name);
        assert!(!file.contains('/') && !file.starts_with('.'), "{file}");
        assert_eq!(unescape(&file).as_deref(), Some(name));
    }
}

#[test]
fn a_file_that_escaping_never_makes_has_no_name() {
    for file in ["", "%+f", "%4", "%41", "a b", ".hidden", "%ff", "ä", "%2E"] {
        assert_eq!(unescape(file), None, "{file}");
    }
}

#[test]
fn every_object_comes_back_from_its_line() {
    let blob = Object::Blob(BlobDigest::of(b"x"));
    let chain = Object::Tree(TreeId::Chain(ChainId::of(b"x")));
    let record = Object::Record(Bucket::Names, "docker.io/a b:1\n".to_owned());
    let cache = format!("cache {}-12", BlobDigest::of(b"x").hex());
    let cache = Object::parse(&cache).expect("the name of a cache folder");
    for object in [blob, chain, Object::Tree(tree_id("x")), record, cache] {
        let line = object.to_string();
        assert!(!line.contains('\n'), "{line}");
        assert_eq!(Object::parse(&line), Some(object));
    }
}

#[test]
fn a_line_that_names_no_object_is_refused() {
    let hex = BlobDigest::of(b"x").hex();
    for line in
        ["", "blob", "blob 00", "tree other-00", "record nowhere x", "record names ../x", &format!("Blob {hex}")]
    {
        assert_eq!(Object::parse(line), None, "{line}");
    }
}
