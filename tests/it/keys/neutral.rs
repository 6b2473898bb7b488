//! Edits that change nothing: comments, empty lines, spacing, letter case, times of files, where the context is.

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use walkdir::WalkDir;

use super::Dice;
use super::subject::{Place, Setup};

const WORDS: [&str; 9] = ["RUN ", "COPY ", "ENV ", "WORKDIR ", "ADD ", "ARG ", "LABEL ", "USER ", "FROM "];

impl Place<'_> {
    /// Makes such an edit, looks whether every step is still in the cache, and takes it back.
    pub fn neutral(&self, dice: &mut Dice) {
        let mut setup = self.subject.setup.clone();
        // In heredocs, and behind another escape character, what looks like an instruction may be none; a check may refuse
        // small letters.
        let is_plain = !["<<", "escape", "check="].iter().any(|word| setup.text.contains(word));
        let mut context = self.context();
        let what = match dice.below(8) {
            0 if is_plain => {
                setup.text.push_str("\n# the end\n");
                "a comment at the end"
            }
            1 if is_plain => {
                setup.text = setup.text.replacen("FROM ", "# a comment\n\nFROM ", 1);
                "a comment before the first instruction"
            }
            2 if is_plain => {
                edit_keyword(&mut setup, dice, |word| format!("{word}   "));
                "spaces"
            }
            3 if is_plain => {
                edit_keyword(&mut setup, dice, |word| word.to_ascii_lowercase() + " ");
                "small letters"
            }
            4 => {
                self.retime();
                "times of files"
            }
            5 => {
                self.rewrite();
                "files written again"
            }
            6 if !self.subject.flags.iter().any(|flag| flag.contains("{ctx}")) => {
                context = self.top.path().join("elsewhere");
                fs::rename(self.context(), &context).unwrap();
                "another place"
            }
            _ => {
                setup.arguments.push("NOBODY_ASKS=1".to_owned());
                "an argument that nobody asks for"
            }
        };
        let steps = self.why(&setup, &context);
        if context != self.context() {
            fs::rename(&context, self.context()).unwrap();
        }
        let missed = match steps {
            Some(steps) => steps.into_iter().find(|step| step["outlook"] != "cached").map(|step| step.to_string()),
            None => Some("it is no build any more".to_owned()),
        };
        self.bench
            .ledger
            .neutral(what, missed.map(|missed| format!("{}: {missed}\n{}", self.subject.name, setup.text)));
    }

    /// Gives every file another time.
    fn retime(&self) {
        for entry in WalkDir::new(self.context()).min_depth(1) {
            let entry = entry.unwrap();
            if entry.file_type().is_file() {
                let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
                File::open(entry.path()).unwrap().set_modified(time).unwrap();
            }
        }
    }

    /// Writes every file again with what is in it.
    fn rewrite(&self) {
        for entry in WalkDir::new(self.context()).min_depth(1) {
            let entry = entry.unwrap();
            if entry.file_type().is_file() {
                let (content, mode) = (fs::read(entry.path()).unwrap(), entry.metadata().unwrap().permissions());
                fs::remove_file(entry.path()).unwrap();
                fs::write(entry.path(), content).unwrap();
                fs::set_permissions(entry.path(), mode).unwrap();
            }
        }
    }
}

/// Edits the first word, and the space behind it, of a line that begins an instruction.
fn edit_keyword(setup: &mut Setup, dice: &mut Dice, edit: impl Fn(&str) -> String) {
    let mut lines: Vec<String> = setup.text.lines().map(str::to_owned).collect();
    let starts: Vec<usize> =
        (0..lines.len()).filter(|at| WORDS.iter().any(|word| lines[*at].starts_with(word))).collect();
    let Some(at) = dice.one_of(&starts) else { return };
    if let Some((word, rest)) = lines[*at].split_once(' ') {
        lines[*at] = edit(word) + rest;
    }
    setup.text = lines.join("\n") + "\n";
}
