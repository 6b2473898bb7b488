//! Resource limits of a step.

use std::fmt;
use std::str::FromStr;

use rustix::process::{Resource as Kind, Rlimit};
use serde::{Deserialize, Serialize};

use super::error::Error;

/// Something that can be limited, by the name `--ulimit` uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of getrlimit(2)")]
pub enum Resource {
    As,
    Core,
    Cpu,
    Data,
    Fsize,
    Locks,
    Memlock,
    Msgqueue,
    Nice,
    Nofile,
    Nproc,
    Rss,
    Rtprio,
    Rttime,
    Sigpending,
    Stack,
}

const NAMES: [(&str, Resource, Kind); 16] = [
    ("as", Resource::As, Kind::As),
    ("core", Resource::Core, Kind::Core),
    ("cpu", Resource::Cpu, Kind::Cpu),
    ("data", Resource::Data, Kind::Data),
    ("fsize", Resource::Fsize, Kind::Fsize),
    ("locks", Resource::Locks, Kind::Locks),
    ("memlock", Resource::Memlock, Kind::Memlock),
    ("msgqueue", Resource::Msgqueue, Kind::Msgqueue),
    ("nice", Resource::Nice, Kind::Nice),
    ("nofile", Resource::Nofile, Kind::Nofile),
    ("nproc", Resource::Nproc, Kind::Nproc),
    ("rss", Resource::Rss, Kind::Rss),
    ("rtprio", Resource::Rtprio, Kind::Rtprio),
    ("rttime", Resource::Rttime, Kind::Rttime),
    ("sigpending", Resource::Sigpending, Kind::Sigpending),
    ("stack", Resource::Stack, Kind::Stack),
];

/// One limit; none is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// Of what.
    pub resource: Resource,
    /// The one that counts.
    pub soft: Option<u64>,
    /// How far the step may raise it.
    pub hard: Option<u64>,
}

impl FromStr for Limit {
    type Err = Error;

    /// Parses `name=soft[:hard]`; -1 and `unlimited` are no limit.
    fn from_str(text: &str) -> Result<Self, Error> {
        let invalid =
            |problem: &str| Error::Invalid { field: "limit", problem: format!("`{}` {problem}", text.escape_debug()) };
        let (name, values) = text.split_once('=').ok_or_else(|| invalid("is not of the form `name=soft[:hard]`"))?;
        let row = NAMES.iter().find(|(known, ..)| *known == name);
        let (_, resource, _) = row.ok_or_else(|| invalid("names no resource"))?;
        let (soft, hard) = values.split_once(':').unwrap_or((values, values));
        let number = |text: &str| match text {
            "-1" | "unlimited" => Ok(None),
            _ => text.parse().map(Some).map_err(|_not_a_number| invalid("has a limit that is not a number")),
        };
        let (soft, hard) = (number(soft)?, number(hard)?);
        if hard.is_some_and(|hard| soft.is_none_or(|soft| soft > hard)) {
            return Err(invalid("has a soft limit above its hard limit"));
        }
        Ok(Self { resource: *resource, soft, hard })
    }
}

impl fmt::Display for Limit {
    /// As `from_str` takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(_, known, _)| *known == self.resource).map_or("", |(name, ..)| name);
        let number = |limit: Option<u64>| limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string());
        write!(f, "{name}={}:{}", number(self.soft), number(self.hard))
    }
}

/// What a step gets unless its spec says otherwise, whatever the limits of the caller: no core files, which would
/// end up in a layer, and few enough descriptors that programs that close them all stay fast.
const DEFAULTS: [Limit; 3] = [
    Limit { resource: Resource::Core, soft: Some(0), hard: None },
    Limit { resource: Resource::Nofile, soft: Some(1024), hard: Some(524_288) },
    Limit { resource: Resource::Stack, soft: Some(8 << 20), hard: None },
];

/// The kernel's form of the defaults and then of `limits`, to be set in this order.
pub(super) fn rows(limits: &[Limit]) -> Vec<(Kind, Rlimit)> {
    let kind = |resource| NAMES.iter().find(|(_, known, _)| *known == resource).map(|(.., kind)| *kind);
    DEFAULTS
        .iter()
        .filter(|default| limits.iter().all(|limit| limit.resource != default.resource))
        .chain(limits)
        .filter_map(|limit| Some((kind(limit.resource)?, Rlimit { current: limit.soft, maximum: limit.hard })))
        .collect()
}
