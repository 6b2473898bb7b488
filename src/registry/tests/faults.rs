use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use super::super::{Client, Error, Options};
use super::fake::{Contents, Fake, Fault, Reply, Request};
use super::{Recorder, check_pulled, image, linux, noise, place, pull, quick, reference, registries};
use crate::digest::{BlobDigest, ManifestDigest};
use crate::image::{SealedImage, media_type};

/// An image of one layer, a script's answer to every request, and what a pull of it came to.
struct Case {
    image: SealedImage,
    contents: Contents,
    layer: Vec<u8>,
}

fn case(length: usize) -> Case {
    let source = place();
    let layer = noise(7, length);
    let image = image(&source.store, std::slice::from_ref(&layer));
    let contents = Contents::of(&image, &source.store);
    Case { image, contents, layer }
}

impl Case {
    fn is_layer(&self) -> impl Fn(&Request) -> bool + Send + Sync + 'static {
        let name = BlobDigest::of(&self.layer).to_string();
        move |request: &Request| request.is_for("GET", &name)
    }
}

/// Serves the image, but answers the first `count` of the requests that `which` picks by `fault`.
fn faulty(
    case: &Case,
    count: usize,
    which: impl Fn(&Request) -> bool + Send + Sync + 'static,
    fault: impl Fn(&Request, Reply) -> Reply + Send + Sync + 'static,
) -> Fake {
    let contents = case.contents.clone();
    let asked = AtomicUsize::new(0);
    Fake::start(move |request| {
        let reply = contents.serve(request);
        let is_faulty = which(request) && asked.fetch_add(1, Ordering::Relaxed) < count;
        if is_faulty { fault(request, reply) } else { reply }
    })
}

#[track_caller]
fn check_pull(case: &Case, fake: &Fake) {
    let target = place();
    let pulled = pull(quick(), &target.store, &format!("{}/app", fake.host)).expect("pulled");
    check_pulled(&target.store, &pulled, &case.image);
}

#[track_caller]
fn check_refused(case: &Case, fake: &Fake) -> Error {
    let target = place();
    let refused = pull(quick(), &target.store, &format!("{}/app", fake.host)).expect_err("refused");
    let layer = target.store.blob_size(&BlobDigest::of(&case.layer)).expect("store");
    assert_eq!(layer, None, "nothing unverified is stored");
    refused
}

#[test]
fn a_blob_that_breaks_off_is_resumed_where_it_stopped() {
    let case = case(200_000);
    for step in 0..25 {
        let cut = step * 8_000 + 1;
        let fake = faulty(&case, 1, case.is_layer(), move |_, reply| reply.but(Fault::CutAfter(cut)));
        check_pull(&case, &fake);
        let ranges: Vec<_> = fake.seen().iter().filter_map(|r| r.header("range").map(str::to_owned)).collect();
        assert_eq!(ranges.len(), 1, "{cut}: {ranges:?}");
        let start: usize = ranges[0].trim_start_matches("bytes=").trim_end_matches('-').parse().expect("a number");
        assert!(start <= cut && start + (1 << 20) > cut, "{start} {cut}");
    }
}

#[test]
fn progress_counts_every_byte_once() {
    let case = case(300_000);
    let fake = faulty(&case, 3, case.is_layer(), |_, reply| reply.but(Fault::CutAfter(70_000)));
    let (target, progress) = (place(), Recorder::default());
    let client = Client::new(quick());
    client.pull(&target.store, &reference(&format!("{}/app", fake.host)), &linux(), &progress).expect("pulled");
    assert_eq!(progress.bytes.load(Ordering::Relaxed), 300_000);
    assert_eq!(*progress.done.lock().expect("lock"), [BlobDigest::of(&case.layer)]);
}

#[test]
fn two_images_with_a_layer_in_common_fetch_it_once() {
    let case = case(3_000_000);
    let (contents, is_layer) = (case.contents.clone(), case.is_layer());
    let manifests = Barrier::new(2);
    let fake = Fake::start(move |request| {
        // Both are under way before either gets anything.
        if request.target.contains("/manifests/latest") {
            manifests.wait();
        }
        contents.serve(request)
    });
    let (target, client) = (place(), Client::new(quick()));
    std::thread::scope(|scope| {
        for name in ["one", "two"] {
            let (target, client, case) = (&target, &client, &case);
            let asked = reference(&format!("{}/{name}", fake.host));
            scope.spawn(move || {
                let pulled = client.pull(&target.store, &asked, &linux(), &Recorder::default()).expect("pulled");
                check_pulled(&target.store, &pulled, &case.image);
            });
        }
    });
    assert_eq!(fake.seen().iter().filter(|request| is_layer(request)).count(), 1);
}

#[test]
fn an_answer_that_is_not_the_rest_starts_the_blob_anew() {
    type Answer = fn(&Request, Reply) -> Reply;
    let wrong: [(&str, Answer); 4] = [
        ("whole", |_, reply| Reply { status: 200, ..reply }),
        ("other range", |_, reply| {
            Reply { headers: Vec::new(), ..reply }.with("Content-Range", "bytes 5-99999/100000")
        }),
        ("no range", |_, reply| Reply { headers: Vec::new(), ..reply }),
        ("refused", |_, _| Reply::status(416)),
    ];
    for (name, answer) in wrong {
        let case = case(100_000);
        let is_layer = case.is_layer();
        let whole = case.layer.clone();
        let fake = faulty(&case, 2, is_layer, move |request, reply| match request.header("range") {
            None => reply.but(Fault::CutAfter(40_000)),
            Some(_) if name == "whole" => Reply::ok(whole.clone()),
            Some(_) => answer(request, reply),
        });
        check_pull(&case, &fake);
    }
}

#[test]
fn pieces_that_give_a_wrong_digest_are_fetched_again_in_one() {
    let case = case(100_000);
    let fake = faulty(&case, 2, case.is_layer(), |request, mut reply| {
        if request.header("range").is_none() {
            return reply.but(Fault::CutAfter(40_000));
        }
        reply.body[0] ^= 1;
        reply
    });
    check_pull(&case, &fake);
}

#[test]
fn bursts_of_server_errors_are_waited_out() {
    for status in [429, 500, 502, 503, 504] {
        let case = case(1000);
        let fake = faulty(&case, 5, |r| r.is_for("GET", "/manifests/"), move |_, _| Reply::status(status));
        check_pull(&case, &fake);
        assert_eq!(fake.count("GET", "/manifests/"), 6, "{status}");
        let fake = faulty(&case, 5, case.is_layer(), move |_, _| Reply::status(status));
        check_pull(&case, &fake);
    }
}

#[test]
fn a_server_s_pause_is_kept_up_to_the_limit() {
    for asked in ["1", "9999"] {
        let case = case(1000);
        let fake = faulty(
            &case,
            1,
            |r| r.is_for("GET", "/manifests/"),
            move |_, _| Reply::status(429).with("Retry-After", asked),
        );
        let mut options = quick();
        options.timing.longest_asked = Duration::from_secs(1);
        let started = Instant::now();
        pull(options, &place().store, &format!("{}/app", fake.host)).expect("pulled");
        assert!(started.elapsed() >= Duration::from_secs(1), "{asked}: {:?}", started.elapsed());
    }
}

#[test]
fn a_mirror_that_wants_a_long_pause_is_left_at_once() {
    let case = case(1000);
    let origin = faulty(&case, 0, |_| false, |_, reply| reply);
    let busy = Fake::start(|_| Reply::status(429).with("Retry-After", "20"));
    let file =
        format!("[[registry]]\nlocation = \"{}\"\n[[registry.mirror]]\nlocation = \"{}\"\n", origin.host, busy.host);
    let mut options = Options { registries: registries(&file), ..quick() };
    options.timing.longest_asked = Duration::from_secs(60);
    pull(options, &place().store, &format!("{}/app", origin.host)).expect("pulled");
    assert_eq!(busy.seen().len(), 1);
}

#[test]
fn a_limit_that_stays_is_told_in_the_registry_s_words() {
    let case = case(1000);
    let body = r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down\u0007"}]}"#;
    let fake = faulty(&case, 99, |_| true, move |_, _| Reply { status: 429, ..Reply::ok(body) });
    let refused = check_refused(&case, &fake);
    assert!(matches!(refused, Error::RateLimited { .. }), "{refused}");
    assert!(refused.to_string().contains("TOOMANYREQUESTS: slow down\n"), "{refused}");
}

#[test]
fn wrong_bytes_are_refused_and_not_stored() {
    let case = case(5000);
    let flipped = |_: &Request, mut reply: Reply| {
        reply.body[100] ^= 1;
        reply
    };
    let fake = faulty(&case, 99, case.is_layer(), flipped);
    assert!(matches!(check_refused(&case, &fake), Error::WrongDigest { what: "blob", .. }));
    let fake = faulty(&case, 99, |r| r.is_for("GET", "/blobs/"), flipped);
    assert!(matches!(check_refused(&case, &fake), Error::WrongDigest { what: "image config", .. }));
    let lie = BlobDigest::of(b"other").to_string();
    let fake = faulty(
        &case,
        99,
        |r| r.is_for("GET", "/manifests/"),
        move |_, reply| reply.with("Docker-Content-Digest", lie.clone()),
    );
    assert!(matches!(check_refused(&case, &fake), Error::WrongDigest { what: "manifest", .. }));
}

#[test]
fn a_pinned_digest_is_checked() {
    let case = case(1000);
    let contents = case.contents.clone();
    let fake = Fake::start(move |request| {
        let mut request = request.clone();
        if request.target.contains("/manifests/") {
            request.target = "/v2/app/manifests/latest".into();
        }
        contents.serve(&request)
    });
    let other = ManifestDigest::of(b"another");
    let refused = pull(quick(), &place().store, &format!("{}/app@{other}", fake.host)).expect_err("refused");
    assert!(matches!(refused, Error::WrongDigest { .. }), "{refused}");
    let right = case.image.digest();
    pull(quick(), &place().store, &format!("{}/app@{right}", fake.host)).expect("pulled");
}

#[test]
fn a_blob_of_another_size_is_refused() {
    let case = case(5000);
    let fake = faulty(&case, 99, case.is_layer(), |_, mut reply| {
        reply.body.push(0);
        reply
    });
    assert!(matches!(check_refused(&case, &fake), Error::WrongSize { expected: 5000, found: 5001, .. }));
    let fake = faulty(&case, 99, case.is_layer(), |_, reply| reply.but(Fault::Endless));
    assert!(matches!(check_refused(&case, &fake), Error::WrongSize { .. }));
}

#[test]
fn what_has_no_end_is_left_at_its_limit() {
    let case = case(1000);
    for (part, status) in [("/manifests/", 200), ("/blobs/", 200), ("/manifests/", 403)] {
        let fake = faulty(
            &case,
            99,
            move |r| r.is_for("GET", part),
            move |_, reply| Reply { status, ..reply }.but(Fault::Endless),
        );
        let refused = check_refused(&case, &fake);
        assert!(
            matches!(refused, Error::TooLarge { .. } | Error::WrongSize { .. } | Error::Denied { .. }),
            "{part}: {refused}"
        );
    }
}

#[test]
fn a_silent_server_is_left_in_time() {
    let case = case(50_000);
    let fake = faulty(&case, 1, case.is_layer(), |_, reply| reply.but(Fault::HangAfter(20_000)));
    let mut options = quick();
    options.timing.idle = Duration::from_millis(300);
    let target = place();
    let pulled = pull(options.clone(), &target.store, &format!("{}/app", fake.host)).expect("pulled");
    check_pulled(&target.store, &pulled, &case.image);
    options.timing.total = Duration::from_millis(1500);
    for part in ["/manifests/", "/blobs/"] {
        let fake = faulty(&case, 99, move |r| r.target.contains(part), |_, reply| reply.but(Fault::HangAfter(0)));
        let started = Instant::now();
        let refused = pull(options.clone(), &place().store, &format!("{}/app", fake.host)).expect_err("a timeout");
        assert!(matches!(refused, Error::Timeout { .. }), "{refused}");
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    }
}

#[test]
fn a_pull_ends_when_it_is_cancelled() {
    let case = case(50_000);
    let fake = faulty(&case, 99, case.is_layer(), |_, reply| reply.but(Fault::HangAfter(20_000)));
    let progress = Arc::new(Recorder::default());
    let mut options = quick();
    options.timing.idle = Duration::from_secs(60);
    let name = reference(&format!("{}/app", fake.host));
    let target = place();
    let outcome = std::thread::scope(|scope| {
        let (watched, store) = (Arc::clone(&progress), &target.store);
        let pull = scope.spawn(move || Client::new(options).pull(store, &name, &linux(), &*watched));
        while progress.bytes.load(Ordering::Relaxed) == 0 {
            std::thread::yield_now();
        }
        progress.cancel.store(true, Ordering::Relaxed);
        pull.join().expect("no panic")
    });
    assert!(matches!(outcome, Err(Error::Cancelled)), "{outcome:?}");
}

#[test]
fn what_the_user_can_do_is_told() {
    let case = case(10);
    let fake = Fake::start(|_| Reply::status(404));
    let missing = check_refused(&case, &fake);
    assert!(matches!(missing, Error::NotFound { .. }));
    assert!(missing.to_string().contains("check the name and the tag"), "{missing}");
    let fake = Fake::start(|_| Reply::status(403));
    assert!(check_refused(&case, &fake).to_string().contains("docker login"));
    let gone = fake.host.clone();
    drop(fake);
    let refused = pull(quick(), &place().store, &format!("{gone}/app")).expect_err("nobody there");
    assert_eq!(refused.to_string(), format!("cannot connect to `{gone}`: connection refused"));
    let unknown = pull(quick(), &place().store, "does-not-exist.invalid/app").expect_err("no such host");
    assert!(matches!(unknown, Error::UnknownHost { .. }), "{unknown:?}");
}

#[test]
fn plain_http_where_tls_is_due_is_told() {
    let fake = Fake::start(|_| Reply::status(200));
    let options = Options {
        registries: registries(&format!("[[registry]]\nlocation = \"{}\"\ninsecure = false\n", fake.host)),
        ..quick()
    };
    let refused = pull(options, &place().store, &format!("{}/app", fake.host)).expect_err("no TLS there");
    assert!(matches!(refused, Error::NoTls { .. }), "{refused:?}");
    assert!(refused.to_string().contains("insecure = true"), "{refused}");
}

#[test]
fn mirrors_that_fail_are_left_with_a_note() {
    let case = case(20_000);
    let origin = faulty(&case, 0, |_| false, |_, reply| reply);
    let down = Fake::start(|_| Reply::status(500));
    let lying = faulty(&case, 99, case.is_layer(), |_, mut reply| {
        reply.body[9] ^= 1;
        reply
    });
    let file = format!(
        "[[registry]]\nlocation = \"{}\"\n[[registry.mirror]]\nlocation = \"{}\"\n[[registry.mirror]]\nlocation = \"{}/m\"\n",
        origin.host, down.host, lying.host
    );
    let options = Options { registries: registries(&file), ..quick() };
    let target = place();
    let pulled = pull(options, &target.store, &format!("{}/app", origin.host)).expect("pulled");
    check_pulled(&target.store, &pulled, &case.image);
    assert_eq!(pulled.notes.len(), 2, "{:?}", pulled.notes);
    assert!(pulled.notes[0].contains(&down.host) && pulled.notes[0].contains("500"), "{:?}", pulled.notes);
    assert!(pulled.notes[1].contains("wrong blob"), "{:?}", pulled.notes);
    assert!(lying.count("GET", "/v2/m/app/") > 0);
}

#[test]
fn what_is_stored_is_not_fetched_again() {
    let case = case(20_000);
    let fake = faulty(&case, 0, |_| false, |_, reply| reply);
    let target = place();
    let name = format!("{}/app", fake.host);
    pull(quick(), &target.store, &name).expect("first");
    let before = fake.seen().len();
    pull(quick(), &target.store, &name).expect("second");
    assert_eq!(fake.seen().len(), before + 1, "only the tag is looked up");
    pull(quick(), &target.store, &format!("{name}@{}", case.image.digest())).expect("by digest");
    assert_eq!(fake.seen().len(), before + 1, "a digest that is stored needs no network");
}

#[test]
fn indexes_lead_to_the_platform_s_image_but_not_for_ever() {
    let mut case = case(1000);
    let wrap = |inner: &[u8], kind: &str, platform: &str| {
        let digest = BlobDigest::of(inner);
        let entry = format!(r#"{{"mediaType":"{kind}","digest":"{digest}","size":{}{platform}}}"#, inner.len());
        format!(r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[{entry}]}}"#, media_type::INDEX).into_bytes()
    };
    let platform = r#","platform":{"os":"linux","architecture":"amd64"}"#;
    let mut document = wrap(case.image.manifest(), media_type::MANIFEST, platform);
    for depth in 1..=5 {
        case.contents.document(&format!("deep{depth}"), media_type::INDEX, &document);
        document = wrap(&document, media_type::INDEX, "");
    }
    let fake = faulty(&case, 0, |_| false, |_, reply| reply);
    let target = place();
    let pulled = pull(quick(), &target.store, &format!("{}/app:deep4", fake.host)).expect("pulled");
    assert_eq!(pulled.manifest, case.image.digest());
    assert_ne!(pulled.digest, pulled.manifest);
    assert!(target.store.blob_size(&pulled.digest.blob()).expect("store").is_some());
    let refused = pull(quick(), &target.store, &format!("{}/app:deep5", fake.host)).expect_err("too deep");
    assert!(matches!(refused, Error::TooMany { .. }), "{refused}");
}

#[test]
fn a_config_and_a_manifest_must_agree_on_the_layers() {
    let source = place();
    let image = image(&source.store, &[noise(1, 10), noise(2, 10)]);
    let mut contents = Contents::of(&image, &source.store);
    let mut manifest: serde_json::Value = serde_json::from_slice(image.manifest()).expect("JSON");
    manifest["layers"].as_array_mut().expect("layers").pop();
    contents.document("latest", media_type::MANIFEST, manifest.to_string().as_bytes());
    let fake = Fake::start(move |request| contents.serve(request));
    let refused = pull(quick(), &place().store, &format!("{}/app", fake.host)).expect_err("refused");
    assert!(matches!(refused, Error::LayerCount { diff_ids: 2, layers: 1, .. }), "{refused}");
}
