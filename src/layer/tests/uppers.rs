use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink as link};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, XattrFlags};

use super::*;

pub(super) fn mknod(path: &Path, kind: FileType, major: u32, minor: u32) {
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
    let layer =
        layer_from_upper(&place.store, draft, &Stack::default(), TimePolicy::Clamp, Form::Working).expect("a layer");
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
    let layer =
        layer_from_upper(&place.store, draft, &Stack::default(), TimePolicy::Clamp, Form::Working).expect("a layer");
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
        made.push(
            layer_from_upper(&place.store, draft, &Stack::default(), TimePolicy::Clamp, Form::Working)
                .expect("a layer"),
        );
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
        let error = layer_from_upper(&place.store, draft, &Stack::default(), TimePolicy::Clamp, Form::Working)
            .expect_err(name)
            .to_string();
        assert!(error.contains("redirect_dir or metacopy"), "{error}");
    }
    let draft = place.store.tree_draft().expect("a draft");
    write(&draft.fs().join(".wh.x"), "");
    assert!(layer_from_upper(&place.store, draft, &Stack::default(), TimePolicy::Clamp, Form::Working).is_err());
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
    let layer = write_layer(&place.store, entries, TimePolicy::Fixed, Form::Working).expect("a layer");
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

/// Runs a shell script over an overlay of `lower` (top first) and a new draft, and makes the result a layer.
pub(super) fn run_over(place: &Place, lower: &[&Path], stack: &Stack, script: &str) -> Layer {
    let draft = place.store.tree_draft().expect("a draft");
    let mount = tempfile::tempdir().expect("a folder");
    let lower: Vec<&str> = lower.iter().map(|path| path.to_str().expect("a path")).collect();
    let options = "redirect_dir=off,metacopy=off,index=off";
    let whole = format!(
        "set -e; mount -t overlay overlay -o {options},lowerdir={},upperdir={},workdir={} {mount}; cd {mount}; {script}",
        lower.join(":"),
        draft.fs().display(),
        draft.work().display(),
        mount = mount.path().display()
    );
    let output = std::process::Command::new("unshare").args(["-m", "sh", "-c", &whole]).output();
    let output = output.expect("this test needs unshare on PATH");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "an overlay must be mountable on the temporary folder: {text}");
    layer_from_upper(&place.store, draft, stack, TimePolicy::Clamp, Form::Working).expect("a layer")
}

#[test]
fn what_an_overlay_shows_is_what_the_stack_of_its_layers_says() {
    require_root();
    // removed, made again, folders for files and files for folders.
    let scripts = [
        "rm -r a; mkdir a; echo 1 >a/new",
        "rm -r a; echo file >a; rm b; mkdir b; echo x >b/y",
        "mv a c; ln -s c a; ln c/f hard",
        "rm a/f; rm -r a/d; mkdir -p a/d/e; touch a/d/e/g; chmod 700 a",
        "rm -r a; ln -s b a; chown 5:6 b",
    ];
    for first in scripts {
        for second in ["rm -rf a b c", "rm -rf a; mkdir a; echo 2 >a/again"] {
            let place = place();
            let mut pile = Pile::default();
            let base =
                [raw(b'5', "a/"), raw_file("a/f", "f"), raw(b'5', "a/d/"), raw_file("a/d/g", "g"), raw_file("b", "b")];
            pile.import(&place.store, &raw_tar(&base), Unpack::Tree).expect("a base");
            for script in [first, second] {
                let mut lower = Vec::new();
                for layer in pile.layers.iter().rev() {
                    lower.push(ensure_tree(&place.store, layer, pile.lower()).expect("a tree").fs);
                }
                let lower: Vec<&Path> = lower.iter().map(std::path::PathBuf::as_path).collect();
                let list = place.store.root().join("shown");
                let script = format!("{script}; find . -mindepth 1 | sort >{}", list.display());
                let layer = run_over(&place, &lower, &pile.stack, &script);
                pile.stack = pile.stack.pushed(listing(&place.store, layer.tree).expect("a listing"));
                pile.layers.push(layer);
                let shown = std::fs::read_to_string(list).expect("what the overlay showed");
                let mut listed: Vec<String> =
                    pile.stack.merged(&ImagePath::root()).keys().map(|p| format!(".{p}")).collect();
                listed.sort();
                assert_eq!(shown.lines().collect::<Vec<_>>(), listed, "{first} / {second}");
            }
            // The same layers from their bytes give the same stack.
            let elsewhere = self::place();
            let mut again = Pile::default();
            for layer in &pile.layers {
                let bytes = bytes_of(plain_tar(&place.store, layer).expect("a tar"));
                again.import(&elsewhere.store, &bytes, Unpack::Tree).expect("a layer");
            }
            let paths = |stack: &Stack| {
                stack.merged(&ImagePath::root()).into_values().map(|f| line(f.entry)).collect::<Vec<_>>()
            };
            assert_eq!(paths(&again.stack), paths(&pile.stack));
        }
    }
}

#[test]
fn files_that_were_copied_up_and_are_the_same_stay_out() {
    require_root();
    let check = |script: &str, expected: &[&str]| {
        let place = place();
        let mut pile = Pile::default();
        let base = [raw(b'5', "a/"), raw_file("a/f", "f"), raw_file("a/g", "g"), raw_file("b", "b")];
        pile.import(&place.store, &raw_tar(&base), Unpack::Tree).expect("a base");
        let tree = ensure_tree(&place.store, &pile.layers[0], pile.lower()).expect("a tree");
        let layer = run_over(&place, &[&tree.fs], &pile.stack, script);
        let listing = listing(&place.store, layer.tree).expect("a listing");
        assert_eq!(lines(&listing), expected, "{script}");
        let on_disk = ensure_tree(&place.store, &layer, pile.lower()).expect("a tree").fs;
        assert_eq!(on_disk.join("b").exists(), expected.iter().any(|line| line.contains("/b ")), "{script}");
    };
    check("chmod 644 b; chown 0:0 a/f a/g", &["d 755 /a"]);
    check("chmod 600 b", &["f 600 /b 1"]);
    check("touch b", &["f 644 /b 1"]);
    check("cp -p b x; printf c >b; touch -r x b; rm x", &["f 644 /b 1"]);
    check("mv a/f x; rm -r a; mkdir a; mv x a/f", &["o 755 /a", "f 644 /a/f 1"]);
}

#[test]
fn without_privilege_owners_and_devices_are_in_the_listing_only() {
    use crate::layer::disk::{Disk, Ownership};
    let place = place();
    let draft = place.store.tree_draft().expect("a draft");
    let owned = |mut made: (Entry, Content)| {
        made.0.attributes = Attributes { uid: 4_000_000_000, gid: 12, mode: 0o111, ..at(5) };
        made.0
    };
    let entries = [
        owned(dir("d")),
        owned(file("d/f", "text")),
        owned(other("null", Kind::CharDevice { major: 1, minor: 3 })),
        owned(other("o", Kind::Directory { opaque: true })),
    ];
    let opener = |_, entry: &Entry| Err(Error::entry(&entry.path, "there is no lower layer"));
    let mut disk = Disk::new(&draft.fs(), Ownership::Listed, Box::new(opener)).expect("a sink");
    for entry in &entries {
        use crate::layer::sink::Sink as _;
        match &entry.kind {
            Kind::Directory { .. } => disk.directory(&entry.path),
            Kind::File { .. } => disk.file(&entry.path, &mut &b"text"[..]).map(drop),
            kind => disk.node(&entry.path, kind),
        }
        .expect("unpacked");
    }
    disk.finish(&Listing::new(entries)).expect("finished");
    let stat = |name: &str| std::fs::symlink_metadata(draft.fs().join(name));
    let me = rustix::process::geteuid().as_raw();
    assert_eq!(stat("d/f").map(|s| (s.mode() & 0o7777, s.uid())).expect("f"), (0o711, me));
    assert_eq!(stat("d").map(|s| s.mode() & 0o7777).expect("d"), 0o711);
    assert!(stat("null").is_err());
}
