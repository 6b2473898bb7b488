mod archives;
mod bench;
mod dockers;
mod files;
mod layouts;
