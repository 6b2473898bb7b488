//! Characters that look like others, and those that cannot be seen.
//!
//! Web pages and word processors put them into what is copied from there; a Dockerfile takes each as a letter.

/// What a character is that looks like a space, or like nothing.
pub(super) fn unseen(c: char) -> Option<&'static str> {
    match c {
        '\u{a0}' | '\u{202f}' => Some("a no-break space"),
        '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{205f}' | '\u{3000}' => Some("a space that is no plain one"),
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' => Some("a character without width"),
        _ => None,
    }
}

/// Whether it is a quotation mark that quotes nothing.
pub(super) fn is_curly_quote(c: char) -> bool {
    matches!(c, '\u{2018}'..='\u{201f}' | '\u{ab}' | '\u{bb}')
}

/// The same text with quotes that quote.
pub(super) fn with_plain_quotes(text: &str) -> String {
    let plain = |c| match c {
        '\u{2018}'..='\u{201b}' => '\'',
        c if is_curly_quote(c) => '"',
        c => c,
    };
    text.chars().map(plain).collect()
}

/// The flag that was meant by a word which begins with other dashes than `--`.
pub fn meant_flag(word: &str) -> Option<String> {
    let is_dash = |c| matches!(c, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}');
    let name = word.trim_start_matches(is_dash);
    let dashes = &word[..word.len() - name.len()];
    let is_meant = !dashes.is_ascii() && name.starts_with(|c: char| c.is_ascii_alphabetic());
    is_meant.then(|| format!("--{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_words_with_other_dashes_are_meant_to_be_flags() {
        assert_eq!(meant_flag("\u{2013}from=a"), Some("--from=a".to_owned()));
        assert_eq!(meant_flag("-\u{2013}from=a"), Some("--from=a".to_owned()));
        for word in ["--from=a", "a\u{2013}b", "\u{2013}", "", "\u{2014}1"] {
            assert_eq!(meant_flag(word), None, "{word}");
        }
    }

    #[test]
    fn curly_quotes_become_the_plain_ones_they_look_like() {
        assert_eq!(with_plain_quotes("[\u{201c}a\u{201d}, \u{2018}b\u{2019}]"), "[\"a\", 'b']");
    }
}
