//! Lengths and hashes of all files of a selection, on all cores.

use std::collections::HashMap;
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use super::error::Result;
use super::select::Selection;
use super::source::{Content, Kind, Source};
use crate::path::ContextPath;

/// Fewer files than this for each thread are not worth another one.
const FILES_PER_THREAD: usize = 16;

/// What files hold, by their paths.
pub type Contents = HashMap<ContextPath, Content, PathHash>;

/// Fast for short keys, and seeded at random.
pub type PathHash = foldhash::fast::RandomState;

/// The contents of the regular files that `selection` holds, by their paths in `source`.
///
/// If several fail, the error is that of the first in path order among those tried.
pub fn contents(source: &dyn Source, selection: &Selection) -> Result<Contents> {
    let files = selection.selected().filter(|selected| matches!(selected.meta.kind, Kind::File { .. }));
    let mut all: Vec<&ContextPath> = files.map(|selected| &selected.from).collect();
    all.sort();
    all.dedup();
    // What is known costs no thread.
    let known = source.known_contents(&all);
    let unknown = all.iter().zip(&known).filter(|(_, known)| known.is_none());
    let paths: Vec<&ContextPath> = unknown.map(|(path, _)| *path).collect();
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let threads = cores.min(paths.len().div_ceil(FILES_PER_THREAD)).max(1);
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let work = || {
        let mut done: Vec<(usize, Result<Content>)> = Vec::new();
        while !failed.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(path) = paths.get(index) else { break };
            let content = source.content(path);
            if content.is_err() {
                failed.store(true, Ordering::Relaxed);
            }
            done.push((index, content));
        }
        done
    };
    let mut results = if threads == 1 { work() } else { in_threads(threads, &work) };
    results.sort_by_key(|(index, _)| *index);
    let read = results.into_iter().map(|(index, content)| Ok((paths[index].clone(), content?)));
    let mut contents = read.collect::<Result<Contents>>()?;
    contents.reserve(all.len() - contents.len());
    contents.extend(all.iter().zip(known).filter_map(|(path, known)| Some(((*path).clone(), known?))));
    Ok(contents)
}

/// Does the work on this thread and others beside it.
fn in_threads<T: Send>(threads: usize, work: &(impl Fn() -> Vec<T> + Sync)) -> Vec<T> {
    thread::scope(|scope| {
        // A machine that has no more threads to give costs time, not the build.
        let others = (1..threads).map_while(|_| thread::Builder::new().spawn_scoped(scope, work).ok());
        let others: Vec<_> = others.collect();
        let mut results = work();
        for other in others {
            match other.join() {
                Ok(done) => results.extend(done),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        results
    })
}
