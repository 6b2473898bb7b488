//! PAX records: `length key=value` lines, read by their lengths.

use std::collections::BTreeMap;

use super::header::XATTR;
use crate::tree::Timestamp;

/// The records of one PAX header; of several with one key the last stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Records(BTreeMap<Vec<u8>, Vec<u8>>);

/// Reads a PAX header; anything that is not exactly records is an error.
pub(super) fn parse(bytes: &[u8]) -> Result<Records, &'static str> {
    const BAD: &str = "an extended header cannot be read";
    let mut records = BTreeMap::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let space = rest.iter().take(10).position(|&b| b == b' ').ok_or(BAD)?;
        let digits = std::str::from_utf8(&rest[..space]).ok().filter(|d| d.bytes().all(|b| b.is_ascii_digit()));
        let length: usize = digits.and_then(|digits| digits.parse().ok()).ok_or(BAD)?;
        let record = rest.get(space + 1..length).ok_or(BAD)?;
        let (last, record) = record.split_last().ok_or(BAD)?;
        let equals = record.iter().position(|&b| b == b'=').ok_or(BAD)?;
        let (key, value) = (&record[..equals], &record[equals + 1..]);
        let name = matches!(key, b"path" | b"linkpath" | b"uname" | b"gname");
        if *last != b'\n' || key.is_empty() || key.contains(&0) || (name && value.contains(&0)) {
            return Err(BAD);
        }
        records.insert(key.to_vec(), value.to_vec());
        rest = &rest[length..];
    }
    Ok(Records(records))
}

impl Records {
    /// The bytes of a record; an empty value is as good as none.
    pub(super) fn text(&self, key: &str) -> Option<&[u8]> {
        self.0.get(key.as_bytes()).map(Vec::as_slice).filter(|value| !value.is_empty())
    }

    /// A decimal number.
    pub(super) fn number(&self, key: &str) -> Result<Option<u64>, &'static str> {
        let Some(value) = self.text(key) else { return Ok(None) };
        digits(value).map(Some).ok_or("a number in an extended header cannot be read")
    }

    /// Seconds with a fraction, possibly negative.
    pub(super) fn time(&self, key: &str) -> Result<Option<Timestamp>, &'static str> {
        let Some(value) = self.text(key) else { return Ok(None) };
        time(value).map(Some).ok_or("a time in an extended header cannot be read")
    }

    /// The extended attributes.
    pub(super) fn xattrs(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let named = self.0.iter().filter_map(|(key, value)| Some((key.strip_prefix(XATTR)?, value)));
        named.filter(|(name, _)| !name.is_empty()).map(|(name, value)| (name.to_vec(), value.clone())).collect()
    }

    /// Whether the member is a sparse file.
    pub(super) fn sparse(&self) -> bool {
        self.0.keys().any(|key| key.starts_with(b"GNU.sparse."))
    }

    /// Whether they change which members there are: readers do not agree on such global records.
    pub(super) fn change_layout(&self) -> bool {
        self.sparse() || ["path", "linkpath", "size"].iter().any(|key| self.0.contains_key(key.as_bytes()))
    }
}

fn digits(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

fn time(text: &[u8]) -> Option<Timestamp> {
    let (negative, text) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = match text.iter().position(|&b| b == b'.') {
        Some(dot) => (&text[..dot], &text[dot + 1..]),
        None => (text, &[][..]),
    };
    if whole.is_empty() || !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let secs = i64::try_from(digits(whole)?).ok()?;
    let mut nanos: u32 = 0;
    for at in 0..9 {
        nanos = nanos * 10 + u32::from(fraction.get(at).map_or(0, |digit| digit - b'0'));
    }
    Some(match (negative, nanos) {
        (false, nanos) => Timestamp { secs, nanos },
        (true, 0) => Timestamp { secs: -secs, nanos: 0 },
        (true, nanos) => Timestamp { secs: -secs - 1, nanos: 1_000_000_000 - nanos },
    })
}
