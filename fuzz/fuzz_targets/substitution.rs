//! Expanding words never panics, is bounded, and gives back what was quoted.
#![no_main]

#[expect(dead_code, reason = "a target holds one of the invariants")]
#[path = "../../tests/it/properties/shared/mod.rs"]
mod shared;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| shared::invariants::substitution(bytes));
