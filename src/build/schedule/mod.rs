//! Work in pieces, some of which wait for others, shared out to threads.
//!
//! The *board* knows which pieces are ready, at work, waiting or ended; it is pure. A *crew* is the threads that take pieces
//! from it: one, the caller's, until a piece calls for the others. A piece that finds that it needs another one's result gives
//! its turn back and is taken up again when that has ended, so no thread waits for another and any number of threads will do.
//! A *flight* is the making of something that several pieces may want and one of them makes.
//!
//! # Invariants
//! A piece is at work in one thread at a time. A thread of the crew lives until all work is done: what a step has started
//! dies with the thread that started it.
//!
//! # Not here
//! What the pieces are: `engine`.

mod board;
mod crew;
mod flights;
mod turns;

pub(super) use board::{Board, Turn};
pub(super) use crew::{Crew, as_many_as_useful};
pub(super) use flights::{Flight, Flights};
pub(super) use turns::Turns;

#[cfg(test)]
mod tests;
