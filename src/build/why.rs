//! Why a step ran, in words: a step that ran because of another one names that one.

use crate::cache::MissReason;

/// A step that was executed, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ran {
    /// The instruction on one line.
    pub(super) text: String,
    /// The reason of its miss.
    pub(super) reason: MissReason,
}

/// Completes `because …` for a step; `before` are the steps below it that ran, in order.
///
/// None where it would tell nothing: the first build of a Dockerfile, or a cache that is off.
pub(super) fn because(reason: &MissReason, before: &[Ran]) -> Option<String> {
    match reason {
        MissReason::NeverBuilt | MissReason::Disabled => None,
        MissReason::Parent => Some(below(before)),
        MissReason::Files(changes) => Some(format!("{changes}", changes = Changed(changes))),
        MissReason::Command
        | MissReason::Argument { .. }
        | MissReason::Variable { .. }
        | MissReason::Setting { .. }
        | MissReason::Destination { .. }
        | MissReason::Lost => Some(reason.to_string()),
    }
}

struct Changed<'a>(&'a crate::cache::FileChanges);

impl std::fmt::Display for Changed<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (count, rest) = {
            let text = self.0.to_string();
            let (count, rest) =
                text.split_once(": ").map_or((text.clone(), String::new()), |(c, r)| (c.into(), r.into()));
            (count, rest)
        };
        write!(f, "{count} changed: {rest}")
    }
}

/// The first step below that ran for a reason of its own.
fn below(before: &[Ran]) -> String {
    let cause = before.iter().find(|ran| ran.reason != MissReason::Parent);
    match cause {
        Some(Ran { text, reason: MissReason::Files(changes) }) => format!("{} changed ({changes})", short(text)),
        Some(Ran { text, reason: MissReason::Command }) => format!("{} is new or was edited", short(text)),
        Some(Ran { text, reason: MissReason::NeverBuilt }) => format!("{} was not built before", short(text)),
        Some(Ran { text, reason }) => format!("{} ran again: {reason}", short(text)),
        None => "the image below it changed".to_owned(),
    }
}

/// An instruction cut to a length that fits into a line.
fn short(text: &str) -> String {
    const MOST: usize = 40;
    let line = text.lines().next().unwrap_or("");
    if line.chars().count() <= MOST {
        return line.to_owned();
    }
    let cut: String = line.chars().take(MOST - 1).collect();
    format!("{}…", cut.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::FileChanges;

    #[test]
    fn the_cause_below_is_named_with_its_files() {
        let changes = FileChanges { modified: vec!["requirements.txt".into()], ..FileChanges::default() };
        let copy = Ran { text: "COPY requirements.txt .".into(), reason: MissReason::Files(changes.clone()) };
        let said = because(&MissReason::Parent, &[copy]);
        assert_eq!(said.as_deref(), Some("COPY requirements.txt . changed (1 file: requirements.txt)"));
        assert_eq!(because(&MissReason::Files(changes), &[]).as_deref(), Some("1 file changed: requirements.txt"));
        assert_eq!(because(&MissReason::NeverBuilt, &[]), None);
        assert_eq!(because(&MissReason::Parent, &[]).as_deref(), Some("the image below it changed"));
    }
}
