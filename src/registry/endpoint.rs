//! One repository at one registry: requests with its credentials, redirects without them.

use std::sync::Arc;

use reqwest::header::{AUTHORIZATION, HeaderName, LOCATION};
use reqwest::{Method, Response, StatusCode, Url};

use super::auth::{Authenticator, Grant, Purpose};
use super::credentials::Keyring;
use super::http::{self, Fault, Retry, Wire};
use super::policy::{self, Origin};
use super::registries::Place;
use super::upload::Outgoing;
use super::{Error, limits};
use crate::reference::Reference;

/// Where Docker Hub's registry really is.
const HUB_REGISTRY: &str = "registry-1.docker.io";

/// One repository at one registry.
pub(super) struct Endpoint<'a> {
    pub(super) wire: &'a Wire,
    /// The name of what is looked for, as it is at this registry.
    pub(super) reference: Reference,
    pub(super) origin: Origin,
    /// How often to try each request.
    pub(super) tries: u32,
    base: Url,
    auth: Authenticator,
}

/// A request, as often as it takes.
pub(super) struct Call<'a> {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) purpose: Purpose,
    /// What it is for, for messages: `reading the manifest`.
    pub(super) action: &'static str,
    pub(super) headers: Vec<(HeaderName, String)>,
    pub(super) payload: Payload<'a>,
    /// Statuses beside 2xx that the caller understands.
    pub(super) understood: &'static [StatusCode],
}

/// What a request carries.
pub(super) enum Payload<'a> {
    Nothing,
    Bytes(&'a [u8]),
    Blob(&'a Outgoing<'a>),
}

impl<'a> Call<'a> {
    /// A request that only reads.
    pub(super) fn get(url: Url, action: &'static str) -> Self {
        Self {
            method: Method::GET,
            url,
            purpose: Purpose::Read,
            action,
            headers: Vec::new(),
            payload: Payload::Nothing,
            understood: &[],
        }
    }

    /// A request that writes.
    pub(super) fn write(method: Method, url: Url, action: &'static str, payload: Payload<'a>) -> Self {
        Self { method, purpose: Purpose::Write, payload, ..Call::get(url, action) }
    }
}

impl<'a> Endpoint<'a> {
    /// Finds out how to speak with the place's registry. Asks it only if the place is marked insecure.
    pub(super) async fn connect(
        wire: &'a Wire,
        keyring: &Arc<Keyring>,
        place: Place,
        tries: u32,
    ) -> Result<Self, Error> {
        let registry = match place.reference.registry() {
            "docker.io" => HUB_REGISTRY,
            other => other,
        };
        let url = |scheme: &str| {
            Url::parse(&format!("{scheme}://{registry}/v2/")).map_err(|bad| {
                let problem = format!("its name makes no URL: {bad}");
                Error::Unreachable { host: registry.to_owned(), problem }
            })
        };
        let secure = url("https")?;
        let plain = url("http")?;
        let is_local = Origin::of(&plain).is_some_and(|o| o.is_loopback());
        let base = match place.insecure {
            Some(false) => secure,
            Some(true) if !is_local && speaks_tls(wire, &secure).await? => secure,
            Some(true) => plain,
            None if is_local => plain,
            None => secure,
        };
        let origin = Origin::of(&base).expect("the URL was made with http or https and a host");
        let auth = Authenticator::new(place.reference.clone(), origin.clone(), Arc::clone(keyring));
        Ok(Self { wire, reference: place.reference, origin, tries, base, auth })
    }

    /// A URL of this repository: `manifests/latest`, `blobs/sha256:…`.
    pub(super) fn url(&self, tail: &str) -> Url {
        let mut url = self.base.clone();
        // Repository, tag and digest are made of characters that need no escaping in a path.
        url.set_path(&format!("/v2/{}/{tail}", self.reference.repository()));
        url
    }

    /// Sends a small request until it works, and gives its answer to `read`, whose failure is a failed try.
    pub(super) async fn ask<T>(
        &self,
        call: &Call<'_>,
        mut read: impl AsyncFnMut(Response) -> Result<T, Fault>,
    ) -> Result<T, Error> {
        let late = || http::silent(self.origin.to_string(), call.action, self.wire.timing.total).error;
        self.wire.retrying(self.tries, late, async || read(self.exchange(call).await?).await).await
    }

    /// Sends a request once, or twice if the registry asks for a login in between.
    pub(super) async fn exchange(&self, call: &Call<'_>) -> Result<Response, Fault> {
        let mut renewed = false;
        loop {
            let grant = self.auth.current(&call.purpose, self.wire).await;
            let response = self.follow(call, grant.as_ref()).await?;
            let status = response.status();
            if status.is_success() || call.understood.contains(&status) {
                return Ok(response);
            }
            let is_own = Origin::of(response.url()).as_ref() == Some(&self.origin);
            if status != StatusCode::UNAUTHORIZED || !is_own || renewed {
                return Err(self.refusal(call, response, is_own).await);
            }
            self.auth.renew(&call.purpose, grant.as_ref(), response.headers(), self.wire).await?;
            renewed = true;
        }
    }

    async fn refusal(&self, call: &Call<'_>, response: Response, is_own: bool) -> Fault {
        let status = response.status();
        let fault = self.wire.refusal(response, call.action).await;
        match (status, fault.error) {
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, Error::Status { said, .. }) if is_own => {
                self.auth.denied(said).await.into()
            }
            // The signed URL of a storage has run out: the registry makes a new one.
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, error) => Fault { error, retry: Retry::Pause },
            (_, error) => Fault { error, retry: fault.retry },
        }
    }

    /// Sends a request and follows where it is sent to. The grant goes to this endpoint's origin only, and not any more
    /// once another origin had a say in where to go.
    async fn follow(&self, call: &Call<'_>, grant: Option<&Grant>) -> Result<Response, Fault> {
        let mut url = call.url.clone();
        let mut at_home = true;
        for _hop in 0..=limits::REDIRECTS {
            at_home &= Origin::of(&url).as_ref() == Some(&self.origin);
            let response = self.send(call, &url, grant.filter(|_| at_home)).await?;
            let location = match response.status().as_u16() {
                301 | 302 | 303 | 307 | 308 => response.headers().get(LOCATION),
                _ => return Ok(response),
            };
            // A place that is not even text is no URL either.
            let location = location.and_then(|l| l.to_str().ok()).unwrap_or("http://");
            let target = policy::target(&url, location)?;
            if !matches!(call.method, Method::GET | Method::HEAD) {
                let shown = format!("{}://{}", target.scheme(), http::host_of(&target));
                let problem = "only reading may be redirected";
                return Err(Error::Redirect { host: self.origin.to_string(), target: shown, problem }.into());
            }
            url = target;
        }
        let problem = "there are too many redirects";
        Err(Error::Redirect { host: self.origin.to_string(), target: http::host_of(&url), problem }.into())
    }

    async fn send(&self, call: &Call<'_>, url: &Url, grant: Option<&Grant>) -> Result<Response, Fault> {
        let mut request = self.wire.request(call.method.clone(), url.clone())?;
        for (name, value) in &call.headers {
            request = request.header(name, value);
        }
        if let Some(grant) = grant {
            request = request.header(AUTHORIZATION, &grant.header);
        }
        match &call.payload {
            Payload::Nothing if call.method == Method::POST => {
                self.wire.answer(request.header("content-length", "0"), call.action).await
            }
            Payload::Nothing => self.wire.answer(request, call.action).await,
            Payload::Bytes(bytes) => self.wire.answer(request.body(bytes.to_vec()), call.action).await,
            Payload::Blob(blob) => blob.send(self.wire, request, call.action).await,
        }
    }
}

/// Whether a registry that may be spoken to without TLS has TLS nevertheless.
pub(super) async fn speaks_tls(wire: &Wire, url: &Url) -> Result<bool, Error> {
    let request = wire.request(Method::GET, url.clone())?;
    match wire.answer(request, "connecting").await {
        Ok(_response) => Ok(true),
        Err(fault) => match fault.error {
            Error::NoTls { .. } | Error::Unreachable { .. } | Error::Timeout { .. } | Error::Broken { .. } => Ok(false),
            // A certificate that is not accepted is no reason to do without.
            other => Err(other),
        },
    }
}
