//! What two builds made differently, by step.

use std::io::{self, Read};
use std::sync::Arc;

use super::super::diff::file_line;
use super::super::error::{Error, Result};
use super::super::progress::escape;
use super::half::{Half, Outcome};
use crate::build::{self, Interrupt, Problem, Request, StoredImage};
use crate::cache::JournalStep;
use crate::compare::{self, Aspect, Fate, FileChange};
use crate::digest::{ConfigDigest, DiffId};
use crate::store::Store;
use crate::tree::{Kind, Listing, Stack};

/// So many bytes are shown from where two files begin to differ.
const SHOWN: usize = 24;

/// What one of the two builds left.
struct Built<'a> {
    half: Half,
    store: &'a Store,
    steps: &'a [JournalStep],
    image: StoredImage,
}

impl<'a> Built<'a> {
    fn new(half: Half, store: &'a Store, steps: &'a [JournalStep], id: &ConfigDigest) -> Result<Self> {
        let image = build::image(store, id)?.ok_or_else(|| Error::NoImage { name: id.to_string() })?;
        Ok(Self { half, store, steps, image })
    }

    /// What lay below a layer that a step made; none if it is not in the image, or several steps made the same.
    fn below(&self, layer: DiffId) -> Result<Option<Stack>> {
        let layers = &self.image.layers;
        let places: Vec<usize> = (0..layers.len()).filter(|at| layers[*at].diff_id == layer).collect();
        let makers = self.steps.iter().filter(|step| step.layer == layer).count();
        let ([at], 1) = (&places[..], makers) else { return Ok(None) };
        let image = StoredImage { config: self.image.config.clone(), layers: layers[..*at].to_vec() };
        Ok(Some(Stack::new(build::listings(self.store, &image)?)))
    }
}

/// A layer that a step made in one of the builds.
struct Side<'a> {
    built: &'a Built<'a>,
    layer: DiffId,
    listing: Arc<Listing>,
}

impl<'a> Side<'a> {
    fn new(built: &'a Built<'a>, step: &JournalStep) -> Result<Self> {
        Ok(Self { built, layer: step.layer, listing: build::layer_listing(built.store, step.layer)? })
    }

    /// What the step did to a path that the other build's step left alone.
    fn alone(&self, change: &FileChange) -> Result<String> {
        let path = &change.path;
        let is_removal = self.listing.find(path).is_some_and(|entry| entry.kind == Kind::Whiteout);
        let below = if is_removal { None } else { self.built.below(self.layer)? };
        let (mark, what) = match below.map(|below| below.lookup(path).is_some()) {
            _ if is_removal => ('~', "removed"),
            Some(true) => ('~', "changed"),
            Some(false) if self.built.half == Half::First => ('-', "made"),
            Some(false) => ('+', "made"),
            None => ('~', "made or changed"),
        };
        Ok(format!("{mark} {path}: {what} in the {} build only", self.built.half))
    }
}

/// What differs, by step; the last line is the verdict.
pub fn report(
    request: &Request,
    stores: &[Store; 2],
    outcomes: [&Outcome; 2],
    interrupt: &Interrupt,
) -> Result<String> {
    let [first, second] = outcomes;
    let steps = [build::last_steps(&stores[0], request)?, build::last_steps(&stores[1], request)?];
    if first.image == second.image {
        return Ok(format!("identical: {} ({} steps)\n", first.image, steps[0].len()));
    }
    let left = Built::new(Half::First, &stores[0], &steps[0], &first.image)?;
    let right = Built::new(Half::Second, &stores[1], &steps[1], &second.image)?;
    let mut text = String::new();
    let (mut files, mut differing) = (0, 0);
    for (one, other) in steps[0].iter().zip(&steps[1]).filter(|(one, other)| one.layer != other.layer) {
        let (one_side, other_side) = (Side::new(&left, one)?, Side::new(&right, other)?);
        let changes = compare::layer_changes(&one_side.listing, &other_side.listing);
        differing += 1;
        files += changes.len();
        text.push_str(&headline(one));
        for change in &changes {
            if interrupt.is_set() {
                return Err(Problem::Interrupted.into());
            }
            text.push_str(&format!("  {}\n", line(&one_side, &other_side, change)?));
        }
    }
    if differing == 0 {
        for change in compare::config_changes(left.image.config.config(), right.image.config.config()) {
            let value = |value: &Option<String>| value.as_deref().map_or_else(|| "nothing".to_owned(), escape);
            text.push_str(&format!("{}: {} → {}\n", escape(&change.key), value(&change.left), value(&change.right)));
        }
    }
    let noun = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    text.push_str(&format!(
        "different: {} in {} of {}\n",
        noun(files, "file"),
        noun(differing, "step"),
        steps[0].len()
    ));
    Ok(text)
}

fn headline(step: &JournalStep) -> String {
    match step.stage.as_str() {
        "" => format!("{}\n", escape(&step.text)),
        stage => format!("[{}] {}\n", escape(stage), escape(&step.text)),
    }
}

fn line(left: &Side<'_>, right: &Side<'_>, change: &FileChange) -> Result<String> {
    match &change.fate {
        // One layer has it and the other has not; whether the images do depends on what lies below.
        Fate::Added => right.alone(change),
        Fate::Removed => left.alone(change),
        Fate::Changed(aspects) => Ok(format!("{}{}", file_line(change), bytes(left, right, change, aspects)?)),
    }
}

/// Where the bytes of a file begin to differ, and what stands there.
fn bytes(left: &Side<'_>, right: &Side<'_>, change: &FileChange, aspects: &[Aspect]) -> Result<String> {
    if !aspects.iter().any(|aspect| matches!(aspect, Aspect::Size(..) | Aspect::Content(..))) {
        return Ok(String::new());
    }
    let open = |side: &Side<'_>| build::open_layer_file(side.built.store, side.layer, &change.path);
    let (Some(left), Some(right)) = (open(left)?, open(right)?) else {
        return Ok(String::new());
    };
    let (at, left, right) = first_difference(left, right)?;
    let shown = |bytes: &[u8]| format!("\"{}\"", bytes.escape_ascii());
    Ok(format!("; from byte {at}: {} → {}", shown(&left), shown(&right)))
}

/// The first place at which two streams differ, and some bytes of each from there on.
fn first_difference(left: Box<dyn Read>, right: Box<dyn Read>) -> io::Result<(u64, Vec<u8>, Vec<u8>)> {
    let (mut left, mut right) = (io::BufReader::new(left).bytes(), io::BufReader::new(right).bytes());
    let mut at = 0;
    loop {
        let (a, b) = (left.next().transpose()?, right.next().transpose()?);
        if a != b || a.is_none() {
            let rest = |first: Option<u8>, bytes: io::Bytes<io::BufReader<Box<dyn Read>>>| -> io::Result<Vec<u8>> {
                first.map(Ok).into_iter().chain(bytes).take(SHOWN).collect()
            };
            return Ok((at, rest(a, left)?, rest(b, right)?));
        }
        at += 1;
    }
}
