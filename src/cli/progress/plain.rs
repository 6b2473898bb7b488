//! A line for everything that happens.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::lines::Output;
use super::summary::{Counts, Failure, closing};
use super::text::{escape, paint, show_duration, show_size};
use super::{Colours, Size, Summary, View};
use crate::build::{BuildEvent, ExportOutcome, StepId, StepOutcome};

/// A transfer tells of its progress no more often than this.
const PAUSE: Duration = Duration::from_secs(5);

/// Of a step that writes more than this, only the last lines are shown if it fails: what BuildKit shows, too.
const MAX_SHOWN: usize = 2 << 20;

/// Writes what happens, when it happens.
pub(super) struct Plain {
    text: String,
    running: BTreeMap<StepId, Running>,
    transfers: BTreeMap<String, Transfer>,
    /// With whether something else stands between or behind the lines of its output.
    failures: Vec<(Failure, bool)>,
    counts: Counts,
    colours: Colours,
}

struct Running {
    title: String,
    started: Duration,
    output: Output,
    /// Whether lines of other steps stand between or behind its own.
    mixed: bool,
    /// How many bytes of its output were shown.
    shown: usize,
}

struct Transfer {
    started: Duration,
    told: Duration,
}

impl Plain {
    pub fn new(colours: Colours) -> Self {
        Self {
            text: String::new(),
            running: BTreeMap::new(),
            transfers: BTreeMap::new(),
            failures: Vec::new(),
            counts: Counts::default(),
            colours,
        }
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn step_line(&mut self, step: StepId, line: &str) {
        self.mix(step);
        self.line(&format!("#{} {line}", step.0));
    }

    /// A line of one step stands between those of all others that run.
    fn mix(&mut self, step: StepId) {
        for (_, other) in self.running.iter_mut().filter(|(id, _)| **id != step) {
            other.mixed |= other.output.tail.seen() > 0;
        }
        self.failures.iter_mut().for_each(|(_, mixed)| *mixed = true);
    }

    fn output(&mut self, now: Duration, step: StepId, running: &mut Running, lines: &[String]) {
        let seconds = now.saturating_sub(running.started).as_secs_f64();
        if !lines.is_empty() {
            self.mix(step);
        }
        for line in lines {
            if running.shown > MAX_SHOWN {
                // Its last lines are not right above the end any more.
                running.mixed = true;
                return;
            }
            let before = self.text.len();
            // Writing to a string cannot fail.
            let _ok = writeln!(self.text, "#{} {seconds:.3} {line}", step.0);
            running.shown += self.text.len() - before;
            if running.shown > MAX_SHOWN {
                self.step_line(step, "[what follows is not shown: more than 2 MiB of output]");
            }
        }
    }

    fn finish_step(&mut self, now: Duration, step: StepId, outcome: &StepOutcome, duration: Duration) {
        let mut ended = self.running.remove(&step);
        if let Some(running) = &mut ended {
            let lines = running.output.flush(self.colours);
            self.output(now, step, running, &lines);
        }
        let time = show_duration(duration);
        match outcome {
            StepOutcome::Ran => {
                self.counts.ran += 1;
                self.step_line(step, &format!("DONE {time}"));
            }
            StepOutcome::Cancelled => self.step_line(step, &format!("CANCELLED {time}")),
            StepOutcome::Failed { message: _ } => {
                // The message comes with the report of the error.
                self.step_line(step, &paint(&format!("FAILED {time}"), "1;31", self.colours));
                if let Some(Running { title, output, mixed, .. }) = ended {
                    self.failures.push((Failure { title, output }, mixed));
                }
            }
        }
    }

    fn transfer_started(&mut self, now: Duration, what: String) {
        self.line(&what);
        self.transfers.insert(what, Transfer { started: now, told: now });
    }

    fn transfer_progress(&mut self, now: Duration, what: String, done: u64, total: u64) {
        let transfer = self.transfers.entry(what.clone()).or_insert(Transfer { started: now, told: now });
        if now.saturating_sub(transfer.told) >= PAUSE {
            transfer.told = now;
            self.line(&format!("{what} {} / {}", show_size(done), show_size(total)));
        }
    }

    fn transfer_finished(&mut self, now: Duration, what: &str, end: &str, bytes: u64) {
        let started = self.transfers.remove(what).map_or(now, |transfer| transfer.started);
        let time = show_duration(now.saturating_sub(started));
        self.line(&format!("{what} {end} {time}, {}", show_size(bytes)));
    }
}

fn pull(reference: &str) -> String {
    format!("pull {}", escape(reference))
}

fn export(target: &str) -> String {
    format!("export to {}", escape(target))
}

impl View for Plain {
    fn event(&mut self, now: Duration, event: &BuildEvent) {
        match event {
            BuildEvent::Started { .. } => {}
            BuildEvent::StepStarted { step, position, text } => {
                let title = format!("{} {}", escape(position), escape(text));
                self.step_line(*step, &paint(&title, "1", self.colours));
                self.running
                    .insert(*step, Running { title, started: now, output: Output::default(), mixed: false, shown: 0 });
            }
            BuildEvent::StepCached { step } => {
                self.counts.cached += 1;
                self.running.remove(step);
                self.step_line(*step, &paint("CACHED", "36", self.colours));
            }
            BuildEvent::StepMissed { step, reason } => {
                if let Some(reason) = reason {
                    self.step_line(*step, &format!("runs because {}", escape(reason)));
                }
            }
            BuildEvent::StepDiffers { step, lines } => {
                lines.iter().for_each(|line| self.step_line(*step, &format!("  {}", escape(line))));
            }
            BuildEvent::StepOutput { step, stream, bytes } => {
                if let Some(mut running) = self.running.remove(step) {
                    let lines = running.output.push(*stream, bytes, self.colours);
                    self.output(now, *step, &mut running, &lines);
                    self.running.insert(*step, running);
                }
            }
            BuildEvent::StepFinished { step, outcome, duration } => self.finish_step(now, *step, outcome, *duration),
            BuildEvent::PullStarted { reference } => self.transfer_started(now, pull(reference)),
            BuildEvent::PullProgress { reference, done, total } => {
                self.transfer_progress(now, pull(reference), *done, *total);
            }
            BuildEvent::PullFinished { reference, bytes } => {
                self.transfer_finished(now, &pull(reference), "DONE", *bytes);
            }
            BuildEvent::ExportStarted { target } => self.transfer_started(now, export(target)),
            BuildEvent::ExportProgress { target, done, total } => {
                self.transfer_progress(now, export(target), *done, *total);
            }
            BuildEvent::ExportFinished { target, size, outcome } => {
                let end = match outcome {
                    ExportOutcome::Written => "DONE",
                    ExportOutcome::Unchanged => "UNCHANGED",
                };
                self.transfer_finished(now, &export(target), end, *size);
            }
            BuildEvent::Warning { text } => {
                let head = paint("warning:", "33", self.colours);
                self.line(&format!("{head} {}", escape(text)));
            }
            BuildEvent::Note { text } => self.line(&format!("note: {}", escape(text))),
        }
    }

    fn draw(&mut self, _now: Duration, _size: Size) -> String {
        std::mem::take(&mut self.text)
    }

    fn finish(&mut self, now: Duration, _size: Size, summary: &Summary) -> String {
        let mut text = std::mem::take(&mut self.text);
        // What stands right above is not shown again.
        let failures: Vec<Failure> =
            self.failures.drain(..).filter_map(|(failure, mixed)| mixed.then_some(failure)).collect();
        text.push_str(&closing(now, self.counts, &failures, summary, self.colours));
        text
    }
}
