//! Text to be shown, without the user names and passwords of its URLs.

use std::borrow::Cow;

/// What ends the part of a URL that may hold credentials.
const ENDS: [char; 9] = ['/', '?', '#', '"', '\'', '\\', '`', '<', '>'];

/// Puts an `x` in the place of each byte of the user names and passwords in URLs: every other byte stays where it is.
///
/// A user name alone is masked only in http URLs, where it may be a token. What holds a `$` is a variable, and stays.
pub fn masked(text: &str) -> Cow<'_, str> {
    let mut shown: Option<String> = None;
    for (at, separator) in text.match_indices("://") {
        let start = at + separator.len();
        let rest = &text[start..];
        let end = rest.find(|c: char| c.is_whitespace() || ENDS.contains(&c)).unwrap_or(rest.len());
        let Some(length) = rest[..end].rfind('@') else { continue };
        let scheme = text[..at].rsplit(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or("");
        let is_http = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
        let credentials = &rest[..length];
        if credentials.contains('$') || !(is_http || credentials.contains(':')) {
            continue;
        }
        let shown = shown.get_or_insert_with(|| text.to_owned());
        shown.replace_range(start..start + length, &"x".repeat(length));
    }
    shown.map_or(Cow::Borrowed(text), Cow::Owned)
}
