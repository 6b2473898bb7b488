//! Root filesystems that are traps.

use std::fs;
use std::os::unix::fs::symlink;

use rbuild::path::ImagePath;
use rbuild::sandbox::Error;

use super::bench::{Bench, run, says};

#[test]
fn kernel_folders_must_be_folders() {
    for name in ["proc", "sys", "dev"] {
        for form in ["file", "link in", "link out", "dangling"] {
            let bench = Bench::new();
            let path = bench.base().join(name);
            fs::remove_dir(&path).expect("removed");
            match form {
                "file" => fs::write(&path, "").expect("written"),
                "link in" => symlink("/tmp", &path).expect("linked"),
                "link out" => symlink(bench.folder("canary"), &path).expect("linked"),
                _ => symlink("/nowhere", &path).expect("linked"),
            }
            let Err(Error::Rootfs { path, problem }) = run(&bench.spec("true")) else {
                panic!("{name} as {form} was taken")
            };
            assert_eq!(path, ImagePath::new(name));
            assert!(problem.contains(if form == "file" { "not a folder" } else { "symlink" }), "{problem}");
        }
    }
}

#[test]
fn etc_behind_links_stays_inside() {
    for (form, target) in
        [("out", None), ("climbing", Some("../../../../../../../tmp")), ("absolute", Some("/tmp/../tmp"))]
    {
        let bench = Bench::new();
        let canary = bench.folder("canary");
        fs::remove_dir(bench.base().join("etc")).expect("removed");
        let target = target.map_or(canary.clone(), Into::into);
        symlink(&target, bench.base().join("etc")).expect("linked");
        assert_eq!(bench.says("cat /etc/hosts"), "127.0.0.1 localhost\n", "{form}");
        assert_eq!(bench.changes(), Vec::<String>::new(), "{form}");
        assert_eq!(canary.read_dir().expect("listed").count(), 0, "{form}");
    }
}

#[test]
fn links_in_a_loop_are_refused() {
    let bench = Bench::new();
    symlink("resolv.conf", bench.base().join("etc/resolv.conf")).expect("linked");
    let Err(Error::Rootfs { problem, .. }) = run(&bench.spec("true")) else { panic!("a loop was taken") };
    assert_eq!(problem, "is a symlink in a loop");
}

#[test]
fn no_working_folder_is_outside() {
    let bench = Bench::new();
    symlink("/proc/self/fd", bench.base().join("fds")).expect("linked");
    symlink("../../../..", bench.base().join("up")).expect("linked");
    for number in 0..64 {
        for folder in ["/proc/self/fd", "/proc/thread-self/fd", "/dev/fd", "/fds", "/proc/1/cwd/../fd"] {
            let mut spec = bench.spec("pwd");
            spec.cwd = ImagePath::new(format!("{folder}/{number}/x"));
            let error = run(&spec).expect_err("outside").to_string();
            assert!(!error.contains("killed"), "{error}");
        }
        if number == 8 {
            break;
        }
    }
    let mut spec = bench.spec("pwd");
    spec.cwd = ImagePath::new("/up/tmp");
    assert_eq!(says(&spec), "/tmp\n");
}
