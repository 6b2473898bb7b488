//! The rules of an ignore file.

use super::error::{Error, Result};
use super::rules::{BadLine, Last, Rules};
use crate::glob::{BadPattern, clean, trim};
use crate::path::ContextPath;

/// As long as BuildKit reads a line.
const MAX_LINE: usize = 65_535;

/// Which paths of a context are left out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ignore {
    file: String,
    rules: Rules,
}

/// What the rules say about a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The path belongs to the context.
    Included,
    /// The path is left out.
    Ignored {
        /// The line that says so, counted from 1.
        line: usize,
    },
}

impl Ignore {
    /// No rules: everything is included.
    pub fn nothing() -> Self {
        Self::default()
    }

    /// Reads the content of an ignore file; `name` is for messages.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut patterns: Vec<(usize, Vec<u8>)> = Vec::new();
        for (index, line) in bytes.split(|b| *b == b'\n').enumerate() {
            if line.len() > MAX_LINE {
                let problem = BadPattern::new(line, "it is longer than 65535 bytes");
                return Err(Error::IgnoreFile { file: name.to_owned(), line: index + 1, problem });
            }
            patterns.extend(read_line(line).map(|pattern| (index + 1, pattern)));
        }
        let given = patterns.iter().map(|(line, pattern)| (*line, pattern.as_slice()));
        let rules = Rules::new(given).map_err(|BadLine { line, problem }| Error::IgnoreFile {
            file: name.to_owned(),
            line,
            problem,
        })?;
        Ok(Self { file: name.to_owned(), rules })
    }

    /// The name given to `parse`.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// What the rules say about `path`. Costs a lookup for each folder above it.
    pub fn verdict(&self, path: &ContextPath) -> Verdict {
        self.verdict_of(self.rules.last_match(path))
    }

    /// The line that leaves a source of COPY out, judged by the text of the source alone, as BuildKit's warning does.
    ///
    /// None if there are exceptions, for then a folder that is left out may hold files that are not. The root is left out
    /// only by a line that leaves out everything.
    pub fn leaves_out_source(&self, pattern: &[u8]) -> Option<usize> {
        if self.rules.has_exceptions() {
            return None;
        }
        let path = ContextPath::new(pattern);
        if path.is_root() {
            return self.rules.line_of_everything();
        }
        match self.verdict(&path) {
            Verdict::Ignored { line } => Some(line),
            Verdict::Included => None,
        }
    }

    /// Whether something below the folder `path` could be included. False means that nothing there need be looked at.
    pub fn may_include_below(&self, path: &ContextPath) -> bool {
        self.may_include_below_of(path, self.rules.last_match(path))
    }

    /// The deciding rule of `path`, given the one of the folder that holds it: one lookup.
    pub(super) fn enter(&self, path: &ContextPath, above: Last) -> Last {
        self.rules.enter(path, above)
    }

    pub(super) fn last_match(&self, path: &ContextPath) -> Last {
        self.rules.last_match(path)
    }

    pub(super) fn verdict_of(&self, last: Last) -> Verdict {
        self.rules.matched_line(last).map_or(Verdict::Included, |line| Verdict::Ignored { line })
    }

    pub(super) fn may_include_below_of(&self, path: &ContextPath, last: Last) -> bool {
        self.verdict_of(last) == Verdict::Included || self.rules.may_except_below(path, last)
    }
}

/// The pattern of a line, anchored and cleaned; none for comments and empty lines.
fn read_line(line: &[u8]) -> Option<Vec<u8>> {
    if line.starts_with(b"#") {
        return None;
    }
    let line = trim(line);
    let exception = line.first() == Some(&b'!');
    let pattern = if exception { trim(&line[1..]) } else { line };
    if pattern.is_empty() {
        return exception.then(|| b"!".to_vec());
    }
    let cleaned = clean(pattern);
    let anchored = if cleaned.len() > 1 { cleaned.strip_prefix(b"/").unwrap_or(&cleaned) } else { &cleaned };
    Some(if exception { [b"!", anchored].concat() } else { anchored.to_vec() })
}
