//! Every test that needs more than one room.
#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod judges;
mod places;
mod support;
mod tidy;

mod conformance;
mod sandbox;
