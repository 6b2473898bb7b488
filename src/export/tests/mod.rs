//! Rules of the room: what is written is read back by others.

mod archives;
mod bench;
mod dockers;
mod files;
mod layouts;
