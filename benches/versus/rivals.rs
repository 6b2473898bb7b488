//! The rivals: Docker with its BuildKit, and buildah.

use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::io::Errno;

use crate::builder::{Builder, NAME, Rbuild, remove};
use crate::cases::{Before, Output};
use crate::measure::{self, Cost};
use crate::support::docker::{self, Docker};
use crate::support::tools;

/// Those that are asked for and there.
pub fn found(wanted: &[String], folder: &Path) -> Vec<Box<dyn Builder>> {
    let mut found: Vec<Box<dyn Builder>> = Vec::new();
    let wants = |name: &str| wanted.iter().any(|wanted| wanted == name);
    if wants("docker") && Path::new("/usr/sbin/dockerd").exists() {
        found.push(Box::new(DockerBuild { docker: docker::docker() }));
    }
    let buildah = std::env::var_os("BUILDAH").map_or_else(|| "/usr/bin/buildah".into(), PathBuf::from);
    if wants("buildah") && buildah.exists() {
        found.push(Box::new(Buildah { program: buildah, folder: folder.join("buildah") }));
    }
    if let Some(other) = std::env::var_os("RBUILD_OTHER") {
        found.push(Box::new(Rbuild::new("rbuild-other", Path::new(&other), folder)));
    }
    found
}

/// Docker's own BuildKit, its daemon already running. Its tarball is that of `docker save`, whose layers are not
/// compressed: it does less than the others there.
struct DockerBuild {
    docker: &'static Docker,
}

impl Builder for DockerBuild {
    fn name(&self) -> &str {
        "docker"
    }

    fn version(&self) -> String {
        format!("Docker {}", self.docker.success(["version", "--format={{.Server.Version}}"]).trim())
    }

    fn offers(&self, output: Output) -> bool {
        output != Output::TarballFast
    }

    fn forget(&self, base: &str, before: Before) {
        // An image that is not there is fine.
        self.docker.output(["image", "rm", "--force", NAME]);
        if before == Before::Nothing {
            self.docker.output(["image", "rm", "--force", base]);
        }
        self.docker.success(["image", "prune", "--force"]);
        self.docker.success(["builder", "prune", "--all", "--force"]);
        if before == Before::Cold {
            self.docker.success(["pull", "--quiet", base]);
        }
    }

    fn build(&self, context: &Path, output: Output, tarball: &Path) -> Result<Cost, String> {
        let mut command = self.docker.command();
        let build = ["build", "--quiet", "--network=host", "--tag", NAME].map(str::to_owned);
        let built = measure::attempt(command.args(build).arg(context))?;
        if !output.is_tarball() {
            return Ok(built);
        }
        let saved = measure::attempt(self.docker.command().args(["save", NAME, "--output"]).arg(tarball))?;
        Ok(built.then(saved))
    }

    fn save(&self, archive: &Path) {
        self.docker.save(NAME, archive);
    }
}

/// buildah with overlay storage and its lightest isolation, which makes no network, pid or ipc namespace.
struct Buildah {
    program: PathBuf,
    folder: PathBuf,
}

impl Buildah {
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", &self.folder);
        command.arg("--root").arg(self.folder.join("root")).arg("--runroot").arg(self.folder.join("run"));
        command.arg("--storage-driver=overlay");
        command
    }

    /// Its storage keeps a mount of its own folder over itself.
    fn unmount(&self) {
        let mounted = self.folder.join("root/overlay");
        match rustix::mount::unmount(mounted, rustix::mount::UnmountFlags::DETACH) {
            // Nothing is mounted before the first command.
            Ok(()) | Err(Errno::NOENT | Errno::INVAL) => {}
            Err(error) => panic!("cannot unmount buildah's storage: {error}"),
        }
    }

    fn success(&self, args: &[&str]) {
        measure::run(self.command().args(args));
    }
}

impl Builder for Buildah {
    fn name(&self) -> &str {
        "buildah"
    }

    fn version(&self) -> String {
        let output = Command::new(&self.program).arg("--version").output().expect("buildah runs");
        tools::text_of("buildah --version", output).trim().to_owned()
    }

    fn offers(&self, output: Output) -> bool {
        output != Output::TarballFast
    }

    fn forget(&self, base: &str, before: Before) {
        self.unmount();
        remove(&self.folder);
        std::fs::create_dir_all(&self.folder).expect("the folder is writable");
        if before == Before::Cold {
            self.success(&["pull", "--quiet", "--tls-verify=false", base]);
        }
    }

    fn build(&self, context: &Path, output: Output, tarball: &Path) -> Result<Cost, String> {
        let mut command = self.command();
        command.args(["build", "--quiet", "--layers", "--isolation=chroot", "--network=host", "--tls-verify=false"]);
        command.args(["--tag", NAME]).arg(context);
        let built = measure::attempt(&mut command)?;
        if !output.is_tarball() {
            return Ok(built);
        }
        let target = format!("oci-archive:{}", tarball.display());
        Ok(built.then(measure::attempt(self.command().args(["push", "--quiet", NAME, &target]))?))
    }

    fn save(&self, archive: &Path) {
        remove_file(archive);
        self.success(&["push", "--quiet", NAME, &format!("docker-archive:{}", archive.display())]);
    }
}

impl Drop for Buildah {
    fn drop(&mut self) {
        self.unmount();
    }
}

fn remove_file(path: &Path) {
    if path.exists() {
        std::fs::remove_file(path).unwrap_or_else(|error| panic!("cannot remove `{}`: {error}", path.display()));
    }
}
