//! What holds for any bytes. Each function takes the bytes of a fuzz target apart and panics if its promise is broken.
//!
//! The fuzz targets and the tests of this folder call the same functions, so what a fuzzer found stays found.

use std::borrow::Cow;
use std::collections::BTreeMap;

use rbuild::context::{Ignore, Verdict};
use rbuild::dockerfile::{
    Color, CommandLine, Dockerfile, Escape, Heredoc, Instruction, InstructionKind, MAX_VALUE, NoEnv, Span, Word,
    expand, expand_heredoc, expand_shown, expand_words, parse, parse_onbuild, render,
};
use rbuild::path::ContextPath;

use super::matcher::{BadLine, ignored_by};
use super::print::{meaning, print};
use super::spans::spans;

/// Lines may hold 65,535 bytes; what is printed on one line may have stood on several.
const MAX_PRINTED: usize = 30_000;

/// Parsing never panics, every place lies in the text at character boundaries, messages can be shown, and a file without
/// errors that is printed and parsed again says the same.
pub fn parsing(bytes: &[u8]) {
    let (dockerfile, diagnostics) = parse("Dockerfile", bytes);
    for span in spans(&dockerfile, &diagnostics) {
        assert!(dockerfile.source.text().get(span.range()).is_some(), "{span:?} is no part of the text");
    }
    for run in runs(&dockerfile) {
        run.command.script();
        for mount in &run.mounts {
            // Any answer will do.
            drop(mount.resolve(Escape::Backslash, &NoEnv));
        }
    }
    render(&dockerfile.source, &diagnostics, Color::Always);
    // Any answer will do.
    drop(parse_onbuild(&String::from_utf8_lossy(bytes)));
    if bytes.len() <= MAX_PRINTED && !diagnostics.iter().any(|one| one.is_error()) {
        survives_printing(&dockerfile);
    }
}

fn runs(dockerfile: &Dockerfile) -> impl Iterator<Item = &rbuild::dockerfile::Run> {
    let instructions = dockerfile.stages.iter().flat_map(|stage| &stage.instructions);
    instructions.filter_map(|one| match &one.kind {
        InstructionKind::Run(run) => Some(run),
        _ => None,
    })
}

/// Printing and parsing again gives a file that says the same; whether it could be printed.
pub fn survives_printing(dockerfile: &Dockerfile) -> bool {
    let Some(printed) = print(dockerfile) else { return false };
    let (again, diagnostics) = parse("Dockerfile", printed.as_bytes());
    let errors: Vec<_> = diagnostics.iter().filter(|one| one.is_error()).collect();
    assert!(errors.is_empty(), "{errors:?} in:\n{printed}");
    assert_eq!(meaning(dockerfile), meaning(&again), "printed as:\n{printed}");
    true
}

/// Expanding never panics, gives no more than the limit, tells the truth about variables, leaves alone what is final, and
/// gives back whatever was quoted.
///
/// The first byte chooses the escape; the others are the word and the values of `a` and `b`, split at `\x01`.
pub fn substitution(bytes: &[u8]) {
    let Some((first, rest)) = bytes.split_first() else { return };
    let escape = if first % 2 == 0 { Escape::Backslash } else { Escape::Backtick };
    let text = String::from_utf8_lossy(rest);
    let mut parts = text.split('\u{1}');
    let word = Word::new(parts.next().unwrap_or_default(), Span::default());
    let env: BTreeMap<String, String> =
        ["a", "b"].into_iter().zip(parts).map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    if let Ok(expanded) = expand(&word, escape, &env) {
        assert!(expanded.value.len() <= MAX_VALUE, "{} bytes", expanded.value.len());
        assert!(expanded.used.iter().all(|name| env.contains_key(name)), "{:?} used", expanded.used);
        assert!(!expanded.unset.iter().any(|name| env.contains_key(name)), "{:?} unset", expanded.unset);
        if is_final(&expanded.value, escape) {
            let again = expand(&Word::new(expanded.value.clone(), Span::default()), escape, &env);
            assert_eq!(again.map(|again| again.value).as_ref(), Ok(&expanded.value));
        }
    }
    if let Ok(words) = expand_words(&word, escape, &env) {
        assert!(words.value.iter().map(String::len).sum::<usize>() <= MAX_VALUE);
    }
    assert!(expand_shown(word.raw(), escape, &env).len() <= MAX_VALUE.max(word.raw().len()));
    for value in env.values() {
        let quoted = expand(&Word::new(quoted(value, escape), Span::default()), escape, &env);
        assert_eq!(quoted.map(|quoted| quoted.value).as_ref(), Ok(value));
    }
}

/// Whether no character means anything but itself.
pub fn is_final(text: &str, escape: Escape) -> bool {
    !text.contains(|c: char| matches!(c, '$' | '"' | '\'') || c == escape.char())
}

/// A word whose value is the text.
pub fn quoted(text: &str, escape: Escape) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        if matches!(c, '"' | '$') || c == escape.char() {
            quoted.push(escape.char());
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

/// A heredoc holds exactly the lines up to the one that ends it, and the instruction behind it is read as before.
///
/// The first byte chooses the instruction, `-`, and the quotes of the word; the next up to 8 letters are the word.
pub fn heredocs(bytes: &[u8]) {
    let Some((choice, rest)) = bytes.split_first() else { return };
    let text = String::from_utf8_lossy(rest);
    let length = text.bytes().take(8).take_while(u8::is_ascii_alphanumeric).count();
    if length == 0 || text.contains('\0') || text.split('\n').any(|line| line.len() > MAX_PRINTED) {
        return;
    }
    let (name, body) = text.split_at(length);
    // Behind the end of the heredoc there is always this instruction; it comes earlier if the body ends the heredoc.
    let body = if body.is_empty() || body.ends_with('\n') { Cow::Borrowed(body) } else { format!("{body}\n").into() };
    let dash = if choice & 1 == 0 { "" } else { "-" };
    let word = match choice >> 1 & 3 {
        0 => name.to_owned(),
        1 => format!("'{name}'"),
        2 => format!("\"{name}\""),
        _ => format!("{}\"{}\"", &name[..1], &name[1..]),
    };
    let opening = match choice >> 3 & 1 {
        0 => format!("RUN <<{dash}{word}"),
        _ => format!("COPY 3<<{dash}{word} /x"),
    };
    let (dockerfile, _) = parse("Dockerfile", format!("FROM a\n{opening}\n{body}{name}\nENV x=y\n").as_bytes());
    let instructions = &dockerfile.stages[0].instructions;
    let heredoc = instructions.first().and_then(heredoc_of).expect("the heredoc is read");
    let is_end = |line: &&str| {
        let line = line.trim_end_matches(['\r', '\n']);
        (if dash.is_empty() { line } else { line.trim_start_matches('\t') }) == name
    };
    let expected: String = body.split_inclusive('\n').take_while(|line| !is_end(line)).collect();
    assert_eq!(heredoc.content, expected);
    assert_eq!((heredoc.name.value.as_str(), heredoc.expand), (name, choice >> 1 & 3 == 0));
    if expected == *body {
        assert_eq!(instructions.len(), 2);
        assert!(matches!(instructions[1].kind, InstructionKind::Env(_)));
    }
    let without_tabs: String = expected.split_inclusive('\n').map(|line| line.trim_start_matches('\t')).collect();
    assert_eq!(heredoc.body(), if dash.is_empty() { expected } else { without_tabs });
    match expand_heredoc(heredoc, &NoEnv) {
        Ok(expanded) if heredoc.expand => assert!(expanded.value.len() <= MAX_VALUE),
        Ok(expanded) => assert_eq!(expanded.value, heredoc.body()),
        Err(error) => assert!(heredoc.expand, "{error}"),
    }
}

fn heredoc_of(instruction: &Instruction) -> Option<&Heredoc> {
    match &instruction.kind {
        InstructionKind::Run(run) => match &run.command {
            CommandLine::Shell { heredocs, .. } => heredocs.first(),
            CommandLine::Exec(_) => None,
        },
        InstructionKind::Copy(copy) => copy.transfer.heredocs.first(),
        _ => None,
    }
}

/// The matcher of ignore files agrees with a slow one, and never says that nothing is included below a folder of which
/// something is.
///
/// The bytes are an ignore file and a path, split at the first NUL.
pub fn ignoring(bytes: &[u8]) {
    let at = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let (file, path) = (&bytes[..at], ContextPath::new(bytes.get(at + 1..).unwrap_or_default()));
    let ignore = Ignore::parse("i", file);
    let verdict = ignore.as_ref().ok().map(|ignore| ignore.verdict(&path));
    // Each folder is asked for from the root down, which takes long for hundreds of them.
    if let Ok(ignore) = &ignore
        && verdict == Some(Verdict::Included)
        && path.as_bytes().len() <= 200
    {
        for folder in path.ancestors() {
            assert!(ignore.may_include_below(&folder), "nothing below `{folder}`");
        }
    }
    let (Ok(file), Ok(path)) = (str::from_utf8(file), str::from_utf8(path.as_bytes())) else { return };
    // The slow one tries every way to divide the path between the stars.
    let stars = file.lines().map(|line| line.matches('*').count()).max().unwrap_or(0);
    if path.is_empty() || path.len() > 60 || stars > 6 || file.len() > 2000 {
        return;
    }
    let expected = match ignored_by(file, path) {
        Ok(None) => Some(Verdict::Included),
        Ok(Some(line)) => Some(Verdict::Ignored { line }),
        Err(BadLine) => None,
    };
    assert_eq!(verdict, expected, "{file:?} and {path:?}");
}
