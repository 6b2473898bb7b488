//! Rules of the view, on a clock and a terminal of the test's own.

mod events;
mod plain;
mod screen;
mod shown;
mod streams;
mod text;
mod tty;
