//! `testdata/lint/advice.txt` and `testdata/lint/silent.txt`: what our own rules say of a Dockerfile and its context.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use expect_test::expect_file;

use super::{ignored, late_installs, missing, uncopied};
use crate::context::{DirectorySource, Ignore, StatCache, read_ignore};
use crate::dockerfile::{Diagnostic, Dockerfile, Rule, parse};
use crate::image::ImageConfig;
use crate::plan::{Inputs, Insecure, Network, Outcome, Plan, Scope, plan};
use crate::platform::Platform;

fn planned(dockerfile: &Dockerfile) -> (Plan, Vec<Diagnostic>) {
    let platform = Platform::new("linux", "amd64", None);
    let inputs = Inputs {
        build_args: BTreeMap::new(),
        target: None,
        labels: BTreeMap::new(),
        platform: platform.clone(),
        build_platform: platform.clone(),
        network: Network::Host,
        insecure: Insecure::Refused,
        named_contexts: BTreeMap::new(),
        secret_files: BTreeMap::new(),
        scope: Scope::EveryStage,
        unknown_bases: BTreeSet::new(),
    };
    let mut bases = BTreeMap::new();
    loop {
        match plan(dockerfile, &inputs, &bases).expect("the case is right") {
            Outcome::Ready(plan, found) => return (*plan, found),
            Outcome::Needs { images, .. } => {
                bases.extend(images.into_iter().map(|need| (need.image, ImageConfig::scratch(&platform))));
            }
        }
    }
}

/// What is said of a case: the lines, and the names of our own rules and of `CopyIgnoredFile`.
fn answer(body: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let (text, files) = body.split_once("\n-- ").unwrap_or((body, ""));
    for file in files.split("\n-- ").filter(|file| !file.is_empty()) {
        let (name, content) = file.split_once('\n').unwrap_or((file, ""));
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("it is in the folder")).expect("a folder");
        fs::write(path, content).expect("a file");
    }
    let text = format!("{text}\n");
    let (dockerfile, _) = parse("Dockerfile", text.as_bytes());
    let (plan, found) = planned(&dockerfile);
    let ignore: Ignore = read_ignore(folder.path(), None, None).expect("the ignore file is right");
    let context = DirectorySource::open(folder.path(), ignore, &[], StatCache::disabled()).expect("it is a folder");
    let left_out = ignored(&dockerfile, &plan, context.ignore());
    let mut problems = uncopied(&dockerfile, &context);
    problems.extend(missing(&dockerfile, &plan, &context, &left_out));
    problems.extend(late_installs(&dockerfile, &plan, &context));
    problems.extend(left_out);
    let own = |problem: &Diagnostic| Rule::find(problem.code).is_some_and(|rule| !rule.can_fail_build());
    problems.extend(found.into_iter().filter(own));
    problems.sort_by_key(|problem| problem.span.start());
    problems.iter().map(|problem| told(&dockerfile, problem)).collect()
}

fn told(dockerfile: &Dockerfile, problem: &Diagnostic) -> String {
    let line = dockerfile.source.position(problem.span.start()).line;
    let help: String = problem.help.iter().map(|help| format!(" => {}", help.message)).collect();
    let label = problem.label.as_ref().map(|label| format!(" [{label}]")).unwrap_or_default();
    format!("{line} {}: {}{label}{help}\n", problem.code, problem.message)
}

/// Answers every case of a table anew.
fn answered(path: &Path) -> (String, usize) {
    let table = fs::read_to_string(path).expect("the table can be read");
    let (head, cases) = table.split_once("\n== ").expect("the table has cases");
    let mut text = head.to_owned();
    let mut count = 0;
    for case in cases.split("\n== ") {
        let (name, body) = case.split_once('\n').expect("a case has a name and a body");
        let (question, _) = body.split_once("\n--\n").expect("a case ends with `--`");
        text.push_str(&format!("\n== {name}\n{question}\n--\n{}", answer(question)));
        count += 1;
    }
    (text, count)
}

#[test]
fn advice_is_given_where_it_helps() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/lint/advice.txt");
    let (text, count) = answered(&path);
    assert!(count >= 10, "cases are missing");
    expect_file![path].assert_eq(&text);
}

#[test]
fn good_files_are_left_in_peace() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/lint/silent.txt");
    let (text, count) = answered(&path);
    assert!(count >= 30, "cases are missing");
    let table = fs::read_to_string(&path).expect("the table can be read");
    // Not updated: whatever is said here is one word too many.
    assert_eq!(text, table);
}
