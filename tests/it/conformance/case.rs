//! Reads a case: its options, and the files that its build gets.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

use crate::support::fixture::{self, Item, Kind};
use crate::support::leaks::files_below;

/// One case with its expectation.
#[derive(Debug)]
pub struct Case {
    /// `AREA/RULE-IN-WORDS`.
    pub name: String,
    /// What `case.json` says.
    pub options: Options,
    /// What must come out.
    pub expected: Value,
    sections: Vec<Section>,
}

/// The section `case.json` of a case.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Flags for the program.
    pub args: Vec<String>,
    /// Environment variables for the program.
    pub env: BTreeMap<String, String>,
    /// The file of the context to build, given by `-f`.
    pub dockerfile: Option<String>,
    /// The section that the program reads from its standard input.
    pub stdin: Option<String>,
    /// What is given as the context instead of its folder.
    pub context: Option<String>,
    /// The image that the tree is compared with.
    pub base: Option<String>,
    /// What runs beside the build.
    pub uses: Uses,
    /// Whether the build must fail.
    pub fails: bool,
}

/// What runs beside the build of a case.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Uses {
    /// The extra folder that is served over HTTP.
    pub http: Option<String>,
}

/// A part of a case file: a marker line and the lines below it.
#[derive(Debug, PartialEq, Eq)]
struct Section {
    name: String,
    link: Option<String>,
    mode: Option<u32>,
    content: Vec<u8>,
}

/// Where the cases and the lists of them are.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/conformance")
}

/// All cases, by their names.
pub fn all() -> Vec<Case> {
    let top = folder().join("cases");
    let files = files_below(&top);
    let cases = files.iter().filter(|path| path.extension().is_some_and(|extension| extension == "txt"));
    cases.map(|path| read(&top, path)).collect()
}

fn read(top: &Path, path: &Path) -> Case {
    let stem = path.with_extension("");
    let name = stem.strip_prefix(top).unwrap().to_str().unwrap().to_owned();
    let expected = path.with_extension("expect.json");
    let expected = fs::read(&expected).unwrap_or_else(|error| panic!("cannot read `{}`: {error}", expected.display()));
    let expected = serde_json::from_slice(&expected).unwrap_or_else(|error| panic!("expectation of {name}: {error}"));
    Case::parse(&name, &fs::read_to_string(path).unwrap(), expected)
}

impl Case {
    /// Reads the text of a case file.
    pub fn parse(name: &str, text: &str, expected: Value) -> Self {
        let (rule, body) = text.split_once('\n').unwrap_or((text, ""));
        assert!(rule.starts_with("# "), "{name}: the first line must be `# ` and the rule");
        let mut sections = sections(body);
        let options = match sections.iter().position(|section| section.name == "case.json") {
            Some(at) => serde_json::from_slice(&sections.remove(at).content)
                .unwrap_or_else(|error| panic!("{name}: case.json: {error}")),
            None => Options::default(),
        };
        Self { name: name.to_owned(), options, expected, sections }
    }

    /// The content of a section that must be there.
    pub fn section(&self, name: &str) -> &[u8] {
        let section = self.sections.iter().find(|section| section.name == name);
        &section.unwrap_or_else(|| panic!("{}: there is no section `{name}`", self.name)).content
    }

    /// Whether there is a section of that name.
    pub fn has(&self, name: &str) -> bool {
        self.sections.iter().any(|section| section.name == name)
    }

    /// The text of the Dockerfile, wherever the build gets it from.
    pub fn dockerfile(&self) -> String {
        let named = self.options.dockerfile.as_deref().or(self.options.stdin.as_deref());
        String::from_utf8_lossy(self.section(named.unwrap_or("Dockerfile"))).into_owned()
    }

    /// Writes the context to `top/ctx` and each extra folder to `top/@NAME`.
    pub fn write(&self, top: &Path) {
        let is_file = |section: &&Section| Some(&section.name) != self.options.stdin.as_ref();
        let mut items = vec![Item { path: "ctx".to_owned(), kind: Kind::Dir, mode: None }];
        items.extend(self.sections.iter().filter(is_file).map(Section::item));
        fixture::write_items(top, &items);
    }
}

impl Section {
    fn item(&self) -> Item {
        let path = self.name.trim_end_matches('/');
        let path = if path.starts_with('@') { path.to_owned() } else { format!("ctx/{path}") };
        let kind = match &self.link {
            Some(target) => Kind::Symlink(target.clone()),
            None if self.name.ends_with('/') => Kind::Dir,
            None => Kind::File(self.content.clone()),
        };
        Item { path, kind, mode: self.mode }
    }
}

fn sections(body: &str) -> Vec<Section> {
    let mut sections: Vec<(Marker<'_>, String)> = Vec::new();
    for line in body.strip_suffix('\n').unwrap_or(body).split('\n') {
        if let Some(marker) = Marker::parse(line) {
            sections.push((marker, String::new()));
        } else if let Some((_, text)) = sections.last_mut() {
            text.push_str(line);
            text.push('\n');
        }
    }
    sections.into_iter().map(|(marker, text)| marker.section(text)).collect()
}

/// `-- NAME [-> TARGET] [FLAGS] --`.
struct Marker<'a> {
    name: &'a str,
    link: Option<&'a str>,
    flags: Vec<&'a str>,
}

impl<'a> Marker<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut rest = line.strip_prefix("-- ")?.strip_suffix(" --")?;
        let mut flags = Vec::new();
        while let Some((before, word)) = rest.rsplit_once(' ') {
            let flag = word.strip_prefix('[').unwrap_or(word);
            let flag = flag.strip_suffix(']').unwrap_or(flag);
            if before.is_empty() || !(matches!(flag, "b64" | "tab") || flag.starts_with("mode=")) {
                break;
            }
            flags.push(flag);
            rest = before;
        }
        let (name, link) = rest.split_once(" -> ").map_or((rest, None), |(name, link)| (name, Some(link)));
        (!name.is_empty()).then_some(Self { name, link, flags })
    }

    fn section(self, text: String) -> Section {
        let has = |wanted: &str| self.flags.contains(&wanted);
        let text = if has("tab") { text.replace("\\t", "\t") } else { text };
        let content = match has("b64") {
            true => STANDARD.decode(text.replace('\n', "")).unwrap_or_else(|error| panic!("`{}`: {error}", self.name)),
            false => text.into_bytes(),
        };
        let mode = self.flags.iter().find_map(|flag| flag.strip_prefix("mode="));
        let mode = mode.map(|digits| u32::from_str_radix(digits, 8).expect("a mode has octal digits"));
        Section { name: self.name.to_owned(), link: self.link.map(str::to_owned), mode, content }
    }
}

#[test]
fn a_case_is_read_as_its_format_says() {
    let text = "# A rule.\n-- case.json --\n{\"args\": [\"-q\"], \"stdin\": \"in\"}\n-- a b mode=0600 --\n1\n\n2\n\
                -- c [tab] [mode=4755] --\n\\t|\n-- d b64 --\nMQ==\n-- e -> ../f --\n-- g/ mode=0700 --\n-- in --\n";
    let case = Case::parse("x/y", text, Value::Null);
    assert_eq!((case.options.args.as_slice(), case.options.stdin.as_deref()), (&["-q".to_owned()][..], Some("in")));
    let section = |name: &str, link: Option<&str>, mode, content: &str| {
        let (name, link, content) = (name.to_owned(), link.map(str::to_owned), content.as_bytes().to_vec());
        Section { name, link, mode, content }
    };
    let expected = [
        section("a b", None, Some(0o600), "1\n\n2\n"),
        section("c", None, Some(0o4755), "\t|\n"),
        section("d", None, None, "1"),
        section("e", Some("../f"), None, ""),
        section("g/", None, Some(0o700), ""),
        section("in", None, None, ""),
    ];
    assert_eq!(case.sections, expected);
}

#[test]
fn a_case_is_written_without_what_comes_by_standard_input() {
    let text = "# A rule.\n-- case.json --\n{\"stdin\": \"in\"}\n-- in --\n1\n-- a/b --\n2\n-- @one/c --\n3\n";
    let dir = tempfile::tempdir().unwrap();
    Case::parse("x/y", text, Value::Null).write(dir.path());
    let files = files_below(dir.path());
    assert_eq!(files, ["@one/c", "ctx/a/b"].map(|path| dir.path().join(path)));
}
