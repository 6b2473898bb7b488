//! Runs one command in namespaces over a root filesystem.
//!
//! A *spec* says everything: the layers of the root filesystem, what is mounted over it, the command and its user. The caller
//! starts this very program again as a *helper* (`init_main`), sends it the spec through a socket, and passes output on until
//! everything has ended. The helper makes the namespaces and mounts, all of which vanish with it; its child, the *reaper*, is
//! process 1 of a process namespace, so that when it dies everything dies; the *step* is its child.
//!
//! # Invariants
//! Nothing of the caller reaches a step but what the spec names: no descriptor beyond 0, 1 and 2, no variable, no signal
//! setting, no limit, no keyring. A step cannot open the program that made it for writing.
//! No process of a step outlives it, its caller, or the thread that called `run`.
//! Every mount in a sandbox is nodev (unless the spec says `Confinement::Nothing`), but for six single device nodes (one of which, `null`, also masks files of `/proc`) and
//! `/dev/pts`, where no node can be made.
//! No path inside a root filesystem is walked by the kernel before the step's program runs: `walk` is the only way.
//! Nothing of the sandbox's stays in the upper folder, but for empty `/dev`, `/proc` and `/sys` where the image had none, as
//! with BuildKit.
//!
//! # Failure
//! A kill of any process leaves no mount and no process, and an upper and a work folder to be thrown away.
//!
//! # Not here
//! Which layers make a root filesystem: `build`. What changed in it: `layer`.
//!
//! # References
//! BuildKit executor/oci (mounts, hosts, user), executor/stubs.go; runc libcontainer; moby/profiles (capabilities, seccomp);
//! pid_namespaces(7), capabilities(7), the kernel's overlayfs.rst.

mod background;
mod cancel;
mod caps;
mod error;
mod footprint;
mod furnish;
mod hosts;
mod init;
mod limits;
mod mounts;
mod name;
mod outcome;
mod overlay;
mod probe;
mod program;
mod raw;
mod reaper;
mod run;
mod seccomp;
mod spec;
mod step;
mod stubs;
mod sys;
mod syscalls;
#[cfg(test)]
mod tests;
pub mod user;
mod walk;
mod wire;

pub use background::write_in_background;
pub use cancel::Cancel;
pub use caps::Capabilities;
pub use error::{Error, Result};
pub use hosts::{host_resolv_conf, hosts_file, resolv_conf};
pub use init::{init_main, is_init_invocation};
pub use limits::{Limit, Resource};
pub use name::take_host_name;
pub use outcome::{End, Outcome};
pub use probe::Problem;
pub use run::{Sandbox, Stream};
pub use spec::{
    Access, Confinement, DEFAULT_HOSTNAME, DEFAULT_SHM_SIZE, LOWER_LIMIT, Mount, Network, NodeKind, Privilege,
    ProcessOne, Programs, Source, Spec, Writes,
};
pub use user::{Credentials, Identity};
