use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::super::{Client, Error, Options, Result, Silent};
use super::fake::{Fake, Reply, Request};
use super::{Recorder, image, noise, place, quick, reference};
use crate::digest::{BlobDigest, ManifestDigest};

/// A registry that keeps what it is given, except that the first `count` requests that `which` picks get `fault`.
fn keeper(
    count: usize,
    which: impl Fn(&Request) -> bool + Send + Sync + 'static,
    fault: impl Fn(&Request) -> Reply + Send + Sync + 'static,
) -> Fake {
    let blobs = Mutex::new(BTreeMap::<String, Vec<u8>>::new());
    let asked = AtomicUsize::new(0);
    Fake::start(move |request| {
        if which(request) && asked.fetch_add(1, Ordering::Relaxed) < count {
            return fault(request);
        }
        let mut blobs = blobs.lock().expect("lock");
        let path = request.target.split('?').next().unwrap_or("");
        match request.method.as_str() {
            "HEAD" if blobs.contains_key(path.rsplit('/').next().unwrap_or("")) => Reply::status(200),
            "HEAD" => Reply::status(404),
            "POST" => Reply::status(202).with("Location", "/v2/app/blobs/uploads/1?_state=x"),
            _ if path.contains("/manifests/") => Reply::status(201),
            _ => {
                let named = request.target.rsplit("digest=").next().unwrap_or("").replace("%3A", ":");
                if BlobDigest::of(&request.body).to_string() != named {
                    return Reply::status(400);
                }
                blobs.insert(named, request.body.clone());
                Reply::status(201)
            }
        }
    })
}

fn push(fake: &Fake, options: Options) -> Result<ManifestDigest> {
    let source = place();
    let image = image(&source.store, &[noise(11, 200_000)]);
    Client::new(options).push(&source.store, &image, &reference(&format!("{}/app:1", fake.host)), &[], &Silent)
}

/// A fault, and which requests it strikes.
type Strike = (&'static str, fn(&Request) -> bool);

const EACH: [Strike; 4] = [
    ("HEAD", |r| r.method == "HEAD"),
    ("POST", |r| r.method == "POST"),
    ("blob", |r| r.is_for("PUT", "/uploads/")),
    ("manifest", |r| r.is_for("PUT", "/manifests/")),
];

#[test]
fn bursts_of_server_errors_are_waited_out() {
    for (name, which) in EACH {
        for status in [429, 500, 502, 503, 504] {
            let fake = keeper(3, which, move |_| Reply::status(status));
            push(&fake, quick()).unwrap_or_else(|error| panic!("{name} {status}: {error}"));
            assert_eq!(fake.count("PUT", "/manifests/1"), if name == "manifest" { 4 } else { 1 });
        }
    }
}

#[test]
fn a_login_that_runs_out_is_renewed_wherever_it_is() {
    for (name, which) in EACH {
        let tokens = Fake::start(|_| Reply::ok(r#"{"token":"t"}"#));
        let challenge = format!(r#"Bearer realm="http://{}/t",service="s",scope="repository:app:pull""#, tokens.host);
        let fake = keeper(1, which, move |_| Reply::status(401).with("WWW-Authenticate", challenge.clone()));
        push(&fake, quick()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(tokens.seen().len(), 1, "{name}");
        assert!(tokens.seen()[0].target.contains("scope=repository%3Aapp%3Apull%2Cpush"), "{name}: a push may write");
    }
}

#[test]
fn an_upload_that_the_registry_forgot_is_begun_anew() {
    let fake = keeper(1, |r| r.is_for("PUT", "/uploads/"), |_| Reply::status(404));
    push(&fake, quick()).expect("pushed");
    assert_eq!(fake.count("POST", "/blobs/uploads/"), 3);
}

#[test]
fn what_a_registry_refuses_is_told_in_its_words() {
    let body = r#"{"errors":[{"code":"MANIFEST_INVALID","message":"no"}]}"#;
    let fake = keeper(9, |r| r.is_for("PUT", "/manifests/"), move |_| Reply { status: 400, ..Reply::ok(body) });
    let refused = push(&fake, quick()).expect_err("refused");
    assert!(matches!(&refused, Error::Status { status: 400, said, .. } if said == "MANIFEST_INVALID: no"), "{refused}");
    assert_eq!(fake.count("PUT", "/manifests/"), 1, "a refusal is not tried again");
}

#[test]
fn a_registry_that_names_another_digest_is_not_believed() {
    let other = ManifestDigest::of(b"other").to_string();
    let fake = keeper(
        9,
        |r| r.is_for("PUT", "/manifests/"),
        move |_| Reply::status(201).with("Docker-Content-Digest", other.clone()),
    );
    assert!(matches!(push(&fake, quick()), Err(Error::WrongDigest { .. })));
}

#[test]
fn an_upload_is_not_redirected() {
    let fake = keeper(9, |r| r.method == "POST", |_| Reply::status(307).with("Location", "/elsewhere"));
    assert!(matches!(push(&fake, quick()), Err(Error::Redirect { .. })));
}

#[test]
fn an_upload_is_reported_once_however_often_it_is_sent() {
    let fake = keeper(2, |r| r.is_for("PUT", "/uploads/"), |_| Reply::status(503));
    let (source, progress) = (place(), Recorder::default());
    let image = image(&source.store, &[noise(11, 200_000)]);
    let to = reference(&format!("{}/app:1", fake.host));
    Client::new(quick()).push(&source.store, &image, &to, &[], &progress).expect("pushed");
    let whole = 200_000 + image.config().bytes().len() as u64;
    assert_eq!(progress.bytes.load(Ordering::Relaxed), whole);
}

#[test]
fn a_blob_whose_answer_was_lost_is_not_sent_again() {
    let lost = Mutex::new(Vec::new());
    let fake = Fake::start(move |request| {
        let mut lost = lost.lock().expect("lock");
        match request.method.as_str() {
            "HEAD" if lost.iter().any(|name: &String| request.target.ends_with(name)) => Reply::status(200),
            "HEAD" => Reply::status(404),
            "POST" => Reply::status(202).with("Location", "/up?x=y"),
            _ if request.target.contains("/manifests/") => Reply::status(201),
            _ => {
                lost.push(BlobDigest::of(&request.body).to_string());
                Reply::status(502)
            }
        }
    });
    push(&fake, quick()).expect("pushed");
    assert_eq!(fake.count("PUT", "/up?"), 2, "the layer and the config, each once");
}

#[test]
fn a_push_by_digest_needs_that_digest() {
    let fake = keeper(0, |_| false, |_| Reply::status(500));
    let source = place();
    let image = image(&source.store, &[noise(11, 10)]);
    let client = Client::new(quick());
    let to = |digest| reference(&format!("{}/app:1", fake.host)).with_digest(digest);
    client.push(&source.store, &image, &to(image.digest()), &[], &Silent).expect("pushed");
    let refused = client.push(&source.store, &image, &to(ManifestDigest::of(b"other")), &[], &Silent);
    assert!(matches!(refused, Err(Error::NoTag { .. })));
}
