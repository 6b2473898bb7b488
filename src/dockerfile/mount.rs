//! `RUN --mount` and `RUN --device`: options first, values once variables are known.

use std::collections::BTreeSet;

use super::csv;
use super::diagnostic::Diagnostic;
use super::directives::parse_bool;
use super::expand::{Env, NoEnv, expand};
use super::flags::Value;
use super::mount_value::{Draft, OPTIONS};
use super::source::Span;
use super::suggest::nearest;
use super::word::{Escape, Text, Word};

/// A mount as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Its options, in order.
    pub options: Vec<MountOption>,
    /// The flag's value.
    pub span: Span,
}

/// One option of a mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountOption {
    /// The name, in lower case.
    pub key: Text,
    /// What follows `=`, if that is there.
    pub value: Option<Word>,
}

/// A mount with its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountSpec {
    /// What is mounted.
    pub kind: MountKind,
    /// The stage, image or context it comes from.
    pub from: Option<String>,
    /// The path in there; for a secret, its id.
    pub source: Option<String>,
    /// Where to; relative to the working directory.
    pub target: Option<String>,
    /// Whether it cannot be written to.
    pub read_only: bool,
    /// The size of a tmpfs in bytes, 0 for no limit.
    pub size: u64,
    /// The id of a cache, secret or ssh socket.
    pub id: Option<String>,
    /// How a cache is shared.
    pub sharing: Sharing,
    /// Whether a secret or ssh socket must be there.
    pub required: bool,
    /// The variable that takes a secret; empty for the secret's own name.
    pub env: Option<String>,
    /// The mode of a cache folder, secret or socket.
    pub mode: Option<u32>,
    /// The owner of a cache folder, secret or socket.
    pub uid: Option<u32>,
    /// The group of a cache folder, secret or socket.
    pub gid: Option<u32>,
}

/// What a mount mounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MountKind {
    /// Files of the context, a stage or an image.
    #[default]
    Bind,
    /// A folder that outlives the build.
    Cache,
    /// A folder in memory.
    Tmpfs,
    /// A secret.
    Secret,
    /// The socket of an ssh agent.
    Ssh,
}

/// How builds that run at the same time share a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sharing {
    /// All write to one folder.
    #[default]
    Shared,
    /// Each has its own.
    Private,
    /// One waits for the other.
    Locked,
}

/// A device asked for by `RUN --device`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its name.
    pub name: Text,
    /// Whether the build fails without it.
    pub required: bool,
}

impl Mount {
    /// Reads the options; whatever does not depend on variables is checked.
    pub(super) fn parse(value: &Value<'_>, escape: Escape) -> Result<Self, Box<Diagnostic>> {
        let mut options = Vec::new();
        for field in csv::fields(value)? {
            options.push(MountOption::parse(field)?);
        }
        let mount = Self { options, span: value.span() };
        let values = || mount.options.iter().filter_map(|option| option.value.as_ref());
        if !values().any(|value| value.raw().contains('$')) {
            mount.resolve(escape, &NoEnv)?;
        }
        Ok(mount)
    }

    /// Replaces variables and checks the options; the second value names the variables that are not set.
    pub fn resolve(&self, escape: Escape, env: &dyn Env) -> Result<(MountSpec, BTreeSet<String>), Box<Diagnostic>> {
        let mut draft = Draft::default();
        let mut unset = BTreeSet::new();
        for option in &self.options {
            let Some(word) = &option.value else {
                draft.set_flag(&option.key)?;
                continue;
            };
            let mut expanded = expand(word, escape, env).map_err(|error| Box::new(error.diagnostic(word)))?;
            unset.append(&mut expanded.unset);
            draft.set(&option.key, &expanded.value, word.span())?;
        }
        Ok((draft.finish(self.span)?, unset))
    }
}

impl MountOption {
    fn parse(field: Text) -> Result<Self, Box<Diagnostic>> {
        let Some((key, value)) = field.value.split_once('=') else {
            return Ok(Self { key: Text::new(field.value.to_lowercase(), field.span), value: None });
        };
        let key_length = key.len();
        let key = key.to_lowercase();
        // The span is exact only if it covers the very text of the field.
        let exact = field.span.range().len() == field.value.len();
        let start = if exact { field.span.start() + key_length + 1 } else { field.span.start() };
        let key_span = if exact { Span::new(field.span.start(), start - 1) } else { field.span };
        if !OPTIONS.contains(&key.as_str()) {
            return Err(Box::new(unknown_option(&key, key_span)));
        }
        let value = Word::new(value, Span::new(start, field.span.end()));
        Ok(Self { key: Text::new(key, key_span), value: Some(value) })
    }
}

fn unknown_option(key: &str, span: Span) -> Diagnostic {
    let report = Diagnostic::error("unknown-option", span, format!("a mount has no option `{key}`"));
    match nearest(key, OPTIONS.iter().copied()) {
        Some(meant) => report.with_fix(format!("did you mean `{meant}`?"), span, meant),
        None => report.with_help(
            "the options are type, from, source, target, readonly, readwrite, id, sharing, required, size, mode, uid, gid and env",
        ),
    }
}

impl Device {
    /// Reads `name[,required]`.
    pub(super) fn parse(value: &Value<'_>) -> Result<Self, Box<Diagnostic>> {
        let mut name: Option<Text> = None;
        let mut required = false;
        for field in csv::fields(value)? {
            let (key, setting) =
                field.value.split_once('=').map_or((field.value.as_str(), None), |(k, v)| (k, Some(v)));
            match (key.to_lowercase().as_str(), setting) {
                ("required", None) => required = true,
                ("required", Some(setting)) => {
                    required = parse_bool(setting).ok_or_else(|| {
                        let message = format!("`{setting}` is not a value of `required`");
                        let report = Diagnostic::error("bad-option-value", field.span, message);
                        Box::new(report.with_label("expected `required`, or `required=` and true or false"))
                    })?;
                }
                ("name", Some(setting)) if name.is_none() => name = Some(Text::new(setting, field.span)),
                (_, _) if name.is_none() => name = Some(field),
                _ => {
                    let message = format!("`{}` is no option of a device", field.value);
                    let report = Diagnostic::error("unknown-option", field.span, message);
                    return Err(Box::new(report.with_help("write `--device=name`, or `--device=name,required`")));
                }
            }
        }
        let name = name.unwrap_or_else(|| Text::new("", value.span()));
        Ok(Self { name, required })
    }
}
