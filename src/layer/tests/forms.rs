use std::process::{Command, Stdio};

use super::*;
use crate::digest::{BlobDigest, DiffId};
use crate::store::{Bucket, TreeId};

fn noise(length: usize) -> Vec<u8> {
    let mut state = 1u64;
    let step = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..length).map(step).collect()
}

fn big_layer(store: &Store) -> Layer {
    let mut bytes = noise(1_500_000);
    bytes.extend(vec![b'a'; 2_500_000]);
    let kind = Kind::File { size: bytes.len() as u64, digest: ContentDigest::of(&bytes) };
    let entry = Entry { path: ImagePath::new("big"), kind, attributes: at(0) };
    write_layer(store, vec![(entry, Content::Bytes(bytes))], TimePolicy::Fixed, Form::Working).expect("a layer")
}

const ALL: [Compression; 4] = [
    Compression::DEFAULT,
    Compression::Gzip { level: 6, single_member: true },
    Compression::Zstd { level: 3 },
    Compression::None,
];

#[test]
fn every_compression_gives_the_layer_back_and_always_the_same_bytes() {
    let place = place();
    let layer = big_layer(&place.store);
    for compression in ALL {
        let blob = compressed(&place.store, &layer, compression).expect("a blob");
        assert_eq!(blob.media_type, compression.media_type());
        assert_eq!(compressed(&place.store, &layer, compression).expect("a blob"), blob);
        let elsewhere = self::place();
        assert_eq!(compressed(&elsewhere.store, &big_layer(&elsewhere.store), compression).expect("a blob"), blob);
        let bytes = place.store.read_blob(&blob.digest, 1 << 30).expect("a blob");
        let other = self::place();
        other.store.put_blob(&bytes).expect("a blob");
        let pile = Pile::default();
        let read = import(
            &other.store,
            &blob.digest,
            &blob.media_type,
            Some(&layer.diff_id),
            pile.lower(),
            &ChainId::empty(),
            Unpack::ListingOnly,
        );
        assert_eq!(read.expect("a layer"), layer, "{compression:?}");
        // A layer that was pulled leaves with the blob it came with.
        if compression != Compression::None {
            for wanted in [Compression::DEFAULT, Compression::Zstd { level: 9 }] {
                assert_eq!(compressed(&other.store, &layer, wanted).expect("a blob"), blob);
            }
        }
        assert_eq!(bytes_of(plain_tar(&other.store, &layer).expect("a tar")).len() as u64, layer.size);
    }
}

#[test]
fn a_pulled_layer_that_is_recompressed_has_the_bytes_of_one_made_here() {
    let origin = place();
    let layer = big_layer(&origin.store);
    let bytes = bytes_of(plain_tar(&origin.store, &layer).expect("a tar"));
    let gzip = flate2::read::GzEncoder::new(bytes.as_slice(), flate2::Compression::fast());
    let zstd = zstd::encode_all(bytes.as_slice(), 1).expect("memory");
    for foreign in [bytes_of(gzip), zstd, bytes.clone()] {
        let other = place();
        let blob = other.store.put_blob(&foreign).expect("a blob");
        let (pile, chain) = (Pile::default(), ChainId::empty());
        let media_type = "application/vnd.docker.image.rootfs.diff.tar.gzip";
        let expected = Some(&layer.diff_id);
        let read = import(&other.store, &blob, media_type, expected, pile.lower(), &chain, Unpack::ListingOnly);
        assert_eq!(read.expect("a layer"), layer);
        for compression in ALL {
            let made = recompressed(&other.store, &layer, compression).expect("a blob");
            assert_eq!(made, compressed(&origin.store, &layer, compression).expect("a blob"), "{compression:?}");
            assert_eq!(made.media_type, compression.media_type());
        }
        // Whoever does not ask for it gets what was pulled.
        let kept = compressed(&other.store, &layer, Compression::DEFAULT).expect("a blob");
        assert_eq!(kept.digest == blob, foreign != bytes);
    }
}

#[test]
fn a_layer_is_recompressed_once() {
    let place = place();
    let layer = big_layer(&place.store);
    let made = recompressed(&place.store, &layer, Compression::DEFAULT).expect("a blob");
    let file = |hex: &str| place.store.root().join("blobs").join(&hex[..2]).join(hex);
    // There is nothing left that it could be made from.
    std::fs::remove_file(file(&layer.diff_id.hex())).expect("the plain tar");
    std::fs::write(file(&made.digest.hex()), vec![0; usize::try_from(made.size).expect("it is small")])
        .expect("a file");
    assert_eq!(recompressed(&place.store, &layer, Compression::DEFAULT).expect("a blob"), made);
    recompressed(&place.store, &layer, Compression::Zstd { level: 3 }).expect_err("no source");
}

#[test]
fn every_level_gives_the_layer_back() {
    let place = place();
    let layer = big_layer(&place.store);
    let gzip = [0, 1, 9, 12].map(|level| Compression::Gzip { level, single_member: false });
    let zstd = [1, 12, 19, 22].map(|level| Compression::Zstd { level });
    for compression in gzip.into_iter().chain(zstd) {
        let blob = compressed(&place.store, &layer, compression).expect("a blob");
        let is_stored = matches!(compression, Compression::Gzip { level: 0, .. });
        assert_eq!(blob.size > layer.size, is_stored, "{compression:?}");
    }
    let record = record(&place.store, &layer.diff_id).expect("it can be read").expect("there is one");
    assert_eq!(record.blobs.len(), 9, "the plain tar, and one for each");
    assert!(check_blobs(&place.store, &layer.diff_id, &record).expect("they can be read").is_empty());
}

#[test]
fn gzip_members_have_golden_bytes_that_gzip_reads() {
    let place = place();
    let layer = big_layer(&place.store);
    let blob = compressed(&place.store, &layer, Compression::DEFAULT).expect("a blob");
    expect_test::expect!["sha256:fdd07bf390e8431e2d18bdf8ef4a8a86a4c24a1001cd983b410db3e1f2364282"]
        .assert_eq(&blob.digest.to_string());
    let bytes = place.store.read_blob(&blob.digest, 1 << 30).expect("a blob");
    assert!(bytes.len() < 1_600_000, "{}", bytes.len());
    let mut child = Command::new("gzip")
        .arg("-dc")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this test needs gzip on PATH");
    let mut input = child.stdin.take().expect("a pipe");
    let feeder = std::thread::spawn(move || std::io::Write::write_all(&mut input, &bytes).expect("gzip reads it all"));
    let output = child.wait_with_output().expect("gzip ends");
    feeder.join().expect("fed");
    assert_eq!(DiffId::of(&output.stdout), layer.diff_id);
}

#[test]
fn a_blob_that_lies_is_refused_and_leaves_nothing() {
    let place = place();
    let pile = Pile::default();
    let bytes = raw_tar(&[raw_file("f", "x")]);
    let blob = place.store.put_blob(&bytes).expect("a blob");
    let wrong = DiffId::of(b"another");
    let import = |media_type, expected| {
        import(&place.store, &blob, media_type, expected, pile.lower(), &ChainId::empty(), Unpack::Tree)
    };
    assert!(matches!(import(PLAIN, Some(&wrong)), Err(Error::DiffId { .. })));
    assert!(matches!(import("application/vnd.oci.image.layer.v1.tar+encrypted", None), Err(Error::MediaType { .. })));
    // The stored bytes rot.
    let path = place.store.root().join("blobs").join(&blob.hex()[..2]).join(blob.hex());
    let mut rotten = bytes.clone();
    rotten[512] ^= 1;
    std::fs::write(&path, &rotten).expect("the blob's file");
    assert!(import(PLAIN, None).is_err());
    for bucket in [Bucket::Layers, Bucket::Listings] {
        assert_eq!(place.store.record_names(bucket).expect("names"), Vec::<String>::new());
    }
    assert_eq!(std::fs::read_dir(place.store.root().join("trees")).expect("trees").count(), 0);
    assert_eq!(place.unfinished(), 0);
}

#[test]
fn a_known_layer_is_not_read_again() {
    let place = place();
    let mut pile = Pile::default();
    let bytes = raw_tar(&[raw_file("f", "x")]);
    pile.import(&place.store, &bytes, Unpack::ListingOnly).expect("a layer");
    let known = pile.layers[0].clone();
    let lower = Pile::default();
    let absent = BlobDigest::of(b"not in the store");
    let chain = ChainId::empty();
    let again = import(&place.store, &absent, PLAIN, Some(&known.diff_id), lower.lower(), &chain, Unpack::ListingOnly);
    assert_eq!(again.expect("a layer"), known);
}

#[test]
fn a_tree_gives_the_plain_tar_back_when_no_blob_is_left() {
    require_root();
    let place = place();
    let entries = vec![dir("d"), file("d/f", "text"), file("e", ""), hardlink("h", "d/f"), symlink("s", "e")];
    let layer = write_layer(&place.store, entries, TimePolicy::Fixed, Form::Working).expect("a layer");
    let before = bytes_of(plain_tar(&place.store, &layer).expect("a tar"));
    let pile = Pile::default();
    let tree = ensure_tree(&place.store, &layer, pile.lower()).expect("a tree");
    let blob = layer.diff_id.hex();
    std::fs::remove_file(place.store.root().join("blobs").join(&blob[..2]).join(&blob)).expect("the blob");
    assert_eq!(bytes_of(plain_tar(&place.store, &layer).expect("a tar")), before);
    // A tree that changed cannot pass for the layer.
    std::fs::write(tree.fs.join("d/f"), "TEXT").expect("the file");
    let mut sink = Vec::new();
    let error = plain_tar(&place.store, &layer).expect("a tar").read_to_end(&mut sink).expect_err("other bytes");
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    assert!(compressed(&place.store, &layer, Compression::DEFAULT).is_err());
}

/// The store as another process opens it, that trusts no tree without a marker.
fn reopened(place: &Place) -> Store {
    Store::open(place.store.root()).expect("the store")
}

#[test]
fn a_tree_that_nobody_vouches_for_is_compared_and_made_anew() {
    require_root();
    let place = place();
    let entries =
        || vec![dir("d"), file("d/f", "text"), hardlink("h", "d/f"), symlink("s", "d"), other("p", Kind::Fifo)];
    let layer = write_layer(&place.store, entries(), TimePolicy::Fixed, Form::Working).expect("a layer");
    let pile = Pile::default();
    let fs = ensure_tree(&place.store, &layer, pile.lower()).expect("a tree").fs;
    let kept = |store: &Store| {
        let tree = ensure_tree(store, &layer, pile.lower()).expect("a tree");
        assert_eq!(std::fs::read(fs.join("d/f")).expect("a file"), b"text");
        assert!(!fs.join("extra").exists() && fs.join("s").is_symlink());
        tree
    };
    let inode = |path: &std::path::Path| std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(path).expect("a file"));
    let before = inode(&fs.join("d/f"));
    kept(&reopened(&place));
    assert_eq!(inode(&fs.join("d/f")), before, "an undamaged tree stays");
    let damages: [&dyn Fn(); 5] = [
        &|| std::fs::write(fs.join("d/f"), "TEXT").expect("a file"),
        &|| std::fs::write(fs.join("extra"), "").expect("a file"),
        &|| std::fs::remove_file(fs.join("s")).expect("a link"),
        &|| {
            std::fs::set_permissions(fs.join("d"), std::os::unix::fs::PermissionsExt::from_mode(0o700)).expect("a mode")
        },
        &|| std::os::unix::fs::lchown(fs.join("d/f"), Some(5), None).expect("an owner"),
    ];
    for damage in damages {
        damage();
        kept(&reopened(&place));
    }
    // Without a blob the damage is said, not used.
    std::fs::write(fs.join("d/f"), "tex").expect("a file");
    let blob = layer.diff_id.hex();
    std::fs::remove_file(place.store.root().join("blobs").join(&blob[..2]).join(&blob)).expect("the blob");
    let error = ensure_tree(&reopened(&place), &layer, pile.lower()).expect_err("damage");
    assert!(matches!(error, Error::DamagedTree { .. }), "{error}");
}

/// A file that may bind to ports below 1024 and does not inherit it.
const CAPABILITY: [u8; 20] = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

#[test]
fn a_tree_with_other_extended_attributes_is_damaged_and_made_anew() {
    require_root();
    let place = place();
    let mut capable = file("f", "text");
    capable.0.attributes.xattrs = xattrs(&[("security.capability", &CAPABILITY), ("user.note", b"a")]);
    // What no symlink can have, the listing may say all the same.
    let mut link = symlink("s", "f");
    link.0.attributes.xattrs = xattrs(&[("user.note", b"a")]);
    let entries = vec![dir("d"), capable, hardlink("h", "f"), link];
    let layer = write_layer(&place.store, entries, TimePolicy::Fixed, Form::Working).expect("a layer");
    let pile = Pile::default();
    let fs = ensure_tree(&place.store, &layer, pile.lower()).expect("a tree").fs;
    let inode = || std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(&fs).expect("a tree"));
    let value = |name: &str| {
        let mut value = [0; 64];
        rustix::fs::getxattr(fs.join("f"), name, &mut value).map(|length| value[..length].to_vec())
    };
    let set = |path: &str, name: &str, value: &[u8]| {
        rustix::fs::setxattr(fs.join(path), name, value, rustix::fs::XattrFlags::empty()).expect("an attribute");
    };
    let remove = |name: &str| rustix::fs::removexattr(fs.join("f"), name).expect("an attribute");
    ensure_tree(&reopened(&place), &layer, pile.lower()).expect("a tree");
    let damages: [&dyn Fn(); 5] = [
        &|| remove("security.capability"),
        &|| remove("user.note"),
        &|| set("f", "user.note", b"b"),
        &|| set("f", "user.other", b"a"),
        &|| set("d", "user.other", b"a"),
    ];
    for (number, damage) in damages.iter().enumerate() {
        // An inode that is open is not given to the folder that takes its place.
        let (before, _held) = (inode(), std::fs::File::open(&fs).expect("a tree"));
        damage();
        ensure_tree(&reopened(&place), &layer, pile.lower()).expect("a tree");
        assert_ne!(inode(), before, "damage {number} was not seen");
        assert_eq!(value("security.capability").as_deref(), Ok(&CAPABILITY[..]), "damage {number}");
        assert_eq!(value("user.note").as_deref(), Ok(&b"a"[..]), "damage {number}");
        assert!(value("user.other").is_err(), "damage {number}");
    }
    // A module of the kernel may put its own there.
    let before = inode();
    set("f", "security.other", b"a");
    ensure_tree(&reopened(&place), &layer, pile.lower()).expect("a tree");
    assert_eq!(inode(), before);
}

#[test]
fn a_file_is_read_from_a_tree_or_from_a_tar() {
    require_root();
    for unpack in [Unpack::Tree, Unpack::ListingOnly] {
        let place = place();
        let mut pile = Pile::default();
        let base =
            [raw(b'5', "etc/"), raw_file("etc/passwd", "root"), raw(b'2', "l -> /etc"), raw_file("same", "rOOt")];
        pile.import(&place.store, &raw_tar(&base), unpack).expect("a base");
        let top = [raw_file("l/group", "wheel"), raw(b'1', "h -> etc/group"), raw_file(".wh.same", "")];
        pile.import(&place.store, &raw_tar(&top), unpack).expect("a layer");
        let read = |path: &str| {
            let file = open_file(&place.store, &pile.layers, &pile.stack, &ImagePath::new(path)).expect(path);
            file.map(bytes_of)
        };
        assert_eq!(read("etc/passwd").as_deref(), Some(&b"root"[..]));
        assert_eq!(read("l/group").as_deref(), Some(&b"wheel"[..]));
        assert_eq!(read("h").as_deref(), Some(&b"wheel"[..]));
        assert_eq!(read("same"), None);
        assert_eq!(read("etc"), None);
    }
}

#[test]
fn a_layer_survives_its_json() {
    for tree in [TreeId::Layer(DiffId::of(b"a")), TreeId::Chain(ChainId::of(b"b"))] {
        let layer = Layer { diff_id: DiffId::of(b"a"), size: 5, tree };
        let json = serde_json::to_string(&layer).expect("json");
        assert_eq!(serde_json::from_str::<Layer>(&json).expect("a layer"), layer);
    }
    assert!(serde_json::from_str::<Layer>(r#"{"diff_id":"sha256:00","size":1,"tree":"x"}"#).is_err());
}
