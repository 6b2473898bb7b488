use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink as link};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, XattrFlags};

use super::*;

fn mknod(path: &Path, kind: FileType, major: u32, minor: u32) {
    let device = rustix::fs::makedev(major, minor);
    rustix::fs::mknodat(CWD, path, kind, Mode::from_raw_mode(0o640), device).expect("root may make devices");
}

fn set(path: &Path, name: &str, value: &[u8]) {
    rustix::fs::lsetxattr(path, name, value, XattrFlags::empty()).expect("the file system keeps attributes");
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).expect("a file");
}

/// An upper as an overlay leaves it.
fn fill(fs: &Path) {
    let make = |name: &str| std::fs::create_dir(fs.join(name)).expect("a folder");
    make("d");
    make("opaque");
    write(&fs.join("d/f"), "text");
    std::fs::set_permissions(fs.join("d/f"), std::fs::Permissions::from_mode(0o4711)).expect("a mode");
    std::os::unix::fs::chown(fs.join("d/f"), Some(7), Some(8)).expect("an owner");
    std::fs::set_permissions(fs.join("d/f"), std::fs::Permissions::from_mode(0o4711)).expect("a mode");
    std::fs::hard_link(fs.join("d/f"), fs.join("b")).expect("a link");
    link("d/f", fs.join("s")).expect("a symlink");
    mknod(&fs.join("gone"), FileType::CharacterDevice, 0, 0);
    mknod(&fs.join("null"), FileType::CharacterDevice, 1, 3);
    mknod(&fs.join("pipe"), FileType::Fifo, 0, 0);
    mknod(&fs.join("d/socket"), FileType::Socket, 0, 0);
    mknod(&fs.join("opaque/needless"), FileType::CharacterDevice, 0, 0);
    set(&fs.join("opaque"), "trusted.overlay.opaque", b"y");
    set(&fs.join("d"), "trusted.overlay.origin", b"whatever");
    set(&fs.join("d/f"), "user.note", b"kept");
}

#[test]
fn an_upper_becomes_a_layer_and_its_tree() {
    require_root();
    let place = place();
    let draft = place.store.tree_draft().expect("a draft");
    fill(&draft.fs());
    let layer = layer_from_upper(&place.store, draft, TimePolicy::Clamp).expect("a layer");
    let listing = listing(&place.store, layer.tree).expect("a listing");
    let expected = [
        "f 4711 /b 4",
        "d 755 /d",
        "h /d/f -> /b",
        "w /gone",
        "c 640 /null 1:3",
        "o 755 /opaque",
        "p 640 /pipe",
        "l /s -> d/f",
    ];
    assert_eq!(lines(&listing), expected);
    let b = listing.find(&ImagePath::new("b")).expect("b");
    assert_eq!((b.attributes.uid, b.attributes.gid), (7, 8));
    assert_eq!(b.attributes.xattrs, xattrs(&[("user.note", b"kept")]));
    assert!(listing.find(&ImagePath::new("d")).expect("d").attributes.xattrs.is_empty());
    // The same bytes come from the tree and from entries.
    let bytes = bytes_of(plain_tar(&place.store, &layer).expect("a tar"));
    assert_eq!(bytes.len() as u64, layer.size);
    let elsewhere = self::place();
    let again = Pile::default().import(&elsewhere.store, &bytes, Unpack::Tree).expect("a layer");
    assert_eq!(lines(&again), expected);
}

#[test]
fn an_untouched_upper_gives_the_empty_layer() {
    let place = place();
    let draft = place.store.tree_draft().expect("a draft");
    let layer = layer_from_upper(&place.store, draft, TimePolicy::Clamp).expect("a layer");
    assert!(layer.is_empty());
    assert!(listing(&place.store, layer.tree).expect("a listing").is_empty());
}

#[test]
fn two_runs_with_other_times_give_one_layer() {
    let place = place();
    let mut made = Vec::new();
    for time in [1_500_000_000, 1_700_000_000] {
        let draft = place.store.tree_draft().expect("a draft");
        write(&draft.fs().join("f"), "text");
        let file = std::fs::File::options().write(true).open(draft.fs().join("f")).expect("a file");
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(time)).expect("a time");
        made.push(layer_from_upper(&place.store, draft, TimePolicy::Clamp).expect("a layer"));
    }
    assert_eq!(made[0], made[1]);
    // The tree and its listing agree, whichever was first.
    let mtime = listing(&place.store, made[0].tree).expect("a listing").entries()[0].attributes.mtime.secs;
    let tree = place.store.tree(made[0].tree).expect("a store").expect("a tree");
    assert_eq!(std::fs::metadata(tree.fs.join("f")).expect("a file").mtime(), mtime);
}

#[test]
fn an_upper_of_another_kind_of_overlay_is_refused() {
    require_root();
    let place = place();
    for name in ["trusted.overlay.redirect", "user.overlay.metacopy"] {
        let draft = place.store.tree_draft().expect("a draft");
        write(&draft.fs().join("d"), "");
        set(&draft.fs().join("d"), name, b"/x");
        let error = layer_from_upper(&place.store, draft, TimePolicy::Clamp).expect_err(name).to_string();
        assert!(error.contains("redirect_dir or metacopy"), "{error}");
    }
    let draft = place.store.tree_draft().expect("a draft");
    write(&draft.fs().join(".wh.x"), "");
    assert!(layer_from_upper(&place.store, draft, TimePolicy::Clamp).is_err());
}

#[test]
fn a_tree_has_everything_its_listing_says() {
    require_root();
    let place = place();
    let mut capable = file("d/f", "text");
    capable.0.attributes = Attributes {
        mode: 0o6755,
        uid: 12,
        gid: 3_000_000,
        mtime: Timestamp { secs: 1_700_000_000, nanos: 123_456_789 },
        xattrs: xattrs(&[("user.note", b"a\0b")]),
    };
    let mut shut = dir("d");
    shut.0.attributes.mode = 0o555;
    let entries = vec![
        shut,
        capable,
        hardlink("z", "d/f"),
        symlink("s", "/etc"),
        other("p", Kind::Fifo),
        other("o", Kind::Directory { opaque: true }),
        other("null", Kind::CharDevice { major: 1, minor: 3 }),
        (Entry::whiteout(ImagePath::new("gone")), Content::None),
        file("zeros", &"\0".repeat(1 << 20)),
    ];
    let layer = write_layer(&place.store, entries, TimePolicy::Fixed).expect("a layer");
    let pile = Pile::default();
    let tree = ensure_tree(&place.store, &layer, pile.lower()).expect("a tree");
    let stat = |name: &str| std::fs::symlink_metadata(tree.fs.join(name)).expect(name);
    let f = stat("d/f");
    assert_eq!((f.mode() & 0o7777, f.uid(), f.gid(), f.nlink()), (0o6755, 12, 3_000_000, 2));
    assert_eq!((f.mtime(), f.mtime_nsec()), (1_700_000_000, 123_456_789));
    assert_eq!((stat("d").mode() & 0o7777, stat("d").mtime()), (0o555, 1_700_000_000));
    assert_eq!(stat("z").ino(), f.ino());
    assert!(stat("gone").file_type().is_char_device() && stat("gone").rdev() == 0);
    assert!(stat("p").file_type().is_fifo());
    assert_eq!(stat("null").rdev(), rustix::fs::makedev(1, 3));
    let mut mark = [0; 8];
    let length = rustix::fs::lgetxattr(tree.fs.join("o"), "trusted.overlay.opaque", &mut mark[..]).expect("a mark");
    assert_eq!(&mark[..length], b"y");
    assert_eq!((stat("zeros").len(), stat("zeros").blocks()), (1 << 20, 0));
}
