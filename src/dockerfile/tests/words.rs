//! `testdata/words/expand.txt`: a row is `mode | word | expected value, or error: message`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::dockerfile::{Escape, Span, Word, expand, expand_shown, expand_words};

fn env() -> BTreeMap<String, String> {
    let pairs = [
        ("v", "value"),
        ("empty", ""),
        ("path", "/usr/local/lib/a.tar.gz"),
        ("list", " a  b c "),
        ("foo", "foobarbaz"),
        ("star", "a*b?c"),
        ("quote", "it's \"q\""),
        ("dollar", "$v"),
        ("lines", "one\ntwo"),
        ("größe", "10"),
        ("_x1", "underscore"),
        ("pat", "ba*"),
        ("PWD", "/home"),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Makes newlines and the ends of words visible.
fn evaluate(mode: &str, raw: &str) -> String {
    let word = Word::new(raw, Span::default());
    let shown = match mode {
        "word" => expand(&word, Escape::Backslash, &env()).map(|expanded| expanded.value),
        "tick" => expand(&word, Escape::Backtick, &env()).map(|expanded| expanded.value),
        "words" => expand_words(&word, Escape::Backslash, &env()).map(|expanded| {
            let words: Vec<String> = expanded.value.iter().map(|word| format!("[{word}]")).collect();
            words.join(" ")
        }),
        "show" => Ok(expand_shown(raw, Escape::Backslash, &env())),
        "unset" => expand(&word, Escape::Backslash, &env()).map(|expanded| {
            let names = |set: std::collections::BTreeSet<String>| set.into_iter().collect::<Vec<_>>().join(",");
            format!("used {} unset {}", names(expanded.used), names(expanded.unset))
        }),
        other => panic!("`{other}` is no mode"),
    };
    shown.map_or_else(|error| format!("error: {error}"), |value| value.replace('\n', "\\n"))
}

#[test]
fn every_row_of_the_table_holds() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/words/expand.txt");
    let table =
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("`{}` cannot be read: {error}", path.display()));
    let mut rows = 0;
    let mut wrong = Vec::new();
    for line in table.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let mut cells = line.splitn(3, " | ");
        let (Some(mode), Some(raw), Some(expected)) = (cells.next(), cells.next(), cells.next()) else {
            panic!("`{line}` is no row");
        };
        rows += 1;
        let found = evaluate(mode.trim(), raw);
        if found != expected {
            wrong.push(format!("{line}\n    gives {found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(rows >= 100, "only {rows} rows");
}
