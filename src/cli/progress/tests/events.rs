//! Events as a build would tell them.

use std::time::Duration;

use crate::build::{BuildEvent, StepId, StepOutcome, Stream};
use crate::cli::progress::Summary;
use crate::digest::ConfigDigest;

pub(super) fn started(step: u32, position: &str, text: &str) -> BuildEvent {
    BuildEvent::StepStarted { step: StepId(step), position: position.to_owned(), text: text.to_owned() }
}

pub(super) fn cached(step: u32) -> BuildEvent {
    BuildEvent::StepCached { step: StepId(step) }
}

pub(super) fn missed(step: u32, reason: &str) -> BuildEvent {
    BuildEvent::StepMissed { step: StepId(step), reason: Some(reason.to_owned()) }
}

pub(super) fn output(step: u32, bytes: impl AsRef<[u8]>) -> BuildEvent {
    BuildEvent::StepOutput { step: StepId(step), stream: Stream::Stdout, bytes: bytes.as_ref().to_vec() }
}

pub(super) fn ran(step: u32, duration: u64) -> BuildEvent {
    finished(step, StepOutcome::Ran, duration)
}

pub(super) fn failed(step: u32, message: &str, duration: u64) -> BuildEvent {
    finished(step, StepOutcome::Failed { message: message.to_owned() }, duration)
}

pub(super) fn finished(step: u32, outcome: StepOutcome, duration: u64) -> BuildEvent {
    BuildEvent::StepFinished { step: StepId(step), outcome, duration: millis(duration) }
}

pub(super) fn built() -> Summary {
    let hint = Some("load it with `docker load -i app.tar`".to_owned());
    Summary::Built { image: ConfigDigest::of(b"x"), size: 12_345_678, hint }
}

pub(super) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
