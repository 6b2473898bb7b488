use std::sync::{Arc, Mutex};

use super::super::{Client, Error, Options, Silent};
use super::fake::{Contents, Fake, Fault, Reply, Request};
use super::{check_pulled, image, noise, place, pull, quick, reference};
use crate::image::SealedImage;
use crate::store::Store;

const SECRET: &str = "s3cr3t-canary";

fn contents() -> (Contents, SealedImage, super::Place) {
    let source = place();
    let image = image(&source.store, &[noise(3, 3000)]);
    (Contents::of(&image, &source.store), image, source)
}

/// Options that know a user and a password for `host`.
fn with_login(host: &str) -> Options {
    let text = format!(r#"{{"auths":{{"{host}":{{"username":"me","password":"{SECRET}"}}}}}}"#);
    Options { env_auth: Some(text), ..quick() }
}

/// Nothing that a request carries is a credential.
#[track_caller]
fn check_bare(fake: &Fake) {
    for request in fake.seen() {
        for name in ["authorization", "cookie", "proxy-authorization"] {
            assert_eq!(request.header(name), None, "{request:?}");
        }
        let text = format!("{} {}", request.target, String::from_utf8_lossy(&request.body));
        assert!(!text.contains(SECRET) && !text.contains("token-"), "{text}");
    }
}

fn unauthorized(realm: &str) -> Reply {
    let scope = "repository:app:pull";
    Reply::status(401).with("WWW-Authenticate", format!(r#"Bearer realm="{realm}",service="reg&x=y",scope="{scope}""#))
}

/// A registry that wants the token `token-1` from the server at `realm`.
fn guarded(realm: String, contents: Contents) -> Fake {
    Fake::start(move |request| match request.header("authorization") {
        Some("Bearer token-1") => contents.serve(request),
        _ => unauthorized(&realm),
    })
}

fn token_server() -> Fake {
    Fake::start(|_| Reply::ok(r#"{"token":"token-1","expires_in":300}"#))
}

#[test]
fn a_token_is_asked_for_once_and_with_the_registry_s_credentials() {
    let (contents, image, _source) = contents();
    let tokens = token_server();
    let fake = guarded(format!("http://{}/token?a=b", tokens.host), contents);
    let target = place();
    let pulled = pull(with_login(&fake.host), &target.store, &format!("{}/app", fake.host)).expect("pulled");
    check_pulled(&target.store, &pulled, &image);
    let seen = tokens.seen();
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(
        seen[0].target, "/token?a=b&service=reg%26x%3Dy&scope=repository%3Aapp%3Apull&account=me",
        "what the registry names is one value, whatever it holds"
    );
    assert!(seen[0].header("authorization").is_some_and(|h| h.starts_with("Basic ")));
    assert!(fake.seen().iter().all(|r| r.header("authorization").is_none_or(|h| h == "Bearer token-1")));
}

#[test]
fn an_identity_token_is_posted() {
    let (contents, _image, _source) = contents();
    let tokens = Fake::start(|_| Reply::ok(r#"{"access_token":"token-1"}"#));
    let fake = guarded(format!("http://{}/token", tokens.host), contents);
    let text = format!(r#"{{"auths":{{"{}":{{"identitytoken":"{SECRET}"}}}}}}"#, fake.host);
    let options = Options { env_auth: Some(text), ..quick() };
    pull(options, &place().store, &format!("{}/app", fake.host)).expect("pulled");
    let seen = tokens.seen();
    assert_eq!((seen.len(), seen[0].method.as_str()), (1, "POST"));
    let body = String::from_utf8_lossy(&seen[0].body).into_owned();
    assert!(body.starts_with(&format!("grant_type=refresh_token&client_id=rbuild&refresh_token={SECRET}&")), "{body}");
}

#[test]
fn a_login_is_for_one_registry_only() {
    let (contents, _image, _source) = contents();
    let tokens = token_server();
    let fake = guarded(format!("http://{}/token", tokens.host), contents);
    pull(with_login("127.0.0.1:1"), &place().store, &format!("{}/app", fake.host)).expect("pulled");
    check_bare(&tokens);
}

#[test]
fn a_token_server_that_is_not_the_registry_s_is_not_asked() {
    let (contents, ..) = contents();
    let other = token_server();
    let port = other.host.rsplit(':').next().expect("a port").to_owned();
    for realm in [
        format!("http://127.0.0.2:{port}/token"),
        format!("http://localhost:{port}/token"),
        format!("http://me:{SECRET}@{}/token", other.host),
        "http://169.254.169.254/latest".to_owned(),
        "https://10.0.0.1/token".to_owned(),
        "file:///etc/passwd".to_owned(),
    ] {
        let fake = guarded(realm.clone(), contents.clone());
        let refused = pull(with_login(&fake.host), &place().store, &format!("{}/app", fake.host)).expect_err("refused");
        assert!(matches!(refused, Error::Realm { .. }), "{realm}: {refused}");
        assert!(!refused.to_string().contains(SECRET), "{refused}");
    }
    assert_eq!(other.seen().len(), 0);
}

#[test]
fn a_token_server_may_not_redirect() {
    let (contents, ..) = contents();
    let thief = token_server();
    let target = format!("http://{}/steal", thief.host);
    let tokens = Fake::start(move |_| Reply::status(307).with("Location", target.clone()));
    let fake = guarded(format!("http://{}/token", tokens.host), contents);
    let refused = pull(with_login(&fake.host), &place().store, &format!("{}/app", fake.host)).expect_err("refused");
    assert!(matches!(refused, Error::Redirect { .. }), "{refused}");
    assert_eq!(thief.seen().len(), 0);
}

#[test]
fn a_token_answer_without_end_or_sense_is_an_error() {
    let (contents, ..) = contents();
    for reply in [
        Reply::ok("").but(Fault::Endless),
        Reply::ok("{}"),
        Reply::ok(r#"{"token":"a\nb"}"#),
        Reply::ok(r#"{"token":7}"#),
    ] {
        let tokens = Fake::start(move |_| reply.clone());
        let fake = guarded(format!("http://{}/token", tokens.host), contents.clone());
        let refused = pull(quick(), &place().store, &format!("{}/app", fake.host)).expect_err("refused");
        assert!(matches!(refused, Error::TooLarge { .. } | Error::Answer { .. }), "{refused}");
    }
}

#[test]
fn a_redirect_carries_no_credentials_to_another_origin() {
    let (contents, image, _source) = contents();
    let blobs = contents.clone();
    let storage = Fake::start(move |request| blobs.serve(request));
    let elsewhere = storage.host.clone();
    let tokens = token_server();
    let realm = format!("http://{}/token", tokens.host);
    let fake = Fake::start(move |request| match request.header("authorization") {
        Some("Bearer token-1") if request.target.contains("/blobs/") => {
            Reply::status(307).with("Location", format!("http://{elsewhere}{}?signature=x", request.target))
        }
        Some("Bearer token-1") => contents.serve(request),
        _ => unauthorized(&realm),
    });
    let target = place();
    let pulled = pull(with_login(&fake.host), &target.store, &format!("{}/app", fake.host)).expect("pulled");
    check_pulled(&target.store, &pulled, &image);
    assert_eq!(storage.seen().len(), 2);
    check_bare(&storage);
}

#[test]
fn a_signed_address_that_has_run_out_is_asked_for_anew() {
    let (contents, image, _source) = contents();
    let blobs = contents.clone();
    let storage = Fake::start(move |request| match request.target.contains("signature=2") {
        true => blobs.serve(request),
        false => Reply::status(403),
    });
    let elsewhere = storage.host.clone();
    let signatures = Mutex::new(0);
    let fake = Fake::start(move |request| {
        if !request.target.contains("/blobs/") {
            return contents.serve(request);
        }
        let mut signature = signatures.lock().expect("lock");
        *signature = (*signature + 1).min(2);
        Reply::status(302).with("Location", format!("http://{elsewhere}{}?signature={signature}", request.target))
    });
    let target = place();
    let pulled = pull(quick(), &target.store, &format!("{}/app", fake.host)).expect("pulled");
    check_pulled(&target.store, &pulled, &image);
}

#[test]
fn redirects_in_a_circle_end() {
    let fake = Fake::start(|request| Reply::status(302).with("Location", request.target.clone()));
    let refused = pull(quick(), &place().store, &format!("{}/app", fake.host)).expect_err("refused");
    assert!(refused.to_string().contains("too many redirects"), "{refused}");
    assert_eq!(fake.seen().len(), 11);
}

#[test]
fn a_token_that_runs_out_is_renewed() {
    let (contents, image, _source) = contents();
    let serial = Arc::new(Mutex::new(0));
    let made = Arc::clone(&serial);
    let tokens = Fake::start(move |_| {
        *made.lock().expect("lock") += 1;
        Reply::ok(format!(r#"{{"token":"t{}"}}"#, made.lock().expect("lock")))
    });
    let realm = format!("http://{}/token", tokens.host);
    let fake = Fake::start(move |request| {
        // Blobs want the second token: the first has run out by then.
        let least = if request.target.contains("/blobs/") { 2 } else { 1 };
        let given = request.header("authorization").and_then(|h| h.strip_prefix("Bearer t")?.parse::<i32>().ok());
        if given >= Some(least) { contents.serve(request) } else { unauthorized(&realm) }
    });
    let target = place();
    let pulled = pull(quick(), &target.store, &format!("{}/app", fake.host)).expect("pulled");
    check_pulled(&target.store, &pulled, &image);
    assert_eq!(*serial.lock().expect("lock"), 2);
}

#[test]
fn a_login_that_stays_refused_is_told_without_the_secret() {
    let fake = Fake::start(|_| Reply::status(401).with("WWW-Authenticate", r#"Basic realm="x""#));
    let name = format!("{}/app", fake.host);
    let refused = pull(with_login(&fake.host), &place().store, &name).expect_err("refused");
    assert!(matches!(refused, Error::Denied { .. }), "{refused}");
    assert!(!refused.to_string().contains(SECRET) && !format!("{refused:?}").contains(SECRET));
    assert_eq!(fake.seen().len(), 2);
    let anonymous = pull(quick(), &place().store, &name).expect_err("refused").to_string();
    assert!(anonymous.contains("log in with `docker login"), "{anonymous}");
}

#[test]
fn a_config_file_that_cannot_be_read_names_itself_and_no_secret() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("config.json");
    std::fs::write(&path, format!(r#"{{"auths":{{"a":{{"auth":["{SECRET}"]}}}}}}"#)).expect("written");
    let fake = Fake::start(|_| Reply::status(401).with("WWW-Authenticate", r#"Basic realm="x""#));
    let options = Options { docker_config: Some(path.clone()), ..quick() };
    let refused = pull(options, &place().store, &format!("{}/app", fake.host)).expect_err("refused").to_string();
    assert!(refused.contains(path.to_str().expect("text")) && refused.contains("line 1"), "{refused}");
    assert!(!refused.contains(SECRET), "{refused}");
}

/// Pushes a small image; answers uploads at `location`.
fn push_to(location: impl Fn(&Request) -> String + Send + Sync + 'static, store: &Store) -> (Fake, Result<(), Error>) {
    let image = image(store, &[noise(5, 500)]);
    let fake = Fake::start(move |request| match request.method.as_str() {
        _ if request.header("authorization").is_none() => {
            Reply::status(401).with("WWW-Authenticate", r#"Basic realm="x""#)
        }
        "HEAD" => Reply::status(404),
        "POST" => Reply::status(202).with("Location", location(request)),
        _ => Reply::status(201),
    });
    let client = Client::new(with_login(&fake.host));
    let pushed = client.push(store, &image, &reference(&format!("{}/app:1", fake.host)), &[], &Silent);
    (fake, pushed.map(drop))
}

#[test]
fn an_upload_at_another_origin_gets_no_credentials() {
    let storage = Fake::start(|_| Reply::status(201));
    let elsewhere = storage.host.clone();
    let source = place();
    let (fake, pushed) = push_to(move |_| format!("http://{elsewhere}/upload?state=x"), &source.store);
    pushed.expect("pushed");
    assert_eq!(storage.count("PUT", "/upload?state=x&digest=sha256%3A"), 2);
    check_bare(&storage);
    assert_eq!(fake.count("PUT", "/v2/app/manifests/1"), 1);
}

#[test]
fn an_upload_address_may_be_relative() {
    let source = place();
    let (fake, pushed) = push_to(|_| "/v2/app/blobs/uploads/7?_state=x".to_owned(), &source.store);
    pushed.expect("pushed");
    let uploads: Vec<Request> =
        fake.seen().into_iter().filter(|r| r.is_for("PUT", "/uploads/7?_state=x&digest=")).collect();
    assert_eq!(uploads.len(), 2);
    assert!(uploads.iter().any(|r| r.body == noise(5, 500)), "the layer's bytes");
    assert!(fake.seen().last().is_some_and(|r| r.is_for("PUT", "/manifests/1")), "the manifest comes last");
}

#[test]
fn an_upload_address_on_another_host_without_tls_is_refused() {
    let source = place();
    let (_fake, pushed) = push_to(|_| "http://example.invalid/upload".to_owned(), &source.store);
    assert!(matches!(pushed, Err(Error::Redirect { .. })), "{pushed:?}");
}
