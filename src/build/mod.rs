//! Drives a plan: each step is looked up, run or copied, and becomes a layer of the image.

mod event;

pub use event::{BuildEvent, ExportOutcome, StepId, StepOutcome, Stream};
