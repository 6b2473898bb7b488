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

/// What the lines of a step begin with, beside its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Naming {
    /// Nothing.
    Steps,
    /// The name of the image that it is of, as several are built.
    Images,
}

/// Writes what happens, when it happens.
pub(super) struct Plain {
    text: String,
    running: BTreeMap<StepId, Running>,
    transfers: BTreeMap<String, Transfer>,
    /// With whether something else stands between or behind the lines of its output.
    failures: Vec<(Failure, bool)>,
    counts: Counts,
    colours: Colours,
    naming: Naming,
}

struct Running {
    title: String,
    /// What its lines begin with.
    prefix: String,
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
    /// A view in which steps have only their numbers.
    pub fn new(colours: Colours) -> Self {
        Self {
            naming: Naming::Steps,
            text: String::new(),
            running: BTreeMap::new(),
            transfers: BTreeMap::new(),
            failures: Vec::new(),
            counts: Counts::default(),
            colours,
        }
    }

    /// A view in which they also have the name of their image.
    pub fn of_images(colours: Colours) -> Self {
        Self { naming: Naming::Images, ..Self::new(colours) }
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn step_line(&mut self, step: StepId, line: &str) {
        let prefix = self.running.get(&step).map_or_else(|| format!("#{}", step.0), |running| running.prefix.clone());
        self.line_of(step, &prefix, line);
    }

    fn line_of(&mut self, step: StepId, prefix: &str, line: &str) {
        self.mix(step);
        self.line(&format!("{prefix} {line}"));
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
            let _ok = writeln!(self.text, "{} {seconds:.3} {line}", running.prefix);
            running.shown += self.text.len() - before;
            if running.shown > MAX_SHOWN {
                self.line_of(step, &running.prefix, "[what follows is not shown: more than 2 MiB of output]");
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
        let prefix = ended.as_ref().map_or_else(|| format!("#{}", step.0), |running| running.prefix.clone());
        match outcome {
            StepOutcome::Ran => {
                self.counts.ran += 1;
                self.line_of(step, &prefix, &format!("DONE {time}"));
            }
            StepOutcome::Cancelled => self.line_of(step, &prefix, &format!("CANCELLED {time}")),
            StepOutcome::Failed { message: _ } => {
                // The message comes with the report of the error.
                self.line_of(step, &prefix, &paint(&format!("FAILED {time}"), "1;31", self.colours));
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

/// The first word of `[api builder 2/5]`.
fn image_of(position: &str) -> &str {
    position.trim_start_matches('[').split([' ', ']']).next().unwrap_or_default()
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
            // The error at the end tells it with its place.
            BuildEvent::Started { .. } | BuildEvent::StepRefused { .. } => {}
            BuildEvent::StepStarted { step, position, text } => {
                let title = format!("{} {}", escape(position), escape(text));
                self.step_line(*step, &paint(&title, "1", self.colours));
                let prefix = match self.naming {
                    Naming::Steps => format!("#{}", step.0),
                    Naming::Images => format!("#{} {}", step.0, escape(image_of(position))),
                };
                let output = Output::default();
                self.running.insert(*step, Running { title, prefix, started: now, output, mixed: false, shown: 0 });
            }
            BuildEvent::StepCached { step } => {
                self.counts.cached += 1;
                self.step_line(*step, &paint("CACHED", "36", self.colours));
                self.running.remove(step);
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
