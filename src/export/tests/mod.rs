//! Archives, layouts and files, read back.

mod archives;
mod bench;
mod dockers;
mod files;
mod forms;
mod layouts;
