//! Every test that needs more than one room.

mod sandbox;
