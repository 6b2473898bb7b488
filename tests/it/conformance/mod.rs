//! Builds every case of `testdata/conformance` and compares the image with what BuildKit made of the same case.
//!
//! `testdata/conformance/README.md` says what a case is. Two lists beside it tell which cases come out differently:
//! `DIFFERENCES.md` those that are meant to, `not-yet.txt` those that wait for a feature. A case in neither must agree,
//! and one in either must not: so the lists are always true.
//!
//! `RBUILD_CASES=copy/` in the environment builds only the cases with that in their name.

mod base;
pub mod case;
mod compare;
mod lists;
pub mod runner;
