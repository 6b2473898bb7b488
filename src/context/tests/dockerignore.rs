//! Every case of `testdata/dockerignore`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::support::tree;
use crate::context::{Choice, DirectorySource, Ignore, Shape, Source as _, StatCache, Verdict};
use crate::path::ContextPath;

fn cases() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/dockerignore");
    let folders = fs::read_dir(root).expect("testdata/dockerignore");
    let mut cases: Vec<PathBuf> = folders.map(|entry| entry.expect("entry").path()).collect();
    cases.sort();
    cases
}

fn check(case: &Path) -> Result<(), String> {
    let rules = fs::read(case.join(".dockerignore")).map_err(|error| error.to_string())?;
    let paths = fs::read_to_string(case.join("paths.txt")).map_err(|error| error.to_string())?;
    let parsed = Ignore::parse(".dockerignore", &rules);
    if let Some(expected) = paths.strip_prefix("! ") {
        let message = parsed.err().ok_or("an error was expected")?.to_string();
        let expected = format!("cannot read `.dockerignore`: {}", expected.trim_end());
        return if message == expected { Ok(()) } else { Err(message) };
    }
    let ignore = parsed.map_err(|error| error.to_string())?;
    let mut sent = BTreeSet::new();
    let mut all = String::new();
    for line in paths.lines() {
        let (sign, path) = line.split_once(' ').ok_or("a line without a sign")?;
        let is_included = ignore.verdict(&ContextPath::new(path)) == Verdict::Included;
        if is_included != (sign == "+") {
            return Err(format!("{path}: included is {is_included}"));
        }
        if is_included {
            sent.insert(path.to_owned());
        }
        all.push_str(&format!("{path}\n"));
    }
    let walked = walk(&all, ignore)?;
    if walked == sent { Ok(()) } else { Err(format!("walked {walked:?}")) }
}

/// The files that a walk over a folder with the files `all` finds.
fn walk(all: &str, ignore: Ignore) -> Result<BTreeSet<String>, String> {
    let dir = tree(all);
    let source = DirectorySource::open(dir.path(), ignore, &[], StatCache::default()).map_err(|e| e.to_string())?;
    let is_file = |shape| Choice { take: shape == Shape::Other, descend: true };
    let found = source.walk(&ContextPath::root(), &mut |_, shape| is_file(shape)).map_err(|e| e.to_string())?;
    Ok(found.into_iter().map(|(path, _)| path.to_string()).collect())
}

#[test]
fn every_case_holds() {
    let cases = cases();
    assert!(cases.len() >= 50, "{} cases", cases.len());
    let failed: Vec<String> = cases
        .iter()
        .filter_map(|case| check(case).err().map(|problem| format!("{}: {problem}", case.display())))
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn a_name_with_a_line_feed_is_crossed_by_double_star() {
    let ignore = Ignore::parse("i", b"a/**/b?").expect("rules");
    assert_eq!(ignore.verdict(&ContextPath::new("a/x\ny/b1")), Verdict::Ignored { line: 1 });
}

#[test]
fn bytes_that_are_not_utf8_match_themselves_and_a_question_mark() {
    let ignore = Ignore::parse("i", b"a\xff\nb?\n").expect("rules");
    let verdict = |path: &[u8]| ignore.verdict(&ContextPath::new(path));
    assert_eq!(verdict(b"a\xff"), Verdict::Ignored { line: 1 });
    assert_eq!(verdict(b"a\xfe"), Verdict::Included);
    assert_eq!(verdict(b"b\xfe"), Verdict::Ignored { line: 2 });
}

#[test]
fn a_line_too_long_for_buildkit_is_an_error() {
    let error = Ignore::parse("i", &[b"a\n".as_slice(), &[b'x'; 70_000]].concat()).expect_err("too long");
    assert!(error.to_string().starts_with("cannot read `i`: line 2: `xxx"), "{error}");
}
