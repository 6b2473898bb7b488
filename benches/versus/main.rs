//! Whole builds by rbuild and by its rivals, in turns, in one run, with what the hardware needs for the same work.
//!
//! `cargo bench --bench versus -- [--size small|full] [--rounds N] [--only CASE,…] [--rivals docker,buildah] [--growth]
//! [--out FOLDER]`. It needs root, Debian's `docker-registry`, `skopeo`, `mmdebstrap` and `busybox-static`, and measures
//! those rivals that are there: Debian's `docker.io` (its BuildKit, in a daemon of its own), `buildah` (or the program in
//! `$BUILDAH`), and another build of rbuild in `$RBUILD_OTHER`. See `benches/README.md`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it reports to whoever runs it")]

mod base;
mod builder;
mod cases;
mod content;
mod dump;
mod floor;
mod measure;
mod options;
mod report;
mod rivals;
mod run;

#[path = "../../tests/it/support/mod.rs"]
#[expect(dead_code, reason = "it is made for tests, and they use more of it than this does")]
mod support;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    // What needs much memory or namespaces is done by a process of its own, so that this one's memory stays small: a
    // process that it starts counts this one's as its own peak.
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["part", "dump", archive, output] => dump::write(archive.as_ref(), output.as_ref()),
        ["part", "floor", name, folder] => floor::part(name, folder.as_ref()),
        ["part", "base", folder] => base::make(folder.as_ref()),
        ["part", "registry-image", which, name] => base::push(which, name),
        _ => run::run(&options::Options::parse(&words)),
    }
    ExitCode::SUCCESS
}
