//! What a memory says about the paths that a command is shown.

use super::memory::{Memory, Seen, Verdict};
use crate::digest::ContentDigest;
use crate::path::ImagePath;
use crate::tree::Timestamp;

fn seen(path: &str, content: &str, secs: i64) -> Seen {
    let digest = ContentDigest::of(content.as_bytes());
    Seen { path: ImagePath::new(path), digest, mtime: Timestamp { secs, nanos: 5 } }
}

fn time(secs: i64) -> Timestamp {
    Timestamp { secs, nanos: 5 }
}

fn read_back(memory: &Memory) -> Memory {
    Memory::read(Some(&memory.to_bytes()))
}

#[test]
fn a_new_folder_knows_nothing_and_nothing_was_made_in_it() {
    assert_eq!(Memory::read(None), Memory::New);
    assert_eq!(Memory::New.verdict(&seen("a", "1", 10)), Verdict::Unknown);
}

#[test]
fn the_same_content_keeps_its_time() {
    let memory = read_back(&Memory::New.begun(&[seen("a", "1", 10)]).ended(time(20)));
    assert_eq!(memory.verdict(&seen("a", "1", 99)), Verdict::Same(time(10)));
    assert_eq!(memory.verdict(&seen("b", "1", 10)), Verdict::Unknown);
}

#[test]
fn other_content_is_fresh_only_after_the_end_of_the_last_command() {
    let memory = Memory::New.begun(&[seen("a", "1", 10)]);
    assert_eq!(read_back(&memory).verdict(&seen("a", "2", 1000)), Verdict::Stale, "a command may be at work");
    let memory = read_back(&memory.ended(time(20)));
    assert_eq!(memory.verdict(&seen("a", "2", 21)), Verdict::Fresh);
    assert_eq!(memory.verdict(&seen("a", "2", 20)), Verdict::Stale);
    assert_eq!(memory.last_end(), Some(time(20)));
}

#[test]
fn the_last_content_counts_and_paths_that_were_not_shown_stay_known() {
    let memory = Memory::New.begun(&[seen("a", "1", 10), seen("b", "1", 11)]).ended(time(20));
    let memory = read_back(&memory.begun(&[seen("a", "2", 30)]).ended(time(40)));
    assert_eq!(memory.verdict(&seen("a", "1", 10)), Verdict::Stale);
    assert_eq!(memory.verdict(&seen("b", "1", 10)), Verdict::Same(time(11)));
}

#[test]
fn a_damaged_note_trusts_no_time_not_even_of_paths_it_never_saw() {
    let whole = Memory::New.begun(&[seen("a", "1", 10)]).to_bytes();
    for cut in [0, 5, whole.len() / 2, whole.len() - 1] {
        assert_eq!(Memory::read(whole.get(..cut)), Memory::Lost, "{cut}");
    }
    assert_eq!(read_back(&Memory::Lost), Memory::Lost);
    let memory = read_back(&Memory::Lost.begun(&[seen("a", "1", 10)]).ended(time(20)));
    assert_eq!(memory.verdict(&seen("a", "1", 10)), Verdict::Same(time(10)));
    assert_eq!(memory.verdict(&seen("b", "1", 10)), Verdict::Stale);
}
