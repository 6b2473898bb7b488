//! Warnings that depend on variables, on base images, or on which stages are planned.
//!
//! `from` looks at every FROM of a file; `stage` at the instructions of the stages that are planned, one after the other, with
//! the variables that each finds. All are pure, and none changes what is planned.
//!
//! # References
//! BuildKit 0.32: `dockerfile2llb/validations.go`, and its callers for when a rule is asked.

mod from;
mod report;
mod stage;

pub(super) use from::{base_platform, every_from, front_end};
pub(super) use report::Report;
pub(super) use stage::StageLint;

#[cfg(test)]
mod tests;
