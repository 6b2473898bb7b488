//! `--call` and `--check`: what is told about a Dockerfile instead of building it.
//!
//! The answers have the shapes of BuildKit's subrequests, so that tools which read those of `docker buildx build` read these:
//! the JSON documents have the same fields, and a location is the lines of a whole instruction. The sentences are our own.
//! What was asked for goes to standard output, all else to standard error.
//!
//! # Exit status
//! As with buildx: 1 if a check finds any warning or error, unless `ignorestatus` is given; else 0.
//!
//! # References
//! buildx 0.35: `util/buildflags/callfunc.go`, `commands/build.go` (`printResult`); BuildKit 0.32: `frontend/subrequests`.

mod check;
mod describe;
mod document;
mod method;
mod outline;
mod run;
mod stages;
mod table;

pub use method::{Call, Format, Method};
pub use run::{check_all, run};
