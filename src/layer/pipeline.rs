//! Work that threads share and that is handed on in the order in which it came: the result cannot depend on their number.

use std::io;
use std::sync::mpsc;
use std::thread::Scope;

use super::{Error, Result};

/// More threads than this do not help, as one thread hands on.
const MAX_THREADS: usize = 16;

/// The cores that this process may use, within reason.
pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS)
}

/// Gives each item of `next` to worker after worker and what comes back to `done`, in that order.
///
/// At most three items a thread are in memory. Without threads everything is done here. The first error ends it.
pub(super) fn in_order<I: Send, O: Send, W: FnMut(I) -> O>(
    threads: usize,
    mut next: impl FnMut() -> Result<Option<I>>,
    make: impl Fn() -> W + Sync,
    mut done: impl FnMut(O) -> Result<()>,
) -> Result<()> {
    let make = &make;
    std::thread::scope(|scope| {
        let mut pipeline = Pipeline::start(scope, threads, make);
        while let Some(item) = next()? {
            pipeline.push(item, &mut done)?;
        }
        pipeline.finish(&mut done)
    })
}

/// Threads that take items in turns.
pub(super) struct Pipeline<'scope, I, O> {
    workers: Vec<Worker<I, O>>,
    /// What works here if there is no thread.
    here: Option<Box<dyn FnMut(I) -> O + 'scope>>,
    sent: usize,
    handed: usize,
}

/// A worker: items go in, results come out in the same order.
struct Worker<I, O> {
    items: mpsc::SyncSender<I>,
    results: mpsc::Receiver<O>,
}

impl<'scope, I: Send + 'scope, O: Send + 'scope> Pipeline<'scope, I, O> {
    /// Starts the threads; they end when this is dropped. A machine that has fewer to give costs time, nothing else.
    pub(super) fn start<W, M>(scope: &'scope Scope<'scope, '_>, threads: usize, make: M) -> Self
    where
        W: FnMut(I) -> O + 'scope,
        M: Fn() -> W + Clone + Send + 'scope,
    {
        let start = |_| {
            let (items, incoming) = mpsc::sync_channel::<I>(1);
            let (outgoing, results) = mpsc::sync_channel(1);
            let make = make.clone();
            let work = move || {
                let mut work = make();
                for item in incoming {
                    if outgoing.send(work(item)).is_err() {
                        break;
                    }
                }
            };
            std::thread::Builder::new().spawn_scoped(scope, work).ok().map(|_| Worker { items, results })
        };
        let workers: Vec<Worker<I, O>> = (0..threads).map_while(start).collect();
        let here: Option<Box<dyn FnMut(I) -> O + 'scope>> = match workers.is_empty() {
            true => Some(Box::new(make())),
            false => None,
        };
        Self { workers, here, sent: 0, handed: 0 }
    }

    /// Hands in an item, and gives `done` the result of an earlier one if there are enough in flight.
    pub(super) fn push(&mut self, item: I, done: &mut dyn FnMut(O) -> Result<()>) -> Result<()> {
        if let Some(work) = &mut self.here {
            return done(work(item));
        }
        let threads = self.workers.len();
        if self.sent - self.handed == 2 * threads {
            self.hand_on(done)?;
        }
        self.workers[self.sent % threads].items.send(item).map_err(|_item| stopped())?;
        self.sent += 1;
        Ok(())
    }

    /// Gives `done` all results that are still to come.
    pub(super) fn finish(mut self, done: &mut dyn FnMut(O) -> Result<()>) -> Result<()> {
        while self.handed < self.sent {
            self.hand_on(done)?;
        }
        Ok(())
    }

    fn hand_on(&mut self, done: &mut dyn FnMut(O) -> Result<()>) -> Result<()> {
        let worker = &self.workers[self.handed % self.workers.len()];
        self.handed += 1;
        done(worker.results.recv().map_err(|_closed| stopped())?)
    }
}

/// A thread ends early only by a panic, which is passed on when all have ended.
pub(super) fn stopped() -> Error {
    Error::Write { source: io::Error::other("a thread ended early") }
}
