//! An ordered list of patterns, of which the last that matches decides.

use std::collections::HashMap;

use crate::glob::{BadPattern, Dialect, Glob, clean, trim};
use crate::path::ContextPath;

/// Patterns as `moby/patternmatcher` reads them: `**` crosses folders, a leading `!` makes an exception.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules {
    rules: Vec<Rule>,
    exact: HashMap<Vec<u8>, usize>,
    /// `**/…name` by that name.
    by_name: HashMap<Vec<u8>, Vec<usize>>,
    /// Others by the last byte of every match, if known.
    by_last_byte: HashMap<u8, Vec<usize>>,
    /// Others by the first byte of every match, if known.
    by_first_byte: HashMap<u8, Vec<usize>>,
    others: Vec<usize>,
    exceptions: Vec<usize>,
    /// The line of the first rule that matches whatever there is.
    everything: Option<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    glob: Glob,
    exception: bool,
    line: usize,
}

/// A problem and the line of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// As given to `Rules::new`.
    pub line: usize,
    /// What is wrong.
    pub problem: BadPattern,
}

/// Which rule decided about a path, counting the rules that match a folder above it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Last(Option<usize>);

impl Rules {
    /// Compiles patterns with the numbers of their lines; empty ones are left out.
    pub fn new<'a>(patterns: impl IntoIterator<Item = (usize, &'a [u8])>) -> Result<Self, BadLine> {
        let mut rules = Self::default();
        for (line, pattern) in patterns {
            let trimmed = trim(pattern);
            if !trimmed.is_empty() {
                rules.push(line, &clean(trimmed)).map_err(|problem| BadLine { line, problem })?;
            }
        }
        Ok(rules)
    }

    fn push(&mut self, line: usize, pattern: &[u8]) -> Result<(), BadPattern> {
        let at = self.rules.len();
        let exception = pattern.first() == Some(&b'!');
        let text = if exception { &pattern[1..] } else { pattern };
        if text.is_empty() {
            return Err(BadPattern::new(pattern, "no pattern follows the `!`"));
        }
        if !exception && matches!(text, b"*" | b"**" | b"**/*") {
            self.everything.get_or_insert(line);
        }
        let glob = Glob::new(text, Dialect::DoubleStar)?;
        if let Some(literal) = glob.literal() {
            self.exact.insert(literal.to_vec(), at);
        } else if let Some(literal) = glob.literal_in_any_folder() {
            self.by_name.entry(last_component(literal).to_vec()).or_default().push(at);
        } else if let Some(last) = glob.suffix().last() {
            self.by_last_byte.entry(*last).or_default().push(at);
        } else if let Some(first) = glob.prefix().first() {
            self.by_first_byte.entry(*first).or_default().push(at);
        } else {
            self.others.push(at);
        }
        if exception {
            self.exceptions.push(at);
        }
        self.rules.push(Rule { glob, exception, line });
        Ok(())
    }

    /// The deciding rule of `path`, given the one of the folder that holds it.
    ///
    /// A rule that matches a folder counts for everything below it, so the later of both decides.
    pub fn enter(&self, path: &ContextPath, above: Last) -> Last {
        let bytes = path.as_bytes();
        let Some(last_byte) = bytes.last() else { return above };
        let mut best = above.0.max(self.exact.get(bytes).copied());
        let lists = [
            path.file_name().and_then(|name| self.by_name.get(name)),
            self.by_last_byte.get(last_byte),
            bytes.first().and_then(|first| self.by_first_byte.get(first)),
            Some(&self.others),
        ];
        for list in lists.into_iter().flatten() {
            let later = list.iter().rev().copied().take_while(|at| Some(*at) > best);
            let found = later.into_iter().find(|at| self.rules[*at].glob.matches(bytes));
            best = best.max(found);
        }
        Last(best)
    }

    /// The deciding rule of `path`, worked out from the root down.
    pub fn last_match(&self, path: &ContextPath) -> Last {
        let above = path.ancestors().fold(Last::default(), |last, folder| self.enter(&folder, last));
        self.enter(path, above)
    }

    /// The line of the deciding rule, unless that is an exception or there is none.
    pub fn matched_line(&self, last: Last) -> Option<usize> {
        last.0.map(|at| &self.rules[at]).filter(|rule| !rule.exception).map(|rule| rule.line)
    }

    /// Whether there is any exception.
    pub fn has_exceptions(&self) -> bool {
        !self.exceptions.is_empty()
    }

    /// The line of the first rule that matches whatever there is.
    pub fn line_of_everything(&self) -> Option<usize> {
        self.everything
    }

    /// Whether an exception could free something below the matched folder `dir`.
    pub fn may_except_below(&self, dir: &ContextPath, last: Last) -> bool {
        let mut later = self.exceptions.iter().rev().take_while(|at| Some(**at) > last.0);
        later.any(|at| self.rules[*at].glob.could_match_below(dir.as_bytes()))
    }

    /// Whether a rule that is no exception could match something below `dir`.
    pub fn may_match_below(&self, dir: &ContextPath) -> bool {
        self.rules.iter().any(|rule| !rule.exception && rule.glob.could_match_below(dir.as_bytes()))
    }
}

fn last_component(path: &[u8]) -> &[u8] {
    path.rsplit(|b| *b == b'/').next().unwrap_or(path)
}
