//! Turns stages, arguments and base configs into steps.
//!
//! Planning replaces every variable, so a step says exactly what is to be done and no word is looked at again. It asks for
//! the configs of base images that it lacks (`Outcome::Needs`) and is called again with them. On the way it finds what is odd
//! (`lint`); `outline` tells what the target of a plan takes from outside, and `show` what a plan is.
//!
//! # Invariants
//! Pure: no input or output, no clock, no environment. Only stages that the target needs are planned, unless all are asked
//! for, and a stage stands after those that it needs. Values of arguments whose names look like secrets appear in no history line.
//!
//! # Not here
//! What is in the cache: `cache`. Which files a pattern selects: `context`. Reading text: `dockerfile`.
//!
//! # References
//! BuildKit `frontend/dockerfile/dockerfile2llb`: `convert.go`, `convert_copy.go`, `convert_expose.go`.

mod arguments;
mod assemble;
mod chmod;
mod choices;
mod epoch;
mod graph;
mod instruction;
mod lint;
mod mount;
mod named;
mod origins;
mod outline;
mod settings;
mod show;
mod stage;
mod step;
mod told;
mod transfer;
mod values;
mod variables;

pub use assemble::UNUSED_ARGUMENT;
pub use chmod::{Chmod, ModeError};
pub use epoch::{Epoch, SOURCE_DATE_EPOCH, epoch};
pub use graph::{Needed, Outcome, plan};
pub use mount::{CacheMount, FileOwner, Mount, Mounted, Writing};
pub use named::context_name;
pub use outline::{Outline, OutlineArgument, OutlineNeed, outline};
pub use settings::looks_secret;
pub use show::{Described, described, show};
pub use step::{
    Action, Argument, ArgumentSource, Base, Copy, CopySource, Device, ImageNeed, InlineFile, Inputs, Insecure,
    LayoutImage, NamedContext, Network, Origin, Plan, Run, Scope, SecretFile, Security, Stage, StageId, Step, Unpack,
    Verb, Workdir,
};
pub use told::HistoryLine;
pub use values::names_somebody;
pub use variables::{Environment, SetBy, Variable};

#[cfg(test)]
mod choices_tests;
#[cfg(test)]
mod origins_tests;
#[cfg(test)]
mod tests;
