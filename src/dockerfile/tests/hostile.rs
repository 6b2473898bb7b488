//! Properties that hold for any bytes.

use proptest::prelude::{ProptestConfig, any, proptest};
use proptest::prop_assert;

use crate::dockerfile::{
    Color, Diagnostic, Escape, InstructionKind, MAX_SOURCE, MAX_VALUE, NoEnv, Word, expand, expand_words, parse,
    parse_onbuild, render,
};

const SEED: &str = "# syntax=docker/dockerfile:1\n# escape=\\\nARG V=1.0 \"W\"=x\nFROM --platform=$BUILDPLATFORM alpine:${V:-3} AS base\n\
    RUN --mount=type=cache,target=/root/.cache,sharing=locked --network=none apk add \\\n  # comment\n\n  curl && echo \"$A\"\n\
    COPY --chown=1:1 --from=base [\"a b\", \"/c\"]\nCOPY <<'A' <<-\"B\" /x/\none\nA\n\ttwo\n\tB\nENV a=1 b=\"x y\" c=${d/e/f}\nENV k v w\n\
    HEALTHCHECK --interval=5s CMD [\"x\"]\nONBUILD RUN <<EOF\nhi\nEOF\nSHELL [\"/bin/sh\", \"-c\"]\nEXPOSE 80/tcp 90\nVOLUME /a /b\n\
    USER é:ß\nLABEL x=y\nCMD run.sh\r\nADD https://é.example/x.tar.gz requirements.txt.\nCOPY..\nFROMalpine\nRUN [\"a\", 1]\n";

/// Whatever comes out must lie in the text, and must be renderable.
fn survives(bytes: &[u8]) {
    let (dockerfile, diagnostics) = parse("Dockerfile", bytes);
    let text = dockerfile.source.text();
    let spans = diagnostics.iter().flat_map(spans_of);
    let instructions = dockerfile.stages.iter().flat_map(|stage| {
        let own = stage.instructions.iter().flat_map(|one| [one.span, one.keyword_span]);
        own.chain([stage.span, stage.from.span, stage.from.image.span()])
    });
    for span in spans.chain(instructions) {
        assert!(text.get(span.range()).is_some(), "{span:?} is no part of the text");
    }
    for stage in &dockerfile.stages {
        for one in &stage.instructions {
            if let InstructionKind::Run(run) = &one.kind {
                run.command.script();
                for mount in &run.mounts {
                    // Any answer will do.
                    drop(mount.resolve(Escape::Backslash, &NoEnv));
                }
            }
        }
    }
    render(&dockerfile.source, &diagnostics, Color::Always);
}

fn spans_of(diagnostic: &Diagnostic) -> impl Iterator<Item = crate::dockerfile::Span> {
    let fixes = diagnostic.help.iter().filter_map(|help| help.replacement.as_ref().map(|(span, _)| *span));
    fixes.chain([diagnostic.span])
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        survives(&bytes);
    }

    #[test]
    fn any_text_of_the_language_is_survived(text in "([A-Z]{1,5}|FROM a|RUN|COPY|ENV|ONBUILD|--mount=|type=|\\$\\{|\\}|<<|E|\\[|\\]|\"|'|,|=|\\\\|\n|\r\n| |\t|#|/|:|é|\u{feff}|\\.){0,60}") {
        survives(text.as_bytes());
        survives(format!("FROM a\n{text}").as_bytes());
        // Any answer will do.
        drop(parse_onbuild(&text));
    }

    #[test]
    fn a_mutated_file_is_survived(at in 0..SEED.len(), length in 0..40_usize, with in proptest::collection::vec(any::<u8>(), 0..6)) {
        let mut bytes = SEED.as_bytes().to_vec();
        let end = (at + length).min(bytes.len());
        bytes.splice(at..end, with);
        survives(&bytes);
    }

    #[test]
    fn any_word_is_survived(text in "(\\$|\\{|\\}|a|B|0|:|-|\\+|\\?|#|%|/|\\*|\\\\|`|\"|'| |<|é|\n){0,40}") {
        let env = std::collections::BTreeMap::from([("a".to_owned(), "x\ny*z/a a".to_owned()), ("B".to_owned(), String::new())]);
        let word = Word::new(text, crate::dockerfile::Span::default());
        for escape in [Escape::Backslash, Escape::Backtick] {
            if let Ok(expanded) = expand(&word, escape, &env) {
                prop_assert!(expanded.value.len() <= MAX_VALUE);
            }
            // Any answer will do.
            drop(expand_words(&word, escape, &env));
        }
    }
}

#[test]
fn the_seed_itself_is_survived() {
    survives(SEED.as_bytes());
}

#[test]
fn a_file_beyond_the_limit_is_refused_unread() {
    let (_, diagnostics) = parse("Dockerfile", &vec![b'x'; MAX_SOURCE + 1]);
    assert_eq!(diagnostics.iter().map(|one| one.code).collect::<Vec<_>>(), ["file-too-large"]);
}

#[test]
fn a_file_of_errors_gives_a_short_report() {
    let (_, diagnostics) = parse("Dockerfile", &b"NOPE a\n".repeat(100_000));
    assert_eq!(diagnostics.len(), 100);
}

#[test]
fn deep_nesting_is_refused_without_recursion_to_match() {
    let deep = format!("{}x{}", "${a:-".repeat(50_000), "}".repeat(50_000));
    let word = Word::new(deep, crate::dockerfile::Span::default());
    let error = expand(&word, Escape::Backslash, &NoEnv).expect_err("too deep");
    assert_eq!(error.to_string(), "substitutions are nested more than 100 deep");
    survives(format!("FROM a\nCMD {}\n", "[".repeat(30_000)).as_bytes());
    survives(format!("FROM a\nCMD {}{}\n", "[".repeat(30_000), "]".repeat(30_000)).as_bytes());
    survives(format!("{}\n", "ONBUILD ".repeat(8_000)).as_bytes());
}

#[test]
fn values_that_grow_are_stopped_at_the_limit() {
    let env = std::collections::BTreeMap::from([("a".to_owned(), "x".repeat(1 << 19))]);
    let word = Word::new("$a$a$a$a", crate::dockerfile::Span::default());
    let error = expand(&word, Escape::Backslash, &env).expect_err("too long");
    assert_eq!(error.to_string(), "the value is longer than 1048576 bytes");
    let word = Word::new("${a//x/yyyy}", crate::dockerfile::Span::default());
    assert!(expand(&word, Escape::Backslash, &env).is_err());
    let word = Word::new("${a+}".repeat(10_000), crate::dockerfile::Span::default());
    let error = expand(&word, Escape::Backslash, &env).expect_err("too costly");
    assert_eq!(error.to_string(), "expanding this word takes too long");
}

#[test]
fn many_options_of_one_mount_take_linear_time() {
    // Comparing the whole value once an option would take minutes here.
    let options = ",target=/x".repeat(200_000);
    survives(format!("FROM a\nRUN --mount=type=cache{options} x\n").as_bytes());
}
