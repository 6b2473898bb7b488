//! Downloads and checkouts from servers of this process, on the loopback interface.

mod addresses;
mod downloads;
mod repositories;
mod server;
