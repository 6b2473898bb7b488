use super::support::{open, selected, show, tree};
use crate::context::{Kind, Parents, SelectOptions, Source as _, select};
use crate::path::ContextPath;

fn plain(lines: &str, sources: &[&str]) -> String {
    selected(tree(lines).path(), "", sources, &SelectOptions::default())
}

fn excluding(lines: &str, source: &str, exclude: &[&str]) -> String {
    let exclude = exclude.iter().map(|pattern| pattern.as_bytes().to_vec()).collect();
    selected(tree(lines).path(), "", &[source], &SelectOptions { exclude, parents: Parents::Dropped })
}

fn parents(lines: &str, sources: &[&str], exclude: &[&str]) -> String {
    let exclude = exclude.iter().map(|pattern| pattern.as_bytes().to_vec()).collect();
    selected(tree(lines).path(), "", sources, &SelectOptions { exclude, parents: Parents::Kept })
}

#[test]
fn a_folder_means_its_content() {
    assert_eq!(plain("d/a\nd/s/b\nd/empty/\nx", &["d"]), "d/: a empty/ s/ s/b\n");
    assert_eq!(plain("d/a", &["d/"]), "d/: a\n");
    assert_eq!(plain("a\n.dot/.b", &["."]), "/: .dot/ .dot/.b a\n");
}

#[test]
fn a_source_stays_inside_the_context() {
    let lines = "a\nd/b";
    assert_eq!(plain(lines, &["../a", "d/../../a", "/d/b", "//d///b"]), "a: \na: \nb: \nb: \n");
}

#[test]
fn wildcards_match_names_and_folders_are_entered_for_them() {
    assert_eq!(plain("a.txt\n.txt\nb.md\nsub/c.txt", &["*.txt"]), ".txt: \na.txt: \n");
    assert_eq!(plain("a/g\np1/f\np2/s/f", &["*/f"]), "f: \n");
    assert_eq!(plain("p1/s/1.x\np2/s/2.x", &["p*/s/*.x"]), "1.x: \n2.x: \n");
    assert_eq!(plain("arr[0].txt\narr0.txt", &["arr[[]0].txt"]), "arr[0].txt: \n");
    assert_eq!(plain("ga\ngb\ngc", &["g[a-b]", "g[^a]"]), "ga: \ngb: \ngb: \ngc: \n");
}

#[test]
fn a_wildcard_that_matches_a_folder_means_its_content() {
    assert_eq!(plain("d1/a\nd2/b\nd3", &["d*"]), "d1/: a\nd2/: b\nd3: \n");
    assert_eq!(plain("a\nd/b\nd/e/c", &["**"]), "a: \nd/: b e/ e/c\n");
}

#[test]
fn a_wildcard_that_matches_nothing_is_no_error() {
    assert_eq!(plain("a", &["*.nope"]), "");
    assert_eq!(plain("a", &["a/*"]), "");
    assert_eq!(plain("a", &["nope/*"]), "error: cannot find `nope/*`\n");
}

#[test]
fn a_malformed_wildcard_is_an_error() {
    assert_eq!(plain("a", &["[a"]), "error: `[a` is not a pattern: a `[` is not closed\n");
}

#[test]
fn a_missing_source_is_an_error_that_names_the_nearest() {
    let lines = "src/main.rs\nREADME.md\npackage.json";
    assert_eq!(plain(lines, &["readme.md"]), "error: cannot find `readme.md`; hint: did you mean `README.md`?\n");
    assert_eq!(
        plain(lines, &["pakcage.json"]),
        "error: cannot find `pakcage.json`; hint: did you mean `package.json`?\n"
    );
    assert_eq!(plain(lines, &["scr/main.rs"]), "error: cannot find `scr/main.rs`; hint: did you mean `src/main.rs`?\n");
    assert_eq!(plain(lines, &["zzz"]), "error: cannot find `zzz`\n");
}

const HINT: &str = "; hint: change that line, or add an exception below it, a line that begins with `!`";

#[test]
fn an_ignored_source_is_missing_and_the_error_says_why() {
    let dir = tree("a\nd/b\nlink -> d/b");
    let missing = |source: &str, name: &str| {
        let expected =
            format!("error: cannot find `{name}`: line 2 of `.dockerignore` leaves it out of the context{HINT}\n");
        assert_eq!(selected(dir.path(), "x\na\n", &[source], &SelectOptions::default()), expected);
    };
    missing("a", "a");
    missing("/a", "/a");
    let through_link = selected(dir.path(), "d", &["link"], &SelectOptions::default());
    let expected = format!("error: cannot find `link`: line 1 of `.dockerignore` leaves it out of the context{HINT}\n");
    assert_eq!(through_link, expected);
    assert_eq!(selected(dir.path(), "a", &["a*"], &SelectOptions::default()), "");
}

#[test]
fn a_file_taken_back_comes_with_its_folders() {
    let dir = tree("d/a\nd/s/keep\nd/s/b\nd/t/c");
    let all = selected(dir.path(), "d\n!d/s/keep\n", &["."], &SelectOptions::default());
    assert_eq!(all, "/: d/ d/s/ d/s/keep\n");
    assert_eq!(selected(dir.path(), "d\n!d/s/keep\n", &["d"], &SelectOptions::default()), "d/: s/ s/keep\n");
    assert_eq!(selected(dir.path(), "d\n!d/nope\n", &["."], &SelectOptions::default()), "/:\n");
}

#[test]
fn symlinks_that_are_sources_are_followed_inside() {
    let lines = "real\ndir/a\ndir/sub/b\nl1 -> real\nl2 -> dir\nabs -> /dir/a\nup -> ../../../dir/a\nc1 -> dir/c2\ndir/c2 -> ../l1";
    assert_eq!(plain(lines, &["l1", "l2", "abs", "up", "c1"]), "l1: \nl2/: a c2 sub/ sub/b\nabs: \nup: \nc1: \n");
    assert_eq!(plain(lines, &["l2/a", "l2/sub"]), "a: \nsub/: b\n");
    assert_eq!(plain("real\nl1 -> real\nl2 -> dir\ndir/a", &["l*"]), "l1: \nl2/: a\n");
    assert_eq!(plain("real\nl2 -> dir\ndir/a.x", &["l2/*.x"]), "a.x: \n");
}

#[test]
fn broken_symlinks_and_loops_are_errors() {
    assert_eq!(plain("link -> nowhere", &["link"]), "error: cannot find `link`\n");
    assert_eq!(plain("link -> nowhere", &["li*"]), "error: cannot find `link`\n");
    let error = plain("a -> b\nb -> a", &["a"]);
    assert_eq!(error, "error: too many levels of symbolic links in `a`\n");
}

#[test]
fn symlinks_in_a_folder_stay() {
    let dir = tree("d/a\nd/rel -> a\nd/up -> ../../x\nd/dir -> sub\nd/sub/b");
    let source = open(dir.path(), "");
    let selection = select(&source, &[b"d"], &SelectOptions::default()).expect("selection");
    assert_eq!(show(&selection), "d/: a dir rel sub/ sub/b up\n");
    let up = selection.selected().find(|entry| entry.relative == ContextPath::new("up")).expect("up");
    assert_eq!(up.meta.kind, Kind::Symlink { target: b"../../x".to_vec() });
}

#[test]
fn a_followed_symlink_keeps_its_name_and_tells_where_it_led() {
    let dir = tree("dir/a\nl -> dir/a");
    let selection = select(&open(dir.path(), ""), &[b"l"], &SelectOptions::default()).expect("selection");
    let matched = &selection.sources[0].matches[0];
    assert_eq!((matched.name.as_slice(), &matched.from), (&b"l"[..], &ContextPath::new("dir/a")));
    assert_eq!(open(dir.path(), "").content(&matched.selected[0].from).expect("content").size, 5);
}

#[test]
fn exclude_reaches_what_is_in_folders_only() {
    assert_eq!(excluding("d/a.txt\nd/b.md\nd/s/c.md", "d", &["*.md"]), "d/: a.txt s/ s/c.md\n");
    let deep = "d/a.txt\nd/b.md\nd/s/c.md\nd/s/keep\nd/s/skip/x";
    assert_eq!(excluding(deep, "d", &["**/*.md", "s/skip"]), "d/: a.txt s/ s/keep\n");
    assert_eq!(excluding("d/a\nd/b", "d", &["*"]), "d/:\n");
    assert_eq!(excluding("d/a.md\nd/keep.md", "d", &["*.md", "!keep.md"]), "d/: keep.md\n");
    assert_eq!(excluding("d/s/a\nd/s/keep", "d", &["s", "!s/keep"]), "d/: s/ s/keep\n");
    assert_eq!(excluding("f1\nf2\nf3", "f*", &["*2"]), "f1: \nf2: \nf3: \n");
    assert_eq!(excluding("f1", "f1", &["f1"]), "f1: \n");
    assert_eq!(excluding("d/a", "d", &["[a"]), "error: `[a` is not a pattern: a `[` is not closed\n");
}

#[test]
fn parents_keeps_the_folders_of_a_source() {
    let lines = "x/a.txt\nx/other\ny/z/b.txt\ny/other";
    assert_eq!(parents(lines, &["x/a.txt", "./y/z/b.txt"], &[]), "/: x/ x/a.txt\n/: y/ y/z/ y/z/b.txt\n");
    assert_eq!(parents(lines, &["y/z"], &[]), "/: y/ y/z/ y/z/b.txt\n");
    assert_eq!(parents(lines, &["x/./a.txt", "y/./*/b.txt"], &[]), "x/: a.txt\ny/: z/ z/b.txt\n");
    assert_eq!(parents(lines, &["."], &["y"]), "/: x/ x/a.txt x/other\n");
}

#[test]
fn parents_crosses_folders_with_a_double_star() {
    let lines = "src/a.txt\nsrc/x/b.txt\nsrc/x/y/c.txt\nsrc/x/y/c.md\npackage.json";
    assert_eq!(parents(lines, &["src/**/*.txt"], &[]), "/: src/ src/a.txt src/x/ src/x/b.txt src/x/y/ src/x/y/c.txt\n");
    assert_eq!(parents(lines, &["./**/package.json"], &[]), "/: package.json\n");
    assert_eq!(parents("x/a\nx/b\nx/y/b\nx/y/c", &["x"], &["**/b"]), "/: x/ x/a x/y/ x/y/c\n");
}

#[test]
fn parents_needs_what_has_no_wildcard() {
    assert_eq!(parents("a\nx/b", &["a", "x/**/*.nope"], &[]), "/: a\n/:\n");
    assert_eq!(parents("x/names", &["x/name"], &[]), "error: cannot find `x/name`; hint: did you mean `x/names`?\n");
    let missing = "error: cannot find `foldr/./a`; hint: did you mean `folder`?\n";
    assert_eq!(parents("folder/a", &["foldr/./a"], &[]), missing);
    assert_eq!(parents("dir/a\nlink -> dir", &["link/a"], &[]), "error: cannot find `link/a`\n");
}

#[test]
fn every_byte_can_stand_in_a_name() {
    use std::os::unix::ffi::OsStrExt as _;
    let dir = tree("d/");
    for byte in (1..=255).filter(|byte| *byte != b'/' && *byte != b'.') {
        std::fs::write(dir.path().join("d").join(std::ffi::OsStr::from_bytes(&[byte])), [byte]).expect("file");
    }
    let source = open(dir.path(), "");
    let selection = select(&source, &[b"d"], &SelectOptions::default()).expect("selection");
    let names: Vec<u8> = selection.selected().map(|entry| entry.relative.as_bytes()[0]).collect();
    assert_eq!(names, (1..=255).filter(|byte| *byte != b'/' && *byte != b'.').collect::<Vec<u8>>());
    let contents = crate::context::contents(&source, &selection).expect("contents");
    assert_eq!(contents.len(), 253);
}
