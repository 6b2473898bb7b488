use std::fs;
use std::os::unix::fs::symlink;

use super::bench::{Bench, names};
use crate::export::form::{is_archive, parse};
use crate::export::header::{Member, header};
use crate::export::{Error, NamedImage, Outcome, OutputState, Overwrite, check_output, outputs, write_file};

#[track_caller]
fn check(bench: &Bench, bytes: &[u8], expected: bool, what: &str) {
    let path = bench.out("looked-at.tar");
    fs::write(&path, bytes).expect("written");
    assert_eq!(is_archive(&path).expect("it can be read"), expected, "{what}");
}

/// An archive of two images that share a layer, under three names.
fn archive(bench: &Bench) -> Vec<u8> {
    let (one, two) = (bench.image(&["a"]), bench.image(&["a", "b"]));
    let (first, second) = (names(&["app", "team/app:2"]), names(&["other"]));
    let images = [NamedImage { image: &one, names: &first }, NamedImage { image: &two, names: &second }];
    let mut bytes = Vec::new();
    crate::export::write_archive(&bench.store, &images, &mut bytes).expect("an archive");
    bytes
}

#[test]
fn every_archive_that_is_written_has_the_form() {
    let bench = Bench::new();
    check(&bench, &archive(&bench), true, "two images");
    check(&bench, &bench.archive(&bench.image(&[]), &[]), true, "no layer and no name");
    let indexed = bench.image(&["a"]).indexed().expect("an index");
    check(&bench, &bench.archive(&indexed, &names(&["app"])), true, "an index of its own");
}

#[test]
fn no_byte_of_the_frame_can_be_another_one() {
    let bench = Bench::new();
    let bytes = archive(&bench);
    let mut blobs = 0;
    let mut at = 0;
    while let Some((name, member)) = parse(&bytes[at..]).filter(|(name, _)| !name.is_empty()) {
        for offset in [0, 50, 99, 100, 110, 120, 135, 136, 150, 156, 157, 257, 262, 265, 329, 345, 511] {
            let mut changed = bytes.clone();
            changed[at + offset] ^= 1;
            check(&bench, &changed, false, &format!("byte {offset} of the header of {name}"));
        }
        let size = match member {
            Member::Folder => 0,
            Member::File(size) => usize::try_from(size).expect("it is small"),
        };
        blobs += usize::from(name.starts_with("blobs/sha256/") && size > 0);
        at += 512 + size.next_multiple_of(512);
    }
    assert!(blobs == 6 && at + 1024 == bytes.len(), "{blobs} blobs, {at} of {}", bytes.len());
    for length in [0, 1, 511, 512, 1024, at, at + 1023] {
        check(&bench, &bytes[..length], false, "a part");
    }
    check(&bench, &[bytes.as_slice(), b"mine"].concat(), false, "something behind the end");
    check(&bench, &[bytes.as_slice(), &[0; 512]].concat(), false, "zeros behind the end");
    let last = bytes.len() - 1024 - 512;
    assert!(bytes[last..].starts_with(b"{\"imageLayoutVersion\":\"1.0.0\"}"));
    for (at, what) in [(last + 24, "the version"), (last + 100, "padding")] {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        check(&bench, &changed, false, what);
    }
}

#[test]
fn documents_name_blobs_that_are_there() {
    let bench = Bench::new();
    let bytes = archive(&bench);
    // In index.json and in manifest.json: a digest's first digit, and a key's first letter.
    for text in ["\"digest\":\"sha256:", "\"Config\":\"blobs/sha256/", "\"Layers\":[\"blobs/sha256/"] {
        let last = bytes.windows(text.len()).rposition(|window| window == text.as_bytes()).expect(text);
        for offset in [1, text.len()] {
            let at = last + offset;
            let mut changed = bytes.clone();
            changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
            check(&bench, &changed, false, &format!("byte {offset} of {text}"));
        }
    }
}

#[test]
fn an_archive_that_another_program_made_of_the_same_members_is_not_ours() {
    let bench = Bench::new();
    let bytes = archive(&bench);
    let mut builder = tar::Builder::new(Vec::new());
    let mut reader = tar::Archive::new(bytes.as_slice());
    for entry in reader.entries().expect("entries") {
        let mut entry = entry.expect("an entry");
        let mut header = entry.header().clone();
        header.set_mtime(0);
        header.set_cksum();
        let path = entry.path().expect("a path").into_owned();
        builder.append_data(&mut header, path, &mut entry).expect("memory takes everything");
    }
    check(&bench, &builder.into_inner().expect("memory takes everything"), false, "other times");
    check(&bench, b"precious", false, "text");
    let missing = is_archive(&bench.out("missing.tar"));
    assert!(missing.is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound));
    symlink("looked-at.tar", bench.out("link.tar")).expect("a symlink");
    assert!(!is_archive(&bench.out("link.tar")).expect("a symlink is none"));
    assert!(!is_archive(&bench.out("")).expect("a folder is none"));
}

#[test]
fn the_size_of_a_large_blob_is_read_as_it_is_written() {
    let name = format!("blobs/sha256/{}", "a".repeat(64));
    for size in [0, 1, 8 << 30, u64::MAX >> 1] {
        let written = header(&name, Member::File(size));
        assert_eq!(parse(&written), Some((name.clone(), Member::File(size))), "{size}");
        assert!((0..written.len()).step_by(64).all(|cut| parse(&written[..cut]).is_none() || cut >= 512));
    }
}

#[test]
fn an_archive_of_another_store_is_replaced_and_left_out_of_contexts() {
    let (bench, other) = (Bench::new(), Bench::new());
    let path = bench.out("app.tar");
    fs::write(&path, archive(&other)).expect("written");
    assert_eq!(check_output(&bench.store, &path).expect("state"), OutputState::Recognised);
    let canonical = path.canonicalize().expect("path");
    assert_eq!(outputs(&bench.store, std::slice::from_ref(&path)).expect("outputs"), [canonical]);
    assert!(outputs(&bench.store, &[bench.out("none/x.tar")]).expect("outputs").is_empty());
    let image = bench.image(&["c"]);
    let images = [NamedImage { image: &image, names: &names(&["app"]) }];
    let outcome = write_file(&bench.store, &images, &path, Overwrite::OwnOnly, &mut |_| {});
    assert!(matches!(outcome, Ok(Outcome::Written { .. })), "{outcome:?}");
    assert!(matches!(check_output(&bench.store, &path), Ok(OutputState::Ours(_))));
    fs::write(&path, b"precious").expect("written");
    let refused = write_file(&bench.store, &images, &path, Overwrite::OwnOnly, &mut |_| {});
    assert!(matches!(refused, Err(Error::Foreign { .. })), "{refused:?}");
}
