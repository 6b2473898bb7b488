//! `testdata/dockerfile`: every folder is a case, named by the rule that it shows.

use std::fs;
use std::path::{Path, PathBuf};

use expect_test::expect_file;

use crate::dockerfile::{Color, Diagnostic, parse, render};

fn folders(kind: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/dockerfile").join(kind);
    let entries = fs::read_dir(&root).unwrap_or_else(|error| panic!("`{}` cannot be read: {error}", root.display()));
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.expect("a readable entry").path()).collect();
    folders.sort();
    folders
}

#[test]
fn every_good_file_parses_to_its_tree() {
    let folders = folders("ok");
    assert!(folders.len() >= 30, "cases are missing");
    for folder in folders {
        let bytes = fs::read(folder.join("Dockerfile")).expect("a case has a Dockerfile");
        let (dockerfile, diagnostics) = parse("Dockerfile", &bytes);
        let errors: Vec<Diagnostic> = diagnostics.iter().filter(|one| one.is_error()).cloned().collect();
        let shown = render(&dockerfile.source, &errors, Color::Never);
        assert!(errors.is_empty(), "{}: {shown}", folder.display());
        let global_args: Vec<_> = dockerfile.global_args().collect();
        let mut tree = format!("{:#?}\n{:#?}\n{:#?}\n", dockerfile.directives, global_args, dockerfile.stages);
        let warnings = render(&dockerfile.source, &diagnostics, Color::Never);
        if !warnings.is_empty() {
            tree.push('\n');
            tree.push_str(&warnings);
        }
        expect_file![folder.join("ast.txt")].assert_eq(&tree);
    }
}

#[test]
fn every_bad_file_gives_its_report() {
    let folders = folders("err");
    assert!(folders.len() >= 30, "cases are missing");
    for folder in folders {
        let bytes = fs::read(folder.join("Dockerfile")).expect("a case has a Dockerfile");
        let (dockerfile, diagnostics) = parse("Dockerfile", &bytes);
        assert!(diagnostics.iter().any(Diagnostic::is_error), "{}: no error", folder.display());
        expect_file![folder.join("errors.txt")].assert_eq(&render(&dockerfile.source, &diagnostics, Color::Never));
    }
}

#[test]
fn no_case_is_incomplete() {
    for (kind, expected) in [("ok", "ast.txt"), ("err", "errors.txt")] {
        for folder in folders(kind) {
            for file in ["Dockerfile", expected] {
                assert!(folder.join(file).is_file(), "`{}` lacks `{file}`", folder.display());
            }
        }
    }
}
