//! Values that look like secrets, whatever they are called, and text without them.
//!
//! A known shape is told by its fixed beginning, its alphabet and its length, as those who issue such tokens document them.
//! A value of no known shape counts only under a name that says what it is, and only if it looks drawn by lot.

use std::ops::Range;

/// What a value looks like, to be shown; never the value itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecretKind(&'static str);

impl SecretKind {
    /// With its article: `a GitHub token`.
    pub fn as_str(self) -> &'static str {
        self.0
    }
}

/// A token: how it begins, and how many characters of which alphabet follow.
struct Shape {
    kind: &'static str,
    prefix: &'static str,
    alphabet: fn(u8) -> bool,
    least: usize,
    most: usize,
}

const fn shape(kind: &'static str, prefix: &'static str, alphabet: fn(u8) -> bool, least: usize, most: usize) -> Shape {
    Shape { kind, prefix, alphabet, least, most }
}

fn upper(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit()
}

fn word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

fn dashed(byte: u8) -> bool {
    word(byte) || byte == b'-' || byte == b'_'
}

fn dotted(byte: u8) -> bool {
    dashed(byte) || byte == b'.'
}

fn slashed(byte: u8) -> bool {
    word(byte) || byte == b'/'
}

const SHAPES: &[Shape] = &[
    shape("an AWS access key id", "AKIA", upper, 16, 16),
    shape("an AWS access key id", "ASIA", upper, 16, 16),
    shape("a GitHub token", "ghp_", word, 36, 255),
    shape("a GitHub token", "gho_", word, 36, 255),
    shape("a GitHub token", "ghu_", word, 36, 255),
    shape("a GitHub token", "ghs_", word, 36, 255),
    shape("a GitHub token", "ghr_", word, 36, 255),
    shape("a GitHub token", "github_pat_", dashed, 40, 255),
    shape("a GitLab token", "glpat-", dashed, 20, 64),
    shape("a Slack token", "xoxb-", dashed, 20, 255),
    shape("a Slack token", "xoxp-", dashed, 20, 255),
    shape("a Slack token", "xoxa-", dashed, 20, 255),
    shape("a Slack token", "xoxs-", dashed, 20, 255),
    shape("a Slack webhook", "https://hooks.slack.com/services/T", slashed, 24, 64),
    shape("a Stripe key", "sk_live_", word, 16, 255),
    shape("a Stripe key", "rk_live_", word, 16, 255),
    shape("a Google API key", "AIza", dashed, 35, 35),
    shape("an npm token", "npm_", word, 36, 36),
    shape("a PyPI token", "pypi-AgE", dashed, 50, 255),
    shape("a SendGrid key", "SG.", dotted, 60, 70),
    shape("a Hugging Face token", "hf_", word, 34, 40),
    shape("a DigitalOcean token", "dop_v1_", word, 64, 64),
    shape("an Anthropic key", "sk-ant-", dashed, 40, 255),
    shape("an OpenAI key", "sk-proj-", dashed, 40, 255),
];

/// The kind of secret that the value of a variable looks like.
///
/// A known shape is one under any name. Otherwise the name must be that of a secret, and the value must look random.
pub fn secret_value(name: &str, value: &str) -> Option<SecretKind> {
    let known = tokens(value).next().map(|(_, kind)| SecretKind(kind));
    known.or_else(|| (names_secret(name) && is_random(value)).then_some(SecretKind("a random secret")))
}

/// The text with a star in the place of each byte of the tokens of known shapes in it; line breaks stay.
pub(super) fn masked(text: &str) -> String {
    hidden(text, tokens(text).map(|(range, _)| range))
}

/// The text with a star in the place of each byte of ranges that lie on character boundaries; line breaks stay.
pub(super) fn hidden(text: &str, ranges: impl Iterator<Item = Range<usize>>) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for range in ranges.filter(|range| text.get(range.clone()).is_some()) {
        for byte in bytes[range].iter_mut().filter(|byte| !matches!(**byte, b'\n' | b'\r')) {
            *byte = b'*';
        }
    }
    String::from_utf8(bytes).expect("whole characters became stars")
}

/// The tokens of known shapes in a text, shape by shape. Linear in the text, for each shape.
fn tokens(text: &str) -> impl Iterator<Item = (Range<usize>, &'static str)> {
    // Most values are shorter than any token.
    let shapes = SHAPES.iter().filter(|shape| text.len() >= shape.prefix.len() + shape.least);
    let shapes = shapes.flat_map(move |shape| find_shape(text, shape).map(|range| (range, shape.kind)));
    let keys = find_keys(text).map(|range| (range, "a private key"));
    shapes.chain(keys).chain(find_jwts(text).map(|range| (range, "a JSON web token")))
}

fn find_shape<'a>(text: &'a str, shape: &'a Shape) -> impl Iterator<Item = Range<usize>> + 'a {
    text.match_indices(shape.prefix).filter_map(|(start, prefix)| {
        let stands_alone = !text[..start].bytes().next_back().is_some_and(word);
        let body = &text.as_bytes()[start + prefix.len()..];
        let length = body.iter().take(shape.most + 1).take_while(|byte| (shape.alphabet)(**byte)).count();
        let fits = (shape.least..=shape.most).contains(&length) && is_no_example(&body[..length]);
        (stands_alone && fits).then(|| start..start + prefix.len() + length)
    })
}

/// No private key is longer, in bytes.
const MAX_KEY: usize = 16 << 10;
/// No JSON web token is longer, in bytes.
const MAX_JWT: usize = 8 << 10;

/// `-----BEGIN … PRIVATE KEY-----` up to its end, or as far as a key may go.
fn find_keys(text: &str) -> impl Iterator<Item = Range<usize>> {
    text.match_indices("-----BEGIN ").filter_map(|(start, begin)| {
        let mut end = text.len().min(start + MAX_KEY);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let block = &text[start..end];
        let label = block[begin.len()..].split_once("-----")?.0;
        if !label.ends_with("PRIVATE KEY") || label.len() > 40 {
            return None;
        }
        let footer = format!("-----END {label}-----");
        let length = block.find(&footer).map_or(block.len(), |at| at + footer.len());
        Some(start..start + length)
    })
}

/// Three parts in base64, of which two begin with `{"`.
fn find_jwts(text: &str) -> impl Iterator<Item = Range<usize>> {
    text.match_indices("eyJ").filter_map(|(start, _)| {
        if text[..start].bytes().next_back().is_some_and(dotted) {
            return None;
        }
        let length = text[start..].bytes().take(MAX_JWT).take_while(|byte| dotted(*byte)).count();
        let token = &text[start..start + length];
        let mut parts = token.split('.');
        let (head, body, signature) = (parts.next()?, parts.next()?, parts.next()?);
        let good = head.len() > 10 && body.starts_with("eyJ") && body.len() > 10 && signature.len() > 10;
        (good && parts.next().is_none()).then(|| start..start + length)
    })
}

/// Documentation is full of tokens that are none.
fn is_no_example(body: &[u8]) -> bool {
    let lower = body.to_ascii_lowercase();
    let has = |word: &[u8]| lower.windows(word.len()).any(|window| window == word);
    let distinct = lower.iter().collect::<std::collections::BTreeSet<_>>().len();
    !has(b"example") && !has(b"xxxx") && !has(b"your") && distinct >= 6
}

/// Parts of a name, between underscores, that tell of a secret value.
const SECRET: [&str; 9] =
    ["apikey", "credential", "credentials", "key", "password", "pword", "passwd", "secret", "token"];
/// Parts of a name that tell that it is none: what is public, where one lies, or what something else is checked with.
const PUBLIC: [&str; 17] = [
    "public",
    "pub",
    "file",
    "path",
    "version",
    "gpg",
    "pgp",
    "fingerprint",
    "sha256",
    "sha512",
    "sha1",
    "md5",
    "checksum",
    "digest",
    "id",
    "url",
    "name",
];

fn names_secret(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let has = |words: &[&str]| lower.split('_').any(|part| words.contains(&part));
    has(&SECRET) && !has(&PUBLIC)
}

/// Whether a value looks drawn by lot: long, of one piece, of letters and digits mixed, with little repetition.
fn is_random(value: &str) -> bool {
    let value = value.trim_matches(['"', '\'']);
    let good =
        |byte: u8| dotted(byte) || matches!(byte, b'+' | b'/' | b'=' | b'!' | b'@' | b'#' | b'%' | b'^' | b'&' | b'*');
    let path = value.starts_with(['/', '.', '~']) || value.contains("://");
    if !(20..=512).contains(&value.len()) || path || !value.bytes().all(good) || !is_no_example(value.as_bytes()) {
        return false;
    }
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    let letters = value.bytes().filter(u8::is_ascii_alphabetic).count();
    // Words joined by dashes have no digits, or all of them in one place.
    digits >= 3 && letters >= 3 && switches(value) >= 4 && entropy(value) >= 3.2
}

/// How often letters and digits take turns.
fn switches(value: &str) -> usize {
    let kinds: Vec<bool> = value.bytes().filter(|byte| word(*byte)).map(|byte| byte.is_ascii_digit()).collect();
    kinds.windows(2).filter(|pair| pair[0] != pair[1]).count()
}

/// Shannon's entropy of the bytes, in bits for each.
#[expect(clippy::cast_precision_loss, reason = "counts of at most 512 bytes")]
fn entropy(value: &str) -> f64 {
    let mut counts = [0_usize; 256];
    value.bytes().for_each(|byte| counts[usize::from(byte)] += 1);
    let length = value.len() as f64;
    let share = |count: &usize| *count as f64 / length;
    counts.iter().filter(|count| **count > 0).map(share).map(|share| -share * share.log2()).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, proptest};
    use proptest::{prop_assert, prop_assert_eq};

    use super::*;

    /// So many letters and digits that no two neighbours are alike; put together here, so that no scanner takes them for real.
    fn body(length: usize) -> String {
        "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3".chars().cycle().take(length).collect()
    }

    #[test]
    fn tokens_are_known_by_their_shape() {
        for shape in SHAPES {
            let small = body(shape.least);
            let fitting = if (shape.alphabet)(b'a') { small } else { small.to_uppercase() };
            let token = format!("{}{fitting}", shape.prefix);
            assert_eq!(secret_value("X", &token).map(SecretKind::as_str), Some(shape.kind), "{token}");
            let shown = masked(&format!("é {token} é\n"));
            assert_eq!(shown, format!("é {} é\n", "*".repeat(token.len())));
            let short = &token[..token.len() - 1];
            let other = SHAPES.iter().any(|other| other.prefix.starts_with(shape.prefix) && other.least < shape.least);
            assert!(other || secret_value("X", short).is_none(), "{short}");
        }
    }

    #[test]
    fn keys_and_web_tokens_are_known_and_hidden_line_by_line() {
        let key = format!("-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----", body(64));
        assert_eq!(secret_value("X", &key).map(SecretKind::as_str), Some("a private key"));
        let shown = masked(&format!("a\n{key}\nb"));
        assert!(shown.starts_with("a\n***") && shown.ends_with("***\nb"), "{shown}");
        assert_eq!((shown.matches('\n').count(), shown.contains("BEGIN")), (4, false));
        assert!(secret_value("X", "-----BEGIN PUBLIC KEY-----").is_none());
        let token = format!("eyJ{}.eyJ{}.{}", body(20), body(30), body(40));
        assert_eq!(secret_value("X", &token).map(SecretKind::as_str), Some("a JSON web token"));
        assert!(secret_value("X", &token.replace(".eyJ", ".abc")).is_none());
    }

    #[test]
    fn random_values_count_only_under_the_name_of_a_secret() {
        let random = body(24);
        for name in ["DB_PASSWORD", "api_token", "SIGNING_KEY", "CLIENT_SECRET"] {
            assert!(secret_value(name, &random).is_some(), "{name}");
        }
        for name in ["X", "GPG_KEY", "PUBLIC_KEY", "TOKEN_FILE", "KEY_ID", "MONKEY", "PASSWORD_HASH_SHA256"] {
            assert!(secret_value(name, &random).is_none(), "{name}");
        }
        for value in [
            "",
            "changeme",
            "correct-horse-battery-staple",
            "/run/secrets/aB3dE6gH9jK2mN5pQ8",
            "https://example.com/aB3dE6gH9jK2mN5",
            "your-aB3dE6gH9jK2mN5pQ8sT1",
            "aaaaaaaaaaaa111111111111",
            "production-key-2024-01-01-v2",
            "$OTHER_aB3dE6gH9jK2mN5pQ8sT1",
        ] {
            assert!(secret_value("API_TOKEN", value).is_none(), "{value}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

        #[test]
        fn hiding_keeps_every_place(text in "(ghp_|AKIA|eyJ|-----BEGIN |PRIVATE KEY-----|[A-Za-z0-9.]{1,40}|é|\n| ){0,30}") {
            let shown = masked(&text);
            prop_assert_eq!(shown.len(), text.len());
            prop_assert!(text.char_indices().all(|(at, c)| c != '\n' || shown.as_bytes()[at] == b'\n'));
        }
    }
}
