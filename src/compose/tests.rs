//! Tables and properties of the parts; whole projects are in tests/it/compose.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::merge::{drop_resets, merge};
use super::node::{Node, Scalar, Value};
use super::problems::Problems;
use super::substitute::{ProblemKind, Variables, substitute};
use super::{Error, Files, Options, dotenv, read, yaml};

/// The rows of a table of testdata/compose/tables.
#[track_caller]
fn rows(name: &str) -> Vec<Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/compose/tables").join(name);
    let table = fs::read_to_string(&path).expect("the table is there");
    let is_row = |line: &&str| !line.is_empty() && (!line.starts_with("# ") || line.contains(" | "));
    let is_head = |line: &&str| line.starts_with("# ") && !line.starts_with("# A=") && !line.starts_with("# comment");
    let lines = table.lines().filter(is_row).filter(|line| !is_head(line));
    lines.map(|line| line.split(" | ").map(str::to_owned).collect()).collect()
}

#[track_caller]
fn check_rows(name: &str, least: usize, evaluate: impl Fn(&[String]) -> String) {
    let rows = rows(name);
    assert!(rows.len() >= least, "{name}: {} rows", rows.len());
    let mut wrong = Vec::new();
    for row in &rows {
        let (expected, given) = row.split_last().expect("a row has cells");
        let found = evaluate(given);
        if found.trim() != expected.trim() {
            wrong.push(format!("{}\n  expected {expected}\n  found    {found}", given.join(" | ")));
        }
    }
    assert!(wrong.is_empty(), "{name}:\n{}", wrong.join("\n"));
}

struct Lookup {
    values: BTreeMap<String, String>,
    unset: Vec<String>,
}

impl Variables for Lookup {
    fn value(&self, name: &str) -> Option<String> {
        self.values.get(name).cloned()
    }

    fn unset(&mut self, name: &str, _at: Range<usize>) {
        self.unset.push(name.to_owned());
    }
}

fn lookup() -> Lookup {
    let pairs = [("V", "value"), ("EMPTY", ""), ("N", "1"), ("_x", "under"), ("A1", "digit"), ("dollar", "$V")];
    let values = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Lookup { values, unset: Vec::new() }
}

#[test]
fn variables_are_replaced_as_the_table_says() {
    check_rows("variables.txt", 80, |row| {
        let text = &row[0];
        let mut lookup = lookup();
        match substitute(text, &mut lookup) {
            Ok(value) if lookup.unset.is_empty() => value,
            Ok(value) => format!("{value} [{}]", lookup.unset.join(",")),
            Err(problem) => {
                let part = &text[problem.at.clone()];
                match problem.kind {
                    ProblemKind::Open => format!("error: `{part}` is not closed"),
                    ProblemKind::Name => format!("error: `{part}` has no name"),
                    ProblemKind::Operator => format!("error: `{part}` has no operator"),
                    ProblemKind::Required { name, message } if message.is_empty() => {
                        format!("error: {name} is required")
                    }
                    ProblemKind::Required { name, message } => format!("error: {name} is required: {message}"),
                    ProblemKind::Limit => "error: limit".to_owned(),
                }
            }
        }
    });
}

#[test]
fn what_is_nested_too_deeply_or_too_long_is_refused() {
    let deep = format!("{}x{}", "${A:-".repeat(60), "}".repeat(60));
    let limit = |text: &str, lookup: &mut Lookup| substitute(text, lookup).map_err(|problem| problem.kind);
    assert_eq!(limit(&deep, &mut lookup()), Err(ProblemKind::Limit));
    let mut long = lookup();
    long.values.insert("L".to_owned(), "x".repeat(1 << 19));
    assert_eq!(limit("$L$L$L", &mut long), Err(ProblemKind::Limit));
}

#[test]
fn env_files_are_read_as_the_table_says() {
    check_rows("dotenv.txt", 70, |row| {
        let mark = '\u{1}'.to_string();
        let text = row[0].replace("\\\\", &mark).replace("\\n", "\n").replace("\\t", "\t").replace("\\r", "\r");
        let text = text.replace(&mark, "\\");
        let outer = [("OUT", "outside"), ("WINS", "outside")];
        let outer = outer.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut problems = Problems::default();
        let file = problems.add_file(".env", text);
        let mut values = BTreeMap::new();
        dotenv::read(file, &outer, &mut values, &mut problems);
        let reports = problems.into_reports();
        let errors = reports.iter().flat_map(|report| report.problems.iter().map(move |found| (&report.file, found)));
        if let Some((file, error)) = errors.into_iter().find(|(_, found)| found.is_error()) {
            let at = file.position(error.span.start());
            return format!("error: {}:{} {}", at.line, at.column, error.message);
        }
        let shown = values
            .iter()
            .map(|(name, value)| format!("{name}=[{}]", value.replace('\n', "<nl>").replace('\t', "<tab>")));
        shown.collect::<Vec<_>>().join(" ")
    });
}

/// A tree in one line.
fn show(node: &Node) -> String {
    match &node.value {
        Value::Scalar(Scalar::Null) => String::new(),
        Value::Scalar(scalar) => scalar.to_string(),
        Value::List(nodes) => format!("[{}]", nodes.iter().map(show).collect::<Vec<_>>().join(", ")),
        Value::Map(map) => {
            let entries = map.entries.iter().map(|entry| format!("{}: {}", entry.key, show(&entry.node)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
    }
}

fn parsed(text: &str, problems: &mut Problems) -> Node {
    let file = problems.add_file("compose.yaml", text.to_owned());
    let documents = yaml::read(file, problems);
    documents.into_iter().next().unwrap_or_else(|| panic!("`{text}` has no document"))
}

#[test]
fn trees_are_merged_as_the_table_says() {
    let rows = rows("merge.txt");
    assert!(rows.len() >= 40, "{} rows", rows.len());
    for row in rows {
        let mut problems = Problems::default();
        let trees: Vec<Node> =
            row.iter().map(|cell| parsed(&format!("services: {{s: {cell}}}"), &mut problems)).collect();
        let [base, over, expected] = <[Node; 3]>::try_from(trees).expect("a row has three cells");
        let mut merged = merge(base, over, &[], &mut problems);
        drop_resets(&mut merged);
        assert_eq!(show(&merged), show(&expected), "{}", row.join(" | "));
        assert!(!problems.has_errors(), "{}", row.join(" | "));
    }
}

/// Files that are only in memory.
struct Memory(BTreeMap<PathBuf, Vec<u8>>);

impl Files for Memory {
    fn read(&self, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
        Ok(self.0.get(path).filter(|bytes| bytes.len() as u64 <= limit).cloned())
    }
}

fn project(files: &[(&str, &str)]) -> Result<super::Project, Error> {
    let files = files.iter().map(|(path, text)| (Path::new("/p").join(path), text.as_bytes().to_vec()));
    let options = Options { folder: PathBuf::from("/p"), ..Options::default() };
    read(&options, &Memory(files.collect()))
}

#[test]
fn numbers_are_shown_as_go_shows_them() {
    let file = "services: {a: {build: {args: [x], labels: {a: 1e21, b: 1e20, c: 0.00001, d: 1.50, e: -0x10, f: 0o17, \
                g: 017, h: 1_000, i: .5, j: +3, k: 99999999999999999999999, l: 1.2.3, m: 12e03, n: -.inf, o: 0b11}}}}";
    let project = project(&[("compose.yaml", file)]).expect("a project");
    let labels = &project.services[0].build.as_ref().expect("a build").labels;
    let shown: Vec<String> = labels.values().cloned().collect();
    let expected = ["1e+21", "100000000000000000000", "1e-05", "1.5", "-16", "15", "15", "1000", "0.5", "3", "1e+23"];
    assert_eq!(shown[..11], expected);
    assert_eq!(shown[11..], ["1.2.3", "12000", "-Inf", "3"]);
}

#[test]
fn the_nearest_file_above_is_found() {
    let files = [("/p/compose.yaml", "services: {a: {build: .}}")];
    let files = files.iter().map(|(path, text)| (PathBuf::from(path), text.as_bytes().to_vec())).collect();
    let options = Options { folder: PathBuf::from("/p/deep/er"), ..Options::default() };
    let project = read(&options, &Memory(files)).expect("a project");
    assert_eq!((project.name.as_str(), project.folder.as_path()), ("p", Path::new("/p")));
}

#[test]
fn secrets_are_in_no_debug_text() {
    let file = "services: {a: {build: {secrets: [s]}}}\nsecrets: {s: {environment: TOKEN}}";
    let variables = BTreeMap::from([("TOKEN".to_owned(), "canary".to_owned())]);
    let options = Options { folder: PathBuf::from("/p"), variables, ..Options::default() };
    let files = BTreeMap::from([(PathBuf::from("/p/compose.yaml"), file.as_bytes().to_vec())]);
    let project = read(&options, &Memory(files)).expect("a project");
    assert_eq!(project.variable("TOKEN"), Some("canary"));
    assert!(!format!("{project:?}").contains("canary"));
}

#[test]
fn chains_and_circles_of_any_length_end() {
    let chain: String = (0..300).map(|i| format!("  s{i}: {{extends: s{}}}\n", i + 1)).collect();
    let long = format!("services:\n{chain}  s300: {{image: a}}\n");
    assert!(matches!(project(&[("compose.yaml", &long)]), Err(Error::Invalid(_))));
    let needs: String = (0..5000).map(|i| format!("  s{i}: {{image: a, depends_on: [s{}]}}\n", i + 1)).collect();
    let long = format!("services:\n{needs}  s5000: {{image: a}}\n");
    assert_eq!(project(&[("compose.yaml", &long)]).expect("a project").services.len(), 5001);
    let twice = "include: [b.yaml, b.yaml]\nservices: {}";
    let files: Vec<(String, String)> =
        (0..12).map(|i| (format!("{i}.yaml"), twice.replace('b', &(i + 1).to_string()))).collect();
    let mut files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    files.push(("compose.yaml", "include: [0.yaml]"));
    assert!(matches!(project(&files), Err(Error::Invalid(_))));
}

#[test]
fn deep_nesting_is_refused_and_not_followed() {
    for (open, close) in [("[", "]"), ("{a: ", "}")] {
        let text = format!("x-a: {}{}", open.repeat(250), close.repeat(250));
        assert!(matches!(project(&[("compose.yaml", &text)]), Err(Error::Invalid(_))));
    }
    let mut text = String::new();
    (0..1000).for_each(|depth| text.push_str(&format!("{}a:\n", " ".repeat(depth))));
    assert!(matches!(project(&[("compose.yaml", &text)]), Err(Error::Invalid(_))));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_anything_panic(text in "(?s).{0,200}") {
        let _outcome = project(&[("compose.yaml", &text), (".env", &text)]);
        let _outcome = substitute(&text, &mut lookup());
    }

    #[test]
    fn no_mixture_of_pieces_makes_anything_panic(pieces in prop::collection::vec(0..PIECES.len(), 0..40)) {
        let text: String = pieces.iter().map(|piece| PIECES[*piece]).collect();
        let _outcome = project(&[("compose.yaml", &text), (".env", &text)]);
        let _outcome = substitute(&text, &mut lookup());
    }
}

/// What compose files are made of, and what they are not.
const PIECES: [&str; 40] = [
    "services:\n",
    "  a:\n",
    "    build: .\n",
    "    build:\n",
    "      context: ",
    "      args: [",
    "]",
    "{",
    "}",
    "- ",
    "\n",
    "  ",
    "&a ",
    "*a",
    "<<: ",
    "!reset ",
    "!override ",
    "${",
    "$V",
    ":-",
    "}",
    "\"",
    "'",
    "|\n",
    ">\n",
    "#",
    "---\n",
    "image: a",
    "extends: a\n",
    "include: [compose.yaml]\n",
    "depends_on: [a]\n",
    "é",
    "\t",
    "? ",
    ": ",
    "secrets:\n",
    "1e3",
    "null",
    "platforms: [linux/amd64]\n",
    "additional_contexts: {a: service:a}\n",
];
