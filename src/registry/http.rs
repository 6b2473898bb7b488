//! Sends single requests, waits for their answers with a limit on everything, and decides what is worth another try.

use std::hash::{BuildHasher as _, Hasher as _};
use std::io;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};
use serde::Deserialize;
use tokio::time::{sleep, timeout};

use super::policy::Origin;
use super::{Error, Options, Timing, limits};

/// A failed try, and what another one could change.
pub(super) struct Fault {
    pub(super) error: Error,
    pub(super) retry: Retry,
}

/// Whether and when to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retry {
    No,
    /// After a pause that grows.
    Pause,
    /// Likewise, but it will hardly help.
    Few,
    /// When the server says.
    After(Duration),
}

/// The HTTP library, set up when it is first needed, with this program's limits.
pub(super) struct Wire {
    pub(super) timing: Timing,
    user_agent: String,
    public: OnceLock<Result<Client, String>>,
    local: OnceLock<Result<Client, String>>,
    plain_local: OnceLock<Result<Client, String>>,
}

/// Which certificates a client believes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Roots {
    System,
    /// It speaks no TLS; reading the system's certificates takes 9 ms.
    None,
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self { error, retry: Retry::No }
    }
}

impl Wire {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            timing: options.timing,
            user_agent: options.user_agent.clone(),
            public: OnceLock::new(),
            local: OnceLock::new(),
            plain_local: OnceLock::new(),
        }
    }

    /// Starts a request. Nothing is followed and nothing tried again behind our back; loopback hosts get no proxy.
    pub(super) fn request(&self, method: Method, url: Url) -> Result<RequestBuilder, Error> {
        let origin = Origin::of(&url);
        let is_local = origin.as_ref().is_some_and(Origin::is_loopback);
        let is_plain = origin.as_ref().is_some_and(Origin::is_plain);
        let client = match (is_local, is_plain) {
            (true, true) => self.plain_local.get_or_init(|| self.client(Roots::None, |b| b.no_proxy())),
            (true, false) => self.local.get_or_init(|| self.client(Roots::System, |b| b.no_proxy())),
            (false, _) => self.public.get_or_init(|| self.client(Roots::System, |b| b)),
        };
        let client = client.as_ref().map_err(|problem| Error::Http { problem: problem.clone() })?;
        Ok(client.request(method, url))
    }

    fn client(
        &self,
        roots: Roots,
        adjust: impl Fn(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
    ) -> Result<Client, String> {
        // Another part of the process may have chosen a provider already: any will do.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let builder = || {
            adjust(
                Client::builder()
                    .user_agent(&self.user_agent)
                    .redirect(reqwest::redirect::Policy::none())
                    .referer(false)
                    .connect_timeout(self.timing.connect),
            )
        };
        let whole = if roots == Roots::System { builder().build().ok() } else { None };
        match whole {
            Some(client) => Ok(client),
            // A system without CA certificates can still reach plain registries; TLS then fails by name.
            None => builder().tls_certs_only([]).build().map_err(|error| flatten(&error)),
        }
    }

    /// Sends a request and waits for the head of the answer.
    pub(super) async fn answer(&self, request: RequestBuilder, action: &'static str) -> Result<Response, Fault> {
        let (client, request) = request.build_split();
        let request = request.map_err(|error| Error::Http { problem: flatten(&error) })?;
        let host = host_of(request.url());
        match timeout(self.timing.idle, client.execute(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(transport(error, host, action, self.timing.connect)),
            Err(_elapsed) => Err(silent(host, action, self.timing.idle)),
        }
    }

    /// The next bytes of a body; none at its end.
    pub(super) async fn chunk(&self, response: &mut Response, action: &'static str) -> Result<Option<Bytes>, Fault> {
        let host = host_of(response.url());
        match timeout(self.timing.idle, response.chunk()).await {
            Ok(Ok(chunk)) => Ok(chunk),
            Ok(Err(error)) => Err(transport(error, host, action, self.timing.connect)),
            Err(_elapsed) => Err(silent(host, action, self.timing.idle)),
        }
    }

    /// A whole body of at most `limit` bytes.
    pub(super) async fn body(
        &self,
        mut response: Response,
        limit: u64,
        what: &'static str,
        action: &'static str,
    ) -> Result<Vec<u8>, Fault> {
        let host = host_of(response.url());
        let mut bytes = Vec::new();
        while let Some(chunk) = self.chunk(&mut response, action).await? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() as u64 > limit {
                return Err(Error::TooLarge { host, what, limit }.into());
            }
        }
        Ok(bytes)
    }

    /// Turns an answer that is an error into one of ours, in the server's words.
    pub(super) async fn refusal(&self, mut response: Response, action: &'static str) -> Fault {
        let status = response.status();
        let host = host_of(response.url());
        let asked = asked_pause(response.headers());
        let mut body = Vec::new();
        // Words are a courtesy: if they break off or are too many, what has come is enough.
        while let Ok(Some(chunk)) = self.chunk(&mut response, action).await {
            body.extend_from_slice(&chunk);
            if body.len() as u64 > limits::ERROR_BODY {
                break;
            }
        }
        let said = words(status, &body);
        let retry = match (status.as_u16(), asked) {
            (429 | 503, Some(asked)) => Retry::After(asked.min(self.timing.longest_asked)),
            (408 | 425 | 429 | 500 | 502..=504, _) => Retry::Pause,
            _ => Retry::No,
        };
        let error = match status {
            StatusCode::TOO_MANY_REQUESTS => Error::RateLimited { host, said },
            _ => Error::Status { host, status: status.as_u16(), action, said },
        };
        Fault { error, retry }
    }

    /// Tries until it works, until another try is pointless, or until `Timing::total` is over.
    pub(super) async fn retrying<T>(
        &self,
        tries: u32,
        late: impl Fn() -> Error,
        mut attempt: impl AsyncFnMut() -> Result<T, Fault>,
    ) -> Result<T, Error> {
        let started = Instant::now();
        let mut last = None;
        for count in 1.. {
            let left = self.timing.total.saturating_sub(started.elapsed());
            let fault = match (timeout(left, attempt()).await, last.take()) {
                (Ok(Ok(value)), _) => return Ok(value),
                (Ok(Err(fault)), _) => fault,
                (Err(_elapsed), Some(error)) => return Err(error),
                (Err(_elapsed), None) => return Err(late()),
            };
            match self.pause(&fault.retry, count, tries) {
                Some(pause) if started.elapsed() + pause < self.timing.total => sleep(pause).await,
                _ => return Err(fault.error),
            }
            last = Some(fault.error);
        }
        unreachable!("the loop has no end of its own")
    }

    /// How long to wait before the next try; none if there is none.
    pub(super) fn pause(&self, retry: &Retry, count: u32, tries: u32) -> Option<Duration> {
        let most = match retry {
            Retry::No => return None,
            Retry::Few => tries.min(self.timing.few_tries),
            Retry::Pause | Retry::After(_) => tries,
        };
        if count >= most {
            return None;
        }
        if let Retry::After(asked) = retry {
            // Whoever has few tries is a mirror: the next endpoint is sooner there than the end of a long pause.
            let is_mirror = tries < self.timing.tries;
            return Some(*asked).filter(|asked| !is_mirror || *asked <= self.timing.longest_pause);
        }
        let doubled = self.timing.pause.saturating_mul(1 << (count - 1).min(16));
        // Between half and all of it, so that many clients do not come back at once.
        let random = std::hash::RandomState::new().build_hasher().finish() % 512;
        let share = 0.5 + f64::from(u16::try_from(random).unwrap_or(0)) / 1024.0;
        Some(doubled.min(self.timing.longest_pause).mul_f64(share))
    }
}

/// Host and port of a URL, for messages: never its path or query.
pub(super) fn host_of(url: &Url) -> String {
    Origin::of(url).map(|origin| origin.to_string()).unwrap_or_default()
}

/// The silence of a server.
pub(super) fn silent(host: String, action: &'static str, waited: Duration) -> Fault {
    Fault { error: Error::Timeout { host, seconds: waited.as_secs(), action }, retry: Retry::Pause }
}

/// Sorts the HTTP library's errors by what the user can do about them.
pub(super) fn transport(error: reqwest::Error, host: String, action: &'static str, patience: Duration) -> Fault {
    let error = error.without_url();
    match causes(&error).find_map(tls_error) {
        Some(rustls::Error::InvalidMessage(_)) => return Error::NoTls { host }.into(),
        Some(tls) => return Error::Tls { host, problem: tls_words(tls) }.into(),
        // The TLS library has no error of its own for a server that hangs up.
        None if error.is_connect() && flatten(&error).contains("handshake eof") => return Error::NoTls { host }.into(),
        None => {}
    }
    if error.is_dns() {
        return Fault { error: Error::UnknownHost { host }, retry: Retry::Few };
    }
    if error.is_timeout() {
        return silent(host, "connecting", patience);
    }
    if error.is_connect() {
        let refused = causes(&error).any(|c| io_kind(c) == Some(io::ErrorKind::ConnectionRefused));
        let problem = if refused { "connection refused".to_owned() } else { flatten(&error) };
        return Fault { error: Error::Unreachable { host, problem }, retry: Retry::Few };
    }
    let error = Error::Broken { host, action, problem: flatten(&error) };
    Fault { error, retry: Retry::Pause }
}

fn causes<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
}

fn io_kind(error: &(dyn std::error::Error + 'static)) -> Option<io::ErrorKind> {
    error.downcast_ref::<io::Error>().map(io::Error::kind)
}

/// The TLS library's error in an error: I/O errors wrap it, each other too, and hide it from `source`.
fn tls_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref() {
            return Some(tls);
        }
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = inner.map(|inner| inner as &(dyn std::error::Error + 'static));
    }
    None
}

fn tls_words(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(problem) => format!(
            "its certificate is not accepted ({problem}); a private CA can be named with the variable `SSL_CERT_FILE`"
        ),
        other => other.to_string(),
    }
}

/// The innermost cause in words: the outer ones only repeat that a request failed.
fn flatten(error: &reqwest::Error) -> String {
    causes(error).last().unwrap_or(error).to_string()
}

/// The pause that the server asks for, in seconds or as a date.
pub(super) fn asked_pause(headers: &HeaderMap) -> Option<Duration> {
    // A header that cannot be read asks for nothing.
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    let seconds = date.as_second().saturating_sub(jiff::Timestamp::now().as_second());
    Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

#[derive(Deserialize)]
struct ErrorBody {
    #[serde(default)]
    errors: Vec<ErrorItem>,
    #[serde(default, alias = "details", alias = "error_description")]
    message: Option<String>,
}

#[derive(Deserialize)]
struct ErrorItem {
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    message: Option<String>,
}

/// The registry's own words for an error, made fit to be shown; else the status in words.
fn words(status: StatusCode, body: &[u8]) -> String {
    let reason = || status.canonical_reason().unwrap_or("an error without a name").to_lowercase();
    let Ok(read) = serde_json::from_slice::<ErrorBody>(body) else { return reason() };
    let items = read.errors.into_iter().take(5).map(|item| {
        let parts = [item.code, item.message].into_iter().flatten().filter(|part| !part.is_empty());
        parts.collect::<Vec<_>>().join(": ")
    });
    let joined = items.chain(read.message).filter(|text| !text.is_empty()).collect::<Vec<_>>().join("; ");
    let shown: String = joined.chars().filter(|c| !c.is_control()).take(limits::SAID).collect();
    if shown.is_empty() { reason() } else { shown }
}
