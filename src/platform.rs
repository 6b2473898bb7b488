//! The operating system, architecture and variant that an image is for.
//!
//! # References
//! containerd's `platforms` package: the spellings accepted, and their normal forms.

use std::fmt;
use std::str::FromStr;

/// A platform in normal form: `arm64` without `v8`, `amd64` without `v1`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Platform {
    os: String,
    architecture: String,
    variant: Option<String>,
}

/// Text that is not a platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a platform: expected `os/architecture[/variant]`, for example `linux/amd64`")]
pub struct ParseError {
    /// The text as given.
    pub text: String,
}

impl Platform {
    /// Normalises the three parts; an empty variant is none.
    pub fn new(os: &str, architecture: &str, variant: Option<&str>) -> Self {
        let os = match os.to_ascii_lowercase().as_str() {
            "macos" => "darwin".to_owned(),
            other => other.to_owned(),
        };
        let variant = variant.unwrap_or("").to_ascii_lowercase();
        let architecture = architecture.to_ascii_lowercase();
        let (architecture, variant) = match (architecture.as_str(), variant.as_str()) {
            ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
            ("x86_64" | "x86-64", v) => ("amd64", v),
            ("aarch64" | "arm64", "8" | "v8" | "") => ("arm64", ""),
            ("aarch64", v) => ("arm64", v),
            ("armhf", _) => ("arm", "v7"),
            ("armel", _) => ("arm", "v6"),
            ("arm", "" | "7") => ("arm", "v7"),
            ("arm", "5") => ("arm", "v5"),
            ("arm", "6") => ("arm", "v6"),
            ("arm", "8") => ("arm", "v8"),
            ("i386", _) => ("386", ""),
            (a, v) => (a, v),
        };
        Self { os, architecture: architecture.to_owned(), variant: (!variant.is_empty()).then(|| variant.to_owned()) }
    }

    /// The platform this program was built for, which is the one its steps can run on.
    pub fn host() -> Self {
        Self::new(std::env::consts::OS, std::env::consts::ARCH, None)
    }

    /// For example `linux`.
    pub fn os(&self) -> &str {
        &self.os
    }

    /// For example `amd64`.
    pub fn architecture(&self) -> &str {
        &self.architecture
    }

    /// For example `v7`.
    pub fn variant(&self) -> Option<&str> {
        self.variant.as_deref()
    }

    /// How well an image for `offered` serves `self`: 0 is exact, more is worse, none is not at all.
    ///
    /// A lower variant of the same architecture will do (arm v6 on v7), as containerd chooses.
    pub fn distance(&self, offered: &Platform) -> Option<u32> {
        if self.os != offered.os || self.architecture != offered.architecture {
            return None;
        }
        let wanted = self.rank();
        let offered = offered.rank();
        wanted.checked_sub(offered)
    }

    fn rank(&self) -> u32 {
        let default = match self.architecture.as_str() {
            "arm64" => 8,
            _ => 1,
        };
        let digits = self.variant().and_then(|v| v.strip_prefix('v'));
        digits.and_then(|v| v.parse().ok()).unwrap_or(default)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Platform {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let bad = || ParseError { text: text.to_owned() };
        if text == "local" {
            return Ok(Self::host());
        }
        let parts: Vec<&str> = text.split('/').collect();
        let plain =
            |s: &&str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
        if !parts.iter().all(plain) {
            return Err(bad());
        }
        match parts.as_slice() {
            ["linux" | "windows" | "darwin" | "freebsd"] => Ok(Self::new(parts[0], Self::host().architecture(), None)),
            [architecture] if is_architecture(architecture) => Ok(Self::new(Self::host().os(), architecture, None)),
            [os, architecture] => Ok(Self::new(os, architecture, None)),
            [os, architecture, variant] => Ok(Self::new(os, architecture, Some(variant))),
            _ => Err(bad()),
        }
    }
}

/// Whether a word alone is the name of an architecture, in any of the spellings that have a normal form.
fn is_architecture(word: &str) -> bool {
    const KNOWN: [&str; 18] = [
        "386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc64", "ppc64le",
        "riscv64", "s390x", "wasm", "i386", "x86_64", "aarch64", "armhf",
    ];
    let word = word.to_ascii_lowercase();
    KNOWN.contains(&word.as_str()) || matches!(word.as_str(), "x86-64" | "armel")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_have_one_normal_form() {
        for (given, normal) in [
            ("linux/x86_64", "linux/amd64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("LINUX/AMD64", "linux/amd64"),
            ("linux/arm/v6", "linux/arm/v6"),
        ] {
            assert_eq!(given.parse::<Platform>().map(|p| p.to_string()), Ok(normal.to_owned()));
        }
        for (given, normal) in [("ARM64", "linux/arm64"), ("x86_64", "linux/amd64")] {
            assert_eq!(given.parse::<Platform>().map(|p| p.to_string()), Ok(normal.to_owned()));
        }
        for bad in ["", "linux/", "a/b/c/d", "linux/am d64", "amd46", "foo"] {
            assert!(bad.parse::<Platform>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_lower_variant_serves_and_a_higher_does_not() {
        let v7 = Platform::new("linux", "arm", Some("v7"));
        let v6 = Platform::new("linux", "arm", Some("v6"));
        assert_eq!(v7.distance(&v6), Some(1));
        assert_eq!(v6.distance(&v7), None);
        assert_eq!(v7.distance(&Platform::new("linux", "arm64", None)), None);
    }
}
