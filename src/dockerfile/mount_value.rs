//! The values of a mount's options, and which of them go together.

use super::diagnostic::Diagnostic;
use super::directives::parse_bool;
use super::mount::{MountKind, MountSpec, Sharing};
use super::source::Span;
use super::suggest::nearest;
use super::word::Text;

/// The options that take a value.
pub(super) const OPTIONS: &[&str] = &[
    "type",
    "from",
    "source",
    "target",
    "readonly",
    "id",
    "sharing",
    "required",
    "size",
    "mode",
    "uid",
    "gid",
    "src",
    "dst",
    "destination",
    "ro",
    "rw",
    "readwrite",
    "env",
];

type Result<T> = std::result::Result<T, Box<Diagnostic>>;

/// A mount whose options are still being read.
#[derive(Debug, Default)]
pub(super) struct Draft {
    kind: MountKind,
    from: Option<String>,
    source: Option<String>,
    target: Option<String>,
    read_only: Option<bool>,
    size: Option<(u64, Span)>,
    id: Option<String>,
    sharing: Option<(Sharing, Span)>,
    required: Option<(bool, Span)>,
    env: Option<String>,
    mode: Option<(u32, Span)>,
    uid: Option<(u32, Span)>,
    gid: Option<(u32, Span)>,
}

fn bad_value(key: &str, value: &str, span: Span, expected: &str) -> Box<Diagnostic> {
    let message = format!("`{value}` is not a value of `{key}`");
    Box::new(Diagnostic::error("bad-option-value", span, message).with_label(format!("expected {expected}")))
}

fn choose<T: Copy>(key: &str, value: &str, span: Span, choices: &[(&str, T)]) -> Result<T> {
    let lower = value.to_lowercase();
    if let Some((_, chosen)) = choices.iter().find(|(name, _)| *name == lower) {
        return Ok(*chosen);
    }
    let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
    let mut report = bad_value(key, value, span, &names.join(", "));
    if let Some(meant) = nearest(value, names) {
        report = Box::new(report.with_help(format!("did you mean `{meant}`?")));
    } else if value.contains(';') {
        report = Box::new(report.with_help("options are separated by commas"));
    } else if lower == "volume" {
        report = Box::new(report.with_help("a folder that is kept from build to build is a mount of type `cache`"));
    }
    Err(report)
}

impl Draft {
    /// Takes an option that has no value.
    pub(super) fn set_flag(&mut self, key: &Text) -> Result<()> {
        match key.value.as_str() {
            "readonly" | "ro" => self.read_only = Some(true),
            "readwrite" | "rw" => self.read_only = Some(false),
            "required" => self.required = Some((true, key.span)),
            "" => {
                let report = Diagnostic::error("missing-option-value", key.span, "a comma is followed by no option");
                return Err(Box::new(
                    report.with_help("no space may stand in a flag, nor at the head of a line that continues it"),
                ));
            }
            other if other.starts_with('$') => {
                let message = "a variable cannot stand for a whole mount option";
                let report = Diagnostic::error("missing-option-value", key.span, message);
                return Err(Box::new(report.with_help("only values may be variables: `target=$NAME`")));
            }
            other => {
                let message = format!("the mount option `{other}` has no value");
                let report = Diagnostic::error("missing-option-value", key.span, message);
                return Err(Box::new(match KINDS.iter().find(|(kind, _)| *kind == other) {
                    Some((kind, _)) => {
                        let fixed = format!("type={kind}");
                        report.with_fix(format!("write `{fixed}`"), key.span, fixed)
                    }
                    None => report.with_help("options are written `key=value` and separated by commas"),
                }));
            }
        }
        Ok(())
    }

    /// Takes an option.
    pub(super) fn set(&mut self, key: &Text, value: &str, span: Span) -> Result<()> {
        let bool = || parse_bool(value).ok_or_else(|| bad_value(&key.value, value, span, "true or false"));
        let whole = key.span.to(span);
        let id = || {
            let parsed = value.parse().ok().filter(|_| value.bytes().all(|b| b.is_ascii_digit()));
            parsed.map(|id| (id, whole)).ok_or_else(|| bad_value(&key.value, value, span, "a number"))
        };
        let text = || Some(value.to_owned());
        match key.value.as_str() {
            "type" => self.kind = choose("type", value, span, KINDS)?,
            "from" => self.from = text(),
            "source" | "src" => self.source = text(),
            "target" | "dst" | "destination" => self.target = text(),
            "readonly" | "ro" => self.read_only = Some(bool()?),
            "readwrite" | "rw" => self.read_only = Some(!bool()?),
            "required" => self.required = Some((bool()?, whole)),
            "size" => {
                let size = parse_size(value).ok_or_else(|| bad_value("size", value, span, "a size such as `64m`"))?;
                self.size = Some((size, whole));
            }
            "id" => self.id = text(),
            "sharing" => self.sharing = Some((choose("sharing", value, span, SHARINGS)?, whole)),
            "mode" => {
                let octal = value.bytes().all(|b| b.is_ascii_digit()).then(|| u32::from_str_radix(value, 8).ok());
                let mode = octal.flatten().ok_or_else(|| bad_value("mode", value, span, "an octal number"))?;
                self.mode = Some((mode, whole));
            }
            "uid" => self.uid = Some(id()?),
            "gid" => self.gid = Some(id()?),
            "env" => self.env = text(),
            other => {
                let message = format!("a mount has no option `{other}`");
                return Err(Box::new(Diagnostic::error("unknown-option", key.span, message)));
            }
        }
        Ok(())
    }

    /// Checks which options the kind of mount has.
    pub(super) fn finish(self, span: Span) -> Result<MountSpec> {
        self.check_applicable()?;
        if self.kind == MountKind::Secret {
            self.check_secret(span)?;
        }
        let non_empty = |text: Option<String>| text.filter(|text| !text.is_empty());
        let writable = matches!(self.kind, MountKind::Cache | MountKind::Tmpfs);
        Ok(MountSpec {
            kind: self.kind,
            from: non_empty(self.from),
            source: non_empty(self.source),
            target: non_empty(self.target),
            read_only: self.read_only.unwrap_or(!writable),
            size: self.size.map_or(0, |(size, _)| size),
            id: non_empty(self.id),
            sharing: self.sharing.map_or(Sharing::Shared, |(sharing, _)| sharing),
            required: self.required.is_some_and(|(required, _)| required),
            env: self.env,
            mode: self.mode.map(|(mode, _)| mode),
            uid: self.uid.map(|(uid, _)| uid),
            gid: self.gid.map(|(gid, _)| gid),
        })
    }

    fn check_applicable(&self) -> Result<()> {
        let owned = matches!(self.kind, MountKind::Secret | MountKind::Ssh | MountKind::Cache);
        let credential = matches!(self.kind, MountKind::Secret | MountKind::Ssh);
        let checks = [
            ("mode", self.mode.map(|(_, span)| span), owned),
            ("uid", self.uid.map(|(_, span)| span), owned),
            ("gid", self.gid.map(|(_, span)| span), owned),
            ("size", self.size.map(|(_, span)| span), self.kind == MountKind::Tmpfs),
            ("required", self.required.map(|(_, span)| span), credential),
            ("sharing", self.sharing.map(|(_, span)| span), self.kind == MountKind::Cache),
        ];
        for (key, given, applies) in checks {
            if let Some(span) = given.filter(|_| !applies) {
                let name = KINDS.iter().find(|(_, kind)| *kind == self.kind).map_or("bind", |(name, _)| *name);
                let message = format!("a mount of type `{name}` has no option `{key}`");
                let report = Diagnostic::error("option-does-not-apply", span, message);
                let owners = match key {
                    "size" => "tmpfs",
                    "sharing" => "cache",
                    "required" => "secret and ssh",
                    _ => "cache, secret and ssh",
                };
                return Err(Box::new(report.with_help(format!("only mounts of type {owners} have it"))));
            }
        }
        Ok(())
    }

    fn check_secret(&self, span: Span) -> Result<()> {
        let given = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        let (problem, help) = match (given(&self.from), given(&self.source), given(&self.id), given(&self.target)) {
            (true, ..) => {
                let help = "secrets come from the command line, by their id: `--mount=type=secret,id=NAME`";
                ("a secret mount has no option `from`", help)
            }
            (_, true, true, _) => {
                ("a secret mount takes `source` or `id`, not both", "both mean the id that `--secret` gives: keep `id`")
            }
            (_, false, false, false) => {
                ("a secret mount needs `id`, `source` or `target`", "write `--mount=type=secret,id=NAME`")
            }
            _ => return Ok(()),
        };
        Err(Box::new(Diagnostic::error("bad-secret-mount", span, problem).with_help(help)))
    }
}

const KINDS: &[(&str, MountKind)] = &[
    ("bind", MountKind::Bind),
    ("cache", MountKind::Cache),
    ("tmpfs", MountKind::Tmpfs),
    ("secret", MountKind::Secret),
    ("ssh", MountKind::Ssh),
];

const SHARINGS: &[(&str, Sharing)] =
    &[("shared", Sharing::Shared), ("private", Sharing::Private), ("locked", Sharing::Locked)];

/// A size in bytes: a number, perhaps with a fraction, and `b`, `k`, `m`, `g`, `t` or `p`, perhaps followed by `b` or `ib`.
pub fn parse_size(text: &str) -> Option<u64> {
    let end = text.rfind(|c: char| c.is_ascii_digit() || c == '.')? + 1;
    let (number, suffix) = text.split_at(end);
    let number = number.trim_end();
    let whole = number.bytes().filter(|&b| b != b'.').all(|b| b.is_ascii_digit());
    let number: f64 = number.parse().ok().filter(|_| whole)?;
    let suffix = suffix.trim_start().to_ascii_lowercase();
    let power = match suffix.strip_suffix("ib").or_else(|| suffix.strip_suffix('b')).unwrap_or(&suffix) {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return None,
    };
    let bytes = number * 1024_f64.powi(power);
    // Beyond the range of the type a size means nothing.
    (bytes < 9.2e18).then_some(bytes as u64)
}
