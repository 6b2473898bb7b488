use proptest::prelude::{ProptestConfig, any, prop, proptest};

use crate::context::{Ignore, Verdict};
use crate::glob::{Dialect, Glob, clean};
use crate::path::ContextPath;

/// Every line against the path and every folder above it; the last hit decides.
fn naive(lines: &[String], path: &ContextPath) -> Verdict {
    let mut verdict = Verdict::Included;
    for (index, line) in lines.iter().enumerate() {
        let (exception, pattern) = line.strip_prefix('!').map_or((false, line.as_str()), |pattern| (true, pattern));
        let pattern = clean(pattern.as_bytes());
        let anchored = pattern.strip_prefix(b"/").filter(|rest| !rest.is_empty()).unwrap_or(&pattern);
        let glob = Glob::new(anchored, Dialect::DoubleStar).expect("a pattern");
        let mut paths = path.ancestors().chain([path.clone()]);
        if paths.any(|path| glob.matches(path.as_bytes())) {
            verdict = if exception { Verdict::Included } else { Verdict::Ignored { line: index + 1 } };
        }
    }
    verdict
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn verdicts_agree_with_the_naive_meaning(
        lines in prop::collection::vec(r"!?/?(a|b|ab|\*|\*\*|a\*|\?|\*b)(/(a|b|\*|\*\*|\*a|[ab])){0,3}", 0..6),
        path in "[ab]{1,2}(/[ab]{1,2}){0,3}",
    ) {
        let ignore = Ignore::parse("i", lines.join("\n").as_bytes()).expect("rules");
        let path = ContextPath::new(&path);
        let verdict = ignore.verdict(&path);
        assert_eq!(verdict, naive(&lines, &path), "{:?} {}", lines, path);
        if verdict == Verdict::Included {
            for folder in path.ancestors() {
                assert!(ignore.may_include_below(&folder), "{:?} {}", lines, folder);
            }
        }
    }

    #[test]
    fn no_bytes_panic(file in any::<Vec<u8>>(), path in any::<Vec<u8>>()) {
        if let Ok(ignore) = Ignore::parse("i", &file) {
            ignore.verdict(&ContextPath::new(&path));
            ignore.may_include_below(&ContextPath::new(&path));
        }
    }
}

#[test]
fn an_ignored_folder_is_entered_only_for_a_later_exception() {
    let ignore = Ignore::parse("i", b"!d/early\nd\ne\n!e/s/*.x\n").expect("rules");
    let below = |path: &str| ignore.may_include_below(&ContextPath::new(path));
    assert!(!below("d"));
    assert!(below("e"));
    assert!(below("e/s"));
    assert!(!below("e/t"));
    assert!(!below("e/s/t"));
}

#[test]
fn ten_thousand_patterns_are_told_apart() {
    let mut file = String::new();
    for n in 0..2000 {
        file.push_str(&format!("dir{n}/sub\n**/name{n}\n*.ext{n}\ndir{n}/*.o\n!**/keep{n}/*.h\n"));
    }
    let ignore = Ignore::parse("i", file.as_bytes()).expect("rules");
    let mut ignored = 0;
    for n in 0..4000 {
        let path = ContextPath::new(format!("dir{n}/a/file.o"));
        ignored += usize::from(ignore.verdict(&path) != Verdict::Included);
        let path = ContextPath::new(format!("dir{n}/file.o"));
        ignored += usize::from(ignore.verdict(&path) != Verdict::Included);
    }
    assert_eq!(ignored, 2000);
}
