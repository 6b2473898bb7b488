//! Threads that take pieces of work from a board.

use std::num::NonZero;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Builder, Scope};

use rustix::process::{Resource, getrlimit};

use super::board::{Board, Turn};

/// More threads are never useful: each of them may run a command.
const MOST: usize = 512;

/// What a piece at work keeps open, in descriptors: a command's pipes, a layer's files.
const DESCRIPTORS: u64 = 12;
/// What everything else keeps open.
const OTHER_DESCRIPTORS: u64 = 32;

/// The threads of one piece of work and its successors.
#[derive(Debug)]
pub(in crate::build) struct Crew<N> {
    state: Mutex<State<N>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<N> {
    board: Board<N>,
    /// Threads, the caller's too.
    members: usize,
    /// Those of them that have no piece.
    idle: usize,
    /// As many there may be.
    most: usize,
    /// Whether only the caller works.
    alone: bool,
    /// Whether one of them panicked.
    broken: bool,
}

/// What is done with a piece. The second argument calls the others: from then on there are threads for everything that is
/// ready.
pub(in crate::build) type Work<'w, N> = &'w (dyn Fn(N, &(dyn Fn() + Sync)) -> Turn<N> + Sync);

impl<N: Copy + Ord + Send> Crew<N> {
    /// A crew of at most `most` threads for the pieces on `board`.
    pub(in crate::build) fn new(board: Board<N>, most: NonZero<usize>) -> Self {
        let state = State { board, members: 1, idle: 1, most: most.get(), alone: true, broken: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Does all the work there is; returns when no piece can go on. The caller's thread works too, alone until it calls for
    /// the others.
    pub(in crate::build) fn run(&self, work: Work<'_, N>) {
        thread::scope(|scope| self.member(scope, work));
    }

    fn member<'scope, 'env>(&'env self, scope: &'scope Scope<'scope, 'env>, work: Work<'env, N>) {
        let _told = Alarm(self);
        while let Some(piece) = self.next(scope, work) {
            let turn = work(piece, &|| {
                let mut state = self.state();
                state.alone = false;
                self.hire(&mut state, scope, work);
            });
            let mut state = self.state();
            state.idle += 1;
            state.board.give_back(piece, turn);
            self.changed.notify_all();
        }
    }

    /// Waits for a piece; none if there will be none.
    fn next<'scope, 'env>(&'env self, scope: &'scope Scope<'scope, 'env>, work: Work<'env, N>) -> Option<N> {
        let mut state = self.state();
        loop {
            if state.broken || state.board.is_over() {
                self.changed.notify_all();
                return None;
            }
            if let Some(piece) = state.board.take() {
                state.idle -= 1;
                self.hire(&mut state, scope, work);
                return Some(piece);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Starts threads until there is one for each piece that is ready.
    fn hire<'scope, 'env>(&'env self, state: &mut State<N>, scope: &'scope Scope<'scope, 'env>, work: Work<'env, N>) {
        while !state.alone && state.board.ready() > state.idle && state.members < state.most {
            let thread = Builder::new().name("build".to_owned());
            if thread.spawn_scoped(scope, move || self.member(scope, work)).is_err() {
                // Those that are there do the work.
                state.most = state.members;
                return;
            }
            state.members += 1;
            state.idle += 1;
        }
    }

    fn state(&self) -> MutexGuard<'_, State<N>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends everybody home if a thread panics: the piece that it had will never end.
struct Alarm<'c, N: Copy + Ord + Send>(&'c Crew<N>);

impl<N: Copy + Ord + Send> Drop for Alarm<'_, N> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.state().broken = true;
            self.0.changed.notify_all();
        }
    }
}

/// How many threads are of use: as many as were asked for, or any number, as far as this process may open files.
pub(in crate::build) fn as_many_as_useful(asked: Option<NonZero<usize>>) -> NonZero<usize> {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let room = files.saturating_sub(OTHER_DESCRIPTORS) / DESCRIPTORS;
    let most = usize::try_from(room).unwrap_or(MOST).min(asked.map_or(MOST, NonZero::get));
    NonZero::new(most).unwrap_or(NonZero::<usize>::MIN)
}
