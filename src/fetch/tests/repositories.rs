use std::fs;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine as _;
use tempfile::TempDir;

use super::server::{Bench, Free, Server, Stopped, bare, git};
use crate::fetch::{Checkout, Commit, Error, Result};

/// A folder of repositories, served over the git protocol.
struct Host {
    folder: TempDir,
    url: String,
}

impl Host {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("git://{}", listener.local_addr().expect("an address"));
        let base = format!("--base-path={}", folder.path().display());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let socket = OwnedFd::from(stream.expect("a connection"));
                let out = socket.try_clone().expect("a second descriptor");
                let mut daemon = Command::new("git");
                daemon.args(["daemon", "--inetd", "--export-all", &base]).stdin(socket).stdout(out);
                let mut daemon = daemon.stderr(Stdio::null()).spawn().expect("git is installed, with its daemon");
                daemon.wait().expect("it ends");
            }
        });
        Self { folder, url }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Makes a repository of the files that `fill` writes, or adds a commit to it.
    fn commit(&self, name: &str, fill: impl Fn(&Path)) -> String {
        let tree = self.path().join(name);
        if !tree.exists() {
            fs::create_dir(&tree).expect("a folder");
            self.git(name, &["init", "--quiet", "--initial-branch=main"]);
        }
        fill(&tree);
        self.git(name, &["add", "--all"]);
        self.git(name, &["commit", "--quiet", "--message=x"]);
        self.git(name, &["rev-parse", "HEAD"])
    }

    fn git(&self, name: &str, args: &[&str]) -> String {
        let mut command = Command::new("git");
        command.args(args).current_dir(self.path().join(name)).env_clear();
        command.env("PATH", std::env::var_os("PATH").expect("a path")).env("HOME", self.path());
        for (key, value) in [("NAME", "n"), ("EMAIL", "e"), ("DATE", "1700000000 +0000")] {
            command.env(format!("GIT_AUTHOR_{key}"), value).env(format!("GIT_COMMITTER_{key}"), value);
        }
        let output = command.output().expect("git is installed");
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    }

    fn check_out(&self, bench: &Bench, rest: &str) -> Result<(Commit, Checkout)> {
        let source = git(&format!("{}/{rest}", self.url));
        let commit = bench.fetcher.commit_of(&bench.store, &source, &Free)?;
        let checkout = bench.fetcher.check_out(&bench.store, &source, &commit, &Free)?;
        Ok((commit, checkout))
    }
}

fn text(checkout: &Checkout, name: &str) -> String {
    fs::read_to_string(checkout.folder().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn branches_tags_and_commits_are_found_and_checked_out() {
    let (host, bench) = (Host::start(), Bench::new());
    let first = host.commit("r", |tree| fs::write(tree.join("f"), "1").expect("a file"));
    host.git("r", &["tag", "light"]);
    host.git("r", &["tag", "--annotate", "--message=t", "heavy"]);
    let tag = host.git("r", &["rev-parse", "heavy"]);
    let second = host.commit("r", |tree| fs::write(tree.join("f"), "2").expect("a file"));
    host.git("r", &["update-ref", "refs/pull/7/head", &first]);
    for (rest, commit) in [
        ("r", &second),
        ("r#main", &second),
        ("r#refs/heads/main", &second),
        ("r#light", &first),
        ("r#heavy", &first),
        ("r?tag=heavy", &first),
        ("r#pull/7/head", &first),
        (&format!("r#{first}"), &first),
        (&format!("r?ref=heavy&checksum={tag}"), &first),
        (&format!("r?ref=light&checksum={}", &first[..8]), &first),
        (&format!("r?fetch-by-commit=1&checksum={first}"), &first),
    ] {
        let (found, checkout) = host.check_out(&bench, rest).unwrap_or_else(|error| panic!("{rest}: {error}"));
        assert_eq!(found.hash(), commit, "{rest}");
        assert_eq!(text(&checkout, "f"), if commit == &first { "1" } else { "2" }, "{rest}");
        assert!(!checkout.folder().join(".git").exists());
    }
    assert!(matches!(host.check_out(&bench, "r#nothing"), Err(Error::NoRef { .. })));
    assert!(matches!(host.check_out(&bench, "r?checksum=0000000"), Err(Error::Commit { .. })));
    assert!(matches!(host.check_out(&bench, "missing"), Err(Error::Git { .. })));
}

#[test]
fn modes_do_not_depend_on_the_caller_and_a_checkout_leaves_nothing() {
    let (host, bench) = (Host::start(), Bench::new());
    host.commit("r", |tree| {
        fs::create_dir(tree.join("d")).expect("a folder");
        for (name, mode) in [("d/plain", 0o600), ("d/program", 0o700)] {
            fs::write(tree.join(name), "x").expect("a file");
            fs::set_permissions(tree.join(name), fs::Permissions::from_mode(mode)).expect("a mode");
        }
    });
    let (_, checkout) = host.check_out(&bench, "r?mtime=commit").expect("a checkout");
    let meta = |name: &str| fs::metadata(checkout.folder().join(name)).expect("it is there");
    let modes: Vec<u32> = ["d", "d/plain", "d/program"].map(|name| meta(name).permissions().mode() & 0o7777).into();
    assert_eq!(modes, [0o755, 0o644, 0o755]);
    let time = meta("d/plain").modified().expect("a time").duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    assert_eq!(time.as_secs(), 1_700_000_000);
    let folder = checkout.folder().to_path_buf();
    drop(checkout);
    assert!(!folder.exists());
}

#[test]
fn a_folder_of_a_repository_is_reached_through_folders_only() {
    let (host, bench) = (Host::start(), Bench::new());
    host.commit("r", |tree| {
        fs::create_dir_all(tree.join("a/b")).expect("folders");
        fs::write(tree.join("a/b/f"), "x").expect("a file");
        symlink("/", tree.join("out")).expect("a link");
        symlink("a", tree.join("in")).expect("a link");
    });
    let (_, checkout) = host.check_out(&bench, "r#:a/b").expect("a checkout");
    assert_eq!(text(&checkout, "f"), "x");
    for rest in ["r#:out", "r#:out/etc", "r#:in/b", "r#:a/b/f", "r#:none"] {
        assert!(matches!(host.check_out(&bench, rest), Err(Error::NoFolder { .. })), "{rest}");
    }
}

#[test]
fn a_kept_git_folder_works_and_is_the_same_each_time() {
    let (host, bench) = (Host::start(), Bench::new());
    let commit = host.commit("r", |tree| fs::write(tree.join("f"), "x").expect("a file"));
    let read = || {
        let (_, checkout) = host.check_out(&bench, "r?keep-git-dir").expect("a checkout");
        let head = fs::read_to_string(checkout.folder().join(".git/HEAD")).expect("a head");
        assert_eq!(head.trim(), commit);
        assert!(!checkout.folder().join(".git/FETCH_HEAD").exists());
        let config = fs::read_to_string(checkout.folder().join(".git/config")).expect("a config");
        assert!(config.contains(&format!("{}/r", host.url)), "{config}");
        fs::read(checkout.folder().join(".git/index")).expect("an index")
    };
    assert_eq!(read(), read());
}

#[test]
fn submodules_come_along_unless_they_are_left_out_and_never_from_this_machine() {
    let (host, bench) = (Host::start(), Bench::new());
    host.commit("inner", |tree| fs::write(tree.join("f"), "inner").expect("a file"));
    host.commit("r", |tree| fs::write(tree.join("g"), "outer").expect("a file"));
    let inner = format!("{}/inner", host.url);
    host.git("r", &["submodule", "--quiet", "add", &inner, "sub"]);
    host.commit("r", |_| {});
    let (_, with) = host.check_out(&bench, "r").expect("a checkout");
    assert_eq!(text(&with, "sub/f"), "inner");
    assert!(!with.folder().join("sub/.git").exists());
    let (_, without) = host.check_out(&bench, "r?submodules=false").expect("a checkout");
    assert!(!without.folder().join("sub/f").exists());
    let here = host.path().join("inner").display().to_string();
    host.git("r", &["config", "--file=.gitmodules", "submodule.sub.url", &here]);
    host.commit("r", |_| {});
    let error = host.check_out(&bench, "r").err().expect("a submodule of this machine");
    assert!(error.to_string().contains("not allowed"), "{error}");
}

#[test]
fn hooks_and_settings_of_the_host_do_not_run() {
    let (host, bench) = (Host::start(), Bench::new());
    let canary = host.path().join("canary");
    host.commit("r", |tree| fs::write(tree.join("f"), "x\n").expect("a file"));
    host.commit("r", |tree| fs::write(tree.join(".gitattributes"), "* filter=evil\n").expect("a file"));
    let config = format!("[filter \"evil\"]\n\tsmudge = touch {}\n", canary.display());
    fs::write(host.path().join(".gitconfig"), config).expect("a file");
    host.check_out(&bench, "r").expect("a checkout");
    assert!(!canary.exists());
}

#[test]
fn whoever_asks_to_stop_is_heard() {
    let (host, bench) = (Host::start(), Bench::new());
    let source = git(&format!("{}/r", host.url));
    assert!(matches!(bench.fetcher.commit_of(&bench.store, &source, &Stopped), Err(Error::Interrupted)));
}

/// What a server sees that git asks for the refs of a repository: the paths, and `Authorization` of each.
fn asked(server: &Server, bench: &Bench) -> Vec<(String, Option<String>)> {
    let source = git(&format!("{}/r.git", server.url));
    let refused = bench.fetcher.commit_of(&bench.store, &source, &Free).expect_err("there is no repository");
    assert!(!refused.to_string().contains("CANARY"), "{refused}");
    let seen = server.seen();
    seen.iter().map(|r| (r.path.clone(), r.header("authorization").map(str::to_owned))).collect()
}

#[test]
fn a_secret_for_a_repository_goes_to_its_host_and_git_follows_no_redirect_with_it() {
    let other = Server::start(|_| bare("404 Not Found", ""));
    let target = format!("Location: {}/r.git/info/refs?service=git-upload-pack\r\n", other.url);
    let server = || {
        let target = target.clone();
        Server::start(move |_| bare("302 Found", &target))
    };
    let first = server();
    let host = first.url.replace("http://", "");
    let named = format!("GIT_AUTH_HEADER.{host}");
    let bench = Bench::with_secrets(&[("GIT_AUTH_TOKEN", "CANARY"), (&named, "Bearer CANARY")]);
    let expected = ("/r.git/info/refs?service=git-upload-pack".to_owned(), Some("Bearer CANARY".to_owned()));
    assert_eq!(asked(&first, &bench), [expected]);
    let second = server();
    let token = base64::engine::general_purpose::STANDARD.encode("x-access-token:CANARY");
    assert_eq!(asked(&second, &bench)[0].1, Some(format!("basic {token}")));
    assert!(other.seen().is_empty(), "{:?}", other.seen());
    let third = server();
    let elsewhere = Bench::with_secrets(&[("GIT_AUTH_TOKEN.example.com", "CANARY")]);
    assert_eq!(asked(&third, &elsewhere)[0].1, None);
}
