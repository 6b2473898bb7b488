//! What has ended above, what is running below, redrawn in place.

use std::time::Duration;

use super::frame::{Header, Item, ItemKind, Line, live_area};
use super::lines::Output;
use super::summary::{Counts, Failure, closing};
use super::text::{escape, paint, show_duration, show_size, spread};
use super::{Colours, Size, Summary, View};
use crate::build::{BuildEvent, ExportOutcome, StepId, StepOutcome, Stream};

/// Clears from the cursor to the end of the screen.
const CLEAR: &str = "\u{1b}[J";

/// Keeps what is running, and the lines of what has ended since the last frame.
pub(super) struct Tty {
    running: Vec<Item>,
    ended: Vec<Ended>,
    failures: Vec<Failure>,
    counts: Counts,
    total_steps: u32,
    drawn: Vec<Line>,
    drawn_at: Option<Size>,
    colours: Colours,
}

/// A line that stays.
struct Ended {
    left: String,
    right: String,
    colour: Option<&'static str>,
}

impl Tty {
    pub fn new(colours: Colours) -> Self {
        Self {
            running: Vec::new(),
            ended: Vec::new(),
            failures: Vec::new(),
            counts: Counts::default(),
            total_steps: 0,
            drawn: Vec::new(),
            drawn_at: None,
            colours,
        }
    }

    fn start(&mut self, now: Duration, title: String, kind: ItemKind) {
        self.running.push(Item { title, started: now, kind });
    }

    fn end(&mut self, left: String, right: String, colour: Option<&'static str>) {
        self.ended.push(Ended { left, right, colour });
    }

    fn take(&mut self, wanted: impl Fn(&Item) -> bool) -> Option<Item> {
        let index = self.running.iter().position(wanted)?;
        Some(self.running.remove(index))
    }

    fn take_step(&mut self, step: StepId) -> Option<(String, Option<String>, Output)> {
        let item = self.take(|item| item.is_step(step))?;
        match item.kind {
            ItemKind::Step { reason, output, .. } => Some((item.title, reason, output)),
            ItemKind::Transfer { .. } => None,
        }
    }

    fn output(&mut self, step: StepId, stream: Stream, bytes: &[u8]) {
        let item = self.running.iter_mut().find(|item| item.is_step(step));
        if let Some(Item { kind: ItemKind::Step { output, .. }, .. }) = item {
            output.push(stream, bytes, Colours::Unwanted);
        }
    }

    fn missed(&mut self, step: StepId, because: Option<&String>) {
        let item = self.running.iter_mut().find(|item| item.is_step(step));
        if let Some(Item { kind: ItemKind::Step { reason, .. }, .. }) = item {
            *reason = because.map(|text| escape(text));
        }
    }

    fn finish_step(&mut self, step: StepId, outcome: &StepOutcome, duration: Duration) {
        let Some((title, reason, mut output)) = self.take_step(step) else { return };
        let time = show_duration(duration);
        match outcome {
            StepOutcome::Ran => {
                self.counts.ran += 1;
                self.end(title, format!("DONE {time}"), None);
                if let Some(reason) = reason {
                    self.end(format!("   ran because {reason}"), String::new(), Some("2"));
                }
            }
            StepOutcome::Cancelled => self.end(title, format!("CANCELLED {time}"), Some("33")),
            StepOutcome::Failed { message } => {
                output.flush(Colours::Unwanted);
                self.end(title.clone(), format!("FAILED {time}"), Some("1;31"));
                self.end(format!("   {}", escape(message)), String::new(), Some("31"));
                self.failures.push(Failure { title, output });
            }
        }
    }

    fn transfer_progress(&mut self, title: &str, now_done: u64, now_total: u64) {
        let item = self.running.iter_mut().find(|item| item.title == title);
        if let Some(Item { kind: ItemKind::Transfer { done, total }, .. }) = item {
            (*done, *total) = (now_done, now_total);
        }
    }

    fn transfer_finished(&mut self, now: Duration, title: &str, end: &str, bytes: u64) {
        let started = self.take(|item| item.title == title).map_or(now, |item| item.started);
        let right = format!("{} {end} {}", show_size(bytes), show_duration(now.saturating_sub(started)));
        self.end(title.to_owned(), right, None);
    }

    /// The lines of what has ended, and forgets them.
    fn ended_lines(&mut self, size: Size) -> String {
        if self.ended.is_empty() {
            return String::new();
        }
        // The old live area goes first: a line that wraps would not cover all of it.
        let mut text = CLEAR.to_owned();
        for Ended { left, right, colour } in std::mem::take(&mut self.ended) {
            // A line without an end of its own stays whole, and may wrap: it is never drawn again.
            let line = if right.is_empty() { left } else { spread(&left, &right, usable(size)) };
            text.push_str(&match colour {
                Some(code) => paint(&line, code, self.colours),
                None => line,
            });
            text.push('\n');
        }
        text
    }

    /// Moves the cursor to the start of the live area as the terminal shows it now, perhaps in other lines than before.
    fn rewind(&self, size: Size) -> String {
        let rows: usize = self.drawn.iter().map(|line| line.rows(size.columns)).sum();
        match rows.min(size.rows.saturating_sub(1)) {
            0 => "\r".to_owned(),
            rows => format!("\r\u{1b}[{rows}A"),
        }
    }
}

/// The last column stays empty: terminals differ in what they do after it.
fn usable(size: Size) -> usize {
    size.columns.saturating_sub(1).max(1)
}

fn pull(reference: &str) -> String {
    format!("pull {}", escape(reference))
}

fn export(target: &str) -> String {
    format!("export to {}", escape(target))
}

impl View for Tty {
    fn event(&mut self, now: Duration, event: &BuildEvent) {
        let transfer = ItemKind::Transfer { done: 0, total: 0 };
        match event {
            BuildEvent::Started { total_steps } => self.total_steps = *total_steps,
            // The error at the end tells it with its place.
            BuildEvent::StepRefused { .. } => {}
            BuildEvent::StepStarted { step, position, text } => {
                let title = format!("{} {}", escape(position), escape(text));
                self.start(now, title, ItemKind::Step { step: *step, reason: None, output: Output::default() });
            }
            BuildEvent::StepCached { step } => {
                self.counts.cached += 1;
                if let Some((title, ..)) = self.take_step(*step) {
                    self.end(title, "CACHED".to_owned(), Some("36"));
                }
            }
            BuildEvent::StepMissed { step, reason } => self.missed(*step, reason.as_ref()),
            BuildEvent::StepDiffers { step, lines } => {
                lines
                    .iter()
                    .for_each(|line| self.end(format!("#{} {}", step.0, escape(line)), String::new(), Some("2")));
            }
            BuildEvent::StepOutput { step, stream, bytes } => self.output(*step, *stream, bytes),
            BuildEvent::StepFinished { step, outcome, duration } => self.finish_step(*step, outcome, *duration),
            BuildEvent::PullStarted { reference } => self.start(now, pull(reference), transfer),
            BuildEvent::PullProgress { reference, done, total } => {
                self.transfer_progress(&pull(reference), *done, *total);
            }
            BuildEvent::PullFinished { reference, bytes } => {
                self.transfer_finished(now, &pull(reference), "DONE", *bytes);
            }
            BuildEvent::ExportStarted { target } => self.start(now, export(target), transfer),
            BuildEvent::ExportProgress { target, done, total } => {
                self.transfer_progress(&export(target), *done, *total);
            }
            BuildEvent::ExportFinished { target, size, outcome } => {
                let end = match outcome {
                    ExportOutcome::Written => "DONE",
                    ExportOutcome::Unchanged => "UNCHANGED",
                };
                self.transfer_finished(now, &export(target), end, *size);
            }
            BuildEvent::Warning { text } => self.end(format!("warning: {}", escape(text)), String::new(), Some("33")),
            BuildEvent::Note { text } => self.end(format!("note: {}", escape(text)), String::new(), None),
        }
    }

    fn draw(&mut self, now: Duration, size: Size) -> String {
        let header = Header { now, counts: self.counts, total_steps: self.total_steps };
        let lines = live_area(&self.running, &header, Size { columns: usable(size), ..size });
        if self.ended.is_empty() && lines == self.drawn && self.drawn_at == Some(size) {
            return String::new();
        }
        let mut text = self.rewind(size);
        text.push_str(&self.ended_lines(size));
        for line in &lines {
            text.push_str(&line.painted(self.colours));
            text.push_str("\u{1b}[K\n");
        }
        // What is left of a live area that was longer.
        text.push_str(CLEAR);
        self.drawn = lines;
        self.drawn_at = Some(size);
        text
    }

    fn finish(&mut self, now: Duration, size: Size, summary: &Summary) -> String {
        let mut text = self.rewind(size);
        text.push_str(&self.ended_lines(size));
        text.push_str(CLEAR);
        self.drawn = Vec::new();
        text.push_str(&closing(now, self.counts, &self.failures, summary, self.colours));
        text
    }
}
