//! Names of one file stay names of one file.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::FileType;

use super::uppers::{mknod, run_over};
use super::*;
use crate::layer::unpack::verify;
use crate::store::Tree;

/// A link, a pipe and a device with two names each, and a file with three.
const KINDS: &str = "echo x >m; ln m a; ln m z/m; ln -s nowhere s; ln s r; ln -s z d; ln d c; mkfifo p; ln p o; \
    mknod n c 1 3; ln n k; mknod h b 7 0; ln h g";

const KINDS_LISTED: [&str; 14] = [
    "f 644 /a 2",
    "l /c -> z",
    "h /d -> /c",
    "b 644 /g 7:0",
    "h /h -> /g",
    "c 644 /k 1:3",
    "h /m -> /a",
    "h /n -> /k",
    "p 644 /o",
    "h /p -> /o",
    "l /r -> nowhere",
    "h /s -> /r",
    "d 755 /z",
    "h /z/m -> /a",
];

/// The groups of paths in a tree that are names of one file.
fn groups(fs: &Path, paths: &[&str]) -> Vec<Vec<String>> {
    let mut groups: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for path in paths {
        let stat = std::fs::symlink_metadata(fs.join(path)).expect(path);
        groups.entry(stat.ino()).or_default().push(format!("{path} of {}", stat.nlink()));
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    groups.sort();
    groups
}

/// A layer of one folder, `z`, and of files: two names of one, two files that are the same, and one more.
fn base(place: &Place) -> Pile {
    let mut pile = Pile::default();
    let members = [
        raw_file("b", "b"),
        raw_file("l1", "l"),
        raw(b'1', "l2 -> l1"),
        raw_file("t1", "t"),
        raw_file("t2", "t"),
        Raw { mode: 0o777, ..raw(b'2', "y -> nowhere") },
        raw(b'5', "z/"),
        raw_file("z/f", "f"),
    ];
    pile.import(&place.store, &raw_tar(&members), Unpack::Tree).expect("a base");
    pile
}

fn run(place: &Place, pile: &Pile, script: &str) -> (Layer, Vec<String>) {
    let lower = ensure_tree(&place.store, &pile.layers[0], pile.lower()).expect("a tree");
    let layer = run_over(place, &[&lower.fs], &pile.stack, script);
    let lines = lines(&listing(&place.store, layer.tree).expect("a listing"));
    (layer, lines)
}

#[test]
fn every_kind_of_file_keeps_its_names_in_a_layer_and_in_each_of_its_trees() {
    require_root();
    let place = place();
    let (layer, lines) = run(&place, &base(&place), KINDS);
    assert_eq!(lines, KINDS_LISTED);
    let warm = place.store.tree(layer.tree).expect("a store").expect("a tree");
    let bytes = bytes_of(plain_tar(&place.store, &layer).expect("a tar"));
    let elsewhere = self::place();
    let mut pile = Pile::default();
    let pulled = pile.import(&elsewhere.store, &bytes, Unpack::Tree).expect("a layer");
    assert_eq!(self::lines(&pulled), KINDS_LISTED);
    let cold = ensure_tree(&elsewhere.store, &pile.layers[0], pile.lower()).expect("a tree");
    let paths = ["a", "c", "d", "g", "h", "k", "m", "n", "o", "p", "r", "s", "z/m"];
    let joined = ["a of 3 m of 3 z/m of 3", "c of 2 d of 2", "g of 2 h of 2", "k of 2 n of 2", "o of 2 p of 2"];
    for tree in [&warm, &cold] {
        let mut groups: Vec<String> = groups(&tree.fs, &paths).iter().map(|names| names.join(" ")).collect();
        assert_eq!(groups.pop().as_deref(), Some("r of 2 s of 2"));
        assert_eq!(groups, joined);
    }
    // A listing that nobody vouches for holds of both.
    let listed = listing(&place.store, layer.tree).expect("a listing");
    verify(&warm, &listed).expect("the tree fits");
    verify(&cold, &pulled).expect("the tree fits");
    // Unpacked a second time from the bytes that are there, as after its tree was lost.
    elsewhere.store.remove_tree(pile.layers[0].tree).expect("removed");
    let again = ensure_tree(&elsewhere.store, &pile.layers[0], pile.lower()).expect("a tree");
    verify(&again, &pulled).expect("the tree fits");
    assert_eq!(groups(&again.fs, &paths), groups(&cold.fs, &paths));
}

#[test]
fn a_tree_in_which_two_names_have_become_two_files_is_damaged() {
    require_root();
    for name in ["d", "p", "n"] {
        let place = place();
        let (layer, _) = run(&place, &base(&place), KINDS);
        let tree: Tree = place.store.tree(layer.tree).expect("a store").expect("a tree");
        let listing = listing(&place.store, layer.tree).expect("a listing");
        let path = tree.fs.join(name);
        let before = std::fs::symlink_metadata(&path).expect(name);
        std::fs::remove_file(&path).expect("removed");
        match name {
            "d" => std::os::unix::fs::symlink("z", &path).expect("a link"),
            "p" => mknod(&path, FileType::Fifo, 0, 0),
            _ => mknod(&path, FileType::CharacterDevice, 1, 3),
        }
        if name != "d" {
            std::fs::set_permissions(&path, before.permissions()).expect("a mode");
        }
        let time = rustix::fs::Timespec { tv_sec: before.mtime(), tv_nsec: before.mtime_nsec() };
        let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
        let folder = rustix::fs::CWD;
        rustix::fs::utimensat(folder, &path, &times, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).expect("a time");
        let error = verify(&tree, &listing).expect_err(name).to_string();
        assert!(error.contains("it is no hard link any more"), "{error}");
    }
}

#[test]
fn a_new_name_of_a_file_below_brings_the_old_ones_that_the_command_saw() {
    require_root();
    let check = |script: &str, expected: &[&str]| {
        let place = place();
        let pile = base(&place);
        let (layer, lines) = run(&place, &pile, script);
        assert_eq!(lines, expected, "{script}");
        let tree = place.store.tree(layer.tree).expect("a store").expect("a tree");
        verify(&tree, &listing(&place.store, layer.tree).expect("a listing")).expect(script);
    };
    check("ln b c; ln b d", &["f 644 /b 1", "h /c -> /b", "h /d -> /b"]);
    check("ln b a", &["f 644 /a 1", "h /b -> /a"]);
    check("ln z/f a", &["f 644 /a 1", "d 755 /z", "h /z/f -> /a"]);
    check("ln y x", &["l /x -> nowhere", "h /y -> /x"]);
    // As an overlay shows it: the other names below are names of what lies there.
    check("ln l1 n", &["f 644 /l1 1", "h /n -> /l1"]);
    check("ln l1 n; rm l2; ln l1 l2", &["f 644 /l1 1", "h /l2 -> /l1", "h /n -> /l1"]);
    // Each is as it was, but they were two files.
    check("rm t2; ln t1 t2", &["f 644 /t1 1", "h /t2 -> /t1"]);
    // In a folder that hides what is below nothing is unchanged.
    check("ln z/f b2; rm -r z; mkdir z; ln b2 z/f", &["f 644 /b2 1", "o 755 /z", "h /z/f -> /b2"]);
}

#[test]
fn names_of_one_file_that_are_all_as_they_were_stay_out() {
    require_root();
    for script in ["rm l2; ln l1 l2", "chmod 644 l1", "chmod 644 l1 l2", "ln b c; rm c", "ln y x; rm x"] {
        let place = place();
        let (layer, lines) = run(&place, &base(&place), script);
        assert_eq!(lines, Vec::<String>::new(), "{script}");
        assert!(layer.is_empty(), "{script}");
    }
}

#[test]
fn a_layer_with_names_of_what_a_lower_one_has_looks_through_links_by_any_name() {
    require_root();
    let place = place();
    let mut pile = Pile::default();
    let below = [raw(b'5', "real/"), raw_file("real/f", "x"), raw(b'2', "s -> real"), raw(b'1', "link -> s")];
    let listed = pile.import(&place.store, &raw_tar(&below), Unpack::Tree).expect("a base");
    assert_eq!(lines(&listed), ["l /link -> real", "d 755 /real", "f 644 /real/f 1", "h /s -> /link"]);
    let top = pile.import(&place.store, &raw_tar(&[raw_file("s/g", "y")]), Unpack::Tree).expect("a layer");
    assert_eq!(lines(&top), ["d 755 /real", "f 644 /real/g 1"]);
    let found = pile.stack.resolve(&ImagePath::new("s/f")).expect("no loop");
    assert_eq!(found.path, ImagePath::new("real/f"));
}

#[test]
fn entries_with_links_to_links_are_written_from_their_first_name() {
    let place = place();
    let entries = vec![symlink("s", "/etc"), hardlink("a", "s"), other("p", Kind::Fifo), hardlink("q", "p")];
    let layer = write_layer(&place.store, entries, TimePolicy::Fixed, Form::Working).expect("a layer");
    let listed = lines(&listing(&place.store, layer.tree).expect("a listing"));
    assert_eq!(listed, ["l /a -> /etc", "p 644 /p", "h /q -> /p", "h /s -> /a"]);
    let refused = vec![dir("d"), hardlink("a", "d")];
    let error = write_layer(&place.store, refused, TimePolicy::Fixed, Form::Working).expect_err("a folder");
    assert!(error.to_string().contains("the file that it is a name of is not in the layer"), "{error}");
}

#[test]
fn without_privilege_the_names_of_a_device_are_in_the_listing_only() {
    use crate::layer::disk::{Disk, Ownership};
    use crate::layer::sink::Sink as _;
    let place = place();
    let draft = place.store.tree_draft().expect("a draft");
    let opener = |_, entry: &Entry| Err(Error::entry(&entry.path, "there is no lower layer"));
    let mut disk = Disk::new(&draft.fs(), Ownership::Listed, Box::new(opener)).expect("a sink");
    let entries = [
        other("n", Kind::CharDevice { major: 1, minor: 3 }).0,
        hardlink("null", "n").0,
        symlink("s", "nowhere").0,
        hardlink("t", "s").0,
    ];
    for entry in &entries {
        match &entry.kind {
            Kind::Hardlink { target } => disk.link(target, &entry.path),
            kind => disk.node(&entry.path, kind),
        }
        .expect("unpacked");
    }
    disk.finish(&Listing::new(entries)).expect("finished");
    assert!(std::fs::symlink_metadata(draft.fs().join("null")).is_err());
    assert_eq!(groups(&draft.fs(), &["s", "t"]), [["s of 2", "t of 2"]]);
}

#[test]
fn a_listing_of_before_links_of_symlinks_were_told_still_fits_its_layer() {
    require_root();
    let place = place();
    let entries = vec![symlink("a", "nowhere"), hardlink("b", "a"), other("p", Kind::Fifo), hardlink("q", "p")];
    let layer = write_layer(&place.store, entries, TimePolicy::Fixed, Form::Working).expect("a layer");
    let now = listing(&place.store, layer.tree).expect("a listing");
    let former = now.entries().iter().cloned().map(|mut entry| {
        if let Kind::Hardlink { target } = &entry.kind {
            entry.kind = now.find(target).expect("the first name").kind.clone();
        }
        entry
    });
    let former = Listing::new(former);
    assert_ne!(former, *now);
    place
        .store
        .write_record(crate::store::Bucket::Listings, &layer.tree.to_string(), &former.to_bytes())
        .expect("room");
    let pile = Pile::default();
    let tree = ensure_tree(&place.store, &layer, pile.lower()).expect("a tree");
    verify(&tree, &former).expect("whole");
    assert_eq!(groups(&tree.fs, &["a", "b", "p", "q"]), [["a of 2", "b of 2"], ["p of 2", "q of 2"]]);
}
