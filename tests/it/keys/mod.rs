//! Keys are sound: what is found under a key is what a build from nothing makes; and they are not too fine: an edit that
//! changes nothing runs nothing.
//!
//! One thing of a conformance case is edited at a time: a token of its Dockerfile, a build argument, a file of its context,
//! its base image. One store has seen many of the edits, and `why` tells what it would take from its cache. Every so many
//! edits, and more often those of which everything is taken from it, are built twice: in that store, and in an empty one.
//! The two images must be one. The layers of all empty stores are compared too: a key, with what a COPY saw of its root
//! filesystem, has one layer.
//!
//! `RBUILD_KEYS=100000` makes so many edits, the figures are printed; tests/torture/README.md says how. Without it there are
//! few of each. `RBUILD` names another program than the one that was built with the tests, `RBUILD_SEED` other edits.

mod base;
mod change;
mod ledger;
mod neutral;
mod subject;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use self::base::Bases;
use self::ledger::Ledger;
use self::subject::{Subject, subjects};
use crate::support::run::Project;

/// Edits without the variable.
const FEW: usize = 60;
/// Cases are built by so many at a time.
const BUILDERS: usize = 2;

/// How often an edit is built from nothing too: every so many-th.
struct Rates {
    /// Of the edits after which every step is in the cache: these say the most.
    known: usize,
    others: usize,
}

/// What all cases share.
struct Bench {
    /// A store in which everything is built, and a place for the contexts.
    project: Project,
    program: String,
    bases: Bases,
    ledger: Ledger,
    rates: Rates,
}

/// Numbers that look random and are the same every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit.max(1) as u64).unwrap()
    }

    fn one_of<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        all.get(self.below(all.len()))
    }
}

/// A number that the environment gives.
fn wanted(name: &str) -> Option<usize> {
    std::env::var(name).ok().map(|count| count.parse::<usize>().unwrap())
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures are what the whole run is made for")]
fn a_key_stands_for_one_result_and_an_edit_that_changes_nothing_keeps_it() {
    let whole = wanted("RBUILD_KEYS");
    let rates = if whole.is_some() { Rates { known: 8, others: 16 } } else { Rates { known: 2, others: 4 } };
    let edits = whole.unwrap_or(FEW);
    let all = subjects();
    assert!(all.len() > 300, "{} cases", all.len());
    // Few edits are spread over the cases.
    let stride = (all.len() / edits.min(all.len())).max(1);
    let subjects: Vec<Subject> = all.into_iter().step_by(stride).collect();
    let of_each = edits.div_ceil(subjects.len());
    let project = Project::new();
    // No image comes from anywhere else: an edited name is refused at once.
    project.write_registries_conf("[[registry]]\nprefix = \"docker.io\"\nlocation = \"docker.io\"\nblocked = true\n");
    let program = std::env::var("RBUILD").unwrap_or_else(|_| env!("CARGO_BIN_EXE_rbuild").to_owned());
    let bases = Bases::below(&project.root().join("bases"));
    let bench = Bench { project, program, bases, ledger: Ledger::default(), rates };
    let (next, seed) = (AtomicUsize::new(0), wanted("RBUILD_SEED").unwrap_or(1));
    thread::scope(|scope| {
        for _ in 0..BUILDERS {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(subject) = subjects.get(at) else { return };
                    let mut dice = Dice(0x9e37_79b9_7f4a_7c15 ^ ((at + 1) * (2 * seed + 1)) as u64);
                    subject.torture(&bench, of_each, &mut dice);
                }
            });
        }
    });
    println!("{}", bench.ledger);
    bench.ledger.judge(edits);
}
