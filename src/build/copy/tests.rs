use std::sync::Arc;

use super::bring::{Linked, link_numbers};
use super::place::{Changes, Item, PlaceError, Placer};
use crate::context::{self, LinkGroup, Match, Meta, Role, Selected};
use crate::digest::ContentDigest;
use crate::path::{ContextPath, ImagePath};
use crate::plan::Chmod;
use crate::tree::{Attributes, Entry, Fact, Kind, Listing, Seen, Stack, Timestamp};

fn kind(letter: &str, target: &str) -> Kind {
    match letter {
        "d" => Kind::Directory { opaque: false },
        "l" => Kind::Symlink { target: target.into() },
        "f" => Kind::File { size: 1, digest: ContentDigest::of(b"x") },
        "h" => Kind::Hardlink { target: ImagePath::new(target) },
        other => panic!("{other}"),
    }
}

fn parse(line: &str) -> (String, Kind, u32) {
    let (letter, rest) = line.split_once(' ').expect("kind and path");
    let (path, target) = rest.split_once(" -> ").unwrap_or((rest, ""));
    let (path, mode) = path.split_once(" 0").map_or((path, None), |(p, m)| (p, Some(m)));
    let mode = mode.map_or(if letter == "d" { 0o755 } else { 0o644 }, |m| u32::from_str_radix(m, 8).expect("mode"));
    (path.to_owned(), kind(letter, target), mode)
}

fn stack(lines: &[&str]) -> Stack {
    let entries = lines.iter().map(|line| {
        let (path, kind, mode) = parse(line);
        Entry { path: ImagePath::new(path), kind, attributes: Attributes::of_root(mode) }
    });
    Stack::new(vec![Arc::new(Listing::new(entries))])
}

fn items(lines: &[&str]) -> Vec<Item<u8>> {
    let item = |line: &&str| {
        let (path, kind, mode) = parse(line);
        let relative = ImagePath::new(path);
        Item {
            relative,
            kind,
            attributes: Attributes::of_root(mode),
            role: Role::Meant,
            link_group: None,
            content: Some(1),
        }
    };
    lines.iter().map(item).collect()
}

fn place(lower: &[&str], changes: Changes, copies: &[(&str, &[&str], &str)]) -> Result<Vec<String>, PlaceError> {
    let lower = stack(lower);
    let mut placer = Placer::new(Some(&lower), changes);
    for (name, lines, destination) in copies {
        placer.copy(name.as_bytes(), items(lines), destination.as_bytes())?;
    }
    let (entries, _facts) = placer.finish();
    Ok(entries.iter().map(|(e, _)| format!("{:o} {}", e.attributes.mode, e.path)).collect())
}

#[track_caller]
fn check(lower: &[&str], copies: &[(&str, &[&str], &str)], expected: &[&str]) {
    assert_eq!(place(lower, Changes::default(), copies), Ok(expected.iter().map(ToString::to_string).collect()));
}

#[test]
fn a_file_takes_the_destinations_name_unless_that_is_a_folder() {
    check(&[], &[("a", &["f ."], "/x")], &["644 /x"]);
    check(&[], &[("a", &["f ."], "/x/")], &["755 /x", "644 /x/a"]);
    check(&["d x 0700"], &[("a", &["f ."], "/x")], &["700 /x", "644 /x/a"]);
    check(&[], &[("a", &["f ."], "/")], &["644 /a"]);
    check(&[], &[("a", &["f ."], "/p/q/x")], &["755 /p", "755 /p/q", "644 /p/q/x"]);
}

#[test]
fn a_folder_gives_its_content_and_keeps_its_own_mode_to_itself() {
    let folder: &[&str] = &["d . 0700", "d sub 0711", "f sub/f"];
    check(&[], &[("dir", folder, "/x")], &["755 /x", "711 /x/sub", "644 /x/sub/f"]);
    check(&["d x 01777", "d x/sub"], &[("dir", folder, "/x/")], &["1777 /x", "711 /x/sub", "644 /x/sub/f"]);
    check(&[], &[("dir", folder, "/")], &["711 /sub", "644 /sub/f"]);
}

#[test]
fn symlinks_at_the_destination_are_followed_inside_the_root() {
    let merged: &[&str] = &["d usr", "d usr/lib", "l lib -> usr/lib", "l out -> ../../../usr", "l dangling -> /new"];
    check(merged, &[("a", &["f ."], "/lib/a")], &["755 /usr", "755 /usr/lib", "644 /usr/lib/a"]);
    check(merged, &[("a", &["f ."], "/out/")], &["755 /usr", "644 /usr/a"]);
    check(merged, &[("a", &["f ."], "/dangling")], &["644 /new"]);
    let looped = place(&["l a -> b", "l b -> a"], Changes::default(), &[("a", &["f ."], "/a/x")]);
    assert!(matches!(looped, Err(PlaceError::Loop { .. })));
}

#[test]
fn files_and_folders_do_not_replace_each_other() {
    let folder_under_file = place(&["d x", "d x/a"], Changes::default(), &[("a", &["f ."], "/x/")]);
    assert_eq!(folder_under_file, Err(PlaceError::FolderInTheWay { path: ImagePath::new("x/a") }));
    let link_under_folder = place(&["d x", "l x/s -> /y"], Changes::default(), &[("d", &["d .", "d s"], "/x/")]);
    assert_eq!(link_under_folder, Err(PlaceError::NotAFolder { path: ImagePath::new("x/s") }));
}

#[test]
fn of_several_sources_to_one_name_the_last_stays() {
    check(&[], &[("a", &["f . 0600"], "/x"), ("b", &["f . 0644"], "/x")], &["644 /x"]);
}

#[test]
fn chmod_and_chown_reach_made_parents_too() {
    let chmod = Some(Chmod::parse("0700").expect("mode"));
    let placed = place(&[], Changes { owner: Some((5, 6)), chmod }, &[("a", &["f ."], "/p/x")]);
    assert_eq!(placed, Ok(vec!["700 /p".into(), "700 /p/x".into()]));
}

#[test]
fn facts_name_what_was_looked_at_and_nothing_below_what_is_absent() {
    let lower = stack(&["d app", "f other"]);
    let mut placer = Placer::new(Some(&lower), Changes::default());
    placer.copy(b"d", items(&["d .", "d new", "f new/1", "f new/2"]), b"/app/").expect("place");
    let (_entries, facts) = placer.finish();
    let paths: Vec<String> = facts.iter().map(|fact| ImagePath::new(&fact.path).to_string()).collect();
    assert_eq!(paths, ["/app", "/app/new"]);
    assert!(facts.iter().all(|fact| lower.holds(fact)));
}

#[test]
fn names_of_one_file_stay_joined_under_the_first() {
    let mut placer: Placer<'_, u8> = Placer::new(None, Changes::default());
    let mut linked = items(&["d .", "f b", "f a"]);
    for item in &mut linked[1..] {
        item.link_group = Some(9);
    }
    placer.copy(b"d", linked, b"/").expect("place");
    let (entries, _facts) = placer.finish();
    assert!(matches!(&entries[0].0.kind, Kind::File { .. }));
    assert_eq!(entries[1].0.kind, Kind::Hardlink { target: ImagePath::new("a") });
}

#[test]
fn a_name_depends_on_the_file_that_lists_it_and_on_the_links_that_lead_there() {
    let lower = stack(&["d etc", "l etc/passwd -> ../usr/passwd", "d usr", "f usr/passwd"]);
    let mut placer: Placer<'_, u8> = Placer::new(Some(&lower), Changes::default());
    placer.depend_on_file(&ImagePath::new("/etc/passwd")).expect("resolves");
    let facts = placer.finish().1;
    let seen = |path: &[u8]| facts.iter().find(|fact| fact.path == path).map(|fact| &fact.seen);
    assert_eq!(seen(b"etc/passwd"), Some(&Seen::Symlink { target: b"../usr/passwd".to_vec() }));
    assert_eq!(seen(b"usr/passwd"), Some(&Seen::File { digest: ContentDigest::of(b"x").hex() }));
}

#[test]
fn what_a_replaced_file_held_does_not_matter_but_that_it_was_a_file_does() {
    let lower = stack(&["d etc", "f etc/app.conf"]);
    let mut placer = Placer::new(Some(&lower), Changes::default());
    placer.copy(b"app.conf", items(&["f ."]), b"/etc/").expect("copied");
    let facts: Vec<Fact> = placer.finish().1;
    let other = Kind::File { size: 2, digest: ContentDigest::of(b"yy") };
    let holds = |kind: Kind| {
        let folder = Entry::directory(ImagePath::new("etc"), Attributes::of_root(0o755));
        let file = Entry { path: ImagePath::new("etc/app.conf"), kind, attributes: Attributes::of_root(0o644) };
        let stack = Stack::new(vec![Arc::new(Listing::new([folder, file]))]);
        facts.iter().all(|fact| stack.holds(fact))
    };
    assert!(holds(other));
    assert!(!holds(Kind::Symlink { target: b"x".to_vec() }) && !holds(Kind::Directory { opaque: false }));
}

#[test]
fn a_folders_extended_attributes_are_part_of_what_a_copy_depends_on() {
    let with = |value: &[u8]| {
        let mut attributes = Attributes::of_root(0o755);
        attributes.xattrs.insert(b"system.posix_acl_default".to_vec(), value.to_vec());
        Stack::new(vec![Arc::new(Listing::new([Entry::directory(ImagePath::new("srv"), attributes)]))])
    };
    let lower = with(b"1");
    let mut placer = Placer::new(Some(&lower), Changes::default());
    placer.copy(b"a", items(&["f ."]), b"/srv/a").expect("copied");
    let facts = placer.finish().1;
    assert!(facts.iter().all(|fact| lower.holds(fact)));
    assert!(!facts.iter().all(|fact| with(b"2").holds(fact)));
}

#[test]
fn names_of_one_file_are_numbered_whatever_the_host_calls_the_file() {
    let numbers = |groups: &[Option<(u64, u64)>]| {
        let selected = groups.iter().enumerate().map(|(at, group)| {
            let link_group = group.map(|(volume, number)| LinkGroup { volume, number });
            let (kind, mtime) = (context::Kind::File { size: 1 }, Timestamp::default());
            let meta = Meta { kind, mode: 0o644, uid: 0, gid: 0, mtime, xattrs: Default::default(), link_group };
            let path = ContextPath::new(at.to_string());
            Selected { from: path.clone(), relative: path, meta, role: Role::Meant }
        });
        let selected: Vec<Selected> = selected.collect();
        let matched = Match { name: vec![], from: ContextPath::root(), is_directory: true, selected };
        let links = link_numbers(&matched, Linked::Files);
        let number = |selected: &Selected| selected.meta.link_group.and_then(|group| links.get(&group).copied());
        matched.selected.iter().map(number).collect::<Vec<_>>()
    };
    let (a, b, alone) = (Some((1, 77)), Some((2, 77)), Some((1, 5)));
    assert_eq!(numbers(&[a, b, None, b, a, alone]), [Some(1), Some(2), None, Some(2), Some(1), None]);
    assert_ne!(numbers(&[a, a, b, b]), numbers(&[a, b, a, b]));
}

#[test]
fn a_folder_above_what_is_meant_keeps_its_owner_and_takes_the_sources_mode() {
    let owned = Attributes { uid: 5, gid: 6, ..Attributes::of_root(0o700) };
    let folder = Entry { path: ImagePath::new("to/x"), kind: kind("d", ""), attributes: owned };
    let parent = Entry { path: ImagePath::new("to"), kind: kind("d", ""), attributes: Attributes::of_root(0o755) };
    let lower = Stack::new(vec![Arc::new(Listing::new([parent, folder]))]);
    let place = |role: Role| {
        let mut placer = Placer::new(Some(&lower), Changes { owner: Some((7, 8)), chmod: None });
        let mut items = items(&["d ", "d x 0750", "f x/a"]);
        items[1].role = role;
        placer.copy(b"", items, b"/to/").expect("placed");
        let found = placer.finish().0.into_iter().find(|(entry, _)| entry.path == ImagePath::new("to/x"));
        let attributes = found.expect("placed").0.attributes;
        (attributes.mode, attributes.uid, attributes.gid)
    };
    assert_eq!(place(Role::Above), (0o750, 5, 6));
    assert_eq!(place(Role::Meant), (0o750, 7, 8));
}

#[test]
fn links_are_followed_by_any_of_their_names() {
    let lower = ["d real", "l a -> real", "h b -> a"];
    let placed = place(&lower, Changes::default(), &[("f", &["f ."], "/b/"), ("g", &["f ."], "/b/g")]);
    assert_eq!(placed.expect("placed"), ["755 /real", "644 /real/f", "644 /real/g"]);
}

#[test]
fn of_links_and_pipes_a_copy_makes_as_many_as_there_are_names() {
    let group = Some(LinkGroup { volume: 1, number: 2 });
    let selected = ["a", "b"].map(|name| {
        let (kind, mtime) = (context::Kind::Symlink { target: b"x".to_vec() }, Timestamp::default());
        let xattrs = Default::default();
        let meta = Meta { kind, mode: 0o777, uid: 0, gid: 0, mtime, xattrs, link_group: group };
        Selected { from: ContextPath::new(name), relative: ContextPath::new(name), meta, role: Role::Meant }
    });
    let matched = Match { name: vec![], from: ContextPath::root(), is_directory: true, selected: selected.to_vec() };
    assert!(link_numbers(&matched, Linked::Files).is_empty());
    // What a command sees mounted is what it is.
    assert_eq!(link_numbers(&matched, Linked::All).into_values().collect::<Vec<_>>(), [1]);
}

#[test]
fn what_replaces_a_file_of_an_archive_leaves_its_other_names_what_they_were() {
    let archive = ["f a", "h b -> a", "d d", "l d/s -> x", "h t -> d/s", "h u -> d/s"];
    let put = |placer: &mut Placer<'_, u8>, line: &str| {
        let (path, kind, mode) = parse(line);
        placer
            .put(Entry { path: ImagePath::new(path), kind, attributes: Attributes::of_root(mode) }, line.as_bytes()[0]);
    };
    let mut placer = Placer::new(None, Changes::default());
    archive.iter().for_each(|line| put(&mut placer, line));
    put(&mut placer, "l d -> elsewhere");
    placer.copy(b"a", items(&["f ."]), b"/a").expect("copied");
    let found: Vec<_> =
        placer.finish().0.into_iter().map(|(e, content)| (e.path.to_string(), e.kind, content)).collect();
    let link = |to: &str| kind("l", to);
    let expected = [
        ("/a".to_owned(), kind("f", ""), Some(1)),
        ("/b".to_owned(), kind("f", ""), Some(b'f')),
        ("/d".to_owned(), link("elsewhere"), Some(b'l')),
        ("/t".to_owned(), link("x"), Some(b'l')),
        ("/u".to_owned(), kind("h", "t"), None),
    ];
    assert_eq!(found, expected);
}
