//! Collects what is wrong with the files of a project.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::node::{FileId, Place};
use crate::dockerfile::{Diagnostic, Source, Span};

/// How many problems are reported for one project.
const MAX_REPORTED: usize = 100;

/// What is wrong with one file, or what should be known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Its text, under the name that messages show.
    pub file: Arc<Source>,
    /// In the order of the text.
    pub problems: Vec<Diagnostic>,
}

/// The files that were read and what was found in them.
#[derive(Debug, Default)]
pub(super) struct Problems {
    files: Vec<Arc<Source>>,
    found: Vec<(FileId, Diagnostic)>,
    /// The same text may be looked at more than once: an anchor, or a file that several services extend.
    seen: BTreeSet<(FileId, Span, &'static str, String)>,
    errors: usize,
}

impl Problems {
    /// Takes a file in.
    pub fn add_file(&mut self, name: &str, text: String) -> FileId {
        self.files.push(Arc::new(Source::new(name, text)));
        FileId(self.files.len() - 1)
    }

    /// A file that was taken in.
    pub fn file(&self, id: FileId) -> &Arc<Source> {
        &self.files[id.0]
    }

    /// Adds a problem, once; beyond the limit it is only counted.
    pub fn push(&mut self, file: FileId, diagnostic: Diagnostic) {
        let is_new = self.seen.insert((file, diagnostic.span, diagnostic.code, diagnostic.message.clone()));
        if !is_new {
            return;
        }
        self.errors += usize::from(diagnostic.is_error());
        if self.found.len() < MAX_REPORTED {
            self.found.push((file, diagnostic));
        }
    }

    /// All files that were taken in.
    pub fn files(&self) -> Vec<Arc<Source>> {
        self.files.clone()
    }

    /// Whether one of these errors was found.
    pub fn has_any(&self, codes: &[&str]) -> bool {
        self.found.iter().any(|(_, found)| codes.contains(&found.code))
    }

    /// Whether an error was found at this very place.
    pub fn has_error_at(&self, place: Place) -> bool {
        self.found.iter().any(|(file, found)| *file == place.file && found.span == place.span && found.is_error())
    }

    /// Whether something was found that cannot stay.
    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// For example `compose.yaml:3`.
    pub fn shown(&self, place: Place) -> String {
        let file = self.file(place.file);
        format!("{}:{}", file.name(), file.position(place.span.start()).line)
    }

    /// Everything that was found, file by file in the order of reading.
    pub fn into_reports(self) -> Vec<Report> {
        let Self { files, found, .. } = self;
        let mut reports: Vec<Report> = files.into_iter().map(|file| Report { file, problems: Vec::new() }).collect();
        for (file, diagnostic) in found {
            reports[file.0].problems.push(diagnostic);
        }
        reports.retain(|report| !report.problems.is_empty());
        for report in &mut reports {
            report.problems.sort_by_key(|problem| (problem.span.start(), problem.severity));
        }
        reports
    }
}
