//! Parsing never panics, all places lie in the text, and a printed file says the same again.
#![no_main]

#[expect(dead_code, reason = "a target holds one of the invariants")]
#[path = "../../tests/it/properties/shared/mod.rs"]
mod shared;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| shared::invariants::parsing(bytes));
