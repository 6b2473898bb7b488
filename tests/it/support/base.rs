//! Base images that need no registry on the internet: busybox, and a Debian with Python under the name `python:3.8`.
//!
//! They are made from this machine's packages, kept as OCI layouts below target/ under a key of everything they are
//! made from, and pushed to a registry on the loopback interface, which a registries.conf makes Docker Hub's mirror.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::json;

use crate::support::archive::sha256;
use crate::support::layer::LAYER_EPOCH;
use crate::support::registry::Registry;
use crate::support::run::Project;
use crate::support::{layout, tools};

/// Counted up with any change of how the images are made.
const RECIPE: &str = "1";

/// Debian's packages of the Python image: what a shell script, pip and its wheels need, and no more.
const PYTHON_PACKAGES: &str = "base-files,base-passwd,bash,ca-certificates,coreutils,dash,debianutils,diffutils,dpkg,\
findutils,grep,gzip,libc-bin,mawk,openssl,perl-base,python3,python3-pip,sed,tar";

/// Makes `rootfs.tar` from this machine's own lists of sources. A virtual environment is not asked for: the image is one.
const PYTHON_SCRIPT: &str = r#"
cd "$DIR"
cat /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources 2>/dev/null |
mmdebstrap --quiet --mode=root --variant=custom --include="$PACKAGES" \
    --dpkgopt=force-unsafe-io --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' --aptopt='Acquire::Languages "none"' \
    --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Check-Date "false"' \
    --customize-hook='ln -s python3 "$1/usr/bin/python"' \
    --customize-hook='rm -f "$1"/usr/lib/python3*/EXTERNALLY-MANAGED' \
    --customize-hook="cp '$BUNDLE' \"\$1/etc/ssl/certs/ca-certificates.crt\"" \
    --customize-hook='if [ -f /etc/pip.conf ]; then cp /etc/pip.conf "$1/etc/pip.conf"; fi' \
    "$(. /etc/os-release; echo "$VERSION_CODENAME")" rootfs.tar
"#;

/// The registry that all tests share, with both base images in it as Docker Hub has them: `library/busybox:latest`
/// and `library/python:3.8`.
pub fn registry() -> &'static Registry {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    REGISTRY.get_or_init(|| {
        let registry = Registry::start();
        push(busybox(), &registry.name("library/busybox:latest"));
        push(python(), &registry.name("library/python:3.8"));
        registry
    })
}

/// Pushes a layout's image to a registry without a login.
#[track_caller]
pub fn push(layout: &Path, name: &str) {
    tools::skopeo_copy(&format!("oci:{}:latest", layout.display()), &format!("docker://{name}"), &[]);
}

/// An OCI layout (tag `latest`) of busybox.
pub fn busybox() -> &'static Path {
    static LAYOUT: OnceLock<PathBuf> = OnceLock::new();
    LAYOUT.get_or_init(|| {
        let program = fs::read(busybox_program()).expect("busybox can be read");
        kept("busybox", &sha256(&program), |dir| {
            let config = json!({"Cmd": ["sh"], "Env": [path_variable()]});
            let mut tar = tar::Builder::new(Vec::new());
            fill_busybox(&mut tar);
            layout::write(&dir.join("layout"), &tar.into_inner().expect("memory is writable"), &config);
        })
    })
}

/// An OCI layout (tag `latest`) of a small Debian with Python and pip that trusts what this machine trusts.
pub fn python() -> &'static Path {
    static LAYOUT: OnceLock<PathBuf> = OnceLock::new();
    LAYOUT.get_or_init(|| {
        tools::require("/usr/bin/mmdebstrap");
        let bundle = ca_bundle();
        let mut made_from = format!("{PYTHON_PACKAGES}\n{PYTHON_SCRIPT}\n").into_bytes();
        made_from
            .extend(fs::read(&bundle).unwrap_or_else(|error| panic!("cannot read `{}`: {error}", bundle.display())));
        // Without the file pip has its defaults.
        made_from.extend(fs::read("/etc/pip.conf").unwrap_or_default());
        kept("python", &sha256(&made_from), |dir| {
            let mut command = Command::new("sh");
            command.args(["-c", PYTHON_SCRIPT]).env("DIR", dir).env("PACKAGES", PYTHON_PACKAGES).env("BUNDLE", &bundle);
            let output = command.output().unwrap_or_else(|error| panic!("cannot start a shell: {error}"));
            tools::text_of("mmdebstrap (this needs root and Debian's mirror)", output);
            let rootfs = fs::read(dir.join("rootfs.tar")).unwrap_or_else(|error| panic!("no rootfs.tar: {error}"));
            let config = json!({"Cmd": ["python3"], "Env": [path_variable(), "LANG=C.UTF-8"]});
            layout::write(&dir.join("layout"), &rootfs, &config);
        })
    })
}

/// The layout that `make` writes into the folder it is given, or the one that an earlier run has left. It appears by
/// a rename, so that a run which was killed or runs beside this one does no harm.
pub fn kept(name: &str, key: &str, make: impl FnOnce(&Path)) -> PathBuf {
    let shelf = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let home = shelf.join(format!("base-{name}-{RECIPE}-{}", &key[..16]));
    if !home.exists() {
        let work = tempfile::tempdir_in(shelf).unwrap_or_else(|error| panic!("cannot make a base image: {error}"));
        make(work.path());
        if let Err(error) = fs::rename(work.path().join("layout"), &home) {
            assert!(home.exists(), "cannot keep the base image `{name}`: {error}");
        }
    }
    home
}

/// Where Debian's busybox-static puts its program.
fn busybox_program() -> &'static str {
    let path = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| Path::new(path).exists());
    path.expect("busybox is missing: apt-get install busybox-static, or run .ci/test")
}

/// Adds busybox with all its names, and what every program expects.
pub fn fill_busybox(tar: &mut tar::Builder<Vec<u8>>) {
    let content = &fs::read(busybox_program()).expect("busybox can be read");
    for dir in ["bin", "dev", "etc", "proc", "root", "sys"] {
        append(tar, dir, tar::EntryType::Directory, 0o755, &[]);
    }
    append(tar, "tmp", tar::EntryType::Directory, 0o1777, &[]);
    append(tar, "usr", tar::EntryType::Directory, 0o755, &[]);
    append(tar, "usr/bin", tar::EntryType::Directory, 0o755, &[]);
    append(tar, "bin/busybox", tar::EntryType::Regular, 0o755, content);
    let users = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n\
                 daemon:x:1:1:daemon:/usr/sbin:/bin/false\n";
    append(tar, "etc/passwd", tar::EntryType::Regular, 0o644, users.as_bytes());
    append(tar, "etc/group", tar::EntryType::Regular, 0o644, b"root:x:0:\nnobody:x:65534:\ndaemon:x:1:\n");
    for applet in applets() {
        let mut header = header(tar::EntryType::Symlink, 0o777, 0);
        tar.append_link(&mut header, format!("bin/{applet}"), "busybox").expect("memory is writable");
    }
}

/// The names that busybox answers to, itself left out.
fn applets() -> Vec<String> {
    let output = Command::new(busybox_program()).arg("--list").output().expect("busybox runs");
    let names = tools::text_of("busybox --list", output);
    names.lines().filter(|name| *name != "busybox").map(str::to_owned).collect()
}

/// Adds a file or folder of root with the one time that layers have.
pub fn append(tar: &mut tar::Builder<Vec<u8>>, path: &str, kind: tar::EntryType, mode: u32, content: &[u8]) {
    let mut header = header(kind, mode, content.len() as u64);
    let path = if kind.is_dir() { format!("{path}/") } else { path.to_owned() };
    tar.append_data(&mut header, path, content).expect("memory is writable");
}

/// The head of an entry of root.
pub fn header(kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(LAYER_EPOCH);
    header
}

/// The variable PATH of an image.
pub fn path_variable() -> &'static str {
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
}

/// The certificates that this machine trusts.
fn ca_bundle() -> PathBuf {
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from).filter(|path| path.exists());
    named.unwrap_or_else(|| "/etc/ssl/certs/ca-certificates.crt".into())
}

/// A project with this context, whose Docker Hub is the shared registry: `FROM busybox` works.
#[track_caller]
pub fn project(fixture: &str) -> Project {
    let project = Project::with(fixture);
    project.write_registries_conf(&registry().mirror_of_docker_hub());
    project
}
