//! Keys are sound: what is found under a key is what a build from nothing makes; and they are not too fine: an edit that
//! changes nothing runs nothing.
//!
//! One token of a conformance case is edited at a time. `RBUILD_KEYS=100000` makes so many edits, of which every fiftieth is
//! built twice: in the store in which all the others were, and in an empty one. Without it there are few of each. The
//! figures are printed.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::Value;
use tempfile::TempDir;

use crate::conformance::case::{self, Case};
use crate::support::base;
use crate::support::run::{Project, Ran};

/// Edits without the variable.
const FEW: usize = 60;
/// Of these every so many is built from nothing too.
const FEW_PAIRS: usize = 6;
/// The same for the whole run: 2,000 pairs of 100,000 edits.
const PAIRS: usize = 50;
/// No build takes longer, in seconds: an edit may well make a command that never ends.
const PATIENCE: &str = "30";
/// Cases are built by so many at a time.
const BUILDERS: usize = 2;

/// Numbers that look random and are the same every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit.max(1) as u64).unwrap()
    }
}

/// What was found out.
#[derive(Debug, Default)]
struct Figures {
    edits: usize,
    /// Edits after which every step has the key of an earlier build.
    known: usize,
    /// Edits that are no Dockerfile, or name files that are not there.
    refused: usize,
    pairs: usize,
    /// Pairs whose command never ended, or that makes something else each time.
    undecided: usize,
    unsound: Vec<String>,
    no_ops: usize,
    needless: Vec<String>,
}

/// A store in which everything is built, and a place for the contexts.
struct Bench {
    project: Project,
    figures: Mutex<Figures>,
    /// The layer that was made under each key of a command, in whichever store.
    layers: Mutex<BTreeMap<String, String>>,
}

/// Cases that are a plain build of a folder, without anything beside it.
fn cases() -> Vec<Case> {
    let is_plain = |case: &Case| {
        let options = &case.options;
        let given = options.args.is_empty() && options.env.is_empty() && options.stdin.is_none();
        let plain = given && options.context.is_none() && options.uses.http.is_none() && options.dockerfile.is_none();
        plain
            && case.has("Dockerfile")
            && case.expected["ok"] == Value::Bool(true)
            && !case.dockerfile().contains("://")
    };
    case::all().into_iter().filter(is_plain).collect()
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures are what the whole run is made for")]
fn a_key_stands_for_one_result_and_an_edit_that_changes_nothing_keeps_it() {
    let wanted = std::env::var("RBUILD_KEYS").ok().map(|count| count.parse::<usize>().unwrap());
    let (edits, every) = (wanted.unwrap_or(FEW), if wanted.is_some() { PAIRS } else { FEW_PAIRS });
    let all = cases();
    assert!(all.len() > 200, "{} cases", all.len());
    // Few edits are spread over the cases.
    let stride = (all.len() / edits.min(all.len())).max(1);
    let cases: Vec<Case> = all.into_iter().step_by(stride).collect();
    let of_each = edits.div_ceil(cases.len());
    let bench = Bench { project: base::project("//- empty\n"), figures: Mutex::default(), layers: Mutex::default() };
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..BUILDERS {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = cases.get(at) else { return };
                    bench.case(case, at, of_each, every);
                }
            });
        }
    });
    let Figures { edits, known, refused, pairs, undecided, unsound, no_ops, needless } =
        bench.figures.into_inner().unwrap();
    println!(
        "{edits} edits of {} cases: {known} kept every key, {refused} were refused; {pairs} pairs built from nothing, \
         {undecided} undecided: {} unsound; {no_ops} edits that change nothing: {} missed",
        cases.len(),
        unsound.len(),
        needless.len()
    );
    assert_eq!(unsound, [""; 0]);
    assert!(needless.len() * 100 <= no_ops, "{needless:#?}");
    assert!(pairs > undecided && pairs * every * 2 > edits, "{pairs} pairs of {edits} edits");
}

impl Bench {
    fn figures(&self, add: impl FnOnce(&mut Figures)) {
        add(&mut self.figures.lock().unwrap());
    }

    fn case(&self, case: &Case, number: usize, edits: usize, every: usize) {
        let top = tempfile::tempdir_in(self.project.root()).unwrap();
        case.write(top.path());
        let context = top.path().join("ctx");
        let text = case.dockerfile();
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15 ^ (number as u64 + 1));
        if self.build(&context, &self.project.store()).is_none() {
            return;
        }
        self.no_ops(case, &context, &text, &mut dice);
        for edit in 0..edits {
            let edited = edited(&text, &mut dice);
            if edited == text {
                continue;
            }
            fs::write(context.join("Dockerfile"), &edited).unwrap();
            let steps = self.why(&context);
            self.figures(|figures| {
                figures.edits += 1;
                figures.refused += usize::from(steps.is_none());
                let all = |steps: &Vec<Value>| steps.iter().all(|step| step["outlook"] == "cached");
                figures.known += usize::from(steps.as_ref().is_some_and(all));
            });
            if (number * edits + edit).is_multiple_of(every) {
                self.pair(case, &context, &edited);
            }
        }
    }

    /// Builds an edit in the store of all and in an empty one.
    fn pair(&self, case: &Case, context: &Path, edited: &str) {
        let fresh = || {
            let store = TempDir::new_in(self.project.root()).unwrap();
            let built = self.build(context, &store.path().join("store"));
            self.learn(case, &store.path().join("store"));
            built
        };
        let (used, new) = (self.build(context, &self.project.store()), fresh());
        // A command that tells the time, say, is not what this is about: it makes something else from nothing, too.
        let undecided = used != new && (used.is_none() || new.is_none() || fresh() != new);
        self.figures(|figures| {
            figures.pairs += 1;
            figures.undecided += usize::from(undecided);
            if used != new && !undecided {
                figures.unsound.push(format!("{}: {used:?} and {new:?} of\n{edited}", case.name));
            }
        });
    }

    /// Notes the layers of a fresh store under their keys: no other store may have made another one.
    fn learn(&self, case: &Case, store: &Path) {
        let Ok(records) = fs::read_dir(store.join("records/steps")) else { return };
        for record in records {
            let path = record.unwrap().path();
            let key = path.file_name().unwrap().to_str().unwrap().to_owned();
            // The store's seal stands behind it.
            let bytes = fs::read(&path).unwrap();
            let record: Value = serde_json::Deserializer::from_slice(&bytes).into_iter().next().unwrap().unwrap();
            // What a COPY looks at in its root filesystem stands beside its key.
            if record["ingredients"]["kind"] != "run" {
                continue;
            }
            let layer = record["results"][0]["output"]["diff_id"].as_str().unwrap().to_owned();
            let known = self.layers.lock().unwrap().entry(key.clone()).or_insert_with(|| layer.clone()).clone();
            let command = record["ingredients"]["command"].to_string();
            let varies = ["date", "/proc", "urandom", "RANDOM", "$$", "free", "uptime"];
            if known != layer && !varies.iter().any(|word| command.contains(word)) {
                let text = format!("{}: {key} is {known} and {layer}: {command}", case.name);
                self.figures(|figures| figures.unsound.push(text));
            }
        }
    }

    /// Edits that change nothing: comments, empty lines, spacing, times of files.
    fn no_ops(&self, case: &Case, context: &Path, text: &str, dice: &mut Dice) {
        let copies_itself = self.copies_dockerfile(context);
        for edited in [format!("{text}\n# the end\n"), spaced(text, dice), commented(text)] {
            if copies_itself || text.contains("<<") || text.contains("escape") {
                continue;
            }
            fs::write(context.join("Dockerfile"), &edited).unwrap();
            self.no_op(case, context, &edited);
        }
        fs::write(context.join("Dockerfile"), text).unwrap();
        for entry in walkdir::WalkDir::new(context) {
            let entry = entry.unwrap();
            if entry.file_type().is_file() {
                let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
                fs::File::open(entry.path()).unwrap().set_modified(time).unwrap();
            }
        }
        self.no_op(case, context, "(file times)");
    }

    /// Whether an edit of the Dockerfile is an edit of a file that is copied.
    fn copies_dockerfile(&self, context: &Path) -> bool {
        let path = context.join("Dockerfile");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{text}\n")).unwrap();
        let changed = self.why(context).is_none_or(|steps| steps.iter().any(|step| step["outlook"] != "cached"));
        fs::write(&path, text).unwrap();
        changed
    }

    fn no_op(&self, case: &Case, context: &Path, edited: &str) {
        let missed: Option<Vec<Value>> = self.why(context).map(|mut steps| {
            steps.retain(|step| step["outlook"] != "cached");
            steps
        });
        self.figures(|figures| {
            figures.no_ops += 1;
            if missed.as_ref().is_none_or(|missed| !missed.is_empty()) {
                figures.needless.push(format!("{}: {missed:?} of\n{edited}", case.name));
            }
        });
    }

    /// The id of the image; none if there is none.
    fn build(&self, context: &Path, store: &Path) -> Option<String> {
        let ids = tempfile::NamedTempFile::new_in(self.project.root()).unwrap();
        let file = format!("--iidfile={}", ids.path().display());
        let ran = self.rbuild(context, store, &["-q", "-o", "type=image", &file]);
        let id = fs::read_to_string(ids.path()).unwrap();
        (ran.status.success() && !id.is_empty()).then_some(id)
    }

    /// What `rbuild why` says of the steps; none if it is no build.
    fn why(&self, context: &Path) -> Option<Vec<Value>> {
        let ran = self.rbuild(context, &self.project.store(), &["why", "--json"]);
        let document: Value = serde_json::from_str(&ran.raw_stdout).ok()?;
        document["steps"].as_array().cloned()
    }

    fn rbuild(&self, context: &Path, store: &Path, args: &[&str]) -> Ran {
        let common = ["--kill-after=5", PATIENCE, env!("CARGO_BIN_EXE_rbuild")];
        let call = self.project.program("/usr/bin/timeout", common.iter().chain(args).chain(&["."]));
        call.current_dir(context).env("RBUILD_STORE", store).run()
    }
}

/// The text with one token of one instruction changed. Lines that name images stay: they would be asked for.
fn edited(text: &str, dice: &mut Dice) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let is_open =
        |line: &String| !line.trim().is_empty() && !line.trim_start().to_ascii_uppercase().starts_with("FROM");
    let open: Vec<usize> = (0..lines.len()).filter(|at| is_open(&lines[*at])).collect();
    let Some(at) = open.get(dice.below(open.len())).copied() else { return text.to_owned() };
    let mut tokens: Vec<String> = lines[at].split(' ').map(str::to_owned).collect();
    let token = dice.below(tokens.len());
    match dice.below(6) {
        0 => drop(tokens.remove(token)),
        1 => tokens.insert(token, tokens[token].clone()),
        2 => {
            let other = dice.below(tokens.len());
            tokens.swap(token, other);
        }
        3 => tokens[token].push_str(["1", "x", "/", ".", "\"", "$"][dice.below(6)]),
        _ => {
            let changed: Vec<char> = tokens[token].chars().collect();
            let place = dice.below(changed.len());
            let other = ['0', '7', 'a', 'z', 'A', '/', '-', '*'][dice.below(8)];
            let replace = |(index, char): (usize, char)| if index == place { other } else { char };
            tokens[token] = changed.into_iter().enumerate().map(replace).collect();
        }
    }
    lines[at] = tokens.join(" ");
    lines.join("\n") + "\n"
}

/// The text with more space behind the first word of a line that begins an instruction.
fn spaced(text: &str, dice: &mut Dice) -> String {
    let words = ["RUN ", "COPY ", "ENV ", "WORKDIR ", "ADD ", "ARG ", "LABEL ", "USER ", "FROM "];
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let starts: Vec<usize> =
        (0..lines.len()).filter(|at| words.iter().any(|word| lines[*at].starts_with(word))).collect();
    if let Some(at) = starts.get(dice.below(starts.len())) {
        lines[*at] = lines[*at].replacen(' ', "   ", 1);
    }
    lines.join("\n") + "\n"
}

/// The text with a comment before its first instruction, behind the directives.
fn commented(text: &str) -> String {
    text.replacen("FROM ", "# a comment\n\nFROM ", 1)
}
