//! Rules of the source tree that the compiler does not know.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::leaks::files_below;

/// A file longer than this is two files.
const LONGEST_FILE: usize = 500;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A source file: its path from the top of the repository and its text.
struct Source {
    path: PathBuf,
    text: String,
}

/// The Rust files below these folders of the repository.
fn sources(folders: &[&str]) -> Vec<Source> {
    let files = folders.iter().flat_map(|folder| files_below(&root().join(folder)));
    let rust = files.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        Source { path: path.strip_prefix(root()).unwrap().to_owned(), text }
    };
    rust.map(read).collect()
}

#[track_caller]
fn check_none(rule: &str, found: &[String]) {
    assert!(found.is_empty(), "{rule}:\n{}", found.join("\n"));
}

/// The table `| level | room | promise | may use |` in the docs of the crate: each room with the rooms that it may use.
fn allowed(docs: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut table = BTreeMap::new();
    for row in docs.lines().filter_map(|line| line.trim_start_matches("//!").trim().strip_prefix('|')) {
        let cells: Vec<&str> = row.trim_end_matches('|').split('|').map(str::trim).collect();
        let [level, room, _, may] = cells.as_slice() else { continue };
        if level.parse::<u32>().is_err() {
            continue;
        }
        let may: BTreeSet<String> = words(may).map(str::to_owned).collect();
        // A room comes after the rooms that it uses, so no two can use each other.
        let late: Vec<&String> = may.iter().filter(|used| !table.contains_key(*used)).collect();
        assert!(late.is_empty(), "`{room}` stands before {late:?} in the table, or these are not in it");
        let old = table.insert((*room).to_owned(), may);
        assert!(old.is_none(), "`{room}` stands twice in the table");
    }
    table
}

fn words(cell: &str) -> impl Iterator<Item = &str> {
    cell.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty())
}

/// The room that a file under src belongs to; the crate's two roots belong to none.
fn room_of(path: &Path) -> Option<String> {
    let below = path.strip_prefix("src").ok()?;
    let first = below.iter().next()?.to_str()?;
    let room = first.strip_suffix(".rs").unwrap_or(first);
    (!matches!(room, "lib" | "main")).then(|| room.to_owned())
}

fn is_test(path: &Path) -> bool {
    path.iter().any(|part| part == "tests" || part == "tests.rs")
}

/// The file's code, line by line: comments are out, and so is an inline test module, which ends a file.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = || text.lines().map(str::trim);
    let test_module = lines()
        .zip(lines().skip(1))
        .position(|(line, next)| line == "#[cfg(test)]" && next.starts_with("mod ") && next.ends_with('{'));
    let end = test_module.unwrap_or(usize::MAX);
    text.lines().take(end).enumerate().map(|(number, line)| (number + 1, line.split("//").next().unwrap_or_default()))
}

/// The first segment of every `crate::…` path in a line.
fn crate_paths(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("crate::").filter_map(|(at, found)| {
        let whole_word = !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$');
        let rest = &line[at + found.len()..];
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '{' || c == '*')).unwrap_or(rest.len());
        whole_word.then(|| &rest[..end])
    })
}

/// Uses of rooms that a file's room may not use.
fn forbidden_uses(source: &Source, table: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let Some(room) = room_of(&source.path).filter(|_| !is_test(&source.path)) else { return Vec::new() };
    let Some(may) = table.get(&room) else {
        return vec![format!("{}: the room `{room}` is not in the table", source.path.display())];
    };
    // How often `super` leads to the top of the room: more leads out of it.
    let depth = source.path.iter().count() - 2 - usize::from(source.path.ends_with("mod.rs"));
    let climb = "super::".repeat(depth + 1);
    let mut found = Vec::new();
    for (number, line) in code(&source.text) {
        let mut say = |what: String| found.push(format!("{}:{number}: {what}", source.path.display()));
        for used in crate_paths(line) {
            if used.starts_with(['{', '*']) {
                say("write one `use crate::room` line a room".to_owned());
            } else if used != room && !may.contains(used) {
                say(format!("`{room}` may not use `{used}`"));
            }
        }
        if line.contains(&climb) {
            say(format!("`{climb}` leaves the room"));
        }
    }
    found
}

#[test]
fn rooms_use_only_the_rooms_that_the_table_in_lib_rs_allows() {
    let table = allowed(&fs::read_to_string(root().join("src/lib.rs")).unwrap());
    assert!(!table.is_empty(), "src/lib.rs has no table `| level | room | promise | may use |` in its docs");
    let found: Vec<String> = sources(&["src"]).iter().flat_map(|source| forbidden_uses(source, &table)).collect();
    check_none("rooms that use what they may not", &found);
}

#[test]
fn every_room_of_the_table_is_there() {
    let table = allowed(&fs::read_to_string(root().join("src/lib.rs")).unwrap());
    let there: BTreeSet<String> = sources(&["src"]).iter().filter_map(|source| room_of(&source.path)).collect();
    let found: Vec<String> = table.into_keys().filter(|room| !there.contains(room)).collect();
    check_none("rooms in the table that src does not have", &found);
}

#[test]
fn the_table_is_read_as_it_is_meant() {
    let table = allowed(
        "//! | level | room | promise | may use |\n//! |---|---|---|---|\n//! | 0 | path | words | |\n\
         //! | 1 | store | objects | path |\n//! | 2 | layer | bytes | path, store |\n",
    );
    let may = |room: &str| table[room].iter().map(String::as_str).collect::<Vec<_>>();
    assert_eq!(may("path"), Vec::<&str>::new());
    assert_eq!(may("store"), ["path"]);
    assert_eq!(may("layer"), ["path", "store"]);
}

#[test]
fn a_use_of_a_forbidden_room_is_seen() {
    let table =
        allowed("| 0 | path | words | |\n| 1 | store | objects | path |\n| 2 | layer | bytes | path, store |\n");
    let uses = |path: &str, text: &str| {
        forbidden_uses(&Source { path: path.into(), text: text.to_owned() }, &table).join("; ")
    };
    assert_eq!(uses("src/layer/read.rs", "use crate::store::Store;\nuse super::Error;\n"), "");
    assert_eq!(
        uses("src/store/mod.rs", "pub use crate::layer::x;\n"),
        "src/store/mod.rs:1: `store` may not use `layer`"
    );
    assert_eq!(
        uses("src/store/a/b.rs", "\nfn f() { super::super::super::layer::x() }\n"),
        "src/store/a/b.rs:2: `super::super::super::` leaves the room"
    );
    assert_eq!(uses("src/path.rs", "use crate::{store};"), "src/path.rs:1: write one `use crate::room` line a room");
    assert_eq!(uses("src/store/tests.rs", "use crate::layer::x;"), "");
    assert_eq!(uses("src/store/a.rs", "#[cfg(test)]\nmod tests {\n    use crate::layer::x;\n}\n"), "");
    assert_eq!(uses("src/attic/mod.rs", ""), "src/attic/mod.rs: the room `attic` is not in the table");
}

#[test]
fn no_test_file_is_forgotten() {
    let mut found = Vec::new();
    for (folder, list) in [("tests/it", "main.rs"), ("tests/it/support", "mod.rs")] {
        let text = fs::read_to_string(root().join(folder).join(list)).unwrap();
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap();
            let is_listed = text.lines().any(|line| line.trim_start_matches("pub ") == format!("mod {name};"));
            if !path.ends_with(list) && !is_listed {
                found.push(format!("{folder}/{list} does not name `{name}`"));
            }
        }
    }
    check_none("forgotten test files", &found);
}

#[test]
fn files_are_short() {
    let lines = |source: &Source| source.text.lines().count();
    let all = sources(&["src", "tests", "benches"]);
    let long = all.iter().filter(|source| lines(source) > LONGEST_FILE);
    let found: Vec<String> = long.map(|source| format!("{}: {} lines", source.path.display(), lines(source))).collect();
    check_none("files that are too long", &found);
}

/// Lines of all sources that hold one of the words; the words are given in two parts, so that this file holds none.
fn lines_with(words: &[(&str, &str)]) -> Vec<String> {
    let words: Vec<String> = words.iter().map(|(head, tail)| format!("{head}{tail}")).collect();
    let mut found = Vec::new();
    for source in sources(&["src", "tests", "benches"]) {
        for (number, line) in source.text.lines().enumerate() {
            if words.iter().any(|word| line.contains(word)) {
                found.push(format!("{}:{}: {}", source.path.display(), number + 1, line.trim()));
            }
        }
    }
    found
}

#[test]
fn nothing_is_left_for_later() {
    let words = [("todo", "!("), ("unimplemented", "!("), ("#[ign", "ore"), ("FIX", "ME"), ("XX", "X"), ("TO", "DO")];
    check_none("unfinished work", &lines_with(&words));
}

#[test]
fn no_path_of_a_developers_machine_is_in_the_sources() {
    check_none("machine paths", &lines_with(&[("/wo", "rk/"), ("/Us", "ers/"), (".cargo/reg", "istry")]));
}

#[test]
fn every_module_root_says_what_it_is_for() {
    let is_root = |path: &Path| path.ends_with("mod.rs") || path.iter().count() == 2 || path.ends_with("main.rs");
    let all = sources(&["src", "tests", "benches"]);
    let silent = all.iter().filter(|source| is_root(&source.path) && !source.text.starts_with("//!"));
    let found: Vec<String> = silent.map(|source| source.path.display().to_string()).collect();
    check_none("files without docs at their head", &found);
}

#[test]
fn the_top_of_the_repository_holds_only_what_belongs_there() {
    let known = [
        "Cargo.toml",
        "Cargo.lock",
        "README.md",
        "CHANGELOG.md",
        "src",
        "testdata",
        "tests",
        "benches",
        "fuzz",
        "target",
    ];
    let mut found = Vec::new();
    for entry in fs::read_dir(root()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !known.contains(&name.as_str()) && !name.starts_with('.') && !name.starts_with("LICENSE") {
            found.push(name);
        }
    }
    check_none("entries that do not belong at the top", &found);
}
