//! Which capabilities a step has.

use rustix::thread::{CapabilitySet, CapabilitySets};
use serde::{Deserialize, Serialize};

use super::spec::Network;

/// A set of capabilities, as the kernel's bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities(u64);

/// The 14 that Docker gives.
const DOCKER: CapabilitySet = CapabilitySet::AUDIT_WRITE
    .union(CapabilitySet::CHOWN)
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::MKNOD)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::NET_RAW)
    .union(CapabilitySet::SETFCAP)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SYS_CHROOT);

impl Capabilities {
    /// Docker's default set; without `NET_RAW` on the host's network, where it could forge others' packets.
    pub fn default_for(network: Network) -> Self {
        match network {
            Network::Host => Self(DOCKER.difference(CapabilitySet::NET_RAW).bits()),
            Network::None => Self::docker(),
        }
    }

    /// Docker's default set.
    pub fn docker() -> Self {
        Self(DOCKER.bits())
    }

    /// Whatever the caller has.
    pub fn all() -> Self {
        Self(u64::MAX)
    }

    /// The kernel's bits.
    pub fn bits(self) -> u64 {
        self.0
    }
}

/// The highest bit the kernel's header knows of in 64.
const LAST: u32 = 63;

/// Leaves this process, after its user was changed, with at most `wanted`: nothing for other users than root.
pub(super) fn drop_all_but(wanted: Capabilities, uid: u32) -> rustix::io::Result<()> {
    let held = rustix::thread::capabilities(None)?.permitted;
    let kept = if uid == 0 { held & CapabilitySet::from_bits_retain(wanted.0) } else { CapabilitySet::empty() };
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    rustix::thread::set_capabilities(None, sets)
}

/// Takes from every later program of this process what is not in `wanted`; needs `SETPCAP`.
pub(super) fn bound(wanted: Capabilities) -> rustix::io::Result<()> {
    match rustix::thread::clear_ambient_capability_set() {
        Ok(()) | Err(rustix::io::Errno::INVAL) => {}
        Err(error) => return Err(error),
    }
    for bit in (0..=LAST).map(|bit| CapabilitySet::from_bits_retain(1 << bit)) {
        if CapabilitySet::from_bits_retain(wanted.0).contains(bit) {
            continue;
        }
        match rustix::thread::remove_capability_from_bounding_set(bit) {
            Ok(()) => {}
            // The kernel's own last capability has been passed.
            Err(rustix::io::Errno::INVAL) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
