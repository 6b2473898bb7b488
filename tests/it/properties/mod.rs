//! Properties of the pure parts, over generated input, testdata, and what fuzzers found.
//!
//! The same invariants are what the fuzz targets of `fuzz/` hold; there they are given hours, here a second each.

mod generate;
mod shared;

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::{ProptestConfig, any, prop_assert_eq, proptest};
use rbuild::dockerfile::{Escape, Span, Word, expand, parse};

use self::shared::{invariants, print};

/// Every file below a folder of testdata.
fn testdata(folder: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(folder);
    crate::support::leaks::files_below(&root).into_iter().collect()
}

#[track_caller]
fn check_holds_for_all(folder: &str, invariant: fn(&[u8]), least: usize) {
    let files = testdata(folder);
    assert!(files.len() >= least, "{} files in testdata/{folder}", files.len());
    for file in files {
        let bytes = fs::read(&file).unwrap();
        if std::panic::catch_unwind(|| invariant(&bytes)).is_err() {
            panic!("{} breaks it", file.display());
        }
    }
}

#[test]
fn what_fuzzers_found_stays_found() {
    check_holds_for_all("fuzz/parsing", invariants::parsing, 1);
    check_holds_for_all("fuzz/substitution", invariants::substitution, 1);
    check_holds_for_all("fuzz/heredocs", invariants::heredocs, 1);
    check_holds_for_all("fuzz/ignoring", invariants::ignoring, 1);
}

/// The text of every Dockerfile in testdata.
fn dockerfiles() -> Vec<Vec<u8>> {
    let named = |file: &PathBuf| file.file_name().is_some_and(|name| name.to_string_lossy().contains("Dockerfile"));
    let mut found: Vec<Vec<u8>> = testdata("").into_iter().filter(named).map(|file| fs::read(file).unwrap()).collect();
    for case in testdata("conformance/cases") {
        let text = String::from_utf8_lossy(&fs::read(case).unwrap()).into_owned();
        let section =
            text.split_once("\n-- Dockerfile --\n").map(|(_, rest)| rest.split("\n-- ").next().unwrap_or(rest));
        found.extend(section.map(|section| format!("{section}\n").into_bytes()));
    }
    found
}

#[test]
fn every_dockerfile_of_testdata_holds_the_invariants_of_parsing() {
    let files = dockerfiles();
    assert!(files.len() >= 700, "{} Dockerfiles", files.len());
    let mut printed = 0;
    for bytes in files {
        invariants::parsing(&bytes);
        let (dockerfile, diagnostics) = parse("Dockerfile", &bytes);
        if !diagnostics.iter().any(|one| one.is_error()) {
            printed += usize::from(print::print(&dockerfile).is_some());
        }
    }
    assert!(printed >= 600, "only {printed} could be printed");
}

#[test]
fn the_places_of_a_tree_are_cut_out_of_its_meaning() {
    let meaning = |text: &str| print::meaning(&parse("Dockerfile", text.as_bytes()).0);
    assert_eq!(meaning("FROM a\nRUN x\n"), meaning("\n\nFROM   a\n\n\nrun   x\n"));
    assert_ne!(meaning("FROM a\nRUN x\n"), meaning("FROM a\nRUN y\n"));
    assert_ne!(meaning("FROM a\nRUN x\n"), meaning("FROM a\n# why\nRUN x\n"));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn a_generated_file_has_no_errors_and_says_the_same_when_printed(file in generate::file()) {
        let plain = file.plain();
        let (dockerfile, diagnostics) = parse("Dockerfile", plain.as_bytes());
        let errors: Vec<_> = diagnostics.iter().filter(|one| one.is_error()).collect();
        assert!(errors.is_empty(), "{errors:?} in:\n{plain}");
        assert!(invariants::survives_printing(&dockerfile), "cannot be printed:\n{plain}");
        invariants::parsing(plain.as_bytes());
    }

    #[test]
    fn layout_means_nothing(file in generate::file(), seed in any::<u64>()) {
        let (plain, loose) = (file.plain(), file.loose(seed));
        let meaning = |text: &str| print::meaning(&parse("Dockerfile", text.as_bytes()).0);
        prop_assert_eq!(meaning(&plain), meaning(&loose), "{}\n---\n{}", plain, loose);
        invariants::parsing(loose.as_bytes());
    }

    #[test]
    fn a_broken_file_is_survived(file in generate::file(), at in any::<usize>(), length in 0..40_usize, with in "[\\PC\n]{0,4}") {
        let mut bytes = file.plain().into_bytes();
        let at = at % (bytes.len() + 1);
        let end = (at + length).min(bytes.len());
        bytes.splice(at..end, with.bytes());
        invariants::parsing(&bytes);
    }

    #[test]
    fn words_of_any_kind_hold_the_invariants_of_substitution(bytes in "[01](\\$|\\{|\\}|a|b|0|:|-|\\+|\\?|#|%|/|\\*|\\\\|`|\"|'| |<|é|\n|\u{1}){0,40}") {
        invariants::substitution(bytes.as_bytes());
    }

    #[test]
    fn whatever_is_quoted_comes_back(value in "\\PC{0,30}", tick in any::<bool>()) {
        let escape = if tick { Escape::Backtick } else { Escape::Backslash };
        let word = Word::new(invariants::quoted(&value, escape), Span::default());
        prop_assert_eq!(expand(&word, escape, &rbuild::dockerfile::NoEnv).map(|expanded| expanded.value), Ok(value));
    }

    #[test]
    fn expanding_what_is_final_changes_nothing(value in "[^$'\"\\\\`]{0,40}", tick in any::<bool>()) {
        let escape = if tick { Escape::Backtick } else { Escape::Backslash };
        assert!(invariants::is_final(&value, escape));
        let word = Word::new(value.clone(), Span::default());
        prop_assert_eq!(expand(&word, escape, &rbuild::dockerfile::NoEnv).map(|expanded| expanded.value), Ok(value));
    }

    #[test]
    fn heredocs_hold_their_invariants(bytes in "[a-p][AB]{1,2}((A|B|AB|\t|\n|\r\n| |x|\\$a|\\$\\{|\\\\|\"|é)){0,40}") {
        invariants::heredocs(bytes.as_bytes());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(3000) })]

    #[test]
    fn ignore_rules_agree_with_the_slow_matcher(
        file in "(!|#|/|a|b|é|\\*|\\*\\*|\\?|\\[ab\\]|\\[\\^a\\]|\\[|\\]|-|\\\\|\\.|\\.\\.| |\n|\r\n){0,14}",
        path in "(a|b|ab|é|c)(/(a|b|ab|é|-)){0,3}",
    ) {
        invariants::ignoring(format!("{file}\0{path}").as_bytes());
    }

    #[test]
    fn likely_ignore_rules_agree_with_the_slow_matcher(
        lines in proptest::collection::vec("!?/?(a|b|\\*|\\*\\*|a\\*|\\?|\\*b|\\*\\*b)(/(a|b|\\*|\\*\\*|\\*a|[ab])){0,3}", 1..5),
        path in "[ab]{1,2}(/[ab]{1,2}){0,3}",
    ) {
        invariants::ignoring(format!("{}\0{path}", lines.join("\n")).as_bytes());
    }
}
