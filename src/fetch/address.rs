//! Which addresses only a private network has, and which of them a redirect may lead to.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};

use reqwest::Url;

/// What is known of where a URL's host is.
pub(super) enum Place {
    /// At public addresses only, or the name could not be looked up here: a proxy may know it.
    Public(Vec<SocketAddr>),
    /// In a private network, or on this machine, at least in part.
    Internal,
}

/// Looks a URL's host up.
pub(super) fn place_of(url: &Url) -> Place {
    let port = url.port_or_known_default().unwrap_or(80);
    let found: Vec<SocketAddr> = match url.host() {
        Some(url::Host::Ipv4(address)) => vec![SocketAddr::from((address, port))],
        Some(url::Host::Ipv6(address)) => vec![SocketAddr::from((address, port))],
        Some(url::Host::Domain(name)) if is_local_name(name) => return Place::Internal,
        Some(url::Host::Domain(name)) => (name, port).to_socket_addrs().map(Iterator::collect).unwrap_or_default(),
        None => Vec::new(),
    };
    if found.iter().any(|address| is_internal(address.ip())) { Place::Internal } else { Place::Public(found) }
}

/// Whether a URL's host is this machine, as far as its text tells.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => IpAddr::V6(address).to_canonical().is_loopback(),
        Some(url::Host::Domain(name)) => is_local_name(name),
        None => false,
    }
}

fn is_local_name(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

/// Whether an address is one of a private network, of this machine, or of no single machine.
pub(super) fn is_internal(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            let shared = a == 100 && (64..128).contains(&b);
            let special = a == 0 || a >= 224 || (a, b, c) == (192, 0, 0) || (a, b & 0xfe) == (198, 18);
            v4.is_private() || v4.is_loopback() || v4.is_link_local() || shared || special
        }
        IpAddr::V6(v6) => {
            let local = v6.is_loopback() || v6.is_unspecified() || v6.is_unique_local() || v6.is_unicast_link_local();
            local || v6.is_multicast() || embedded(v6).is_some_and(|v4| is_internal(IpAddr::V4(v4)))
        }
    }
}

/// The IPv4 address that a translated (64:ff9b::/96), compatible (::/96) or 6to4 (2002::/16) address leads to.
fn embedded(v6: Ipv6Addr) -> Option<std::net::Ipv4Addr> {
    let octets = v6.octets();
    let last = || Some(std::net::Ipv4Addr::new(octets[12], octets[13], octets[14], octets[15]));
    match v6.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, _, _] | [0, 0, 0, 0, 0, 0, _, _] => last(),
        [0x2002, ..] => Some(std::net::Ipv4Addr::new(octets[2], octets[3], octets[4], octets[5])),
        _ => None,
    }
}
