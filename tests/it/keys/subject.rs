//! A conformance case whose edits are made and judged.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use super::{Bench, Dice, change};
use crate::conformance::case::{self, Case};
use crate::conformance::runner::expand;
use crate::support::run::Ran;

/// No build takes longer, in seconds: an edit may well make a command that never ends.
const PATIENCE: &str = "20";
/// The statuses of one that took longer.
const LATE: [i32; 2] = [124, 137];
/// Every so many edits are followed by one that changes nothing.
const NEUTRAL: usize = 10;
/// The flags of cases that decide nothing but what is built.
const FLAGS: [&str; 8] =
    ["--build-context", "--secret", "--target", "--label", "--ulimit", "--shm-size", "--network", "--add-host"];

/// A case with what can be edited of it.
pub struct Subject {
    pub name: String,
    case: Case,
    /// Flags that stay as they are.
    pub flags: Vec<String>,
    pub setup: Setup,
    /// Whether it stands on the base image that can be another one.
    uses_base: bool,
}

/// What is edited, beside files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    pub text: String,
    pub arguments: Vec<String>,
    pub base: usize,
}

/// How a build ended.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Built {
    Image(String),
    Failed,
    Late,
}

/// A subject on disk.
pub struct Place<'a> {
    pub subject: &'a Subject,
    pub bench: &'a Bench,
    pub top: TempDir,
}

/// The cases that are a build of folders and images, and nothing beside them.
pub fn subjects() -> Vec<Subject> {
    case::all().into_iter().filter_map(Subject::new).collect()
}

impl Subject {
    fn new(case: Case) -> Option<Self> {
        let options = &case.options;
        let alone = options.stdin.is_none() && options.context.is_none() && options.uses.http.is_none();
        let is_there = case.has(options.dockerfile.as_deref().unwrap_or("Dockerfile"));
        if !alone || !is_there || case.expected["ok"] != Value::Bool(true) {
            return None;
        }
        let text = case.dockerfile();
        let (mut flags, mut arguments) = (Vec::new(), Vec::new());
        let mut words = options.args.iter();
        while let Some(word) = words.next() {
            if word == "--build-arg" {
                arguments.push(words.next()?.clone());
            } else if let Some(argument) = word.strip_prefix("--build-arg=") {
                arguments.push(argument.to_owned());
            } else {
                let flag = word.split('=').next().unwrap_or(word);
                // A flag without a value takes the next word.
                let is_flag = FLAGS.contains(&flag);
                let value = if word.contains('=') { None } else { words.next() };
                let is_own = value.is_some_and(|value| value.contains("busybox") || value.contains("://"));
                if !is_flag || is_own {
                    return None;
                }
                flags.extend([Some(word), value].into_iter().flatten().cloned());
            }
        }
        if text.contains("://") {
            return None;
        }
        let uses_base = text.to_ascii_lowercase().contains("busybox");
        let setup = Setup { text, arguments, base: 0 };
        Some(Self { name: case.name.clone(), case, flags, setup, uses_base })
    }

    /// Makes so many edits, and judges them.
    pub fn torture(&self, bench: &Bench, edits: usize, dice: &mut Dice) {
        let top = tempfile::tempdir_in(bench.project.root()).unwrap();
        let place = Place { subject: self, bench, top };
        place.write();
        if !matches!(place.build(&self.setup, &bench.project.store()), Built::Image(_)) {
            bench.ledger.figures().left_out.push(self.name.clone());
            return;
        }
        bench.ledger.figures().cases += 1;
        place.pair(&self.setup, true, "nothing");
        for edit in 0..edits {
            if edit.is_multiple_of(NEUTRAL) {
                place.neutral(dice);
            }
            place.edit(dice);
        }
        place.neutral(dice);
        place.neutral(dice);
    }
}

impl Place<'_> {
    /// The build context.
    pub fn context(&self) -> PathBuf {
        self.top.path().join("ctx")
    }

    /// Writes the files of the case, once more if need be.
    fn write(&self) {
        for root in self.roots() {
            fs::remove_dir_all(root).unwrap();
        }
        self.subject.case.write(self.top.path());
    }

    /// The folders whose files decide what is built. Those of secrets do not.
    fn roots(&self) -> Vec<PathBuf> {
        let has_secrets = self.subject.flags.iter().any(|flag| flag.starts_with("--secret"));
        let named = |root: &PathBuf| {
            let name = root.file_name().unwrap_or_default().to_str().unwrap_or_default();
            let is_given = || self.subject.flags.iter().any(|flag| flag.contains(&format!("={name}")));
            name == "ctx" || !has_secrets && is_given()
        };
        let entries = fs::read_dir(self.top.path()).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.is_dir()).filter(named).collect()
    }

    /// Makes one edit, judges it, and takes it back.
    fn edit(&self, dice: &mut Dice) {
        let original = &self.subject.setup;
        let mut setup = original.clone();
        let mut touched = None;
        let has_arguments = original.text.contains("ARG");
        let kind = match dice.below(20) {
            0..5 => {
                touched = change::file(&self.roots(), dice);
                "file"
            }
            5..10 if has_arguments => {
                setup.arguments = change::argument(&original.arguments, &original.text, dice);
                "argument"
            }
            10..13 if self.subject.uses_base => {
                setup.base = self.bench.bases.another(&original.text, dice);
                "base"
            }
            _ => "token",
        };
        let mut kind = if touched.is_none() && setup == *original { "token" } else { kind };
        for _ in 0..8 {
            if kind == "token" && setup == *original {
                setup.text = change::token(&original.text, dice);
            }
        }
        if touched.is_none() && setup == *original {
            kind = "argument";
            setup.arguments.push("NOBODY_ASKS=2".to_owned());
        }
        self.judge(kind, &setup, touched.as_deref());
        if touched.is_some() {
            self.write();
        }
    }

    /// Asks what would be taken from the cache, and builds what is to be built from nothing too.
    fn judge(&self, kind: &'static str, setup: &Setup, touched: Option<&str>) {
        let steps = self.why(setup, &self.context());
        let all_cached = |steps: &Vec<Value>| steps.iter().all(|step| step["outlook"] == "cached");
        let is_known = steps.as_ref().is_some_and(all_cached);
        let mut figures = self.bench.ledger.figures();
        *figures.edits.entry(kind).or_default() += 1;
        figures.known += usize::from(is_known);
        figures.refused += usize::from(steps.is_none());
        let others = figures.edits.values().sum::<usize>() - figures.known - figures.refused;
        let is_due = match (is_known, steps.is_some()) {
            (true, _) if kind != "token" => figures.known.is_multiple_of(2),
            (true, _) => figures.known.is_multiple_of(self.bench.rates.known),
            (false, true) => others.is_multiple_of(self.bench.rates.others),
            (false, false) => figures.refused.is_multiple_of(self.bench.rates.others),
        };
        drop(figures);
        if is_due {
            self.pair(setup, is_known, &touched.map_or_else(|| format!("{setup:?}"), str::to_owned));
        }
    }

    /// Builds an edit in the store of all and in an empty one.
    fn pair(&self, setup: &Setup, is_known: bool, edit: &str) {
        let used = self.build(setup, &self.bench.project.store());
        let new = self.fresh(setup, edit);
        let text = || format!("{}: {used:?} and {new:?} of {edit}", self.subject.name);
        let is_undecided = used != new && {
            let late = used == Built::Late || new == Built::Late;
            late || is_left_to_chance(&setup.text)
                || self.fresh(setup, edit) != new
                || self.differs_by_place(setup, &new)
        };
        let mut figures = self.bench.ledger.figures();
        match (&used, &new) {
            _ if is_undecided => figures.undecided.push(text()),
            _ if used != new => figures.unsound.push(text()),
            (Built::Image(_), _) => {
                figures.pairs += 1;
                figures.known_pairs += usize::from(is_known);
            }
            _ => figures.failed_alike += 1,
        }
    }

    /// Whether it makes something else in the store of all without its cache, too: a command that tells how old the files
    /// of its base are, say.
    fn differs_by_place(&self, setup: &Setup, new: &Built) -> bool {
        self.build_with(setup, &self.bench.project.store(), &["--no-cache"]) != *new
    }

    /// Builds in an empty store, and notes the layers under their keys: no other empty store may have made another one.
    fn fresh(&self, setup: &Setup, edit: &str) -> Built {
        let (built, layers) = self.alone(setup);
        let others: Vec<_> = layers
            .iter()
            .filter_map(|(key, layer)| Some((key, layer, self.bench.ledger.layer(key.clone(), layer, edit)?)))
            .collect();
        if others.is_empty() {
            return built;
        }
        // Unless the command makes something else each time.
        let (_, again) = self.alone(setup);
        for (key, layer, (other, made_by)) in others {
            let text = format!("{}: {key} is {layer} by {edit}\nand {other} by {made_by}", self.subject.name);
            let is_stable = again.iter().any(|(same, made)| same == key && made == layer);
            let mut figures = self.bench.ledger.figures();
            if is_stable { figures.unsound.push(text) } else { figures.undecided.push(text) }
        }
        built
    }

    /// Builds in an empty store; also the layers by their keys, with what was seen of the root filesystem below.
    fn alone(&self, setup: &Setup) -> (Built, Vec<(String, String)>) {
        let dir = TempDir::new_in(self.bench.project.root()).unwrap();
        let store = dir.path().join("store");
        let built = self.build(setup, &store);
        let mut layers = Vec::new();
        for record in fs::read_dir(store.join("records/steps")).into_iter().flatten() {
            let path = record.unwrap().path();
            // The store's seal stands behind it.
            let bytes = fs::read(&path).unwrap();
            let record: Value = serde_json::Deserializer::from_slice(&bytes).into_iter().next().unwrap().unwrap();
            for made in record["results"].as_array().unwrap() {
                let key = format!("{} {}", path.file_name().unwrap().display(), made["facts"]);
                let layer = made["output"]["diff_id"].as_str().unwrap().to_owned();
                if !is_left_to_chance(&setup.text) {
                    layers.push((key, layer));
                }
            }
        }
        (built, layers)
    }

    fn build(&self, setup: &Setup, store: &Path) -> Built {
        self.build_with(setup, store, &[])
    }

    fn build_with(&self, setup: &Setup, store: &Path, flags: &[&str]) -> Built {
        let ids = tempfile::NamedTempFile::new_in(self.bench.project.root()).unwrap();
        let file = format!("--iidfile={}", ids.path().display());
        let args: Vec<&str> = ["-q", "-o", "type=image", &file].iter().chain(flags).copied().collect();
        let ran = self.rbuild(setup, &self.context(), store, &args);
        match ran.status.code() {
            Some(0) => Built::Image(fs::read_to_string(ids.path()).unwrap()),
            Some(code) if LATE.contains(&code) => Built::Late,
            // The status may be the command's own.
            Some(_) => {
                assert!(!ran.stderr.contains("panicked at src"), "{}: {}", self.subject.name, ran.stderr);
                Built::Failed
            }
            None => panic!("{}: {}: {}", self.subject.name, ran.status, ran.stderr),
        }
    }

    /// What `rbuild why` says of the steps; none if it is no build.
    pub fn why(&self, setup: &Setup, context: &Path) -> Option<Vec<Value>> {
        let ran = self.rbuild(setup, context, &self.bench.project.store(), &["why", "--json"]);
        let document: Value = serde_json::from_str(&ran.raw_stdout).ok()?;
        document["steps"].as_array().cloned()
    }

    fn rbuild(&self, setup: &Setup, context: &Path, store: &Path, args: &[&str]) -> Ran {
        let file = self.top.path().join("Dockerfile");
        fs::write(&file, &setup.text).unwrap();
        let mut words: Vec<OsString> = ["--kill-after=5", PATIENCE, &self.bench.program].map(OsString::from).to_vec();
        words.extend(args.iter().map(OsString::from));
        words.extend(self.subject.flags.iter().map(|flag| expand(flag, self.top.path(), "").into()));
        words.extend(setup.arguments.iter().flat_map(|argument| ["--build-arg".into(), argument.into()]));
        if self.subject.uses_base {
            let layout = self.bench.bases.layout(setup.base).display();
            words.extend(["--build-context".into(), format!("busybox=oci-layout://{layout}:latest").into()]);
        }
        words.extend(["-f".into(), file.into(), context.into()]);
        let mut call = self.bench.project.program("/usr/bin/timeout", words).current_dir(context);
        call = call.env("RBUILD_STORE", store);
        for (name, value) in &self.subject.case.options.env {
            call = call.env(name, value);
        }
        call.run()
    }
}

/// Whether a result may differ for reasons that no key is about: what is in a cache mount counts for none, as in BuildKit,
/// and what an edited `&&` leaves in the background is not waited for.
fn is_left_to_chance(text: &str) -> bool {
    text.contains("type=cache") || text.replace("&&", "").contains('&')
}
