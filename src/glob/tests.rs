use proptest::prelude::{ProptestConfig, any, proptest};

use super::{Dialect, Glob, clean, has_wildcards, trim};

#[track_caller]
fn check(dialect: Dialect, cases: &[(&str, &str, bool)]) {
    for (pattern, path, expected) in cases {
        let glob = Glob::new(pattern.as_bytes(), dialect).expect("a pattern");
        assert_eq!(glob.matches(path.as_bytes()), *expected, "{pattern} {path}");
    }
}

#[test]
fn single_stars_match_as_go_does() {
    check(
        Dialect::SingleStar,
        &[
            ("*", "abc", true),
            ("*", "", true),
            ("*", "a/b", false),
            ("**", "a/b", false),
            ("**", "ab", true),
            ("a*/b", "abc/b", true),
            ("a*/b", "a/c/b", false),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/f", true),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/fff", false),
            ("a*b?c*x", "abxbbxdbxebxczzx", true),
            ("a*b?c*x", "abxbbxdbxebxczzy", false),
            ("ab[^e-g]", "abc", true),
            ("a[^a]b", "a☺b", true),
            ("a???b", "a☺b", false),
            ("[a-ζ]*", "α", true),
            ("*[a-ζ]", "A", false),
            ("[\\]a]", "]", true),
            ("[\\-x]", "-", true),
            ("[x\\-]", "z", false),
            ("*x", "xxx", true),
            ("[^a]", "/", true),
        ],
    );
}

#[test]
fn malformed_patterns_are_refused_as_by_go() {
    for pattern in
        ["[", "[a", "[]a]", "[-]", "[x-]", "[-x]", "[^]", "[^bc", "a[", "a[a", "a\\", "[a-b-c]", "[\\", "x[\\]"]
    {
        for dialect in [Dialect::SingleStar, Dialect::DoubleStar] {
            assert!(Glob::new(pattern.as_bytes(), dialect).is_err(), "{pattern}");
        }
    }
}

#[test]
fn a_hostile_pattern_does_not_blow_up() {
    let pattern = "a*".repeat(2000) + "b";
    let glob = Glob::new(pattern.as_bytes(), Dialect::DoubleStar).expect("a pattern");
    assert!(!glob.matches(&[b'a'; 4000]));
    let pattern = "**/*a".repeat(500);
    let glob = Glob::new(pattern.as_bytes(), Dialect::DoubleStar).expect("a pattern");
    assert!(!glob.matches("a/".repeat(2000).as_bytes()));
}

#[test]
fn cleaning_follows_go() {
    for (given, cleaned) in [
        ("", "."),
        ("abc//def/", "abc/def"),
        ("./a", "a"),
        ("a/..", "."),
        ("../a", "../a"),
        ("a/../../b", "../b"),
        ("/../a", "/a"),
        ("/", "/"),
        ("!./a", "!./a"),
    ] {
        assert_eq!(clean(given.as_bytes()), cleaned.as_bytes(), "{given}");
    }
    assert_eq!(trim("\u{3000} a b\u{a0}\r".as_bytes()), b"a b");
    assert_eq!(trim(b" \xa0 "), b"\xa0");
}

#[test]
fn a_backslash_hides_a_wildcard() {
    assert!(has_wildcards(b"a*") && has_wildcards(b"a\\\\?") && has_wildcards(b"[x]"));
    assert!(!has_wildcards(b"a\\*") && !has_wildcards(b"a]\\"));
}

/// The meaning of a pattern without regard to cost: tries every way.
fn naive(pattern: &[u8], path: &[u8], double: bool, at_start: bool) -> bool {
    let Some(&first) = pattern.first() else { return path.is_empty() };
    let rest = &pattern[1..];
    let tails = || (0..=path.len()).map(|at| (&path[..at], &path[at..]));
    if first == b'*' && double && rest.first() == Some(&b'*') {
        let rest = &rest[1..];
        let after = rest.strip_prefix(b"/").unwrap_or(rest);
        let is_plain = !rest.iter().any(|byte| b"*?[]\\".contains(byte));
        if after.is_empty() {
            return true;
        }
        if at_start && is_plain && !rest.starts_with(b"/") {
            return path.ends_with(rest);
        }
        return tails()
            .any(|(head, tail)| (head.is_empty() || head.ends_with(b"/")) && naive(after, tail, true, false));
    }
    match first {
        b'*' => tails().any(|(head, tail)| !head.contains(&b'/') && naive(rest, tail, double, false)),
        b'?' => path.first().is_some_and(|b| *b != b'/') && naive(rest, &path[1..], double, false),
        b'[' => {
            let end = pattern.iter().position(|b| *b == b']').expect("closed by the generator");
            let (negated, members) = if rest[0] == b'^' { (true, &pattern[2..end]) } else { (false, &pattern[1..end]) };
            path.first().is_some_and(|b| members.contains(b) != negated)
                && naive(&pattern[end + 1..], &path[1..], double, false)
        }
        b'\\' => path.first() == rest.first() && naive(&rest[1..], &path[1..], double, false),
        plain => path.first() == Some(&plain) && naive(rest, &path[1..], double, false),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn matches_agree_with_the_naive_meaning(
        pattern in r"(a|b|/|\*|\*\*|\*\*/|\?|\[ab\]|\[\^a\]|\\a|\\\*){0,7}",
        path in "[ab*]{0,2}(/[ab*]{1,2}){0,3}",
    ) {
        for (dialect, double) in [(Dialect::SingleStar, false), (Dialect::DoubleStar, true)] {
            let glob = Glob::new(pattern.as_bytes(), dialect).expect("a pattern");
            let expected = naive(pattern.as_bytes(), path.as_bytes(), double, true);
            assert_eq!(glob.matches(path.as_bytes()), expected, "{} {} {:?}", pattern, path, dialect);
        }
    }

    #[test]
    fn a_match_below_a_folder_was_possible_before(
        pattern in r"(a|b|/|\*|\*\*|\*\*/|\?|\[ab\]|\\a){0,7}",
        path in "[ab]{1,2}(/[ab]{1,2}){1,3}",
    ) {
        let glob = Glob::new(pattern.as_bytes(), Dialect::DoubleStar).expect("a pattern");
        if glob.matches(path.as_bytes()) {
            for (at, _) in path.match_indices('/') {
                assert!(glob.could_match_below(&path.as_bytes()[..at]), "{} {} {}", pattern, path, at);
            }
            assert!(glob.could_match_below(b""));
        }
    }

    #[test]
    fn no_bytes_panic(pattern in any::<Vec<u8>>(), path in any::<Vec<u8>>()) {
        for dialect in [Dialect::SingleStar, Dialect::DoubleStar] {
            if let Ok(glob) = Glob::new(&pattern, dialect) {
                glob.matches(&path);
                glob.could_match_below(&path);
            }
        }
    }
}
