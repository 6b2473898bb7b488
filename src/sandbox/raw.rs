//! Bytes that need not be UTF-8 as JSON strings: each byte is the character of the same number.

/// Bytes to text.
pub(super) fn encode(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// Text to bytes; none if a character stands for no byte.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|c| u8::try_from(c).ok()).collect()
}

macro_rules! codec {
    ($name:ident, $type:ty, $to:expr, $from:expr) => {
        pub(super) mod $name {
            use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer, de::Error as _};

            pub(in super::super) fn serialize<S: Serializer>(value: &$type, to: S) -> Result<S::Ok, S::Error> {
                let encode: fn(&$type) -> _ = $to;
                encode(value).serialize(to)
            }

            pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<$type, D::Error> {
                let decode: fn(_) -> Option<$type> = $from;
                let coded = <_>::deserialize(from)?;
                decode(coded).ok_or_else(|| D::Error::custom("a character that stands for no byte"))
            }
        }
    };
}

codec!(bytes, Vec<u8>, |value| super::encode(value), |text: String| super::decode(&text));
codec!(
    optional_bytes,
    Option<Vec<u8>>,
    |value| value.as_deref().map(super::encode),
    |text: Option<String>| match text {
        None => Some(None),
        Some(text) => super::decode(&text).map(Some),
    }
);
codec!(list, Vec<Vec<u8>>, |value| value.iter().map(|item| super::encode(item)).collect::<Vec<_>>(), |items: Vec<
    String,
>| items
    .iter()
    .map(|item| super::decode(item))
    .collect());
codec!(path, std::path::PathBuf, |value| super::encode(super::bytes_of(value)), |text: String| {
    super::decode(&text).map(super::path_of)
});
codec!(
    paths,
    Vec<std::path::PathBuf>,
    |value| value.iter().map(|item| super::encode(super::bytes_of(item))).collect::<Vec<_>>(),
    |items: Vec<String>| items.iter().map(|item| super::decode(item).map(super::path_of)).collect()
);
codec!(image_path, crate::path::ImagePath, |value| super::encode(value.as_bytes()), |text: String| super::decode(
    &text
)
.map(crate::path::ImagePath::new));

fn bytes_of(path: &std::path::Path) -> &[u8] {
    use std::os::unix::ffi::OsStrExt as _;
    path.as_os_str().as_bytes()
}

fn path_of(bytes: Vec<u8>) -> std::path::PathBuf {
    use std::os::unix::ffi::OsStringExt as _;
    std::ffi::OsString::from_vec(bytes).into()
}
