//! Nothing, unless a step fails.

use std::collections::BTreeMap;
use std::time::Duration;

use super::lines::Output;
use super::summary::{Counts, Failure, closing};
use super::text::escape;
use super::{Colours, Size, Summary, View};
use crate::build::{BuildEvent, StepId, StepOutcome};

/// Keeps only what is needed if a step fails.
pub(super) struct Quiet {
    running: BTreeMap<StepId, Failure>,
    failures: Vec<Failure>,
    colours: Colours,
}

impl Quiet {
    pub fn new(colours: Colours) -> Self {
        Self { running: BTreeMap::new(), failures: Vec::new(), colours }
    }
}

impl View for Quiet {
    fn event(&mut self, _now: Duration, event: &BuildEvent) {
        match event {
            BuildEvent::StepStarted { step, position, text } => {
                let title = format!("{} {}", escape(position), escape(text));
                self.running.insert(*step, Failure { title, output: Output::default() });
            }
            BuildEvent::StepOutput { step, stream, bytes } => {
                if let Some(running) = self.running.get_mut(step) {
                    running.output.push(*stream, bytes, self.colours);
                }
            }
            BuildEvent::StepCached { step } => drop(self.running.remove(step)),
            BuildEvent::StepFinished { step, outcome, .. } => {
                let ended = self.running.remove(step);
                if let (Some(mut failure), StepOutcome::Failed { .. }) = (ended, outcome) {
                    failure.output.flush(self.colours);
                    self.failures.push(failure);
                }
            }
            BuildEvent::Started { .. }
            | BuildEvent::StepRefused { .. }
            | BuildEvent::StepMissed { .. }
            | BuildEvent::StepDiffers { .. }
            | BuildEvent::PullStarted { .. }
            | BuildEvent::PullProgress { .. }
            | BuildEvent::PullFinished { .. }
            | BuildEvent::ExportStarted { .. }
            | BuildEvent::ExportProgress { .. }
            | BuildEvent::ExportFinished { .. }
            | BuildEvent::Warning { .. }
            | BuildEvent::Note { .. } => {}
        }
    }

    fn draw(&mut self, _now: Duration, _size: Size) -> String {
        String::new()
    }

    fn finish(&mut self, now: Duration, _size: Size, _summary: &Summary) -> String {
        closing(now, Counts::default(), &self.failures, &Summary::Failed, self.colours)
    }
}
