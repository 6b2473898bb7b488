//! The lines of the live area.

use std::time::Duration;

use super::lines::Output;
use super::summary::Counts;
use super::text::{bar, fit, paint, rows, show_duration, show_size, spread};
use super::{Colours, Size};
use crate::build::StepId;

/// A running step shows at most this many lines of its output.
const LOG_LINES: usize = 6;
/// A transfer has a bar where the terminal is at least this wide.
const WIDE: usize = 70;

/// Something that is running.
#[derive(Debug)]
pub(super) struct Item {
    /// Escaped.
    pub title: String,
    /// Since the build's start.
    pub started: Duration,
    /// What it is.
    pub kind: ItemKind,
}

/// What is running.
#[derive(Debug)]
pub(super) enum ItemKind {
    /// A step.
    Step {
        /// Its number.
        step: StepId,
        /// Why it was not in the cache, escaped.
        reason: Option<String>,
        /// What it wrote.
        output: Output,
    },
    /// A pull or an export.
    Transfer {
        /// Bytes that are there.
        done: u64,
        /// Bytes there will be; 0 if that is not known.
        total: u64,
    },
}

/// What the first line says.
pub(super) struct Header {
    /// Since the build's start.
    pub now: Duration,
    /// Steps that have ended.
    pub counts: Counts,
    /// All steps.
    pub total_steps: u32,
}

/// A line without escape sequences, and its colour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// Fitted to the terminal.
    pub text: String,
    colour: Option<&'static str>,
}

impl Item {
    /// Whether it is this step.
    pub fn is_step(&self, wanted: StepId) -> bool {
        matches!(&self.kind, ItemKind::Step { step, .. } if *step == wanted)
    }
}

impl Line {
    /// How many rows of so many columns it takes.
    pub fn rows(&self, columns: usize) -> usize {
        rows(&self.text, columns)
    }

    /// With its colour.
    pub fn painted(&self, colours: Colours) -> String {
        match self.colour {
            Some(code) => paint(&self.text, code, colours),
            None => self.text.clone(),
        }
    }
}

/// A header, every running item as far as there is room, and the last lines of the steps' output in the room that is left.
///
/// None if nothing runs. There are fewer lines than `size.rows`, so the terminal never scrolls the first of them away.
pub(super) fn live_area(items: &[Item], header: &Header, size: Size) -> Vec<Line> {
    if items.is_empty() {
        return Vec::new();
    }
    let room = size.rows.saturating_sub(2).max(1);
    let mut lines = vec![Line { text: fit(&head(header), size.columns), colour: Some("1") }];
    let room = room - 1;
    let shown = if items.len() <= room { items.len() } else { room.saturating_sub(1) };
    let steps = items[..shown].iter().filter(|item| matches!(item.kind, ItemKind::Step { .. })).count();
    let logs = (room.saturating_sub(shown) / steps.max(1)).min(LOG_LINES);
    for item in &items[..shown] {
        lines.extend(item_lines(item, header.now, size.columns, logs));
    }
    if shown < items.len() && room > 0 {
        let text = format!("   and {} more", items.len() - shown);
        lines.push(Line { text: fit(&text, size.columns), colour: Some("2") });
    }
    lines
}

fn head(header: &Header) -> String {
    let Counts { cached, ran } = header.counts;
    let time = show_duration(header.now);
    match (cached + ran, header.total_steps) {
        (_, 0) => format!("building {time}"),
        (done, total) => format!("building {time}: {done} of {total} steps done, {cached} cached"),
    }
}

fn item_lines(item: &Item, now: Duration, columns: usize, logs: usize) -> Vec<Line> {
    let elapsed = now.saturating_sub(item.started);
    let time = show_duration(elapsed);
    match &item.kind {
        ItemKind::Step { output, .. } => {
            let mut lines =
                vec![Line { text: spread(&format!("=> {}", item.title), &time, columns), colour: Some("34") }];
            lines.extend(log_lines(output, columns, logs));
            lines
        }
        ItemKind::Transfer { done, total } => {
            let right = transfer(*done, *total, elapsed, columns);
            let text = spread(&format!("=> {}", item.title), &format!("{right}{time}"), columns);
            vec![Line { text, colour: Some("34") }]
        }
    }
}

/// The last lines, and the one that is being written.
fn log_lines(output: &Output, columns: usize, logs: usize) -> Vec<Line> {
    let partial = output.partial();
    let from_tail = if partial.is_empty() { logs } else { logs.saturating_sub(1) };
    let skipped = output.tail.lines().len().saturating_sub(from_tail);
    let line = |text: &str| Line { text: fit(&format!(" | {text}"), columns), colour: Some("2") };
    let mut lines: Vec<Line> = output.tail.lines().skip(skipped).map(line).collect();
    if !partial.is_empty() && logs > 0 {
        lines.push(line(&partial));
    }
    lines
}

fn transfer(done: u64, total: u64, elapsed: Duration, columns: usize) -> String {
    if done == 0 {
        return String::new();
    }
    let millis = elapsed.as_millis().max(1);
    let rate = u64::try_from(u128::from(done) * 1000 / millis).unwrap_or(u64::MAX);
    let amount = match total {
        0 => show_size(done),
        total => format!("{} / {}", show_size(done), show_size(total)),
    };
    let bar = if columns >= WIDE && total > 0 { format!("{} ", bar(done, total, 22)) } else { String::new() };
    format!("{bar}{amount}, {}/s  ", show_size(rate))
}
