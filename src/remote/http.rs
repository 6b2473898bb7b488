//! http and https URLs.

use std::fmt;

use url::Url;

use super::location::parse_url;
use super::{Error, Result};

/// The name of a file whose URL gives it none.
const UNNAMED: &str = "__unnamed__";
/// No file name is longer, in bytes.
const MAX_NAME: usize = 255;

/// A URL with the scheme http or https.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpUrl {
    url: Url,
    written: String,
}

impl HttpUrl {
    /// Reads a URL.
    pub fn parse(text: &str) -> Result<Self> {
        let url = parse_url(text)?;
        if !matches!(url.scheme(), "http" | "https") {
            let problem = format!("its scheme is `{}`, neither http nor https", url.scheme());
            return Err(Error::Url { shown: url.scheme().to_owned(), problem });
        }
        let mut read = Self { url, written: text.to_owned() };
        if read.credentials().is_some() {
            read.written = read.without_credentials().to_string();
        }
        Ok(read)
    }

    /// The text it was read from, but for user name and password.
    pub fn written(&self) -> &str {
        &self.written
    }

    /// The URL without user name and password.
    pub fn without_credentials(&self) -> Url {
        let mut url = self.url.clone();
        // Both succeed for every URL that has a host.
        let _removed = (url.set_username(""), url.set_password(None));
        url
    }

    /// The user name and password, if it has any, with their escapes undone.
    pub fn credentials(&self) -> Option<(String, String)> {
        let password = self.url.password();
        if self.url.username().is_empty() && password.is_none() {
            return None;
        }
        Some((decoded(self.url.username()), decoded(password.unwrap_or(""))))
    }

    /// How messages show it: without user name, password and query.
    pub fn shown(&self) -> String {
        let mut url = self.without_credentials();
        url.set_query(None);
        url.set_fragment(None);
        url.to_string()
    }

    /// The name of the file: the last part of the path, or `__unnamed__` if that can be no file's name.
    pub fn file_name(&self) -> String {
        let path = decoded(self.url.path());
        let name = path.trim_end_matches('/').rsplit('/').next().unwrap_or("");
        let possible =
            !matches!(name, "" | "." | "..") && name.len() <= MAX_NAME && !name.chars().any(char::is_control);
        if possible { name.to_owned() } else { UNNAMED.to_owned() }
    }
}

impl fmt::Debug for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.shown())
    }
}

/// Undoes `%xx`.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let hex = |at: usize| bytes.get(at).and_then(|b| char::from(*b).to_digit(16)).and_then(|d| u8::try_from(d).ok());
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match (byte, hex(at + 1), hex(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push(high << 4 | low);
                at += 3;
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
