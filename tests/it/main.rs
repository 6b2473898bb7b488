//! Every test that needs more than one room.
#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod cache;
mod carry;
mod compare;
mod compose;
mod concurrent;
mod conformance;
mod contexts;
mod copy;
mod faults;
mod judges;
mod limits;
mod messages;
mod mounts;
mod outputs;
mod parity;
mod places;
mod planned;
mod properties;
mod push;
mod reproducible;
mod run;
mod sandbox;
mod secrets;
mod support;
mod tidy;
mod times;
mod tutorial;
mod unprivileged;
mod upkeep;
mod why;
