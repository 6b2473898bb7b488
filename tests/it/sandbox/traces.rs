//! What a step's mounts leave behind.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::time::{Duration, SystemTime};

use super::bench::{Bench, host, mount, run, says, tmpfs};
use rbuild::sandbox::Source;

use crate::support::tools;

fn nothing() -> Vec<String> {
    Vec::new()
}

#[test]
fn a_step_that_does_nothing_changes_nothing() {
    let bench = Bench::new();
    bench.says("true");
    assert_eq!(bench.changes(), nothing());
}

#[test]
fn scratch_keeps_the_three_folders_of_the_kernel() {
    let mut bench = Bench::new();
    let busybox = bench.folder("busybox");
    tools::copy_program("/bin/busybox", busybox.join("true"));
    for lowers in [vec![], vec![busybox]] {
        bench.lowers = lowers;
        let mut spec = bench.spec("true");
        let tools = bench.dir.path().join("busybox");
        spec.mounts = vec![mount("/tools", host(&tools))];
        spec.argv = super::bench::words(&["/tools/true"]);
        says(&spec);
        assert_eq!(bench.changes(), ["/dev", "/proc", "/sys"]);
    }
}

#[test]
fn mount_points_go_and_what_is_beside_them_stays() {
    let bench = Bench::new();
    let secret = || Source::Content { bytes: b"s".to_vec(), mode: 0o400, uid: 0, gid: 0 };
    let mounts =
        || vec![mount("/new/deep/point", tmpfs()), mount("/run/secrets/x", secret()), mount("/root/f", secret())];
    let mut spec = bench.spec("echo 1 >/new/deep/point/x; cat /run/secrets/x /root/f");
    spec.mounts = mounts();
    assert_eq!(says(&spec), "ss");
    assert_eq!(bench.changes(), nothing());
    let mut spec = bench.spec("echo 1 >/new/deep/f; touch /root/g; mkdir -p /run/lock");
    spec.mounts = mounts();
    says(&spec);
    assert_eq!(bench.changes(), ["/new", "/new/deep", "/new/deep/f", "/root", "/root/g", "/run", "/run/lock"]);
}

#[test]
fn files_of_the_image_are_covered_and_kept() {
    let bench = Bench::new();
    fs::write(bench.base().join("etc/hosts"), "mine\n").expect("written");
    assert_eq!(bench.says("cat /etc/hosts; echo x >/etc/new"), "127.0.0.1 localhost\n");
    assert_eq!(bench.changes(), ["/etc", "/etc/new"]);
    assert_eq!(fs::read_to_string(bench.base().join("etc/hosts")).expect("kept"), "mine\n");
}

#[test]
fn times_of_folders_are_the_steps_or_the_images() {
    let bench = Bench::new();
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let etc = bench.base().join("etc");
    fs::write(etc.join("f"), "").expect("written");
    fs::File::open(&etc).and_then(|etc| etc.set_modified(long_ago)).expect("dated");
    // The step changes a file in /etc, so the folder is in its changes, but not the folder itself.
    bench.says("chmod 600 /etc/f");
    assert_eq!(bench.changes(), ["/etc", "/etc/f"]);
    assert_eq!(fs::metadata(bench.upper().join("etc")).expect("there").mtime(), 1_000_000_000);
    // Now it does.
    bench.says("touch -d @1200000000 /etc; chmod 600 /etc/f");
    assert_eq!(fs::metadata(bench.upper().join("etc")).expect("there").mtime(), 1_200_000_000);
    bench.says("rm /etc/f");
    assert!(fs::metadata(bench.upper().join("etc")).expect("there").mtime() > 1_500_000_000);
}

#[test]
fn a_dangling_link_is_followed_inside_the_root() {
    let bench = Bench::new();
    symlink("../run/systemd/resolve/stub", bench.base().join("etc/resolv.conf")).expect("linked");
    assert_eq!(bench.says("cat /etc/resolv.conf"), "nameserver 10.0.0.1\n");
    assert_eq!(bench.changes(), nothing());
}

#[test]
fn cleaning_follows_no_link_that_the_step_laid() {
    let bench = Bench::new();
    let canary = bench.folder("canary");
    fs::create_dir(canary.join("point")).expect("made");
    fs::write(canary.join("hosts"), "").expect("written");
    let script = format!(
        "rm -rf /a /etc; mv /a /moved; mv /etc /moved2; ln -s {0} /a; ln -s {0} /etc; ls -d /a",
        canary.display()
    );
    let mut spec = bench.spec(&script);
    spec.mounts = vec![mount("/a/point", tmpfs())];
    run(&spec).expect("runs");
    assert!(canary.join("point").exists() && canary.join("hosts").exists());
}
