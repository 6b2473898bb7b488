use std::time::Duration;

use proptest::prelude::{ProptestConfig, any, proptest};

use crate::build::Stream;
use crate::cli::progress::lines::{Output, TAIL};
use crate::cli::progress::text::{bar, clean, fit, rows, spread, width};
use crate::cli::progress::{Choice, Colours, Surroundings, ViewKind, escape, show_duration, show_size};

#[test]
fn our_own_words_show_what_they_cannot_print() {
    for (given, shown) in [
        ("RUN x", "RUN x"),
        ("  RUN <<EOF\na\nEOF\n", "RUN <<EOF …"),
        ("RUN x\n\n", "RUN x"),
        ("a\u{1b}]52;c;x\u{7}\u{202e}b\r", r"a\u{1b}]52;c;x\u{7}\u{202e}b"),
        ("a\tb\u{9b}2J", r"a b\u{9b}2J"),
        ("", ""),
    ] {
        assert_eq!(escape(given), shown);
    }
}

#[test]
fn a_steps_output_keeps_its_colours_at_most() {
    for (given, kept, dropped) in [
        ("plain", "plain", "plain"),
        ("\u{1b}[31mred\u{1b}[0m", "\u{1b}[31mred\u{1b}[0m\u{1b}[0m", "red"),
        ("\u{1b}[2J\u{1b}[1;1Hx\u{1b}[?25l", "x", "x"),
        ("\u{1b}]0;title\u{7}x\u{1b}]52;c;y\u{1b}\\z", "xz", "xz"),
        ("\u{1b}Pq#0\u{1b}\\a\u{1b}(Bb\u{1b}cd", "abd", "abd"),
        ("a\u{9b}31mb\u{85}c\u{7f}d\u{8}e", "abcde", "abcde"),
        ("\u{1b}[31", "", ""),
        ("\u{1b}[>4;1m\u{1b}[31 mx", "x", "x"),
        ("\u{1b}]unterminated", "", ""),
        ("a\tb", "a       b", "a       b"),
        ("\u{202e}x", "x", "x"),
    ] {
        assert_eq!(clean(given.as_bytes(), Colours::Wanted), kept, "{given:?}");
        assert_eq!(clean(given.as_bytes(), Colours::Unwanted), dropped, "{given:?}");
    }
    assert_eq!(clean(b"\xff\xfe", Colours::Unwanted), "\u{fffd}\u{fffd}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn no_output_is_too_odd(bytes in any::<Vec<u8>>(), max in 0_usize..100) {
        let text = clean(&bytes, Colours::Unwanted);
        assert!(!text.chars().any(char::is_control), "{text:?}");
        assert!(width(&fit(&text, max)) <= max);
        assert!(width(&spread(&text, "DONE 1.0s", max)) <= max);
        assert!(!escape(&String::from_utf8_lossy(&bytes)).chars().any(char::is_control));
    }
}

#[test]
fn a_text_is_cut_at_its_cells_not_its_characters() {
    for (text, max, cut) in [
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("日本語", 6, "日本語"),
        ("日本語", 5, "日本…"),
        ("日本語", 4, "日…"),
        ("ab", 0, ""),
    ] {
        assert_eq!(fit(text, max), cut);
    }
    for (text, columns, expected) in
        [("", 5, 1), ("abcde", 5, 1), ("abcdef", 5, 2), ("日本語", 3, 3), ("日本語", 4, 2), ("ab", 0, 2)]
    {
        assert_eq!(rows(text, columns), expected, "{text} in {columns}");
    }
    assert_eq!(spread("RUN a long command", "1.0s", 20), "RUN a long com… 1.0s");
    assert_eq!(spread("RUN a", "1.0s", 20), "RUN a           1.0s");
    assert_eq!(spread("RUN a long command", "1.0s", 10), "RUN a lon…");
}

#[test]
fn times_and_sizes_are_short() {
    for (millis, shown) in [(0, "0.0s"), (99, "0.0s"), (59_999, "59.9s"), (60_000, "1m00s"), (3_661_000, "1h01m")] {
        assert_eq!(show_duration(Duration::from_millis(millis)), shown);
    }
    for (bytes, shown) in [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_999, "999.9 kB"),
        (1_000_000, "1.0 MB"),
        (12_345_678_901, "12.3 GB"),
        (u64::MAX, "18.4 EB"),
    ] {
        assert_eq!(show_size(bytes), shown);
    }
    assert_eq!(bar(1, 2, 12), "[=====     ]");
    assert_eq!(bar(9, 2, 4), "[==]");
    assert_eq!(bar(u64::MAX, 0, 0), "[]");
}

#[test]
fn lines_come_whole_out_of_any_pieces() {
    let whole = "a\r\nb\rc\rd\n\né日\rx".as_bytes();
    for size in 1..whole.len() {
        let mut output = Output::default();
        let mut lines = Vec::new();
        for piece in whole.chunks(size) {
            lines.extend(output.push(Stream::Stdout, piece, Colours::Unwanted));
        }
        lines.extend(output.flush(Colours::Unwanted));
        assert_eq!(lines, ["a", "d", "", "x"], "pieces of {size}");
    }
}

#[test]
fn the_streams_do_not_mix_and_the_tail_is_bounded() {
    let mut output = Output::default();
    output.push(Stream::Stdout, b"out", Colours::Unwanted);
    output.push(Stream::Stderr, b"err", Colours::Unwanted);
    assert_eq!(output.partial(), "err");
    assert_eq!(output.push(Stream::Stdout, b"\n", Colours::Unwanted), ["out"]);
    output.push(Stream::Stderr, "\nx".repeat(1000).as_bytes(), Colours::Unwanted);
    assert_eq!((output.tail.lines().len(), output.tail.seen()), (TAIL, 1001));
    let long = vec![b'x'; 100_000];
    assert_eq!(output.push(Stream::Stdout, &long, Colours::Unwanted).len(), 6, "a line has an end");
}

#[test]
fn a_view_is_chosen_by_what_standard_error_can_do() {
    let with = |terminal, term: &str, no_color: &str| Surroundings {
        terminal,
        term: Some(term.to_owned()),
        no_color: Some(no_color.to_owned()),
    };
    assert_eq!(Choice::Auto.view(&with(true, "xterm", "")), ViewKind::Tty);
    assert_eq!(Choice::Auto.view(&with(true, "dumb", "")), ViewKind::Plain);
    assert_eq!(Choice::Auto.view(&Surroundings { terminal: true, ..Surroundings::default() }), ViewKind::Plain);
    assert_eq!(Choice::Tty.view(&with(false, "xterm", "")), ViewKind::Plain);
    assert_eq!(Choice::Plain.view(&with(true, "xterm", "")), ViewKind::Plain);
    assert_eq!(Choice::Quiet.view(&with(true, "xterm", "")), ViewKind::Quiet);
    assert_eq!(with(true, "xterm", "").colours(), Colours::Wanted);
    assert_eq!(with(true, "xterm", "1").colours(), Colours::Unwanted);
    assert_eq!(with(false, "xterm", "").colours(), Colours::Unwanted);
}
