//! How a view ends: the tail of what failed, and the closing line.

use std::time::Duration;

use super::lines::Output;
use super::text::{escape, paint, show_duration, show_size};
use super::{Colours, lines};
use crate::digest::ConfigDigest;

/// What came of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Summary {
    /// An image.
    Built {
        /// Its id.
        image: ConfigDigest,
        /// The sum of its layers' bytes.
        size: u64,
        /// Where it is, or how to get it into Docker: for example `docker load -i app.tar`.
        hint: Option<String>,
    },
    /// An error, whose message the caller prints.
    Failed,
}

/// How many steps ended which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counts {
    /// Found in the cache.
    pub cached: u32,
    /// Ran to their end.
    pub ran: u32,
}

/// A step that failed.
#[derive(Debug)]
pub(super) struct Failure {
    /// Position and instruction, escaped.
    pub title: String,
    /// What it wrote.
    pub output: Output,
}

/// The tails of failed steps, and the closing line if there is an image.
pub(super) fn closing(
    now: Duration,
    counts: Counts,
    failures: &[Failure],
    summary: &Summary,
    colours: Colours,
) -> String {
    let mut text = String::new();
    for failure in failures {
        text.push_str(&tail(failure, colours));
    }
    if let Summary::Built { image, size, hint } = summary {
        let Counts { cached, ran } = counts;
        let (size, time) = (show_size(*size), show_duration(now));
        let line = format!("built {image} ({size}) in {time}: {cached} cached, {ran} ran");
        text.push_str(&paint(&line, "1", colours));
        text.push('\n');
        if let Some(hint) = hint {
            text.push_str(&escape(hint));
            text.push('\n');
        }
    }
    text
}

fn tail(failure: &Failure, colours: Colours) -> String {
    let tail = &failure.output.tail;
    if tail.seen() == 0 {
        return String::new();
    }
    let told = if tail.seen() > lines::TAIL as u64 {
        format!("last {} of {} lines", lines::TAIL, tail.seen())
    } else {
        "output".to_owned()
    };
    let mut text = format!("------\n{}\n", paint(&format!("{told} of {}:", failure.title), "1;31", colours));
    for line in tail.lines() {
        text.push_str(line);
        text.push('\n');
    }
    text.push_str("------\n");
    text
}
