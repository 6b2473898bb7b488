//! Reads the lists of cases that come out differently.

use std::collections::BTreeSet;
use std::fs;

use super::case::{self, folder};

/// A difference that nobody is told of is a mistake; more than these would be another language.
const MOST_DIFFERENCES: usize = 10;

/// The cases that do not agree with their expectations.
#[derive(Debug)]
pub struct Lists {
    /// The cases of `DIFFERENCES.md`.
    pub intended: BTreeSet<String>,
    /// The cases of `not-yet.txt`.
    pub waiting: BTreeSet<String>,
}

impl Lists {
    /// Reads both lists.
    pub fn read() -> Self {
        let text = |name: &str| {
            fs::read_to_string(folder().join(name)).unwrap_or_else(|error| panic!("cannot read `{name}`: {error}"))
        };
        Self { intended: unique(rows(&text("DIFFERENCES.md"))), waiting: unique(names(&text("not-yet.txt"))) }
    }
}

fn unique(names: Vec<String>) -> BTreeSet<String> {
    let set: BTreeSet<String> = names.iter().cloned().collect();
    assert_eq!(set.len(), names.len(), "a case stands twice in {names:?}");
    set
}

/// The cases of the table `| case | theirs | ours | why |`, in which every cell says something.
fn rows(text: &str) -> Vec<String> {
    let lines = text.lines().filter_map(|line| line.trim().strip_prefix('|')?.strip_suffix('|'));
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [case, ..] = cells.as_slice() else { return None };
        assert!(cells.len() == 4 && cells.iter().all(|cell| !cell.is_empty()), "no row of four full cells: |{line}|");
        let name = case.strip_prefix('`')?.strip_suffix('`')?;
        Some(name.to_owned())
    };
    lines.filter_map(row).collect()
}

/// The cases below headings that name the missing feature: a line that starts with `# `.
fn names(text: &str) -> Vec<String> {
    let mut has_heading = false;
    let mut names = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if line.starts_with("# ") {
            has_heading = true;
        } else {
            assert!(has_heading, "not-yet.txt: `{line}` stands below no `# feature`");
            names.push(line.to_owned());
        }
    }
    names
}

#[test]
fn the_lists_name_cases_that_are_there_and_each_once() {
    let lists = Lists::read();
    let there: BTreeSet<String> = case::all().into_iter().map(|case| case.name).collect();
    let unknown: Vec<&String> = lists.intended.union(&lists.waiting).filter(|name| !there.contains(*name)).collect();
    assert!(unknown.is_empty(), "the lists name cases that are not there: {unknown:?}");
    let both: Vec<&String> = lists.intended.intersection(&lists.waiting).collect();
    assert!(both.is_empty(), "both lists name {both:?}");
    let count = lists.intended.len();
    assert!(count <= MOST_DIFFERENCES, "DIFFERENCES.md has {count} rows, the most are {MOST_DIFFERENCES}");
}

#[test]
fn every_expectation_has_its_case_and_the_outcome_that_the_case_tells() {
    let cases = case::all();
    let files = crate::support::leaks::files_below(&folder().join("cases"));
    assert_eq!(files.len(), 2 * cases.len(), "a file of the cases is neither a case nor its expectation");
    let wrong = cases.iter().filter(|case| case.expected["ok"].as_bool() != Some(!case.options.fails));
    let wrong: Vec<&str> = wrong.map(|case| case.name.as_str()).collect();
    assert!(wrong.is_empty(), "`fails` and the expectation contradict each other: {wrong:?}");
}

#[test]
fn the_lists_are_read_as_they_are_meant() {
    let table = "# Differences\n\n| case | theirs | ours | why |\n|---|---|---|---|\n| `a/b` | 1 | 2 | so |\n";
    assert_eq!(rows(table), ["a/b"]);
    assert_eq!(names("# RUN --mount\na/b\n\n# ADD of a URL\nc/d\n"), ["a/b", "c/d"]);
}
