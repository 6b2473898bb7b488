//! Who may be told what: the one place that decides where requests and credentials may go.

use std::fmt;
use std::net::IpAddr;

use reqwest::Url;

use super::Error;

/// Scheme, host and port: what a credential is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

/// Whether a token server may be asked, and with what.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RealmTrust {
    /// It belongs to the registry: the registry's credentials may go there.
    Same,
    /// It is somebody else's: only credentials that were configured for it itself.
    Foreign,
}

/// Token servers that belong to a registry under another domain.
const KNOWN_REALMS: [(&str, &str); 3] =
    [("nvcr.io", "authn.nvidia.com"), ("dhi.io", "auth.docker.io"), ("registry.hub.docker.com", "auth.docker.io")];

/// Second-level names under which everybody can have a domain: there, three labels make an owner.
const SHARED_SECOND_LEVELS: [&str; 9] = ["co", "com", "net", "org", "gov", "edu", "ac", "or", "ne"];

/// Domains whose subdomains belong to different customers.
const SHARED_DOMAINS: [&str; 9] = [
    "amazonaws.com",
    "azurecr.io",
    "pkg.dev",
    "github.io",
    "gitlab.io",
    "azurewebsites.net",
    "run.app",
    "jfrog.io",
    "cloudfront.net",
];

impl Origin {
    /// The origin of an `http` or `https` URL; none for any other.
    pub(super) fn of(url: &Url) -> Option<Self> {
        if !matches!(url.scheme(), "http" | "https") {
            return None;
        }
        let host = url.host_str()?.to_ascii_lowercase();
        Some(Self { scheme: url.scheme().to_owned(), host, port: url.port_or_known_default()? })
    }

    pub(super) fn is_plain(&self) -> bool {
        self.scheme == "http"
    }

    pub(super) fn is_loopback(&self) -> bool {
        is_loopback(&self.host)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.host)?;
        let default = if self.is_plain() { 80 } else { 443 };
        if self.port == default { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

/// Whether a host, without port, is this machine by its name.
pub(super) fn is_loopback(host: &str) -> bool {
    match address(host) {
        Some(address) => address.is_loopback(),
        None => host.eq_ignore_ascii_case("localhost"),
    }
}

/// Whether a host is a literal address that only a private network has, or this machine.
fn is_internal(host: &str) -> bool {
    match address(host) {
        Some(IpAddr::V4(v4)) => {
            let [a, b, ..] = v4.octets();
            let shared = a == 100 && (64..128).contains(&b);
            v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_unspecified() || shared
        }
        Some(IpAddr::V6(v6)) => {
            v6.is_loopback() || v6.is_unspecified() || v6.is_unique_local() || v6.is_unicast_link_local()
        }
        None => host.eq_ignore_ascii_case("localhost") || host.to_ascii_lowercase().ends_with(".localhost"),
    }
}

/// The address that a host is, an IPv4 address inside an IPv6 one taken out.
fn address(host: &str) -> Option<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    bare.parse::<IpAddr>().ok().map(|a| a.to_canonical())
}

/// Where a redirect, or the place for an upload, leads. It is relative to `from`.
pub(super) fn target(from: &Url, location: &str) -> Result<Url, Error> {
    let source = Origin::of(from).map(|o| o.to_string()).unwrap_or_default();
    let refused = |target: &str, problem| Error::Redirect { host: source.clone(), target: target.to_owned(), problem };
    let Ok(url) = from.join(location) else { return Err(refused("…", "it is no URL")) };
    let Some(origin) = Origin::of(&url) else { return Err(refused(url.scheme(), "it is neither https nor http")) };
    let shown = format!("{}://{origin}", url.scheme());
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused(&shown, "it holds a user name or password"));
    }
    if origin.is_plain() && from.scheme() == "https" {
        let problem = "it is plain http; behind a proxy, the registry must be told that it is reached over https";
        return Err(refused(&shown, problem));
    }
    if origin.is_plain() && !origin.is_loopback() && from.host_str() != url.host_str() {
        return Err(refused(&shown, "it is plain http to another host"));
    }
    Ok(url)
}

/// Whether the registry at `registry` may send us to the token server at `realm`.
pub(super) fn realm(registry: &Origin, realm: &str) -> Result<(Url, RealmTrust), Error> {
    let host = registry.to_string();
    let refused = |realm: String, problem| Error::Realm { host: host.clone(), realm, problem };
    let Ok(url) = Url::parse(realm) else { return Err(refused("…".to_owned(), "it is no URL")) };
    let Some(origin) = Origin::of(&url) else {
        return Err(refused(url.scheme().to_owned(), "it is neither https nor http"));
    };
    let shown = format!("{}://{origin}", url.scheme());
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused(shown, "it holds a user name or password"));
    }
    let same_host = origin.host == registry.host;
    if origin.is_plain() && !(registry.is_plain() && same_host) {
        return Err(refused(shown, "it is plain http"));
    }
    if is_internal(&origin.host) && !same_host {
        return Err(refused(shown, "it is an address of a private network"));
    }
    let trust =
        if same_host || is_same_owner(&registry.host, &origin.host) { RealmTrust::Same } else { RealmTrust::Foreign };
    Ok((url, trust))
}

fn is_same_owner(registry: &str, realm: &str) -> bool {
    if KNOWN_REALMS.contains(&(registry, realm)) {
        return true;
    }
    match (owner(registry), owner(realm)) {
        (Some(a), Some(b)) => a == b,
        _ => false,
    }
}

/// The part of a host name that somebody registered; none for an address or a single label.
fn owner(host: &str) -> Option<&str> {
    if address(host).is_some() {
        return None;
    }
    let last = |labels: usize| {
        let start = host.rmatch_indices('.').nth(labels - 1).map_or(0, |(at, _)| at + 1);
        (host.split('.').count() >= labels).then(|| &host[start..])
    };
    let two = last(2)?;
    let second = two.split('.').next().unwrap_or("");
    let top = two.rsplit('.').next().unwrap_or("");
    // A customer's name at a large provider may be several labels long there; the whole host is the safe answer.
    if SHARED_DOMAINS.contains(&two) {
        return Some(host);
    }
    let shared = top.len() == 2 && SHARED_SECOND_LEVELS.contains(&second);
    if shared { last(3) } else { Some(two) }
}
