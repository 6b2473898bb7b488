//! RUN: a command in a sandbox over the layers so far; what it changed is the layer.
//!
//! A mount is looked at twice. For the key: what it shows, which costs no more than listing and hashing (`wanted`). On a
//! miss: made visible (`show`), the context and other folders as copies, never themselves.
//!
//! # Times of files and cache mounts
//! make, ninja, cargo and go compare times of files to find what is to be built again, and what they have built lies in a cache mount
//! that outlives the build. That goes wrong where content changes and its time does not grow: a layer that was made before
//! is used again and its files are old, or a file was edited while the last build ran. So each cache folder has a *memory*
//! of the content and time of what its commands were shown at each path, and a path whose content differs from it is shown
//! with a time later than everything in the cache (`times`). Content that is the same keeps its time, and nothing is built
//! again that need not be.
//!
//! # Invariants
//! The content of a secret is in memory only: in no key, record, layer, message or file. What a command writes to a bind
//! mount is lost; the host's own files are never mounted, but for those that a CDI file lends to a device's users.

mod agent;
mod command;
mod devices;
mod files;
mod memory;
mod mounts;
mod show;
mod times;

pub(super) use command::run;
pub(super) use devices::given;

#[cfg(test)]
mod tests;
