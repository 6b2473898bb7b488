use super::*;

fn check_refused(members: &[Raw], words: &str) {
    let error = import_one(members).expect_err(words).to_string();
    assert!(error.contains(words), "{error}");
}

fn check_places(members: &[Raw], expected: &[&str]) {
    let listing = import_one(members).expect("a layer");
    assert_eq!(lines(&listing), expected);
}

#[test]
fn names_stay_inside() {
    require_root();
    // S-01 and its twins.
    let deep = format!("{}canary/x", "../".repeat(30));
    for (name, lands) in [
        ("../../canary/x", "/canary/x"),
        ("a/../../canary/x", "/canary/x"),
        ("/../canary/x", "/canary/x"),
        (&deep, "/canary/x"),
        ("./a/../b/x", "/b/x"),
        ("//etc/x", "/etc/x"),
    ] {
        let listing = import_one(&[raw_file(name, "x")]).expect(name);
        assert_eq!(listing.entries().last().map(|e| e.path.to_string()).as_deref(), Some(lands), "{name}");
    }
}

#[test]
fn symlinks_lead_to_places_inside() {
    require_root();
    // S-02: absolute, relative, chained, through `..`, with a slash at its end.
    for target in ["/canary", "../../canary", "b", "../..", "/canary/"] {
        let members = [
            raw(b'2', &format!("d -> {target}")),
            raw(b'2', "b -> /canary"),
            raw(b'5', "canary/"),
            raw_file("d/x", "x"),
        ];
        let listing = import_one(&members).expect(target);
        let at = if target == "../.." { "/x" } else { "/canary/x" };
        // `..` is the root itself, where `x` then stands.
        assert!(lines(&listing).contains(&format!("f 644 {at} 1")), "{target}: {:?}", lines(&listing));
    }
    let looped = [raw(b'2', "a -> b"), raw(b'2', "b -> a"), raw_file("a/x", "x")];
    check_refused(&looped, "the symbolic links in a path may be at most 40");
    check_refused(&[raw_file("f", "x"), raw_file("f/x", "x")], "something lies in it, but it is no folder");
}

#[test]
fn symlinks_of_lower_layers_lead_on_and_make_the_tree_one_of_its_stack() {
    require_root();
    for target in ["usr/lib", "/usr/lib"] {
        let place = place();
        let mut pile = Pile::default();
        let base = [raw(b'5', "usr/"), raw(b'5', "usr/lib/"), raw(b'2', &format!("lib -> {target}"))];
        pile.import(&place.store, &raw_tar(&base), Unpack::Tree).expect("a base");
        let top = pile.import(&place.store, &raw_tar(&[raw_file("lib/x", "x")]), Unpack::Tree).expect("a layer");
        assert_eq!(lines(&top), ["d 755 /usr", "d 755 /usr/lib", "f 644 /usr/lib/x 1"]);
        assert!(matches!(pile.layers[0].tree, crate::store::TreeId::Layer(_)));
        assert!(matches!(pile.layers[1].tree, crate::store::TreeId::Chain(_)));
        // The symlink is replaced by a folder that is named.
        let named = pile.import(&place.store, &raw_tar(&[raw(b'5', "lib/"), raw_file("lib/y", "y")]), Unpack::Tree);
        assert_eq!(lines(&named.expect("a layer")), ["d 755 /lib", "f 644 /lib/y 1"]);
        assert!(matches!(pile.layers[2].tree, crate::store::TreeId::Layer(_)));
    }
}

#[test]
fn implied_parents_look_as_they_do_below() {
    require_root();
    let place = place();
    let mut pile = Pile::default();
    let tmp = Raw { mode: 0o1777, ..raw(b'5', "tmp/") };
    pile.import(&place.store, &raw_tar(&[tmp]), Unpack::Tree).expect("a base");
    let top = pile.import(&place.store, &raw_tar(&[raw_file("tmp/x", "x"), raw_file("new/y", "y")]), Unpack::Tree);
    assert_eq!(lines(&top.expect("a layer")), ["d 755 /new", "f 644 /new/y 1", "d 1777 /tmp", "f 644 /tmp/x 1"]);
}

#[test]
fn only_a_folder_can_be_the_root() {
    require_root();
    // S-03.
    for name in [".", "./", "/", "", "a/.."] {
        for flag in [b'0', b'2', b'1', b'6'] {
            check_refused(&[Raw { link: b"x".to_vec(), ..raw(flag, name) }], "the root is a folder");
        }
    }
    check_places(&[Raw { mode: 0o711, ..raw(b'5', "./") }], &["d 711 /"]);
}

#[test]
fn hard_links_name_files_that_are_there() {
    require_root();
    // S-04.
    let f = raw_file("usr/bin/f", "x");
    check_places(
        &[f.clone(), raw(b'1', "l -> /usr/bin/f")],
        &["f 644 /l 1", "d 755 /usr", "d 755 /usr/bin", "h /usr/bin/f -> /l"],
    );
    check_refused(&[raw(b'1', "l -> f"), raw_file("f", "x")], "it is a hard link to a file that is not there yet");
    check_refused(&[raw(b'1', "l -> ../../canary")], "it is a hard link to a file that is not there yet");
    check_refused(&[raw(b'5', "d/"), raw(b'1', "l -> d")], "it is a hard link to a folder");
    check_refused(&[raw_file("f", "x"), raw(b'1', "f -> f")], "it is a hard link to itself");
    check_refused(&[raw_file("f", "x"), Raw { data: b"x".to_vec(), ..raw(b'1', "l -> f") }], "a link has content");
    // A link to a symlink is that symlink, and nothing behind it.
    check_places(&[raw(b'2', "s -> /etc/passwd"), raw(b'1', "l -> s")], &["l /l -> /etc/passwd", "h /s -> /l"]);
}

#[test]
fn a_replaced_file_leaves_its_other_names_alone() {
    require_root();
    let members = [raw_file("f", "old"), raw(b'1', "g -> f"), raw(b'1', "h -> f"), raw_file("f", "newer")];
    check_places(&members, &["f 644 /f 5", "f 644 /g 3", "h /h -> /g"]);
}

#[test]
fn hard_links_to_lower_files_are_copied_up() {
    require_root();
    for unpack in [Unpack::Tree, Unpack::ListingOnly] {
        let place = place();
        let mut pile = Pile::default();
        pile.import(&place.store, &raw_tar(&[raw_file("f", "text")]), unpack).expect("a base");
        let top = pile.import(&place.store, &raw_tar(&[raw(b'1', "l -> f")]), unpack).expect("a layer");
        assert_eq!(lines(&top), ["f 644 /l 4"]);
        let content = open_file(&place.store, &pile.layers, &pile.stack, &ImagePath::new("l"));
        assert_eq!(bytes_of(content.expect("a file").expect("a file")), b"text");
        let lower = Lower { layers: &pile.layers[..1], stack: &Stack::new(pile.stack.layers()[..1].to_vec()) };
        let tree = ensure_tree(&place.store, &pile.layers[1], lower).expect("a tree");
        assert_eq!(std::fs::read(tree.fs.join("l")).expect("a file"), b"text");
    }
}

#[test]
fn what_replaces_a_symlink_never_reaches_its_target() {
    require_root();
    // S-05: the canary lies outside every root.
    let canary = tempfile::tempdir().expect("a folder");
    let target = canary.path().to_str().expect("a path").to_owned();
    let before = std::fs::metadata(canary.path()).expect("metadata").permissions();
    for flag in [b'5', b'0', b'6'] {
        for name in ["foo", "foo/."] {
            let second = Raw { mode: 0o777, ..raw(flag, name) };
            import_one(&[raw(b'2', &format!("foo -> {target}")), second]).expect("a layer");
        }
    }
    import_one(&[raw(b'2', &format!("foo -> {target}")), raw_file("foo/x", "x")]).expect("a layer");
    assert_eq!(std::fs::metadata(canary.path()).expect("metadata").permissions(), before);
    assert_eq!(std::fs::read_dir(canary.path()).expect("a folder").count(), 0);
}

#[test]
fn whiteouts_remove_names_and_nothing_else() {
    require_root();
    // S-08.
    for name in [".wh.", ".wh..", ".wh...", "d/.wh.", "d/.wh.."] {
        check_refused(&[raw_file(name, "")], "it removes nothing that can have a name");
    }
    check_refused(&[raw_file(".wh./x", "")], "a folder's name starts with `.wh.`");
    check_refused(&[raw_file(".wh.a/x", "")], "a folder's name starts with `.wh.`");
    check_refused(&[raw_file("a", "x"), raw_file("a/.wh..wh..opq", "")], "something lies in it, but it is no folder");
    check_refused(&[raw(b'2', "l -> .wh.a"), raw_file("l/x", "x")], "a name that starts with `.wh.`");
    check_places(&[raw_file(".whx", ""), raw_file("x.wh.", "")], &["f 644 /.whx 0", "f 644 /x.wh. 0"]);
    check_places(&[raw_file(".wh..wh.plnk", ""), raw_file(".wh..wh.orph/x", "")], &[]);
    check_places(&[raw_file(".wh.a", ""), raw_file("a", "x")], &["f 644 /a 1"]);
    check_places(&[raw_file(".wh.a", ""), raw(b'5', "a/")], &["o 755 /a"]);
    check_places(&[raw(b'5', "a/"), raw_file(".wh.a", "")], &["o 755 /a"]);
    check_places(&[raw(b'5', "a/"), raw_file("a/x", ""), raw_file("a", ""), raw(b'5', "a/")], &["o 755 /a"]);
    check_places(
        &[raw(b'5', "a/"), raw_file("a/.wh..wh..opq", ""), raw_file("a/x", "")],
        &["o 755 /a", "f 644 /a/x 0"],
    );
}

#[test]
fn an_opaque_root_hides_the_lower_root_child_by_child() {
    require_root();
    let place = place();
    let mut pile = Pile::default();
    let base = [raw(b'5', "a/"), raw_file("a/x", ""), raw_file("b", ""), raw(b'5', "c/")];
    pile.import(&place.store, &raw_tar(&base), Unpack::Tree).expect("a base");
    let top = [raw_file(".wh..wh..opq", ""), raw(b'5', "c/")];
    let listing = pile.import(&place.store, &raw_tar(&top), Unpack::Tree).expect("a layer");
    assert_eq!(lines(&listing), ["d 755 /", "w /a", "w /b", "o 755 /c"]);
}

#[test]
fn what_an_overlay_obeys_is_never_unpacked() {
    require_root();
    // S-09.
    let pax = |key: &str| vec![(format!("SCHILY.xattr.{key}"), b"/secret".to_vec())];
    let member = |name: &str, key: &str| Raw { pax: pax(key), ..raw_file(name, "") };
    let members = [
        member("a", "trusted.overlay.redirect"),
        member("b", "user.overlay.opaque"),
        member("c", "security.selinux"),
        member("d", "trusted.kept"),
    ];
    let listing = import_one(&members).expect("a layer");
    let kept: Vec<usize> = listing.entries().iter().map(|entry| entry.attributes.xattrs.len()).collect();
    assert_eq!(kept, [0, 0, 0, 1]);
    check_refused(&[raw(b'3', "etc/passwd")], "the character device 0:0 means that a file is removed");
    check_places(&[Raw { device: (1, 3), ..raw(b'3', "null") }], &["c 644 /null 1:3"]);
    check_refused(&[Raw { device: (5000, 3), ..raw(b'4', "x") }], "its device number is out of range");
}

#[test]
fn every_size_has_a_limit_with_a_name() {
    let long = |key: &str, length| Raw { pax: vec![(key.to_owned(), vec![b'a'; length])], ..raw_file("f", "") };
    check_refused(&[long("path", 300)], "the bytes of a file name may be at most 255");
    check_refused(&[Raw { flag: b'2', ..long("linkpath", 5000) }], "the bytes of a symbolic link may be at most 4095");
    check_refused(&[long("SCHILY.xattr.user.a", 70_000)], "the bytes of an extended attribute may be at most 65536");
    check_refused(&[long("comment", 2 << 20)], "the bytes of a PAX header may be at most 1048576");
    let deep = Raw { pax: vec![("path".to_owned(), b"a/".repeat(3000))], ..raw_file("f", "") };
    check_refused(&[deep], "the components of a path may be at most 2048");
    let path = [vec![b'a'; 200], vec![b'/']].concat().repeat(400);
    let huge = Raw { pax: vec![("path".to_owned(), path)], ..raw_file("f", "") };
    check_refused(&[huge], "the bytes of a path may be at most 65536");
    let claims = Raw { pax: vec![("size".to_owned(), b"9000000000000000000".to_vec())], ..raw_file("f", "") };
    check_refused(&[claims], "the bytes of a layer may be at most 274877906944");
}

#[test]
fn a_path_longer_than_linux_takes_at_once_is_unpacked() {
    require_root();
    let mut path = [vec![b'a'; 200], vec![b'/']].concat().repeat(60);
    path.extend(b"f");
    let place = place();
    let member = Raw { pax: vec![("path".to_owned(), path.clone())], ..raw_file("f", "far") };
    let mut pile = Pile::default();
    pile.import(&place.store, &raw_tar(&[member]), Unpack::Tree).expect("a layer");
    let content = open_file(&place.store, &pile.layers, &pile.stack, &ImagePath::new(&path));
    assert_eq!(bytes_of(content.expect("a file").expect("a file")), b"far");
}

#[test]
fn headers_that_readers_do_not_agree_on_are_refused() {
    // S-07.
    let pax =
        |records: &[(&str, &str)]| records.iter().map(|(k, v)| ((*k).to_owned(), v.as_bytes().to_vec())).collect();
    let with = |records: &[(&str, &str)]| Raw { pax: pax(records), ..raw_file("f", "12345") };
    check_refused(&[with(&[("size", "+5")])], "a number in an extended header cannot be read");
    check_refused(&[with(&[("uid", "0x1")])], "a number in an extended header cannot be read");
    check_refused(&[with(&[("mtime", "1e9")])], "a time in an extended header cannot be read");
    check_refused(&[with(&[("GNU.sparse.major", "1")])], "sparse files are not supported");
    check_refused(
        &[Raw { data: record_line("path", b"x"), ..raw(b'g', "g") }],
        "a global extended header changes names",
    );
    check_refused(
        &[Raw { data: b"5 a\n".to_vec(), ..raw(b'x', "x") }, raw_file("f", "")],
        "an extended header cannot be read",
    );
    check_refused(
        &[Raw { data: b"99 a=b\n".to_vec(), ..raw(b'x', "x") }, raw_file("f", "")],
        "an extended header cannot be read",
    );
    let header = Raw { data: record_line("comment", b"x"), ..raw(b'x', "x") };
    check_refused(std::slice::from_ref(&header), "an extended header describes no member");
    check_refused(&[header.clone(), header], "two extended headers describe one member");
    let long = Raw { data: b"name\0".to_vec(), ..raw(b'L', "././@LongLink") };
    check_refused(&[long.clone(), with(&[("path", "other")])], "two extended headers describe one member");
    check_refused(&[long.clone(), long], "two extended headers describe one member");
    check_refused(&[raw(b'Z', "f")], "a member is of an unknown type");
    // Of two records of a key the last counts, and an empty one does not.
    check_places(&[with(&[("path", "a"), ("path", "b")])], &["f 644 /b 5"]);
    check_places(&[with(&[("path", ""), ("size", "")])], &["f 644 /f 5"]);
}

#[test]
fn a_size_in_a_record_counts_and_not_the_one_in_the_header() {
    let mut bytes = Vec::new();
    let body = record_line("size", b"5");
    bytes.extend(block(b"pax", b'x', b"", body.len() as u64, 0o644, (0, 0)));
    bytes.extend(padded(&body));
    bytes.extend(block(b"f", b'0', b"", 0, 0o644, (0, 0)));
    bytes.extend(padded(b"12345"));
    bytes.extend([0; 1024]);
    let place = place();
    let listing = Pile::default().import(&place.store, &bytes, Unpack::ListingOnly).expect("a layer");
    assert_eq!(lines(&listing), ["f 644 /f 5"]);
}

#[test]
fn a_record_with_newlines_is_read_whole() {
    require_root();
    let capability = b"\x01\x00\x00\x02\n\n\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00";
    let pax =
        vec![("SCHILY.xattr.security.capability".to_owned(), capability.to_vec()), ("path".into(), b"a\nb".to_vec())];
    let listing = import_one(&[Raw { pax, ..raw_file("f", "x") }]).expect("a layer");
    let entry = listing.find(&ImagePath::new(b"a\nb")).expect("the name with a newline");
    assert_eq!(entry.attributes.xattrs.values().next().map(Vec::as_slice), Some(&capability[..]));
}

#[test]
fn a_tar_that_breaks_off_is_refused_everywhere() {
    let whole = raw_tar(&[raw_file("a", &"x".repeat(700)), raw_file("b", "y")]);
    let place = place();
    for cut in [1, 100, 511, 513, 1000, 1200, 1537, 1600, 2049, 2500] {
        let result = Pile::default().import(&place.store, &whole[..cut], Unpack::ListingOnly);
        assert!(result.is_err(), "cut at {cut}");
    }
    for cut in [1536, 2560, 3072, 3584] {
        assert!(Pile::default().import(&place.store, &whole[..cut], Unpack::ListingOnly).is_ok(), "cut at {cut}");
    }
    let mut wrong = whole.clone();
    wrong[0] ^= 1;
    assert!(Pile::default().import(&place.store, &wrong, Unpack::ListingOnly).is_err());
}

#[test]
fn names_that_lead_far_cost_little() {
    // S-14: each short name leads through a thousand folders.
    use crate::layer::place::{Placement, Rules};
    let stack = Stack::default();
    let mut placement = Placement::new(&stack, ImagePath::root(), Rules::Layer, crate::layer::sink::HashOnly);
    let file = |name: String| crate::layer::reader::Member {
        name: name.into_bytes(),
        kind: crate::layer::reader::MemberKind::Directory,
        attributes: at(0),
        size: 0,
    };
    let link = crate::layer::reader::MemberKind::Symlink { target: b"a".to_vec() };
    placement.add(file("a/".repeat(1000)), &mut std::io::empty()).expect("folders");
    placement
        .add(crate::layer::reader::Member { kind: link, ..file("l".into()) }, &mut std::io::empty())
        .expect("a link");
    let made = placement.walked;
    for n in 0..100 {
        placement.add(file(format!("l/{}{n}", "a/".repeat(999))), &mut std::io::empty()).expect("a folder");
    }
    let each = (placement.walked - made) / 100;
    assert!(each < 40_000, "{each} bytes of paths were looked at for each name");
}
