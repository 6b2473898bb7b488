//! Downloads over http and https.

use std::io::Write as _;
use std::time::Duration;

use reqwest::Url;
use reqwest::blocking::{Client, ClientBuilder, RequestBuilder};
use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, IF_MODIFIED_SINCE, IF_NONE_MATCH};

use super::address::{self, Place};
use super::known::{self, Known};
use super::transfer::{Head, Transfer};
use super::{Error, Fetcher, Options, Result, Watch, limits};
use crate::digest::BlobDigest;
use crate::remote::HttpUrl;
use crate::store::Store;

/// A body in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Download {
    /// The body.
    pub blob: BlobDigest,
    /// Its length in bytes.
    pub size: u64,
    /// When the server says that it was last changed, seconds since 1970.
    pub modified: Option<i64>,
}

/// An answer that is not a redirect.
enum Answer {
    Body(Download, Known),
    /// What is known is still right.
    Unchanged,
}

/// A failure, and whether another try may do better.
struct Fault {
    error: Error,
    again: bool,
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let again = match &error {
            Error::Transport { .. } => true,
            Error::Status { status, .. } => matches!(status, 408 | 429 | 500 | 502..=504),
            _ => false,
        };
        Self { error, again }
    }
}

impl Fetcher {
    /// Brings the body of a URL into the store.
    ///
    /// The server is asked each time, unless `expected` says what the body is and it is in the store already; a server that
    /// knows its body by a tag or time sends it only if it changed. A body with another digest than `expected` is an error.
    pub fn download(
        &self,
        store: &Store,
        url: &HttpUrl,
        expected: Option<&BlobDigest>,
        watch: &dyn Watch,
    ) -> Result<Download> {
        let known = known::read(store, url)?;
        if let Some(known) = known.as_ref().filter(|known| Some(&known.blob) == expected) {
            return Ok(download_of(known));
        }
        let answer = self.retrying(watch, || self.ask(store, url, known.as_ref(), expected, watch))?;
        let (download, now) = match (answer, known) {
            (Answer::Body(download, now), _) => (download, now),
            (Answer::Unchanged, Some(known)) => (download_of(&known), known),
            (Answer::Unchanged, None) => return Err(Error::Status { shown: url.shown(), status: 304 }),
        };
        if let Some(expected) = expected.filter(|expected| **expected != download.blob) {
            let found = download.blob;
            return Err(Error::Checksum { shown: url.shown(), expected: *expected, found });
        }
        known::write(store, url, &now)?;
        Ok(download)
    }

    fn retrying(
        &self,
        watch: &dyn Watch,
        mut attempt: impl FnMut() -> std::result::Result<Answer, Fault>,
    ) -> Result<Answer> {
        let mut pause = self.options.pause;
        for _try in 1..limits::TRIES {
            match attempt() {
                Ok(answer) => return Ok(answer),
                Err(fault) if !fault.again => return Err(fault.error),
                Err(_temporary) => wait(pause, watch)?,
            }
            pause *= 4;
        }
        attempt().map_err(|fault| fault.error)
    }

    fn ask(
        &self,
        store: &Store,
        url: &HttpUrl,
        known: Option<&Known>,
        expected: Option<&BlobDigest>,
        watch: &dyn Watch,
    ) -> std::result::Result<Answer, Fault> {
        let shown = url.shown();
        let first = url.without_credentials();
        let mut at = first.clone();
        let mut client = self.client(&at)?;
        for _hop in 0..=limits::REDIRECTS {
            let mut request = client.get(at.clone()).header(ACCEPT_ENCODING, "identity");
            if at.origin() == first.origin() {
                request = self.authorized(request, url, &first);
            }
            let request = conditional(request, known);
            let mut transfer = Transfer::start(request, &shown, watch, self.options.idle)?;
            let head = transfer.head()?;
            match head.status.as_u16() {
                200..=203 => return body(store, &mut transfer, &head, &shown, expected),
                304 => return Ok(Answer::Unchanged),
                301 | 302 | 303 | 307 | 308 => {
                    let target = target(&at, head.location.as_deref().unwrap_or(""), &shown)?;
                    client = self.client_for_redirect(&at, &target, &shown)?;
                    at = target;
                }
                status => return Err(Error::Status { shown, status }.into()),
            }
        }
        let target = origin_of(&at);
        Err(Error::Redirect { shown, target, problem: "that is one redirect too many" }.into())
    }

    /// Adds what is known to let us in: a secret for the host, else what the URL itself holds.
    fn authorized(&self, request: RequestBuilder, url: &HttpUrl, first: &Url) -> RequestBuilder {
        match (self.options.credentials.of_http(first), url.credentials()) {
            (Some(value), _) => request.header(AUTHORIZATION, value),
            (None, Some((user, password))) => request.basic_auth(user, Some(password)),
            (None, None) => request,
        }
    }

    fn client(&self, url: &Url) -> Result<Client> {
        let made = match address::is_loopback(url) {
            true => self.local.get_or_init(|| make(&self.options, ClientBuilder::no_proxy)),
            false => self.public.get_or_init(|| make(&self.options, |builder| builder)),
        };
        made.clone().map_err(|problem| Error::Setup { problem })
    }

    /// The client for what `from` leads to; one from a public host is bound to the addresses that were looked at.
    pub(super) fn client_for_redirect(&self, from: &Url, to: &Url, shown: &str) -> Result<Client> {
        if from.host() == to.host() || matches!(address::place_of(from), Place::Internal) {
            return self.client(to);
        }
        let addresses = match address::place_of(to) {
            Place::Public(addresses) => addresses,
            Place::Internal => {
                let problem = "that is an address of a private network";
                return Err(Error::Redirect { shown: shown.to_owned(), target: origin_of(to), problem });
            }
        };
        // Whoever answers for the name now must not get to answer otherwise when the connection is made. A name that is
        // unknown here gets no address at all, and can be reached only through a proxy.
        let name = to.host_str().unwrap_or("").to_owned();
        make(&self.options, |builder| builder.resolve_to_addrs(&name, &addresses))
            .map_err(|problem| Error::Setup { problem })
    }
}

fn make(options: &Options, adjust: impl Fn(ClientBuilder) -> ClientBuilder) -> std::result::Result<Client, String> {
    // Another part of the process may have chosen a provider already: any will do.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let builder = || {
        adjust(
            Client::builder()
                .user_agent(&options.user_agent)
                .redirect(reqwest::redirect::Policy::none())
                .referer(false)
                .connect_timeout(options.connect)
                .timeout(options.idle),
        )
    };
    match builder().build() {
        Ok(client) => Ok(client),
        // A system without CA certificates can still reach plain servers; TLS then fails by name.
        Err(_no_roots) => builder().tls_certs_only([]).build().map_err(|error| error.to_string()),
    }
}

fn conditional(mut request: RequestBuilder, known: Option<&Known>) -> RequestBuilder {
    let Some(known) = known else { return request };
    if let Some(tag) = &known.tag {
        request = request.header(IF_NONE_MATCH, tag);
    } else if let Some(modified) = &known.modified {
        request = request.header(IF_MODIFIED_SINCE, modified);
    }
    request
}

fn body(
    store: &Store,
    transfer: &mut Transfer<'_>,
    head: &Head,
    shown: &str,
    expected: Option<&BlobDigest>,
) -> std::result::Result<Answer, Fault> {
    if head.length.is_some_and(|length| length > limits::BODY) {
        return Err(Error::TooLarge { shown: shown.to_owned(), limit: limits::BODY }.into());
    }
    let mut writer = store.blob_writer().map_err(Error::from)?;
    while let Some(bytes) = transfer.bytes(head.length)? {
        let written = writer.write_all(&bytes);
        written
            .map_err(|source| Error::File(crate::fsx::Error { action: "write", path: store.root().into(), source }))?;
    }
    let (blob, size) = match expected {
        None => writer.commit().map_err(Error::from)?,
        Some(expected) => match writer.commit_expecting(expected) {
            Ok(size) => (*expected, size),
            Err(crate::store::Error::Damaged { expected, found }) => {
                return Err(Error::Checksum { shown: shown.to_owned(), expected, found }.into());
            }
            Err(error) => return Err(Error::from(error).into()),
        },
    };
    let known = Known { blob, size, tag: head.tag.clone(), modified: head.modified.clone() };
    Ok(Answer::Body(download_of(&known), known))
}

fn download_of(known: &Known) -> Download {
    let modified = known.modified.as_deref().and_then(|text| jiff::fmt::rfc2822::parse(text).ok());
    Download { blob: known.blob, size: known.size, modified: modified.map(|time| time.timestamp().as_second()) }
}

/// Where a redirect leads.
pub(super) fn target(from: &Url, location: &str, shown: &str) -> Result<Url> {
    let refused = |target: String, problem: &'static str| Error::Redirect { shown: shown.to_owned(), target, problem };
    let Ok(mut url) = from.join(location) else { return Err(refused("…".to_owned(), "that is no URL")) };
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refused(url.scheme().to_owned(), "that is neither http nor https"));
    }
    if from.scheme() == "https" && url.scheme() == "http" {
        return Err(refused(origin_of(&url), "that is no longer https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused(origin_of(&url), "that holds a user name or password"));
    }
    url.set_fragment(None);
    Ok(url)
}

fn origin_of(url: &Url) -> String {
    url.origin().ascii_serialization().chars().take(200).collect()
}

fn wait(pause: Duration, watch: &dyn Watch) -> Result<()> {
    let until = std::time::Instant::now() + pause;
    while std::time::Instant::now() < until {
        if watch.cancelled() {
            return Err(Error::Interrupted);
        }
        std::thread::sleep(Duration::from_millis(20).min(pause));
    }
    Ok(())
}
