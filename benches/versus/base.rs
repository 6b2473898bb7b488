//! The base images: busybox, and a Debian of about 65 MB (180 MB unpacked). Both in a registry on the loopback interface.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::cases::Base;
use crate::support::registry::Registry;
use crate::support::{base, layout, tools};

/// Counted up with any change of how the image is made.
const RECIPE: &str = "1";

/// Makes `rootfs.tar` from this machine's own lists of sources.
const SCRIPT: &str = r#"
cat /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources 2>/dev/null |
mmdebstrap --quiet --mode=root --variant=minbase --include=perl,ca-certificates,xz-utils --dpkgopt=force-unsafe-io \
    --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Check-Date "false"' \
    "$(. /etc/os-release; echo "$VERSION_CODENAME")" "$1/rootfs.tar"
"#;

/// A registry with both images in it.
pub struct Bases {
    registry: Registry,
    debian: PathBuf,
}

impl Bases {
    /// Starts the registry; makes the Debian if no earlier run has left it below `target/`.
    pub fn start() -> Self {
        let shelf = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let debian = shelf.join(format!("versus-debian-{RECIPE}"));
        if !debian.exists() {
            let work = tempfile::tempdir_in(shelf).expect("target/ is writable");
            part(&["base", &work.path().display().to_string()]);
            fs::rename(work.keep(), &debian).expect("target/ is writable");
        }
        let registry = Registry::start();
        for which in ["busybox", "debian"] {
            part(&["registry-image", which, &registry.name(&format!("{which}:latest"))]);
        }
        Self { registry, debian }
    }

    /// The name by which all builders know a base.
    pub fn reference(&self, base: Base) -> String {
        match base {
            Base::Busybox => self.registry.name("busybox:latest"),
            Base::Debian => self.registry.name("debian:latest"),
        }
    }

    /// The Debian as one plain tar.
    pub fn debian_tar(&self) -> PathBuf {
        self.debian.join("rootfs.tar")
    }

    /// The Debian's layer as it is in the registry.
    pub fn debian_blob(&self) -> PathBuf {
        let blobs = self.registry.folder().join("data/docker/registry/v2/blobs");
        let found = Command::new("find").arg(blobs).args(["-name", "data", "-size", "+20M"]).output();
        let found = tools::text_of("find", found.expect("find runs"));
        PathBuf::from(found.lines().next().expect("the registry has the Debian's layer"))
    }
}

/// Runs a part of this program in a process of its own, and gives what it prints.
pub fn part(args: &[&str]) -> String {
    let program = std::env::current_exe().expect("this program has a path");
    let output = Command::new(program).arg("part").args(args).output().expect("this program runs");
    tools::text_of(&format!("part {args:?}"), output)
}

/// Makes the Debian in a folder: `rootfs.tar` and a layout of it.
pub fn make(folder: &Path) {
    tools::require("/usr/bin/mmdebstrap");
    let output = Command::new("sh").args(["-c", SCRIPT, "sh"]).arg(folder).output().expect("a shell starts");
    tools::text_of("mmdebstrap (this needs root and Debian's mirror)", output);
    let rootfs = fs::read(folder.join("rootfs.tar")).expect("mmdebstrap has written it");
    layout::write(&folder.join("layout"), &rootfs, &json!({"Cmd": ["sh"], "Env": ["PATH=/usr/bin:/usr/sbin"]}));
}

/// Pushes a base to a registry, as gzip.
pub fn push(which: &str, name: &str) {
    let layout = match which {
        "busybox" => base::busybox().to_owned(),
        _ => Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("versus-debian-{RECIPE}/layout")),
    };
    tools::skopeo_copy(
        &format!("oci:{}:latest", layout.display()),
        &format!("docker://{name}"),
        &["--dest-compress-format=gzip", "--dest-compress-level=6"],
    );
}
