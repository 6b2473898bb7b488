//! Why a step ran, in words: a step that ran because of another one names that one.

use crate::cache::{Change, MissReason};

/// A step that made another layer than in the last build, or a base image that is another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Changed {
    /// The instruction on one line.
    pub(super) text: String,
    /// Why it was executed; none if the other layer was in the cache.
    pub(super) reason: Option<MissReason>,
}

impl Changed {
    /// The base image of the stage, by its name.
    pub(super) fn base(name: &str) -> Self {
        Self { text: format!("the base image {name}"), reason: None }
    }
}

/// Completes `because …` for a step; `below` are the steps below it that made another layer, in order.
///
pub(super) fn because(reason: &MissReason, below: &[Changed]) -> String {
    match reason {
        MissReason::Parent => cause(below),
        MissReason::Files(changes) => {
            let text = changes.to_string();
            text.split_once(": ").map_or_else(|| text.clone(), |(count, rest)| format!("{count} changed: {rest}"))
        }
        MissReason::NeverBuilt
        | MissReason::Disabled
        | MissReason::StageDisabled
        | MissReason::Command
        | MissReason::Argument { .. }
        | MissReason::Variable { .. }
        | MissReason::Setting { .. }
        | MissReason::Destination { .. }
        | MissReason::Lost => reason.to_string(),
    }
}

/// Everything that differs, a line each. The instruction is shown as it stood in the Dockerfile and as it stands there.
pub(super) fn differences(former_text: Option<&str>, text: &str, changes: &[Change]) -> Vec<String> {
    let edited = former_text.filter(|former| *former != text);
    let lines = edited.map(|former| format!("instruction: {former} → {text}"));
    let others = changes.iter().filter(|change| edited.is_none() || !matches!(change, Change::Command { .. }));
    lines.into_iter().chain(others.map(ToString::to_string)).collect()
}

/// The first step below that changed for a reason of its own; one that ran again and made the same is none.
fn cause(below: &[Changed]) -> String {
    match below.iter().find(|step| step.reason != Some(MissReason::Parent)) {
        None => MissReason::Parent.to_string(),
        Some(Changed { text, reason: None }) => format!("{} changed", short(text)),
        Some(Changed { text, reason: Some(reason) }) => match reason {
            MissReason::Files(changes) => format!("{} changed ({changes})", short(text)),
            MissReason::Command => format!("{} is new or was edited", short(text)),
            MissReason::NeverBuilt => format!("{} was not built before", short(text)),
            reason => format!("{} ran again: {reason}", short(text)),
        },
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
        let copy = Changed { text: "COPY requirements.txt .".into(), reason: Some(MissReason::Files(changes.clone())) };
        let said = because(&MissReason::Parent, &[copy]);
        assert_eq!(said, "COPY requirements.txt . changed (1 file: requirements.txt)");
        assert_eq!(because(&MissReason::Files(changes), &[]), "1 file changed: requirements.txt");
        assert_eq!(because(&MissReason::NeverBuilt, &[]), "it was not built here before");
        assert_eq!(because(&MissReason::Parent, &[]), "the files below it changed");
        let back = Changed { text: "COPY a .".into(), reason: None };
        assert_eq!(because(&MissReason::Parent, &[back]), "COPY a . changed");
        let said = because(&MissReason::Parent, &[Changed::base("busybox")]);
        assert_eq!(said, "the base image busybox changed");
    }
}
