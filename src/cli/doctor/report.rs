//! The checks in their order, and what is printed of them.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::{machine, surroundings};
use crate::cli::environment::Environment;
use crate::cli::error::{Error, Result};
use crate::cli::maintenance::print_json;
use crate::fsx::{self, At as _};
use crate::store::Store;

/// How it stands with one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Well.
    Good,
    /// Something is lacking that some builds need.
    Warning,
    /// Steps cannot run.
    Failure,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            State::Good => "ok",
            State::Warning => "warn",
            State::Failure => "fail",
        }
    }
}

/// What was found of one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) subject: &'static str,
    pub(super) state: State,
    pub(super) found: String,
    /// What to do about it; empty if there is nothing to do.
    pub(super) cure: String,
}

impl Line {
    pub(super) fn good(subject: &'static str, found: impl Into<String>) -> Self {
        Self { subject, state: State::Good, found: found.into(), cure: String::new() }
    }

    pub(super) fn warning(subject: &'static str, found: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { subject, state: State::Warning, found: found.into(), cure: cure.into() }
    }

    pub(super) fn failure(subject: &'static str, found: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { subject, state: State::Failure, found: found.into(), cure: cure.into() }
    }
}

/// What is said of a store that cannot be used.
const STORE: &str = "store";

/// Looks at everything and prints a line for each thing; an error if steps cannot run here.
pub fn run(environment: &Environment, store: &Path, json: bool) -> Result<()> {
    let lines = lines(environment, store);
    if json {
        let values = lines.iter().map(|line| {
            let Line { subject, state, found, cure } = line;
            serde_json::json!({ "subject": subject, "state": state.name(), "found": found, "cure": cure })
        });
        print_json(&serde_json::Value::Array(values.collect()))?;
    } else {
        io::stdout().write_all(text(&lines).as_bytes())?;
    }
    let mut failed = lines.iter().filter(|line| line.state == State::Failure).peekable();
    if failed.peek().is_none() {
        return Ok(());
    }
    let (message, hint) = match failed.any(|line| line.subject == STORE) {
        true => ("nothing can be built with this store", "the lines that begin with `fail` tell what to do"),
        false => (
            "steps (RUN) cannot be executed here",
            "the lines that begin with `fail` tell what to do; builds without RUN may work all the same",
        ),
    };
    Err(Error::Verdict { message: message.to_owned(), hint: hint.to_owned(), status: 1 })
}

fn lines(environment: &Environment, store: &Path) -> Vec<Line> {
    let mut lines = machine::system();
    match Place::of(store) {
        Ok(place) => {
            lines.push(machine::steps(&place.folder()));
            lines.extend(machine::store_disk(&place.folder(), &place.store));
        }
        Err(error) => lines.push(Line::failure(
            STORE,
            error.to_string(),
            "name a folder that you own and can write to, with `--store DIR` or RBUILD_STORE",
        )),
    }
    lines.extend(machine::kernel());
    lines.extend(surroundings::lines(environment));
    lines
}

fn text(lines: &[Line]) -> String {
    let width = lines.iter().map(|line| line.subject.len()).max().unwrap_or(0);
    let mut text = String::new();
    for Line { subject, state, found, cure } in lines {
        text.push_str(&format!("{:4}  {subject:width$}  {found}\n", state.name()));
        if !cure.is_empty() {
            text.push_str(&format!("{:4}  {:width$}  -> {cure}\n", "", ""));
        }
    }
    text
}

/// A folder on the store's file system to try things in; nothing is left of it.
struct Place {
    store: String,
    scratch: Scratch,
}

enum Scratch {
    /// In the store's own temporary folder.
    InStore(crate::store::TreeDraft),
    /// Where the store would be made.
    Beside(PathBuf),
}

impl Place {
    fn of(path: &Path) -> Result<Self> {
        if let Some(store) = Store::open_existing(path)? {
            let draft = store.tree_draft()?;
            let shown = format!("`{}`", store.root().display());
            return Ok(Self { store: shown, scratch: Scratch::InStore(draft) });
        }
        let path = std::path::absolute(path).at("resolve", path)?;
        let there = path.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("/"));
        let scratch = there.join(format!(".rbuild-doctor-{}", std::process::id()));
        std::fs::create_dir(&scratch).at("create the folder", &scratch)?;
        Ok(Self {
            store: format!("`{}`, which the first build makes", path.display()),
            scratch: Scratch::Beside(scratch),
        })
    }

    fn folder(&self) -> PathBuf {
        match &self.scratch {
            Scratch::InStore(draft) => draft.fs(),
            Scratch::Beside(path) => path.clone(),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Scratch::Beside(path) = &self.scratch {
            // An empty folder that cannot be removed harms nobody.
            let _unused = fsx::remove_tree(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_its_cure_below_it() {
        let lines = [Line::good("git", "2.39"), Line::warning("docker", "no socket", "start it")];
        assert_eq!(text(&lines), "ok    git     2.39\nwarn  docker  no socket\n              -> start it\n");
    }
}
