//! Files that are read ahead, hashed on two cores, and compressed while the tar is written: the bytes are always the same.

use std::io;
use std::time::{Duration, SystemTime};

use super::*;

/// Bytes that compress somewhat and differ from seed to seed.
fn bytes(seed: usize, length: usize) -> Vec<u8> {
    let mut state = seed as u64 + 1;
    let step = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        b'a' + u8::try_from((state >> 33) % 23).expect("it is below 23")
    };
    (0..length).map(step).collect()
}

/// What makes all paths through the writer meet: many small files, one of each length around the limits, links, folders.
fn contents() -> Vec<(String, Vec<u8>)> {
    let small = (0..600).map(|n| (format!("d/f{n:03}"), bytes(n, n % 97)));
    let limits = [(127 << 10) + 1023, 128 << 10, (128 << 10) + 1, (4 << 20) - 1, 4 << 20, (4 << 20) + 513];
    small.chain(limits.iter().enumerate().map(|(n, length)| (format!("e/g{n}"), bytes(n, *length)))).collect()
}

fn entries(opened: bool) -> Vec<(Entry, Content)> {
    let files = contents().into_iter().map(|(path, bytes)| {
        let kind = Kind::File { size: bytes.len() as u64, digest: ContentDigest::of(&bytes) };
        let content = match opened {
            true => Content::Open(Box::new(move || Ok(Box::new(io::Cursor::new(bytes)) as Box<dyn Read>))),
            false => Content::Bytes(bytes),
        };
        (Entry { path: ImagePath::new(path), kind, attributes: at(5) }, content)
    });
    let links = [symlink("d/f000-s", "f000"), hardlink("d/f500-h", "d/f500")];
    [dir("d"), dir("e")].into_iter().chain(files).chain(links).collect()
}

fn forms(layer: &Layer, store: &Store) -> Vec<Option<Compression>> {
    let record = record(store, &layer.diff_id).expect("it can be read").expect("there is one");
    record.blobs.into_iter().map(|stored| stored.made).collect()
}

const FAST: Compression = Compression::Gzip { level: 1, single_member: false };

#[test]
fn reading_ahead_changes_no_byte() {
    let place = place();
    let write = |opened| write_layer(&place.store, entries(opened), TimePolicy::Fixed, Form::Working).expect("a layer");
    assert_eq!(write(true), write(false));
}

#[test]
fn a_layer_compressed_while_it_is_made_is_the_one_compressed_later() {
    for compression in [FAST, Compression::DEFAULT, Compression::Zstd { level: 3 }] {
        let (now, later) = (place(), place());
        let leaving = Form::Leaving(compression);
        let made = write_layer(&now.store, entries(true), TimePolicy::Fixed, leaving).expect("a layer");
        assert_eq!(forms(&made, &now.store), [Some(compression)]);
        assert_eq!(now.unfinished(), 0);
        let kept = write_layer(&later.store, entries(true), TimePolicy::Fixed, Form::Working).expect("a layer");
        assert_eq!(forms(&kept, &later.store), [Some(Compression::None)]);
        assert_eq!(made, kept);
        let blob = |place: &Place, layer| compressed(&place.store, layer, compression).expect("a blob");
        assert_eq!(blob(&now, &made), blob(&later, &kept));
        let plain = |place: &Place, layer| bytes_of(plain_tar(&place.store, layer).expect("a plain tar"));
        assert!(plain(&now, &made) == plain(&later, &kept));
    }
}

#[test]
fn a_compression_of_one_piece_waits_until_the_layer_leaves() {
    let place = place();
    let leaving = Form::Leaving(Compression::Gzip { level: 6, single_member: true });
    let layer = write_layer(&place.store, entries(true), TimePolicy::Fixed, leaving).expect("a layer");
    assert_eq!(forms(&layer, &place.store), [Some(Compression::None)]);
}

#[test]
fn no_entries_leave_as_one_empty_member() {
    let place = place();
    let layer = write_layer(&place.store, Vec::new(), TimePolicy::Fixed, Form::Leaving(FAST)).expect("a layer");
    assert!(layer.is_empty());
    assert_eq!(bytes_of(plain_tar(&place.store, &layer).expect("a plain tar")), [0; 1024]);
}

#[test]
fn a_commands_layer_is_the_same_with_and_without_its_blob() {
    require_root();
    let made = |form| {
        let place = place();
        let draft = place.store.tree_draft().expect("a draft");
        let fs = draft.fs();
        for folder in ["d", "e"] {
            std::fs::create_dir(fs.join(folder)).expect("a folder");
        }
        for (path, bytes) in contents() {
            std::fs::write(fs.join(&path), bytes).expect("a file");
            let file = std::fs::File::open(fs.join(&path)).expect("it is there");
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(7)).expect("ours");
        }
        let nothing = Stack::default();
        let layer = layer_from_upper(&place.store, draft, &nothing, TimePolicy::Fixed, form).expect("a layer");
        let entries = listing(&place.store, layer.tree).expect("a listing").entries().to_vec();
        let files = entries.into_iter().filter(|entry| !entry.is_directory()).collect::<Vec<_>>();
        let blob = compressed(&place.store, &layer, FAST).expect("a blob");
        (layer, files, blob)
    };
    assert!(made(Form::Working) == made(Form::Leaving(FAST)));
}

#[test]
fn a_file_of_another_length_or_content_is_noticed_wherever_it_is_read() {
    for (number, length) in [(0, 10), (603, 128 << 10), (604, (4 << 20) + 513)] {
        for given in [bytes(9, length - 1), bytes(9, length + 1), bytes(10, length)] {
            let place = place();
            let mut entries = entries(true);
            let kind = Kind::File { size: length as u64, digest: ContentDigest::of(&bytes(9, length)) };
            let path = ImagePath::new(format!("d/x{number}"));
            let content = Content::Open(Box::new(move || Ok(Box::new(io::Cursor::new(given)) as Box<dyn Read>)));
            entries.push((Entry { path, kind, attributes: at(5) }, content));
            let written = write_layer(&place.store, entries, TimePolicy::Fixed, Form::Leaving(FAST));
            assert!(matches!(written, Err(Error::Changed { .. })), "{length}: {written:?}");
            assert_eq!(place.unfinished(), 0);
        }
    }
}
