//! Tests of the room.

mod directory;
mod dockerignore;
mod rules;
mod select;
mod stack;
mod stat_cache;
mod support;
