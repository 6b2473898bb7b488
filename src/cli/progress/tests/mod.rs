//! The views, event by event, and what they do to a terminal.

mod events;
mod plain;
mod rawjson;
mod screen;
mod shown;
mod streams;
mod text;
mod tty;
