//! Builds: one request, or several that share what they have in common.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use super::bases::Bases;
use super::contexts::Contexts;
use super::error::{Error, Problem, Result};
use super::job::Job;
use super::machine::Machine;
use super::request::{Built, Engine, Interrupt, Request};
use super::schedule::{Board, Crew, Turn, as_many_as_useful};
use super::step::{Purpose, Shared};
use crate::cache::{Cache, Hiding};
use crate::plan::{StageId, looks_secret};
use crate::reference::Reference;
use crate::store::Lease;

/// One of several images that are built together.
#[derive(Debug, Clone)]
pub struct NamedRequest {
    /// What messages call it; the name of no other one.
    pub name: String,
    /// What is asked for.
    pub request: Request,
    /// References that stand for what other requests make, by their names: those images come from this build, not from the
    /// store or a registry.
    pub images: BTreeMap<Reference, String>,
}

/// What came of several requests.
#[derive(Debug)]
pub struct AllBuilt {
    /// Of each request, in order.
    pub images: Vec<Result<Built>>,
    /// What all of them together took.
    pub counters: Counters,
}

/// What a build took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Steps that were executed.
    pub ran: usize,
    /// Steps that were found in the cache.
    pub cached: usize,
    /// Of these, those that another step of this very build had made.
    pub shared: usize,
    /// Layers of base images that were pulled.
    pub blobs: usize,
}

/// Builds an image and keeps it in the store.
///
/// Tells `engine.events` of everything that happens. Fails before anything is pulled if the Dockerfile is wrong. Stages are at
/// work at the same time, and so are pulls; the first failure stops the rest. A build whose steps are all in the cache starts
/// no thread.
pub fn build(engine: &Engine<'_>, request: &Request) -> Result<Built> {
    let requests = [Asked { name: "", request, images: BTreeMap::new() }];
    let (mut built, _) = build_requests(engine, &requests)?;
    built.pop().unwrap_or(Err(Error::General(Problem::Circle)))
}

/// Builds several images at once and keeps them in the store.
///
/// What they have in common is done once: base images are pulled, contexts listed and hashed, equal steps executed. A request
/// that fails stops itself and those that need its image; the others go on. Fails as a whole only if nothing can be begun.
///
/// In events each step's position begins with the name of its request.
pub fn build_all(engine: &Engine<'_>, requests: &[NamedRequest]) -> std::result::Result<AllBuilt, Problem> {
    let number = |name: &String| requests.iter().position(|other| other.name == *name);
    let asked = requests.iter().map(|NamedRequest { name, request, images }| {
        let images = images.iter().filter_map(|(reference, name)| Some((reference.clone(), number(name)?)));
        Asked { name, request, images: images.collect() }
    });
    let asked: Vec<Asked<'_>> = asked.collect();
    let (images, counters) = build_requests(engine, &asked)?;
    Ok(AllBuilt { images, counters })
}

/// A request, with the numbers of those whose images it uses.
pub(super) struct Asked<'a> {
    /// Empty if it is the only one.
    pub(super) name: &'a str,
    pub(super) request: &'a Request,
    pub(super) images: BTreeMap<Reference, usize>,
}

/// A piece of work; the first number is that of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Piece {
    /// Reading the Dockerfile, asking for the configs of base images, planning.
    Plan(usize),
    /// Bringing and listing the base image of this number.
    Image(usize, usize),
    /// The steps of a stage.
    Stage(usize, StageId),
    /// A step of a stage that needs nothing of those before it, by its number among the stage's instructions.
    Linked(usize, StageId, usize),
    /// Putting the image together, or giving it up.
    Finish(usize),
}

/// What all requests share.
pub(super) struct Group<'a> {
    pub(super) engine: Engine<'a>,
    pub(super) lease: Lease,
    pub(super) cache: Cache,
    pub(super) machine: Machine,
    pub(super) bases: Bases,
    pub(super) contexts: Contexts,
    pub(super) shared: Shared,
    /// How many steps the plans have that are made.
    pub(super) steps: AtomicU32,
    /// Whether steps are made.
    pub(super) purpose: Purpose,
}

impl<'a> Group<'a> {
    /// For what is made of these requests.
    pub(super) fn new<'r>(
        engine: &Engine<'a>,
        purpose: Purpose,
        requests: impl IntoIterator<Item = &'r Request>,
    ) -> std::result::Result<Self, Problem> {
        let given = requests.into_iter().flat_map(|request| request.inputs.build_args.clone());
        let secrets = given.filter(|(name, _)| looks_secret(name));
        Ok(Self {
            engine: *engine,
            lease: engine.store.lease()?,
            cache: Cache::new(engine.store, Hiding::new(engine.store.secret()?, secrets)),
            machine: Machine::default(),
            bases: Bases::default(),
            contexts: Contexts::default(),
            shared: Shared::new(),
            steps: AtomicU32::new(0),
            purpose,
        })
    }
}

fn build_requests(
    engine: &Engine<'_>,
    requests: &[Asked<'_>],
) -> std::result::Result<(Vec<Result<Built>>, Counters), Problem> {
    let group = Group::new(engine, Purpose::Make, requests.iter().map(|asked| asked.request))?;
    let mut counters = Counters::default();
    let results = {
        let interrupts =
            requests.iter().map(|_| engine.interrupt.part()).collect::<std::result::Result<Vec<_>, _>>()?;
        let jobs = jobs(&group, requests, &interrupts);
        let board = Board::new((0..jobs.len()).map(Piece::Plan));
        Crew::new(board, as_many_as_useful(engine.jobs)).run(&|piece, call| work(&jobs, piece, call));
        let finished = jobs.into_iter().map(|job| {
            let (counted, result) = job.finish();
            counters.ran += counted.ran;
            counters.cached += counted.cached;
            counters.shared += counted.shared;
            result
        });
        finished.collect::<Vec<_>>()
    };
    counters.blobs = group.shared.blobs.load(Ordering::Relaxed);
    Ok((keep_contexts(group, results), counters))
}

fn jobs<'g>(group: &'g Group<'g>, requests: &'g [Asked<'g>], interrupts: &'g [Interrupt]) -> Vec<Job<'g>> {
    let numbered = requests.iter().zip(interrupts).enumerate();
    numbered.map(|(number, (asked, interrupt))| Job::new(number, group, asked, interrupt)).collect()
}

fn work(jobs: &[Job<'_>], piece: Piece, call: &(dyn Fn() + Sync)) -> Turn<Piece> {
    let (Piece::Plan(job) | Piece::Image(job, _) | Piece::Stage(job, _) | Piece::Linked(job, ..) | Piece::Finish(job)) =
        piece;
    let Some(job) = jobs.get(job) else { return Turn::Ended(Vec::new()) };
    match piece {
        Piece::Plan(_) => job.plan(jobs, call),
        Piece::Image(_, number) => job.image(number, call),
        Piece::Stage(_, stage) => job.stage(stage, call),
        Piece::Linked(_, stage, step) => job.linked(stage, step, call),
        Piece::Finish(_) => job.put_together(),
    }
}

/// Keeps what makes the next build cheap. That it cannot be kept is told of the first image that could be built.
fn keep_contexts(group: Group<'_>, mut results: Vec<Result<Built>>) -> Vec<Result<Built>> {
    if let Err(problem) = group.contexts.keep(group.engine.store)
        && let Some(built) = results.iter_mut().find(|result| result.is_ok())
    {
        *built = Err(problem.into());
    }
    results
}

impl Group<'_> {
    /// Numbers for so many steps: the first of them, and how many there are in all now.
    pub(super) fn number_steps(&self, count: u32) -> (u32, u32) {
        let before = self.steps.fetch_add(count, Ordering::Relaxed);
        (before + 1, before.saturating_add(count))
    }
}
