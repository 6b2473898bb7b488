//! Why a step had to be executed.

use std::collections::BTreeMap;
use std::fmt;

use super::change::differing;
use super::hiding::readable_of;
use super::ingredient::Kept;

/// The reason of a miss, against the nearest earlier record of the same step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MissReason {
    /// No build of this Dockerfile in this store had such a step.
    NeverBuilt,
    /// The user said so, for every step.
    Disabled,
    /// The user said so, for the stage.
    StageDisabled,
    /// The instruction itself changed.
    Command,
    /// A build argument changed, came or went.
    Argument {
        /// Its name.
        name: String,
    },
    /// An environment variable changed, came or went.
    Variable {
        /// Its name.
        name: String,
    },
    /// A setting changed.
    Setting {
        /// Its name.
        name: String,
        /// Its earlier value.
        was: String,
        /// Its present value.
        is: String,
    },
    /// Selected files changed.
    Files(FileChanges),
    /// The root filesystem below the step has other content.
    Parent,
    /// What the step looks at in its root filesystem is different.
    Destination {
        /// The path, with a leading slash.
        path: String,
    },
    /// The earlier result is no longer in the store.
    Lost,
}

/// Which files changed, by name, sorted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FileChanges {
    /// Other content, mode, owner or kind.
    pub modified: Vec<String>,
    /// Not selected before.
    pub added: Vec<String>,
    /// No longer selected.
    pub removed: Vec<String>,
}

impl FileChanges {
    /// How many files are concerned.
    pub fn count(&self) -> usize {
        self.modified.len() + self.added.len() + self.removed.len()
    }
}

impl fmt::Display for FileChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 3;
        let count = self.count();
        write!(f, "{count} file{}: ", if count == 1 { "" } else { "s" })?;
        let marked = [("", &self.modified), ("+", &self.added), ("-", &self.removed)];
        let names: Vec<String> =
            marked.iter().flat_map(|(mark, names)| names.iter().map(move |name| format!("{mark}{name}"))).collect();
        write!(f, "{}", names[..names.len().min(SHOWN)].join(", "))?;
        if count > SHOWN { write!(f, ", …") } else { Ok(()) }
    }
}

impl fmt::Display for MissReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MissReason::NeverBuilt => write!(f, "it was not built here before"),
            MissReason::Disabled => write!(f, "the cache is off (`--no-cache`)"),
            MissReason::StageDisabled => write!(f, "the cache is off for its stage (`--no-cache-filter`)"),
            MissReason::Command => write!(f, "the instruction changed"),
            MissReason::Argument { name } => write!(f, "build argument {name} changed"),
            MissReason::Variable { name } => write!(f, "environment variable {name} changed"),
            MissReason::Setting { name, was, is } => match (was.as_str(), is.as_str()) {
                ("", is) => write!(f, "{name} is now {is}"),
                (was, "") => write!(f, "{name} is no longer {was}"),
                (was, is) if was == is => write!(f, "{name} {is} has another value"),
                (was, is) => write!(f, "{name} changed from {was} to {is}"),
            },
            MissReason::Files(changes) => write!(f, "files changed ({changes})"),
            MissReason::Parent => write!(f, "the files below it changed"),
            MissReason::Destination { path } => write!(f, "{path} is different in the image below it"),
            MissReason::Lost => write!(f, "its earlier result is no longer in the store"),
        }
    }
}

/// What differs between an earlier step and this one; none if nothing does.
///
/// Of several differences the one nearest to the person is told: the instruction, then arguments, variables, settings,
/// files, and the root filesystem last.
pub(super) fn difference(earlier: &Kept, now: &Kept) -> Option<MissReason> {
    let Kept { kind, parent, command, variables, arguments, settings, files } = now;
    if earlier.kind != *kind || earlier.command != *command {
        return Some(MissReason::Command);
    }
    if let Some(name) = first_changed(&earlier.arguments, arguments) {
        return Some(MissReason::Argument { name });
    }
    if let Some(name) = first_changed(&earlier.variables, variables) {
        return Some(MissReason::Variable { name });
    }
    if let Some(name) = first_changed(&earlier.settings, settings) {
        let (was, is) = (readable_of(&earlier.settings, &name), readable_of(settings, &name));
        return Some(MissReason::Setting { name, was, is });
    }
    let changes = file_changes(&earlier.files, files);
    if changes.count() > 0 {
        return Some(MissReason::Files(changes));
    }
    (earlier.parent != *parent).then_some(MissReason::Parent)
}

fn first_changed(earlier: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> Option<String> {
    differing(earlier, now).into_iter().next()
}

fn file_changes(earlier: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> FileChanges {
    let mut changes = FileChanges::default();
    for path in differing(earlier, now) {
        match (earlier.contains_key(&path), now.contains_key(&path)) {
            (false, _) => changes.added.push(path),
            (_, false) => changes.removed.push(path),
            _ => changes.modified.push(path),
        }
    }
    changes
}
