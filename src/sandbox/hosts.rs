//! The files of `/etc` that a step gets from its builder.

use std::net::IpAddr;
use std::path::Path;

use super::error::Result;
use super::spec::Network;
use crate::fsx;

/// The most of a host's `/etc/resolv.conf`.
const RESOLV_CONF_LIMIT: u64 = 1 << 20;

/// The content of `/etc/hosts`, as BuildKit writes it.
pub fn hosts_file(hostname: &str, extra: &[(IpAddr, String)]) -> Vec<u8> {
    let mut text = format!("127.0.0.1\tlocalhost {hostname}\n::1\tlocalhost ip6-localhost ip6-loopback\n");
    for (address, name) in extra {
        text.push_str(&format!("{address}\t{name}\n"));
    }
    text.into_bytes()
}

/// The content of `/etc/resolv.conf` made of the host's.
///
/// On a network that is not the host's a name server on a loopback address is somebody else's, or nobody: such lines are
/// dropped. Everything else stays, byte by byte.
pub fn resolv_conf(host: &[u8], network: Network) -> Vec<u8> {
    match network {
        Network::Host => host.to_vec(),
        Network::None => {
            host.split_inclusive(|&b| b == b'\n').filter(|line| !is_loopback(line)).flatten().copied().collect()
        }
    }
}

/// The content of `/etc/resolv.conf` for a step on this host; empty if the host has none.
///
/// # Errors
/// `Error::File` if it cannot be read.
pub fn host_resolv_conf(network: Network) -> Result<Vec<u8>> {
    let host = fsx::read_if_exists(Path::new("/etc/resolv.conf"), RESOLV_CONF_LIMIT)?.unwrap_or_default();
    Ok(resolv_conf(&host, network))
}

fn is_loopback(line: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(line) else { return false };
    let mut words = text.split_ascii_whitespace();
    let ("nameserver", Some(address)) = (words.next().unwrap_or_default(), words.next()) else { return false };
    // An address of IPv6 may name its interface.
    let address = address.split('%').next().unwrap_or_default();
    address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
