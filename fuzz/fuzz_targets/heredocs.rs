//! A heredoc holds exactly the lines up to its end.
#![no_main]

#[expect(dead_code, reason = "a target holds one of the invariants")]
#[path = "../../tests/it/properties/shared/mod.rs"]
mod shared;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| shared::invariants::heredocs(bytes));
