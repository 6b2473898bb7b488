//! What a build tells while it goes on.

use std::time::Duration;

/// Numbers a step within one build, from 1, in the order of the plan. Steps of several requests have different numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepId(pub u32);

/// Where a step's output came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Its standard output.
    Stdout,
    /// Its standard error.
    Stderr,
}

/// How a step ended that was not found in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepOutcome {
    /// Its result is there.
    Ran,
    /// It has no result.
    Failed {
        /// For example `exit code 1`.
        message: String,
    },
    /// It was stopped because another step failed, or by the user.
    Cancelled,
}

/// One thing that happened. The strings are for people; whoever shows them escapes what could hurt a terminal.
///
/// A step tells `StepStarted`, then either `StepCached`, or `StepMissed` and its output, then `StepFinished`. A pull or an
/// export tells of its start, any number of times of its progress, and of its end unless it failed: then the build fails, and
/// says why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildEvent {
    /// The plan is made. Told again if it grows.
    Started {
        /// The number of steps.
        total_steps: u32,
    },
    /// A step's inputs are there, and it is being looked up.
    StepStarted {
        /// The step.
        step: StepId,
        /// For example `[builder 2/5]`, or `[2/5]` where there is one stage; `[api builder 2/5]` if several images are built.
        position: String,
        /// The instruction; only its first line is shown.
        text: String,
    },
    /// A step cannot be done, as is known before any has begun. The build fails, and says why.
    StepRefused {
        /// The step.
        step: StepId,
        /// As in `StepStarted`.
        position: String,
        /// The instruction.
        text: String,
        /// Why.
        message: String,
    },
    /// The step's result was in the cache; it has ended.
    StepCached {
        /// The step.
        step: StepId,
    },
    /// The step's result was not in the cache: it runs now.
    StepMissed {
        /// The step.
        step: StepId,
        /// Completes `because …`; none where it would tell nothing, as in the first build.
        reason: Option<String>,
    },
    /// Everything in which the step differs from the last build, as `--explain` asks; told behind `StepMissed`.
    StepDiffers {
        /// The step.
        step: StepId,
        /// A line for each difference; none if there is nothing to compare with.
        lines: Vec<String>,
    },
    /// The step wrote something; pieces may end anywhere, also inside a character.
    StepOutput {
        /// The step.
        step: StepId,
        /// Where to.
        stream: Stream,
        /// What.
        bytes: Vec<u8>,
    },
    /// The step has ended.
    StepFinished {
        /// The step.
        step: StepId,
        /// How.
        outcome: StepOutcome,
        /// How long it took since its start.
        duration: Duration,
    },
    /// An image is being pulled.
    PullStarted {
        /// Its familiar name.
        reference: String,
    },
    /// More of it is here.
    PullProgress {
        /// Its familiar name.
        reference: String,
        /// Bytes that are here.
        done: u64,
        /// Bytes there will be, as far as is known.
        total: u64,
    },
    /// It is here.
    PullFinished {
        /// Its familiar name.
        reference: String,
        /// Bytes that came over the network.
        bytes: u64,
    },
    /// The image is being written, loaded or pushed.
    ExportStarted {
        /// Where to: a path as the user would type it, `Docker`, or a reference.
        target: String,
    },
    /// More of it is there.
    ExportProgress {
        /// Where to.
        target: String,
        /// Bytes that are there.
        done: u64,
        /// Bytes there will be.
        total: u64,
    },
    /// It is there.
    ExportFinished {
        /// Where to.
        target: String,
        /// Its length in bytes.
        size: u64,
        /// Whether anything was written.
        outcome: ExportOutcome,
    },
    /// Something that the user should change.
    Warning {
        /// One sentence.
        text: String,
    },
    /// Something that the user may want to know.
    Note {
        /// One sentence.
        text: String,
    },
}

/// Whether an export wrote anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportOutcome {
    /// It did.
    Written,
    /// The same was there already.
    Unchanged,
}
