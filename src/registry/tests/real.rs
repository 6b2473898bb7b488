//! Against Debian's `docker-registry`: another implementation of the other side.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use super::super::{Client, Error, Options, Silent};
use super::{Place, Recorder, check_pulled, image, linux, noise, place, pull, quick, reference};
use crate::digest::BlobDigest;

/// A running registry; it ends with the test.
pub(super) struct Server {
    child: Child,
    pub(super) host: String,
    _folder: tempfile::TempDir,
}

impl Server {
    /// Starts it on a port of its own choice, which its log tells.
    pub(super) fn start(auth: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        // `me` with the password `pass word`.
        let users = "me:$2y$05$abcdefghijklmnopqrstuuIt/9/tGzLcigNq/.RWIDjeEVR30RSf.\n";
        std::fs::write(folder.path().join("htpasswd"), users).expect("written");
        let root = folder.path().display().to_string();
        let config = format!(
            "version: 0.1\nlog: {{level: info, accesslog: {{disabled: true}}}}\nstorage: {{filesystem: {{rootdirectory: {root}/data}}}}\nhttp: {{addr: \"127.0.0.1:0\"}}\n{}",
            auth.replace("ROOT", &root)
        );
        let path = folder.path().join("config.yml");
        std::fs::write(&path, config).expect("written");
        let mut child = Command::new("docker-registry")
            .arg("serve")
            .arg(&path)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("these tests need Debian's package `docker-registry`");
        let log = BufReader::new(child.stderr.take().expect("piped"));
        let mut lines = log.lines().map_while(Result::ok);
        let host = lines.find_map(|line| {
            let rest = line.split_once("listening on ")?.1;
            Some(rest.split(['"', ',']).next()?.to_owned())
        });
        // Keeps reading, so that the log never fills its pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, host: host.expect("the registry told no port"), _folder: folder }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().expect("it was running");
        self.child.wait().expect("it was killed");
    }
}

fn layers() -> Vec<Vec<u8>> {
    vec![noise(1, 3_000_000), noise(2, 10), noise(1, 3_000_000), noise(3, 700_000), Vec::new()]
}

/// Pushes an image to `name` and pulls it into another store.
fn round_trip(options: Options, source: &Place, name: &str) {
    let image = image(&source.store, &layers());
    let client = Client::new(options);
    let digest = client.push(&source.store, &image, &reference(name), &[], &Silent).expect("pushed");
    assert_eq!(digest, image.digest());
    let target = place();
    let pulled = client.pull(&target.store, &reference(name), &linux(), &Silent).expect("pulled");
    check_pulled(&target.store, &pulled, &image);
    assert_eq!((pulled.digest, &pulled.notes), (digest, &Vec::new()));
    let resolved = client.resolve(&reference(name), &linux(), &Silent).expect("resolved");
    assert_eq!((resolved.manifest, &resolved.layers), (digest, &pulled.layers));
    assert_eq!(resolved.config.digest, image.config().digest().blob());
}

#[test]
fn what_is_pushed_is_what_is_pulled() {
    let server = Server::start("");
    round_trip(quick(), &place(), &format!("{}/team/app:1.0", server.host));
}

#[test]
fn blobs_that_are_there_are_not_sent_and_those_next_door_are_mounted() {
    let server = Server::start("");
    let source = place();
    let image = image(&source.store, &layers());
    let client = Client::new(quick());
    let push = |name: &str, from: &[&str]| {
        let progress = Recorder::default();
        let from: Vec<_> = from.iter().map(|f| reference(&format!("{}/{f}", server.host))).collect();
        let to = reference(&format!("{}/{name}", server.host));
        client.push(&source.store, &image, &to, &from, &progress).expect("pushed");
        progress.done.into_inner().expect("lock")
    };
    assert_eq!(push("a/app:1", &[]).len(), 5, "four different layers and the config");
    assert_eq!(push("a/app:2", &[]), [], "all there");
    assert_eq!(push("b/app:1", &["a/app:1"]), [], "all mounted");
    assert_eq!(push("c/app:1", &["nobody/app:1"]).len(), 5, "nothing to mount");
    let target = place();
    let pulled = pull(quick(), &target.store, &format!("{}/b/app:1", server.host)).expect("pulled");
    check_pulled(&target.store, &pulled, &image);
}

#[test]
fn a_registry_with_passwords_wants_the_right_one() {
    let server = Server::start("auth: {htpasswd: {realm: here, path: ROOT/htpasswd}}\n");
    let source = place();
    let name = format!("{}/private/app:1", server.host);
    let login = |password: &str| {
        let text =
            format!(r#"{{"auths":{{"http://{}/v2/":{{"username":"me","password":"{password}"}}}}}}"#, server.host);
        Options { env_auth: Some(text), ..quick() }
    };
    round_trip(login("pass word"), &source, &name);
    for options in [quick(), login("wrong")] {
        let refused = pull(options, &place().store, &name).expect_err("refused");
        assert!(matches!(refused, Error::Denied { .. }), "{refused}");
    }
}

#[test]
fn a_name_that_the_registry_lacks_is_not_found() {
    let server = Server::start("");
    let refused = pull(quick(), &place().store, &format!("{}/nobody/app", server.host)).expect_err("refused");
    assert!(matches!(refused, Error::NotFound { .. }), "{refused}");
}

#[test]
fn a_layer_that_the_store_has_lost_cannot_be_pushed() {
    let server = Server::start("");
    let source = place();
    let image = image(&source.store, &[noise(9, 1000)]);
    let other = place();
    let to = reference(&format!("{}/app:1", server.host));
    let mut options = quick();
    options.timing.tries = 2;
    let refused = Client::new(options).push(&other.store, &image, &to, &[], &Silent).expect_err("no layer");
    let digest = BlobDigest::of(&noise(9, 1000)).to_string();
    assert!(refused.to_string().contains(&digest), "{refused}");
}
