//! Turns a step into its key, and a key into an earlier result or the reason why there is none.
//!
//! *Ingredients* are everything that decides a step's result; their canonical hash is the step's *key*. A *record* keeps
//! the results that were made under a key, each with the *facts* it took from its root filesystem, and the ingredients
//! themselves, so that a later miss can be explained. A *journal* remembers which keys a Dockerfile's steps last had.
//!
//! # What the key covers
//! | input | RUN | COPY, ADD, WORKDIR | why |
//! |---|---|---|---|
//! | content of the root filesystem | chain id of the layers that are not empty | facts, checked at look-up | a COPY looks at a few paths only |
//! | command, shell | yes | destination and flags | |
//! | environment, declared build arguments | yes, by value | no | COPY sees them only through its words |
//! | user, working folder, platform, network, host name | yes | where they decide owner or place | |
//! | mounts: kind, target, content of what is shown | yes | no | |
//! | secrets, what is in a cache mount and its id | no | no | BuildKit's choice: they change and the result is to stay |
//! | selected files | no | path, kind, mode, owner, content | their times only where layers keep them (`--timestamps=preserve`), and then the root filesystem too, whose folders' times the layer repeats |
//! | time policy | yes | yes | it decides the layer's bytes |
//! | text of the Dockerfile, names of stages and images | no | no | early cut-off: equal content is equal |
//! | proxy variables, addresses of added hosts, clock, store path | no | no | they must not decide what is built |
//!
//! `KEY_VERSION` changes with any change of this table or of how a step is executed.
//!
//! # On disk
//! `records/steps/<key>`: JSON, see `record`. Values of variables and arguments stand in it only as HMACs under a key of the
//! store; where a word, a setting or a name holds the value of an argument whose name says that it is a secret, `$NAME` stands
//! for it. `records/builds/<journal id>`: JSON, the keys of one Dockerfile's last build.
//!
//! # Invariants
//! A record whose layer is gone is a miss. A record that cannot be read is a miss. Two different lists of ingredients never
//! have the same key.
//!
//! # Not here
//! What a step takes in: `build`. Whether a layer is there: the caller says.

mod change;
mod error;
mod hiding;
mod ingredient;
mod journal;
mod portable;
mod reason;
mod record;

pub use change::{Change, Fate, FileLook};
pub use error::{Error, Result};
pub use hiding::Hiding;
pub use ingredient::{Ingredient, Ingredients, KEY_VERSION, Look};
pub use journal::{Journal, JournalStep, Reached};
pub use portable::{Imported, Portable};
pub use reason::{FileChanges, MissReason};
pub use record::{Cache, Hit, Lookup, Output};

#[cfg(test)]
mod tests;
