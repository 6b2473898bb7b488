use std::process::{Command, Stdio};

use proptest::prelude::*;

use super::*;
use crate::layer::reader::{MemberKind, TarReader};

fn tar_of(store: &Store, entries: Vec<(Entry, Content)>, policy: TimePolicy) -> (Layer, Vec<u8>) {
    let layer = write_layer(store, entries, policy, Form::Working).expect("a layer");
    let bytes = bytes_of(plain_tar(store, &layer).expect("a plain tar"));
    (layer, bytes)
}

fn sample() -> Vec<(Entry, Content)> {
    let mut owned = file("d/big-owner", "x");
    owned.0.attributes = Attributes { uid: 3_000_000, gid: u32::MAX - 1, mode: 0o4755, ..at(-5) };
    let mut capable = file("d/f", "hello");
    capable.0.attributes.xattrs = xattrs(&[("security.capability", b"\x01\n\x00\n"), ("user.a b", b"")]);
    vec![
        dir("d"),
        owned,
        capable,
        hardlink("d/a-link", "d/f"),
        symlink("d/sym", &"t".repeat(150)),
        dir(&format!("d/{}", "n".repeat(120))),
        file(&format!("d/{}/{}", "n".repeat(120), "m".repeat(40)), "prefix"),
        file("d/é\n", "not ascii"),
        other("p", Kind::Fifo),
        other("null", Kind::CharDevice { major: 1, minor: 3 }),
        other("disk", Kind::BlockDevice { major: 259, minor: 70_000 }),
        (Entry::whiteout(ImagePath::new("gone")), Content::None),
        other("opaque", Kind::Directory { opaque: true }),
    ]
}

#[test]
fn a_pinned_tree_has_its_golden_diff_id() {
    let place = place();
    let entries =
        vec![dir("etc"), file("etc/hello", "hello\n"), symlink("etc/l", "hello"), hardlink("etc/h", "etc/hello")];
    let (layer, _) = tar_of(&place.store, entries, TimePolicy::Fixed);
    expect_test::expect!["sha256:0580baeb05bc1052a7776cae2aa48e9d7e34503a86ad912c05dd46126be51442"]
        .assert_eq(&layer.diff_id.to_string());
    let (layer, _) = tar_of(&place.store, sample(), TimePolicy::Preserve);
    expect_test::expect!["sha256:70cf94c6e118f5a51c2d4f98a592365427768bd2f265f53ec91d58d1c9abf5ed"]
        .assert_eq(&layer.diff_id.to_string());
}

#[test]
fn no_entries_give_the_empty_layer_of_everybody() {
    let place = place();
    let (layer, bytes) = tar_of(&place.store, Vec::new(), TimePolicy::Fixed);
    assert_eq!(bytes, [0; 1024]);
    assert!(layer.is_empty());
    assert_eq!(layer.diff_id.to_string(), "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef");
}

#[test]
fn the_order_given_does_not_matter_and_listings_keep_true_times() {
    let place = place();
    let (layer, forward) = tar_of(&place.store, sample(), TimePolicy::Clamp);
    let mut backward = sample();
    backward.reverse();
    let (_, backward) = tar_of(&place.store, backward, TimePolicy::Clamp);
    assert_eq!(forward, backward);
    let listing = listing(&place.store, layer.tree).expect("a listing");
    assert_eq!(listing.find(&ImagePath::new("p")).map(|e| e.attributes.mtime.secs), Some(1_700_000_002));
    let mut reader = TarReader::new(forward.as_slice());
    while let Some(member) = reader.next().expect("a tar") {
        assert!(member.attributes.mtime.secs <= LAYER_EPOCH, "{:?}", member.name);
    }
}

#[test]
fn gnu_tar_reads_what_is_written() {
    let place = place();
    let (_, bytes) = tar_of(&place.store, sample(), TimePolicy::Fixed);
    let mut child = Command::new("tar")
        .args(["--numeric-owner", "--full-time", "--utc", "-tvf", "-"])
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("this test needs GNU tar on PATH");
    std::io::Write::write_all(&mut child.stdin.take().expect("a pipe"), &bytes).expect("tar reads it all");
    let output = child.wait_with_output().expect("tar ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let shown =
        String::from_utf8_lossy(&output.stdout).replace(&"n".repeat(120), "N*120").replace(&"t".repeat(150), "T*150");
    expect_test::expect![[r#"
        drwxr-xr-x 0/0               0 1980-01-01 00:00:00 d/
        -rw-r--r-- 0/0               5 1980-01-01 00:00:00 d/a-link
        -rwsr-xr-x 3000000/4294967294 1 1980-01-01 00:00:00 d/big-owner
        hrw-r--r-- 0/0                0 1980-01-01 00:00:00 d/f link to d/a-link
        drwxr-xr-x 0/0                0 1980-01-01 00:00:00 d/N*120/
        -rw-r--r-- 0/0                6 1980-01-01 00:00:00 d/N*120/mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm
        lrw-r--r-- 0/0                0 1980-01-01 00:00:00 d/sym -> T*150
        -rw-r--r-- 0/0                9 1980-01-01 00:00:00 d/\303\251\n
        brw-r--r-- 0/0        259,70000 1980-01-01 00:00:00 disk
        ---------- 0/0                0 1980-01-01 00:00:00 .wh.gone
        crw-r--r-- 0/0              1,3 1980-01-01 00:00:00 null
        drw-r--r-- 0/0                0 1980-01-01 00:00:00 opaque/
        ---------- 0/0                0 1980-01-01 00:00:00 opaque/.wh..wh..opq
        prw-r--r-- 0/0                0 1980-01-01 00:00:00 p
    "#]]
    .assert_eq(&shown);
}

#[test]
fn the_tar_crate_reads_the_same_members() {
    let place = place();
    // The crate cannot read records with a newline in them.
    let plain = sample().into_iter().filter(|(entry, _)| {
        entry.attributes.xattrs.is_empty()
            && !entry.path.as_bytes().ends_with(b"\n")
            && !matches!(entry.kind, Kind::Hardlink { .. })
    });
    let (_, bytes) = tar_of(&place.store, plain.collect(), TimePolicy::Preserve);
    let mut ours = TarReader::new(bytes.as_slice());
    let mut theirs = tar::Archive::new(bytes.as_slice());
    for entry in theirs.entries().expect("entries") {
        let mut entry = entry.expect("an entry");
        let member = ours.next().expect("a tar").expect("as many members");
        assert_eq!(member.name, entry.path_bytes().as_ref());
        assert_eq!(member.size, entry.size());
        assert_eq!(u64::from(member.attributes.uid), entry.header().uid().expect("a number"));
        if let MemberKind::Symlink { target } = &member.kind {
            assert_eq!(Some(target.as_slice()), entry.link_name_bytes().as_deref());
        }
        assert_eq!(bytes_of(&mut ours), bytes_of(&mut entry));
    }
    assert_eq!(ours.next().expect("a tar"), None);
}

#[test]
fn sizes_of_8_gib_and_more_are_records() {
    for (size, in_record) in [((8 << 30) - 1, false), (8 << 30, true), (70 << 30, true)] {
        let kind = Kind::File { size, digest: ContentDigest::of(b"") };
        let entry = Entry { path: ImagePath::new("f"), kind, attributes: at(0) };
        let header = crate::layer::header::encode(&entry, TimePolicy::Fixed).expect("a header");
        assert_eq!(header.len() > 512, in_record, "{size}");
        let member = TarReader::new(header.as_slice()).next().expect("a header").expect("a member");
        assert_eq!(member.size, size);
    }
}

#[test]
fn entries_must_stand_by_themselves() {
    let place = place();
    let refused = |entries, words: &str| {
        let error = write_layer(&place.store, entries, TimePolicy::Fixed, Form::Working).expect_err(words).to_string();
        assert!(error.contains(words), "{error}");
    };
    refused(vec![file("d/f", "")], "`/d/f` cannot be in a layer: the folder it lies in is not in the layer");
    refused(vec![file("d", ""), file("d/f", "")], "the folder it lies in");
    refused(vec![dir("d"), dir("d-e"), dir("d"), file("d/f", "")], "it is there twice");
    refused(vec![hardlink("l", "f")], "the file that it is a name of is not in the layer");
    refused(vec![dir("d"), hardlink("l", "d")], "the file that it is a name of is not in the layer");
    refused(vec![file(".wh.a", "")], "a name that starts with `.wh.` means that a file is removed");
    refused(vec![(file("f", "").0, Content::Bytes(b"more".to_vec()))], "`/f` changed while it was read");
    refused(vec![(file("f", "four").0, Content::Bytes(b"mor".to_vec()))], "`/f` changed while it was read");
    refused(vec![(file("f", "four").0, Content::Bytes(b"more".to_vec()))], "`/f` changed while it was read");
    refused(vec![(file("f", "four").0, Content::None)], "`/f` changed while it was read");
    refused(vec![(dir("d").0, Content::Bytes(b"x".to_vec()))], "it is no regular file but has content");
    let fails = Content::Open(Box::new(|| Err(std::io::ErrorKind::NotFound.into())));
    refused(vec![(file("f", "four").0, fails)], "cannot read the content of `/f`");
}

#[test]
fn a_link_before_its_target_carries_the_content() {
    let place = place();
    let entries = vec![file("z", "text"), hardlink("a", "z"), hardlink("m", "z")];
    let (layer, _) = tar_of(&place.store, entries, TimePolicy::Fixed);
    let listing = listing(&place.store, layer.tree).expect("a listing");
    assert_eq!(lines(&listing), ["f 644 /a 4", "h /m -> /a", "h /z -> /a"]);
}

fn any_name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        "[a-c]{1,3}".prop_map(String::into_bytes),
        "[a-z]{90,130}".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>().prop_filter("no name has these", |b| *b != 0 && *b != b'/'), 1..40)
            .prop_filter("neither is a name", |n| n != b"." && n != b".." && !n.starts_with(b".wh.")),
    ]
}

fn any_attributes() -> impl Strategy<Value = Attributes> {
    let xattr = (
        proptest::collection::vec(any::<u8>().prop_filter("no key has these", |b| *b != 0 && *b != b'='), 1..9),
        proptest::collection::vec(any::<u8>(), 0..30),
    );
    (
        0u32..0o10000,
        any::<u32>(),
        any::<u32>(),
        -9_000_000_000i64..9_000_000_000,
        0u32..1_000_000_000,
        proptest::collection::btree_map(xattr.0, xattr.1, 0..3),
    )
        .prop_map(|(mode, uid, gid, secs, nanos, xattrs)| Attributes {
            mode,
            uid,
            gid,
            mtime: Timestamp { secs, nanos },
            xattrs,
        })
}

fn any_entries() -> impl Strategy<Value = Vec<(Entry, Vec<u8>)>> {
    let kind = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..1500)
            .prop_map(|bytes| (Kind::File { size: bytes.len() as u64, digest: ContentDigest::of(&bytes) }, bytes)),
        proptest::collection::vec(1u8.., 1..200).prop_map(|target| (Kind::Symlink { target }, Vec::new())),
        Just((Kind::Fifo, Vec::new())),
        (1u32..4096, 0u32..1 << 20).prop_map(|(major, minor)| (Kind::CharDevice { major, minor }, Vec::new())),
        any::<bool>().prop_map(|opaque| (Kind::Directory { opaque }, Vec::new())),
        Just((Kind::Whiteout, Vec::new())),
    ];
    let entry = (any_name(), any_name(), kind, any_attributes());
    proptest::collection::vec(entry, 0..12).prop_map(|made| {
        let mut entries = BTreeMap::new();
        for (folder, name, (kind, bytes), attributes) in made {
            let parent = ImagePath::new(&folder);
            let path = parent.child(&name);
            entries.insert(parent.clone(), (Entry::directory(parent, attributes.clone()), Vec::new()));
            let attributes = if kind == Kind::Whiteout { Attributes::of_root(0) } else { attributes };
            entries.insert(path.clone(), (Entry { path, kind, attributes }, bytes));
        }
        entries.into_values().collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_back(entries in any_entries()) {
        let place = place();
        let given = Listing::new(entries.iter().map(|(entry, _)| entry.clone()));
        let contents = entries.into_iter().map(|(entry, bytes)| {
            let content = if matches!(entry.kind, Kind::File { .. }) { Content::Bytes(bytes) } else { Content::None };
            (entry, content)
        });
        let layer = write_layer(&place.store, contents.collect(), TimePolicy::Preserve, Form::Working).expect("a layer");
        let bytes = bytes_of(plain_tar(&place.store, &layer).expect("a tar"));
        let elsewhere = self::place();
        let read = Pile::default().import(&elsewhere.store, &bytes, Unpack::ListingOnly).expect("a layer");
        prop_assert_eq!(read.entries(), given.entries());
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..3000), flag in any::<u8>(), size in 0u64..3000) {
        let mut input = block(b"name", flag, b"link", size, 0o644, (0, 0));
        input.extend(&bytes);
        let mut reader = TarReader::new(input.as_slice());
        while let Ok(Some(_)) = reader.next() {}
        let mut reader = TarReader::new(bytes.as_slice());
        while let Ok(Some(_)) = reader.next() {}
    }
}
