use std::io::{Read as _, Write as _};

use super::server::{Bench, Free, Server, Stopped, bare, http, ok};
use crate::digest::BlobDigest;
use crate::fetch::{Credentials, Error};

#[test]
fn a_body_becomes_a_blob_with_the_time_that_the_server_told() {
    let server = Server::start(|_| ok("hello", "Last-Modified: Sat, 13 Jul 2024 15:09:59 GMT\r\n"));
    let bench = Bench::new();
    let url = http(&format!("{}/a/b.txt?x=1#f", server.url));
    let download = bench.fetcher.download(&bench.store, &url, None, &Free).expect("a download");
    assert_eq!((download.blob, download.size), (BlobDigest::of(b"hello"), 5));
    assert_eq!(download.modified, Some(1_720_883_399));
    let seen = server.seen();
    assert_eq!(seen[0].path, "/a/b.txt?x=1");
    assert_eq!(seen[0].header("accept-encoding"), Some("identity"));
    assert_eq!(seen[0].header("if-none-match"), None);
}

#[test]
fn the_server_is_asked_each_time_and_sends_only_what_changed() {
    let server = Server::start(|request| match request.header("if-none-match") {
        Some("\"1\"") => bare("304 Not Modified", ""),
        _ => ok("one", "ETag: \"1\"\r\n"),
    });
    let bench = Bench::new();
    for _ in 0..3 {
        assert_eq!(bench.download(&server.url).expect("a download"), "one");
    }
    let tags: Vec<Option<String>> =
        server.seen().iter().map(|r| r.header("if-none-match").map(str::to_owned)).collect();
    assert_eq!(tags, [None, Some("\"1\"".to_owned()), Some("\"1\"".to_owned())]);
}

#[test]
fn a_body_that_changes_behind_one_url_is_seen() {
    let count = std::sync::atomic::AtomicU32::new(0);
    let server = Server::start(move |_| {
        let now = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        ok(&format!("body {now}"), &format!("ETag: \"{now}\"\r\n"))
    });
    let bench = Bench::new();
    assert_eq!(bench.download(&server.url).expect("a download"), "body 0");
    assert_eq!(bench.download(&server.url).expect("a download"), "body 1");
}

#[test]
fn a_known_digest_needs_no_server_and_another_body_is_refused() {
    let server = Server::start(|_| ok("hello", ""));
    let bench = Bench::new();
    let url = http(&server.url);
    let right = BlobDigest::of(b"hello");
    for _ in 0..2 {
        bench.fetcher.download(&bench.store, &url, Some(&right), &Free).expect("a download");
    }
    assert_eq!(server.seen().len(), 1);
    let wrong = BlobDigest::of(b"other");
    let error = bench.fetcher.download(&bench.store, &url, Some(&wrong), &Free).expect_err("another body");
    assert!(matches!(error, Error::Checksum { expected, found, .. } if (expected, found) == (wrong, right)));
    assert_eq!(bench.store.blob_size(&wrong).expect("the store"), None);
}

#[test]
fn credentials_stay_with_the_origin_that_they_are_for() {
    let other = Server::start(|_| ok("there", ""));
    let target = format!("Location: {}/x\r\n", other.url);
    let server = Server::start(move |request| match request.path.as_str() {
        "/" => bare("302 Found", "Location: /same\r\n"),
        _ => bare("307 Temporary Redirect", &target),
    });
    let bench = Bench::new();
    let url = server.url.replace("http://", "http://user:CANARY@");
    assert_eq!(bench.download(&url).expect("a download"), "there");
    let sent: Vec<bool> = server.seen().iter().map(|r| r.header("authorization").is_some()).collect();
    assert_eq!(sent, [true, true]);
    assert_eq!(other.seen()[0].header("authorization"), None);
}

#[test]
fn a_secret_for_a_host_goes_to_that_host_alone() {
    let other = Server::start(|_| ok("there", ""));
    // The same machine, but another origin: neither the port nor the name is the same.
    let target = format!("Location: {}/x\r\n", other.url.replace("127.0.0.1", "localhost"));
    let server = Server::start(move |_| bare("302 Found", &target));
    for (secrets, expected) in [
        (vec![("HTTP_AUTH_TOKEN_127.0.0.1", "CANARY\n")], Some("Bearer CANARY")),
        (vec![("HTTP_AUTH_HEADER_127.0.0.1", "Basic CANARY")], Some("Basic CANARY")),
        (vec![("HTTP_AUTH_HEADER_127.0.0.1", "a"), ("HTTP_AUTH_TOKEN_127.0.0.1", "b")], Some("Bearer b")),
        (vec![("HTTP_AUTH_TOKEN_localhost", "CANARY"), ("GIT_AUTH_TOKEN", "CANARY")], None),
    ] {
        let bench = Bench::with_secrets(&secrets);
        assert_eq!(bench.download(&server.url).expect("a download"), "there");
        assert_eq!(server.seen().last().and_then(|r| r.header("authorization")), expected, "{secrets:?}");
        assert_eq!(other.seen().last().and_then(|r| r.header("authorization")), None);
    }
}

#[test]
fn a_secret_that_can_be_no_header_is_refused_without_being_shown() {
    let mut credentials = Credentials::default();
    for bad in ["CANARY\r\nX: y", "CANARY\u{e9}", "CANARY\0"] {
        let said = credentials.add("GIT_AUTH_TOKEN", bad.as_bytes()).expect_err("no header").to_string();
        assert!(said.contains("`GIT_AUTH_TOKEN`") && !said.contains("CANARY"), "{said}");
    }
    assert!(Credentials::is_one("GIT_AUTH_TOKEN.github.com") && Credentials::is_one("HTTP_AUTH_HEADER_h"));
    assert!(!Credentials::is_one("GIT_AUTH_TOKENS") && !Credentials::is_one("HTTP_AUTH_TOKEN_"));
}

#[test]
fn redirects_end_somewhere_and_do_not_leave_the_web() {
    let bench = Bench::new();
    let looped = Server::start(|_| bare("302 Found", "Location: /again\r\n"));
    let said = bench.download(&looped.url).expect_err("a loop").to_string();
    assert!(said.ends_with("that is one redirect too many"), "{said}");
    assert_eq!(looped.seen().len(), 11);
    for location in ["file:///etc/passwd", "gopher://h/x", "http://u:CANARY@127.0.0.1/", "http://", ""] {
        let server = Server::start(move |request| match request.path.as_str() {
            "/stop" => bare("404 Not Found", ""),
            _ => bare("302 Found", &format!("Location: {location}\r\n")),
        });
        let error = bench.download(&server.url).expect_err(location);
        assert!(matches!(error, Error::Redirect { .. }), "{location}: {error}");
        assert!(!error.to_string().contains("CANARY"), "{error}");
    }
}

#[test]
fn a_public_host_cannot_lead_into_a_private_network_nor_out_of_tls() {
    let bench = Bench::new();
    let from = "https://93.184.216.34/x".parse().expect("a URL");
    for to in ["https://169.254.169.254/", "https://[::ffff:10.0.0.1]/", "https://localhost/", "https://2130706433/"] {
        let error = bench.fetcher.client_for_redirect(&from, &to.parse().expect(to), "x").expect_err(to);
        assert!(matches!(error, Error::Redirect { .. }), "{to}: {error}");
    }
    let to = "https://1.1.1.1/".parse().expect("a URL");
    assert!(bench.fetcher.client_for_redirect(&from, &to, "x").is_ok());
    let plain = crate::fetch::http::target(&from, "http://93.184.216.34/x", "x").expect_err("no longer https");
    assert!(plain.to_string().contains("no longer https"), "{plain}");
}

#[test]
fn refusals_are_final_and_overload_is_tried_again() {
    let bench = Bench::new();
    let missing = Server::start(|_| bare("404 Not Found", ""));
    let url = format!("{}/x?token=CANARY", missing.url);
    let error = bench.download(&url).expect_err("no such file");
    assert!(matches!(error, Error::Status { status: 404, .. }), "{error}");
    assert!(!error.to_string().contains("CANARY"), "{error}");
    assert_eq!(missing.seen().len(), 1);
    let count = std::sync::atomic::AtomicU32::new(0);
    let busy = Server::start(move |_| match count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
        0 | 1 => bare("503 Service Unavailable", ""),
        _ => ok("now", ""),
    });
    assert_eq!(bench.download(&busy.url).expect("the third try"), "now");
}

#[test]
fn a_body_that_breaks_off_is_no_download() {
    let server = Server::start(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\nhalf".to_vec());
    let bench = Bench::new();
    let error = bench.download(&server.url).expect_err("half a body");
    assert!(matches!(error, Error::Transport { .. } | Error::Short { .. }), "{error}");
}

#[test]
fn what_says_it_is_too_large_is_not_even_read() {
    let server = Server::start(|_| format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", u64::MAX / 2).into_bytes());
    let error = Bench::new().download(&server.url).expect_err("too large");
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
}

#[test]
fn silence_has_an_end() {
    let server = Server::with_streams(|_, mut stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx").expect("the head");
        // Until the client gives up.
        let _end = stream.read_to_end(&mut Vec::new());
    });
    let error = Bench::new().download(&server.url).expect_err("silence");
    assert!(matches!(error, Error::Slow { .. }), "{error}");
}

#[test]
fn whoever_asks_to_stop_is_heard() {
    let server = Server::with_streams(|_, mut stream| {
        let _end = stream.read_to_end(&mut Vec::new());
    });
    let bench = Bench::new();
    let stopped = bench.fetcher.download(&bench.store, &http(&server.url), None, &Stopped);
    assert!(matches!(stopped, Err(Error::Interrupted)));
}

#[test]
fn an_encoding_is_not_undone() {
    let server = Server::start(|_| ok("not really gzip", "Content-Encoding: gzip\r\n"));
    assert_eq!(Bench::new().download(&server.url).expect("a download"), "not really gzip");
}
