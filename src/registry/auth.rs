//! Answers a registry's challenge: finds the credentials, and turns them into the header of the next request.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Method, RequestBuilder, StatusCode, Url};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::challenge::{self, Challenge};
use super::credentials::{Credentials, Found, Keyring};
use super::http::{Fault, Wire};
use super::policy::{self, Origin, RealmTrust};
use super::{Error, limits};
use crate::reference::Reference;

const ACTION: &str = "asking for a token";

/// What a request is for; each needs a grant of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Purpose {
    Read,
    Write,
    /// Writing here what another repository holds.
    Mount(String),
}

/// A header that the registry accepted, or may accept.
#[derive(Clone)]
pub(super) struct Grant {
    pub(super) header: HeaderValue,
    serial: u64,
    bearer: Option<Bearer>,
}

/// A token server and what to ask it for.
#[derive(Clone)]
struct Bearer {
    realm: String,
    service: Option<String>,
    scopes: Vec<String>,
}

/// The grants for one repository at one origin. Requests for a new one wait for each other, so that it is made once.
pub(super) struct Authenticator {
    reference: Reference,
    origin: Origin,
    keyring: Arc<Keyring>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    grants: BTreeMap<Purpose, Grant>,
    found: Option<Arc<Found>>,
    serial: u64,
    notes: Vec<String>,
}

#[derive(Deserialize)]
struct TokenReply {
    token: Option<String>,
    access_token: Option<String>,
}

impl Authenticator {
    pub(super) fn new(reference: Reference, origin: Origin, keyring: Arc<Keyring>) -> Self {
        Self { reference, origin, keyring, state: Mutex::default() }
    }

    /// The grant to send with the next request, if one is known.
    pub(super) async fn current(&self, purpose: &Purpose, wire: &Wire) -> Option<Grant> {
        let mut state = self.state.lock().await;
        if let Some(grant) = state.grants.get(purpose) {
            return Some(grant.clone());
        }
        let write = state.grants.get(&Purpose::Write).cloned()?;
        let (Purpose::Mount(from), Some(bearer)) = (purpose, &write.bearer) else { return Some(write) };
        let mut bearer = bearer.clone();
        bearer.scopes.push(format!("repository:{from}:pull"));
        // Without a token for both, the mount is refused and the blob uploaded: nothing is lost.
        let header = self.token(&mut state, wire, &bearer).await.ok();
        let grant = header.map_or(write, |header| state.grant(header, Some(bearer)));
        state.grants.insert(purpose.clone(), grant.clone());
        Some(grant)
    }

    /// Makes a grant from the challenge in an answer to a request that was sent with `used`.
    pub(super) async fn renew(
        &self,
        purpose: &Purpose,
        used: Option<&Grant>,
        headers: &HeaderMap,
        wire: &Wire,
    ) -> Result<(), Fault> {
        let mut state = self.state.lock().await;
        let known = state.grants.get(purpose).map(|g| g.serial);
        if known.is_some() && known != used.map(|g| g.serial) {
            return Ok(());
        }
        let challenges = challenges(headers);
        let named = |scheme: &str| challenges.iter().find(|c| c.scheme == scheme);
        let realm = named("bearer").and_then(|c| Some((c.parameters.get("realm")?, c)));
        let (header, bearer) = match (realm, named("basic")) {
            (Some((realm, challenge)), _) => {
                let bearer = self.bearer(realm, challenge, purpose);
                (self.token(&mut state, wire, &bearer).await?, Some(bearer))
            }
            (None, Some(_)) => (self.basic(&mut state).await?, None),
            (None, None) => {
                let problem = "it asks for no kind of login that is known".to_owned();
                return Err(Error::Answer { host: self.origin.to_string(), action: "logging in", problem }.into());
            }
        };
        let grant = state.grant(header, bearer);
        state.grants.insert(purpose.clone(), grant);
        Ok(())
    }

    /// The error for a request that stays refused, with what is known about the cause.
    pub(super) async fn denied(&self, said: String) -> Error {
        let state = self.state.lock().await;
        denied(&self.reference, &state, said)
    }

    fn bearer(&self, realm: &str, challenge: &Challenge, purpose: &Purpose) -> Bearer {
        let own = format!("repository:{}:", self.reference.repository());
        let asked = challenge.parameters.get("scope").map(String::as_str).unwrap_or("");
        let mut scopes: Vec<String> = asked.split_ascii_whitespace().map(str::to_owned).collect();
        if *purpose != Purpose::Read {
            // The first request of a push only reads, and some registries always name the right to read.
            scopes.retain(|scope| !scope.starts_with(&own));
            scopes.push(format!("{own}pull,push"));
        } else if scopes.is_empty() {
            scopes.push(format!("{own}pull"));
        }
        Bearer { realm: realm.to_owned(), service: challenge.parameters.get("service").cloned(), scopes }
    }

    /// Asks the token server. It sees the registry's credentials only if `policy` says that it belongs to the registry.
    async fn token(&self, state: &mut State, wire: &Wire, bearer: &Bearer) -> Result<HeaderValue, Fault> {
        let (url, trust) = policy::realm(&self.origin, &bearer.realm)?;
        let own = self.found(state).await?;
        let found = match trust {
            RealmTrust::Same => own,
            RealmTrust::Foreign => self.foreign(state, &url, own.credentials.is_some()).await?,
        };
        if let (Some(Credentials::Bearer(token)), RealmTrust::Same) = (&found.credentials, &trust) {
            return self.header("Bearer", token);
        }
        let host = super::http::host_of(&url);
        let response = wire.answer(token_request(wire, url, bearer, found.credentials.as_ref())?, ACTION).await?;
        match response.status() {
            status if status.is_success() => {}
            status if status.is_redirection() => {
                let problem = "a token server may not redirect";
                return Err(Error::Redirect { host, target: "…".to_owned(), problem }.into());
            }
            status => {
                let fault = wire.refusal(response, ACTION).await;
                return Err(match (status, fault.error) {
                    (
                        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST,
                        Error::Status { said, .. },
                    ) => denied(&self.reference, state, said).into(),
                    (_, error) => Fault { error, ..fault },
                });
            }
        }
        let body = wire.body(response, limits::TOKEN, "token", ACTION).await?;
        // The parser's words could quote the token.
        let reply: Option<TokenReply> = serde_json::from_slice(&body).ok();
        let token = reply.and_then(|r| r.token.filter(|t| !t.is_empty()).or(r.access_token));
        let Some(token) = token.filter(|t| !t.is_empty()) else {
            return Err(Error::Answer { host, action: ACTION, problem: "it holds no token".to_owned() }.into());
        };
        self.header("Bearer", &token)
    }

    /// The credentials that were configured for a token server at another site under its own name.
    async fn foreign(&self, state: &mut State, realm: &Url, withheld: bool) -> Result<Arc<Found>, Error> {
        let host = super::http::host_of(realm);
        let found = search(&self.keyring, &host, "").await?;
        if found.credentials.is_none() && withheld {
            let note = format!(
                "the credentials for `{}` were not shown to its token server at another site; configure some for `{host}` to allow it",
                self.reference.registry()
            );
            if !state.notes.contains(&note) {
                state.notes.push(note);
            }
        }
        Ok(found)
    }

    async fn basic(&self, state: &mut State) -> Result<HeaderValue, Fault> {
        let found = self.found(state).await?;
        match &found.credentials {
            Some(Credentials::Password { user, password }) => {
                self.header("Basic", &STANDARD.encode(format!("{user}:{password}")))
            }
            Some(Credentials::Bearer(token)) => self.header("Bearer", token),
            Some(Credentials::Identity(_)) => {
                let said = "it wants a user and a password, and only a token is configured".to_owned();
                Err(denied(&self.reference, state, said).into())
            }
            None => Err(denied(&self.reference, state, "it wants a login".to_owned()).into()),
        }
    }

    async fn found(&self, state: &mut State) -> Result<Arc<Found>, Error> {
        if let Some(found) = &state.found {
            return Ok(Arc::clone(found));
        }
        let found = search(&self.keyring, self.reference.registry(), self.reference.repository()).await?;
        state.notes.extend(found.notes.iter().cloned());
        state.found = Some(Arc::clone(&found));
        Ok(found)
    }

    fn header(&self, scheme: &str, secret: &str) -> Result<HeaderValue, Fault> {
        // The value itself must not be shown.
        let mut value = HeaderValue::from_str(&format!("{scheme} {secret}")).map_err(|_secret| {
            let problem = "the token or password holds characters that a header cannot".to_owned();
            Error::Answer { host: self.origin.to_string(), action: "logging in", problem }
        })?;
        value.set_sensitive(true);
        Ok(value)
    }
}

impl State {
    fn grant(&mut self, header: HeaderValue, bearer: Option<Bearer>) -> Grant {
        self.serial += 1;
        Grant { header, serial: self.serial, bearer }
    }
}

/// Looks for credentials on a thread of its own: a helper may take its time.
async fn search(keyring: &Arc<Keyring>, registry: &str, repository: &str) -> Result<Arc<Found>, Error> {
    let keyring = Arc::clone(keyring);
    let (registry, repository) = (registry.to_owned(), repository.to_owned());
    let searched = tokio::task::spawn_blocking(move || keyring.find(&registry, &repository)).await;
    let found = searched.map_err(|stopped| Error::Start { source: stopped.into() })?;
    Ok(Arc::new(found?))
}

fn challenges(headers: &HeaderMap) -> Vec<Challenge> {
    let values = headers.get_all(WWW_AUTHENTICATE).iter();
    // A header that is not text offers nothing.
    values.filter_map(|value| value.to_str().ok()).flat_map(challenge::parse).collect()
}

fn token_request(
    wire: &Wire,
    mut url: Url,
    bearer: &Bearer,
    credentials: Option<&Credentials>,
) -> Result<RequestBuilder, Error> {
    let service = bearer.service.iter().map(|service| ("service", service.as_str()));
    if let Some(Credentials::Identity(token)) = credentials {
        let scope = bearer.scopes.join(" ");
        let fixed = [("grant_type", "refresh_token"), ("client_id", "rbuild"), ("refresh_token", token)];
        let mut form = url.clone();
        form.query_pairs_mut().clear().extend_pairs(fixed).extend_pairs(service).append_pair("scope", &scope);
        let body = form.query().unwrap_or("").to_owned();
        let request = wire.request(Method::POST, url)?;
        return Ok(request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body));
    }
    let scopes = bearer.scopes.iter().map(|scope| ("scope", scope.as_str()));
    url.query_pairs_mut().extend_pairs(service).extend_pairs(scopes);
    let Some(Credentials::Password { user, password }) = credentials else {
        return wire.request(Method::GET, url);
    };
    url.query_pairs_mut().append_pair("account", user);
    let mut basic = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
        .expect("base64 fits into a header");
    basic.set_sensitive(true);
    Ok(wire.request(Method::GET, url)?.header(AUTHORIZATION, basic))
}

fn denied(reference: &Reference, state: &State, said: String) -> Error {
    let registry = reference.registry().to_owned();
    let mut hint = match state.found.as_ref().map(|f| f.credentials.is_some()) {
        Some(true) => {
            format!("check the name, and that the account may use it; `docker login {registry}` logs in anew")
        }
        _ => format!("check the name; if the repository is private, log in with `docker login {registry}`"),
    };
    for note in &state.notes {
        hint.push_str("; ");
        hint.push_str(note);
    }
    Error::Denied { reference: reference.familiar(), registry, said, hint }
}
