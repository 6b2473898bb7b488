//! Turns the text of private key files into an ssh agent: one that knows these keys, signs with them, and nothing else.
//!
//! # Invariants
//! Pure: whoever calls reads the files and brings the connection. Keys are in memory only, and nothing shows them. A
//! connection that sends nonsense is closed; nobody can add, remove or lock keys.
//!
//! # Not here
//! The socket that a command sees: `build`. Agents of the host, to which connections are passed on: `build`.
//!
//! # References
//! OpenSSH `PROTOCOL.key` and `PROTOCOL`, draft-ietf-sshm-ssh-agent; RFC 4253 (6.6), 5656, 8332, 8709 (signatures).

mod agent;
mod error;
mod key;
mod number;
mod wire;

pub use agent::Keys;
pub use error::{Error, Result};
pub use key::Key;

#[cfg(test)]
mod tests;
