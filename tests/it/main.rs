//! Every test that needs more than one room.
#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod agents;
mod args;
mod cache;
mod carry;
mod compare;
mod concurrent;
mod conformance;
mod contexts;
mod copy;
mod faults;
mod json;
mod judges;
mod keys;
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
mod shows;
mod support;
mod tidy;
mod times;
mod tutorial;
mod unprivileged;
mod upkeep;
mod why;
