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
    /// Several images.
    BuiltAll {
        /// The images, in order.
        images: Vec<BuiltImage>,
        /// Steps that several of them have in common and that were done once.
        shared: usize,
        /// Layers of base images that were pulled.
        pulled: usize,
        /// Where they are, or how to get them into Docker.
        hint: Option<String>,
    },
    /// An error, whose message the caller prints.
    Failed,
}

/// One of several images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltImage {
    /// What it is of.
    pub name: String,
    /// Its id.
    pub image: ConfigDigest,
    /// The sum of its layers' bytes.
    pub size: u64,
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
    let Counts { cached, ran } = counts;
    let time = show_duration(now);
    let (line, hint) = match summary {
        Summary::Failed => return text,
        Summary::Built { image, size, hint } => {
            (format!("built {image} ({}) in {time}: {cached} cached, {ran} ran", show_size(*size)), hint)
        }
        Summary::BuiltAll { images, shared, pulled, hint } => {
            for BuiltImage { name, image, size } in images {
                text.push_str(&format!("{} {image} ({})\n", escape(name), show_size(*size)));
            }
            let noun = if images.len() == 1 { "image" } else { "images" };
            let shared = if *shared == 0 { String::new() } else { format!(" ({shared} shared)") };
            let pulled = match pulled {
                0 => String::new(),
                1 => "; 1 layer pulled".to_owned(),
                many => format!("; {many} layers pulled"),
            };
            (format!("built {} {noun} in {time}: {cached} cached{shared}, {ran} ran{pulled}", images.len()), hint)
        }
    };
    text.push_str(&paint(&line, "1", colours));
    text.push('\n');
    if let Some(hint) = hint {
        text.push_str(&escape(hint));
        text.push('\n');
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
