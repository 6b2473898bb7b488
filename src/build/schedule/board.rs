//! Which pieces of work can be taken up.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Pieces of work, by name. Those that are ready are taken in the order in which they became so.
#[derive(Debug)]
pub(in crate::build) struct Board<N> {
    ready: VecDeque<N>,
    /// Who waits for what.
    waiting: BTreeMap<N, Vec<N>>,
    ended: BTreeSet<N>,
    at_work: usize,
}

/// How a piece gave its turn back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::build) enum Turn<N> {
    /// It has ended, well or not; these pieces are new, each with another one that it waits for, if it does.
    Ended(Vec<(N, Option<N>)>),
    /// It goes on when this other piece has ended.
    WaitsFor(N),
}

impl<N: Copy + Ord> Board<N> {
    /// All of them ready.
    pub(in crate::build) fn new(pieces: impl IntoIterator<Item = N>) -> Self {
        Self { ready: pieces.into_iter().collect(), waiting: BTreeMap::new(), ended: BTreeSet::new(), at_work: 0 }
    }

    /// The next piece; it is at work until `give_back`.
    pub(super) fn take(&mut self) -> Option<N> {
        let piece = self.ready.pop_front()?;
        self.at_work += 1;
        Some(piece)
    }

    /// Ends the turn of a piece that was taken. What waited for it is ready now.
    pub(super) fn give_back(&mut self, piece: N, turn: Turn<N>) {
        self.at_work -= 1;
        match turn {
            Turn::WaitsFor(other) => self.add(piece, Some(other)),
            Turn::Ended(new) => {
                self.ended.insert(piece);
                self.ready.extend(self.waiting.remove(&piece).unwrap_or_default());
                new.into_iter().for_each(|(piece, after)| self.add(piece, after));
            }
        }
    }

    fn add(&mut self, piece: N, after: Option<N>) {
        match after.filter(|other| !self.ended.contains(other)) {
            None => self.ready.push_back(piece),
            Some(other) => self.waiting.entry(other).or_default().push(piece),
        }
    }

    /// How many pieces can be taken.
    pub(super) fn ready(&self) -> usize {
        self.ready.len()
    }

    /// Whether nothing is at work and nothing will ever be ready. What waits now waits in a circle, or for what there is not.
    pub(super) fn is_over(&self) -> bool {
        self.ready.is_empty() && self.at_work == 0
    }
}
