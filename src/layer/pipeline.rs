//! Work that threads share and that is handed on in the order in which it came: the result cannot depend on their number.

use std::io;
use std::sync::mpsc;

use super::{Error, Result};

/// More threads than this do not help, as one thread hands on.
const MAX_THREADS: usize = 16;

/// The cores that this process may use, within reason.
pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS)
}

/// A worker: items go in, results come out in the same order.
struct Worker<I, O> {
    items: mpsc::SyncSender<I>,
    results: mpsc::Receiver<O>,
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
    if threads == 0 {
        let mut work = make();
        while let Some(item) = next()? {
            done(work(item))?;
        }
        return Ok(());
    }
    std::thread::scope(|scope| {
        let workers: Vec<Worker<I, O>> = (0..threads)
            .map(|_| {
                let (items, incoming) = mpsc::sync_channel::<I>(1);
                let (outgoing, results) = mpsc::sync_channel(1);
                let make = &make;
                scope.spawn(move || {
                    let mut work = make();
                    for item in incoming {
                        if outgoing.send(work(item)).is_err() {
                            break;
                        }
                    }
                });
                Worker { items, results }
            })
            .collect();
        let (mut sent, mut handed) = (0, 0);
        while let Some(item) = next()? {
            if sent - handed == 2 * threads {
                done(receive(&workers[handed % threads])?)?;
                handed += 1;
            }
            workers[sent % threads].items.send(item).map_err(|_item| stopped())?;
            sent += 1;
        }
        while handed < sent {
            done(receive(&workers[handed % threads])?)?;
            handed += 1;
        }
        Ok(())
    })
}

fn receive<I, O>(worker: &Worker<I, O>) -> Result<O> {
    worker.results.recv().map_err(|_closed| stopped())
}

/// A thread ends early only by a panic, which is passed on when all have ended.
fn stopped() -> Error {
    Error::Write { source: io::Error::other("a thread ended early") }
}
