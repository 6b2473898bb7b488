use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;
use rustls::pki_types::PrivateKeyDer;

use super::super::endpoint::speaks_tls;
use super::super::http::Wire;
use super::super::{Error, Options};
use super::real::Server;
use super::{place, pull, quick, registries};

/// A certificate for `localhost` that nobody vouches for, and its key: made for this test, known to everybody.
const CERTIFICATE: &str = "\
MIIBmDCCAT6gAwIBAgIUEBvN9LGHWBl9mQmYChuZcYONVcQwCgYIKoZIzj0EAwIwFDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2\
MTEyMzA1MTExNFoYDzIxMjYxMDMwMDUxMTE0WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC\
AAQbiCtU3WN4dKRZ6evve7bqWSvAkVjHsIjow1nWHZ00LvAEOhYwEOFRG8daueJrNbgQNyD1gFCTom94mEvbsIjSo2wwajAdBgNV\
HQ4EFgQUr37EaqNBPXNTKQQrETMBIrR51R0wHwYDVR0jBBgwFoAUr37EaqNBPXNTKQQrETMBIrR51R0wGgYDVR0RBBMwEYIJbG9j\
YWxob3N0hwR/AAABMAwGA1UdEwEB/wQCMAAwCgYIKoZIzj0EAwIDSAAwRQIgdYW8Xu3AeG/SJ0ubbMB1KB8QU8O2IyiQDPwGeG0U\
HgUCIQDrbsc3bwNyibWbPTExllN4rR2m6Nr0Z7Vuazdg3wO79Q==";
const KEY: &str = "\
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgTcBRYFRpcXDRCj0YrtlPa26YWSpnF3mVHvPqWKBh+9WhRANCAAQb\
iCtU3WN4dKRZ6evve7bqWSvAkVjHsIjow1nWHZ00LvAEOhYwEOFRG8daueJrNbgQNyD1gFCTom94mEvbsIjS";

fn decode(text: &str) -> Vec<u8> {
    STANDARD.decode(text).expect("base64")
}

/// A server with that certificate; it ends with the process.
fn untrusted() -> String {
    let key = PrivateKeyDer::try_from(decode(KEY)).expect("a key");
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![decode(CERTIFICATE).into()], key)
        .expect("a certificate");
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).expect("a connection");
            let mut tls = rustls::StreamOwned::new(connection, stream);
            // The client is expected to hang up here.
            if tls.read(&mut [0; 1024]).is_ok() {
                tls.write_all(b"HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n").ok();
            }
        }
    });
    format!("localhost:{port}")
}

fn marked(host: &str, insecure: bool) -> Options {
    let file = format!("[[registry]]\nlocation = \"{host}\"\ninsecure = {insecure}\n");
    Options { registries: registries(&file), ..quick() }
}

fn probe(host: &str) -> Result<bool, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let url = Url::parse(&format!("https://{host}/v2/")).expect("a URL");
    runtime.block_on(speaks_tls(&Wire::new(&quick()), &url))
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_refused() {
    let host = untrusted();
    let refused = pull(marked(&host, false), &place().store, &format!("{host}/app")).expect_err("refused");
    assert!(matches!(refused, Error::Tls { .. }), "{refused:?}");
    assert!(refused.to_string().contains("SSL_CERT_FILE"), "{refused}");
}

#[test]
fn an_insecure_registry_with_a_bad_certificate_is_not_spoken_to_without_tls() {
    assert!(matches!(probe(&untrusted()), Err(Error::Tls { .. })));
}

#[test]
fn a_registry_without_tls_is_recognised() {
    let server = Server::start("");
    assert!(matches!(probe(&server.host), Ok(false)));
    let refused = pull(marked(&server.host, false), &place().store, &format!("{}/app", server.host));
    let refused = refused.expect_err("no TLS there").to_string();
    assert!(refused.contains("insecure = true"), "{refused}");
    let missing = pull(marked(&server.host, true), &place().store, &format!("{}/app", server.host));
    assert!(matches!(missing, Err(Error::NotFound { .. })), "{missing:?}");
}
