//! The board by itself, and crews whose pieces prove that they were at work at the same time.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex};

use super::{Board, Crew, Flights, Turn, Turns, as_many_as_useful};

fn crew(board: Board<u32>, most: usize) -> Crew<u32> {
    Crew::new(board, NonZero::new(most).expect("it is not 0"))
}

/// Pieces, and what each of them needs, in the order in which they ask for it.
fn check_order(needs: &[(u32, &[u32])], most: usize, expected: Option<&[u32]>) {
    let table: BTreeMap<u32, &[u32]> = needs.iter().copied().collect();
    let ended: Mutex<Vec<u32>> = Mutex::default();
    let locked = || ended.lock().expect("nobody panics");
    let crew = crew(Board::new(needs.iter().map(|(piece, _)| *piece)), most);
    crew.run(&|piece, call| {
        call();
        let done = locked().clone();
        if let Some(missing) = table[&piece].iter().find(|need| !done.contains(need)) {
            return Turn::WaitsFor(*missing);
        }
        locked().push(piece);
        Turn::Ended(Vec::new())
    });
    let ended = locked().clone();
    if let Some(expected) = expected {
        assert_eq!(ended, expected);
    }
    for (place, piece) in ended.iter().enumerate() {
        assert!(table[piece].iter().all(|need| ended[..place].contains(need)), "{ended:?}");
    }
    assert_eq!(ended.len(), needs.len());
}

#[test]
fn what_is_ready_is_taken_in_order() {
    let mut board = Board::new([1, 2]);
    assert_eq!((board.take(), board.take(), board.take()), (Some(1), Some(2), None));
    assert!(!board.is_over());
    board.give_back(1, Turn::Ended(vec![(4, Some(3)), (3, Some(1))]));
    board.give_back(2, Turn::WaitsFor(3));
    assert_eq!((board.ready(), board.take()), (1, Some(3)));
    board.give_back(3, Turn::Ended(Vec::new()));
    assert_eq!((board.take(), board.take(), board.take()), (Some(4), Some(2), None));
    // It asks for what has ended meanwhile.
    board.give_back(2, Turn::WaitsFor(1));
    assert_eq!(board.take(), Some(2));
    board.give_back(2, Turn::Ended(Vec::new()));
    board.give_back(4, Turn::Ended(Vec::new()));
    assert!(board.is_over());
}

#[test]
fn a_circle_ends_instead_of_waiting_for_ever() {
    let seen = AtomicUsize::new(0);
    crew(Board::new([1, 2]), 2).run(&|piece, call| {
        call();
        seen.fetch_add(1, Ordering::Relaxed);
        Turn::WaitsFor(3 - piece)
    });
    assert_eq!(seen.into_inner(), 2);
}

#[test]
fn a_piece_ends_behind_those_it_needs_however_many_threads_there_are() {
    let needs: [(u32, &[u32]); 6] = [(1, &[4, 5]), (2, &[1]), (3, &[]), (4, &[]), (5, &[4, 3]), (6, &[2, 3])];
    check_order(&needs, 1, Some(&[3, 4, 5, 1, 2, 6]));
    for most in [2, 3, 8] {
        check_order(&needs, most, None);
    }
}

#[test]
fn nobody_helps_before_somebody_calls() {
    let main = std::thread::current().id();
    crew(Board::new(0..8), 8).run(&|_, _| {
        assert_eq!(std::thread::current().id(), main);
        Turn::Ended(Vec::new())
    });
}

#[test]
fn after_a_call_everything_that_is_ready_is_at_work_at_once() {
    let all = Barrier::new(8);
    crew(Board::new(0..8), 8).run(&|_, call| {
        call();
        // Nobody comes past it before all eight are here.
        all.wait();
        Turn::Ended(Vec::new())
    });
}

#[test]
fn there_are_never_more_threads_than_allowed() {
    let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let pair = Barrier::new(2);
    crew(Board::new(0..16), 2).run(&|_, call| {
        call();
        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        pair.wait();
        now.fetch_sub(1, Ordering::SeqCst);
        Turn::Ended(Vec::new())
    });
    assert_eq!(most.into_inner(), 2);
}

#[test]
fn a_panic_comes_through_and_leaves_nobody_waiting() {
    let both = Barrier::new(2);
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        crew(Board::new([1, 2]), 2).run(&|piece, call| {
            call();
            both.wait();
            assert!(piece != 1, "the piece that breaks");
            Turn::WaitsFor(1)
        });
    }));
    assert!(outcome.is_err());
}

#[test]
fn what_is_under_way_is_entered_by_one_at_a_time() {
    let flights: Flights<&str> = Flights::default();
    let held = flights.enter("a", &|| true).expect("nobody makes it");
    assert!(flights.enter("a", &|| false).is_none());
    assert!(flights.enter("b", &|| false).is_some());
    drop(held);
    assert!(flights.enter("a", &|| false).is_some());
}

#[test]
fn no_more_turns_are_given_than_there_are() {
    let turns = Turns::of(2);
    let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                turns.take(|| {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::yield_now();
                    now.fetch_sub(1, Ordering::SeqCst);
                });
            });
        }
    });
    assert!((1..=2).contains(&most.into_inner()));
}

#[test]
fn at_least_one_thread_works() {
    assert_eq!(as_many_as_useful(NonZero::new(1)).get(), 1);
    assert!(as_many_as_useful(None).get() >= 1);
}
