use super::*;

fn unpack(place: &Place, pile: &Pile, bytes: &[u8], folder: &str) -> Result<Vec<ArchiveEntry>> {
    unpack_archive(&place.store, &mut &*bytes, pile.lower(), &ImagePath::new(folder))
}

fn check_unpacked(members: &[Raw], expected: &[&str]) {
    let place = place();
    let entries = unpack(&place, &Pile::default(), &raw_tar(members), "to").expect("an archive");
    let lines: Vec<String> = entries.iter().map(|made| line(&made.entry)).collect();
    assert_eq!(lines, expected);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    filtered("xz", bytes)
}

fn filtered(program: &str, bytes: &[u8]) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let input = folder.path().join("in");
    std::fs::write(&input, bytes).expect("a file");
    let output = std::process::Command::new(program).args(["-c"]).arg(&input).output();
    let output = output.unwrap_or_else(|error| panic!("this test needs {program} on PATH: {error}"));
    assert!(output.status.success());
    output.stdout
}

#[test]
fn content_says_what_an_archive_is() {
    let tar = raw_tar(&[raw_file("f", "text")]);
    let mut bzip2 = bzip2::read::BzEncoder::new(tar.as_slice(), bzip2::Compression::fast());
    let cases = [
        (tar.clone(), Some(ArchiveKind::Plain)),
        (gzip(&tar), Some(ArchiveKind::Gzip)),
        (bytes_of(&mut bzip2), Some(ArchiveKind::Bzip2)),
        (xz(&tar), Some(ArchiveKind::Xz)),
        (zstd::bulk::compress(&tar, 3).expect("memory"), Some(ArchiveKind::Zstd)),
        (gzip(b"just a text, no tar"), None),
        (b"not a tar\n".to_vec(), None),
        (Vec::new(), None),
        (vec![0; 10240], None),
        (vec![b'a'; 10240], None),
    ];
    let place = place();
    for (bytes, kind) in cases {
        assert_eq!(sniff(&mut bytes.as_slice()), kind);
        if kind.is_some() {
            let made = unpack(&place, &Pile::default(), &bytes, "to").expect("an archive");
            let [ArchiveEntry { entry, content: Content::Open(open), .. }] =
                <[_; 1]>::try_from(made).expect("one entry")
            else {
                panic!("a file with content");
            };
            assert_eq!(entry.path.to_string(), "/to/f");
            assert_eq!(bytes_of(open().expect("a file")), b"text");
        }
    }
    // The contents go with the last entry.
    assert_eq!(place.unfinished(), 0);
}

#[test]
fn names_stay_in_the_folder() {
    check_unpacked(&[raw_file("/abs", "x"), raw_file("d/../e", "x")], &["f 644 /to/abs 1", "f 644 /to/e 1"]);
    check_unpacked(&[raw_file("../../up", "x")], &["f 644 /to/up 1"]);
    let through = [raw(b'2', "l -> /real"), raw(b'5', "real/"), raw_file("l/f", "x")];
    check_unpacked(&through, &["l /to/l -> /real", "d 755 /to/real", "f 644 /to/real/f 1"]);
}

#[test]
fn an_entry_for_the_top_changes_nothing() {
    check_unpacked(&[Raw { mode: 0o700, ..raw(b'5', "./") }, raw_file("./f", "x")], &["f 644 /to/f 1"]);
}

#[test]
fn folders_that_only_follow_are_told_from_named_ones() {
    let place = place();
    let members = [raw_file("a/b/c", "x"), raw(b'5', "d/")];
    let made = unpack(&place, &Pile::default(), &raw_tar(&members), "to").expect("an archive");
    let named: Vec<bool> = made.iter().map(|made| made.named).collect();
    assert_eq!(named, [false, false, true, true]);
    assert_eq!(line(&made[0].entry), "d 755 /to/a");
}

#[test]
fn of_extended_attributes_only_capabilities_are_kept() {
    let keys = ["security.capability", "user.note", "trusted.x", "system.posix_acl_access"];
    let pax = keys.iter().map(|key| (format!("SCHILY.xattr.{key}"), b"v".to_vec())).collect();
    let place = place();
    let made = unpack(&place, &Pile::default(), &raw_tar(&[Raw { pax, ..raw_file("f", "") }]), "").expect("an archive");
    assert_eq!(made[0].entry.attributes.xattrs, xattrs(&[("security.capability", b"v")]));
}

#[test]
fn the_last_of_one_name_stays_and_whiteouts_remove() {
    check_unpacked(&[raw_file("f", "a"), raw_file("f", "bcd")], &["f 644 /to/f 3"]);
    check_unpacked(&[raw_file(".wh.a", ""), raw_file("b", "x")], &["w /to/a", "f 644 /to/b 1"]);
    check_unpacked(
        &[raw(b'6', "p"), Raw { device: (1, 3), ..raw(b'3', "null") }],
        &["c 644 /to/null 1:3", "p 644 /to/p"],
    );
}

#[test]
fn what_the_stack_has_at_the_folder_counts() {
    require_root();
    let place = place();
    let mut pile = Pile::default();
    let base = [
        raw(b'5', "to/"),
        raw(b'5', "to/real/"),
        raw(b'2', "to/link -> /real"),
        Raw { mode: 0o700, ..raw(b'5', "to/kept/") },
        raw_file("to/file", "x"),
    ];
    pile.import(&place.store, &raw_tar(&base), Unpack::Tree).expect("a base");
    let members = [raw_file("link/f", "x"), raw_file("kept/g", "y"), raw(b'1', "copy -> file")];
    let made = unpack(&place, &pile, &raw_tar(&members), "to").expect("an archive");
    let lines: Vec<String> = made.iter().map(|made| line(&made.entry)).collect();
    let expected = ["f 644 /to/copy 1", "d 700 /to/kept", "f 644 /to/kept/g 1", "d 755 /to/real", "f 644 /to/real/f 1"];
    assert_eq!(lines, expected);
    let error = unpack(&place, &pile, &raw_tar(&[raw_file("file/x", "x")]), "to").expect_err("a file is in the way");
    assert!(error.to_string().contains("something lies in it, but it is no folder"), "{error}");
}

#[test]
fn an_archive_that_breaks_off_is_refused() {
    let place = place();
    let whole = raw_tar(&[raw_file("f", &"x".repeat(3000))]);
    assert!(unpack(&place, &Pile::default(), &whole[..1500], "to").is_err());
    let packed = gzip(&whole);
    assert!(unpack(&place, &Pile::default(), &packed[..packed.len() - 9], "to").is_err());
}

#[test]
fn a_decoder_may_not_take_more_memory_than_its_limit() {
    // S-13: a zstd frame with a window of 2 GiB.
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0b0000_0000, 0b1010_1000];
    frame.extend([1, 0, 0]);
    assert_eq!(sniff(&mut frame.as_slice()), None);
    let place = place();
    let error = unpack(&place, &Pile::default(), &frame, "to").expect_err("a window of 2 GiB").to_string();
    assert!(error.contains("emory"), "{error}");
}
