//! Runs other people's programs: skopeo and umoci as independent readers and writers of images.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// The Debian package that each program comes in, for the message where it is missing.
const PACKAGES: [(&str, &str); 13] = [
    ("/usr/sbin/dockerd", "docker.io"),
    ("/usr/bin/docker", "docker.io"),
    ("/usr/bin/docker-init", "docker.io"),
    ("/usr/bin/docker-compose", "docker-compose"),
    ("/usr/bin/docker-registry", "docker-registry"),
    ("/usr/bin/skopeo", "skopeo"),
    ("/usr/bin/umoci", "umoci"),
    ("/usr/bin/mmdebstrap", "mmdebstrap"),
    ("/usr/bin/make", "make"),
    ("/usr/bin/ssh-add", "openssh-client"),
    ("/usr/bin/strace", "strace"),
    ("/usr/bin/python3", "python3"),
    ("/usr/sbin/mkfs.ext4", "e2fsprogs"),
];

/// Gives back the program's path; panics with the package's name if it is not there.
#[track_caller]
pub fn require(program: &'static str) -> &'static str {
    let package = PACKAGES.iter().find(|(path, _)| *path == program).map_or(program, |(_, package)| package);
    assert!(Path::new(program).exists(), "`{program}` is missing: apt-get install {package}, or run .ci/test");
    program
}

/// Copies a program that is to be run from its new place.
///
/// Another process copies it: what a thread of this one has open for writing, a child that another thread starts at that
/// moment has open too, for as long as it takes to become its program, and till then the copy is "Text file busy".
#[track_caller]
pub fn copy_program(from: impl AsRef<OsStr>, to: impl AsRef<OsStr>) {
    success("/bin/cp", [OsStr::new("-p"), from.as_ref(), to.as_ref()]);
}

/// Runs a program to its end.
#[track_caller]
pub fn output<S: AsRef<OsStr>>(program: &'static str, args: impl IntoIterator<Item = S>) -> Output {
    let mut command = Command::new(require(program));
    command.args(args);
    command.output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"))
}

/// Runs a program that must succeed, and gives its standard output.
#[track_caller]
pub fn success<S: AsRef<OsStr>>(program: &'static str, args: impl IntoIterator<Item = S>) -> String {
    let args: Vec<OsString> = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
    text_of(&format!("{program} {args:?}"), output(program, &args))
}

/// The standard output of a program that must have succeeded.
#[track_caller]
pub fn text_of(what: &str, output: Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {}\n{errors}", output.status);
    String::from_utf8(output.stdout).unwrap_or_else(|_| panic!("{what}: the output is no text"))
}

/// `skopeo copy FROM TO`, both with their transport, loopback registries without TLS.
#[track_caller]
pub fn skopeo_copy(from: &str, to: &str, flags: &[&str]) {
    let common = ["--insecure-policy", "copy", "--quiet", "--src-tls-verify=false", "--dest-tls-verify=false"];
    success("/usr/bin/skopeo", common.iter().chain(flags).chain(&[from, to]));
}

/// `skopeo inspect --config IMAGE`: the config as skopeo reads it.
#[track_caller]
pub fn skopeo_config(image: &str) -> Value {
    skopeo_inspect(image, &["--config"])
}

/// `skopeo inspect FLAGS IMAGE`, loopback registries without TLS.
#[track_caller]
pub fn skopeo_inspect(image: &str, flags: &[&str]) -> Value {
    let common = ["--insecure-policy", "inspect", "--tls-verify=false"];
    let text = success("/usr/bin/skopeo", common.iter().chain(flags).chain(&[image]));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("skopeo inspect {image}: {error}"))
}

/// Has umoci unpack the image `tag` of an OCI layout into `rootfs`, which must not exist.
#[track_caller]
pub fn umoci_unpack(layout: &Path, tag: &str, rootfs: &Path) {
    let image = format!("{}:{tag}", layout.display());
    success(
        "/usr/bin/umoci",
        ["raw".as_ref(), "unpack".as_ref(), "--image".as_ref(), image.as_ref(), rootfs.as_os_str()],
    );
}

/// Has skopeo turn an archive (`docker-archive:` or `oci-archive:` before its path) into an OCI layout with tag `t`,
/// and umoci unpack that into `rootfs`: both read every byte of every layer.
#[track_caller]
pub fn unpack_archive(source: &str, scratch: &Path, rootfs: &Path) {
    let layout = scratch.join("layout");
    skopeo_copy(source, &format!("oci:{}:t", layout.display()), &[]);
    umoci_unpack(&layout, "t", rootfs);
}
