//! `du`, `prune`, gc by itself, `fsck` and `doctor`.

use std::fs::{self, File, FileTimes};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::support::run::Project;
use crate::support::{base, leaks};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn built_id(stderr: &str) -> String {
    let line = stderr.lines().find(|line| line.starts_with("built ")).expect("a closing line");
    line.split(' ').nth(1).expect("an id").to_owned()
}

/// Builds the folder `name` of the context and gives the image's id and how many steps ran.
#[track_caller]
fn build(project: &Project, name: &str) -> (String, u32) {
    let ran = project.rbuild(["-t", name, "-o", "type=image", name]).run().success();
    (built_id(&ran.stderr), ran.counts().1)
}

fn project() -> Project {
    base::project(
        "
        //- a/Dockerfile
        FROM busybox
        COPY f /f
        RUN --mount=type=cache,target=/c cat /f >/g; rm /f; echo kept >/c/kept
        //- a/f
        of a
        //- b/Dockerfile
        FROM busybox
        COPY f /f
        RUN cat /f >/h
        //- b/f
        of b
        ",
    )
}

#[track_caller]
fn usage(project: &Project) -> Value {
    serde_json::from_str(&project.rbuild(["du", "--json"]).run().success().stdout).expect("JSON")
}

#[track_caller]
fn prune(project: &Project, args: &[&str]) {
    project.rbuild([&["prune"], args].concat()).run().success();
}

/// Makes the last use of everything in the store so many days older.
fn age(project: &Project, days: u32) {
    for entry in walkdir::WalkDir::new(project.store()) {
        let entry = entry.unwrap();
        if entry.file_type().is_symlink() {
            continue;
        }
        let metadata = entry.metadata().unwrap();
        let (used, written) = (metadata.accessed().unwrap() - DAY * days, metadata.modified().unwrap() - DAY * days);
        // The files of layers have times that listings tell.
        if !entry.path().components().any(|part| part.as_os_str() == "fs") {
            let times = FileTimes::new().set_accessed(used).set_modified(written);
            File::open(entry.path()).unwrap().set_times(times).unwrap();
        }
    }
}

#[test]
fn du_tells_what_each_kind_takes_and_what_of_it_can_go() {
    let project = project();
    assert_eq!(usage(&project)["total"]["objects"], 0);
    build(&project, "a");
    let told = usage(&project);
    let of = |kind: &str| told["kinds"].as_array().unwrap().iter().find(|row| row["kind"] == kind).cloned();
    let trees = of("trees").expect("a row for trees");
    assert!(trees["objects"].as_u64() >= Some(2) && trees["bytes"].as_u64() > Some(1_000_000), "{told}");
    // The image has a name, so its layers stay; cache mounts and records of steps need not.
    assert_eq!(trees["reclaimable"], 0);
    let mounts = of("cache-mounts").expect("a row for cache mounts");
    assert_eq!((&mounts["objects"], &mounts["reclaimable"]), (&1.into(), &mounts["bytes"]));
    assert!(mounts["last_used"].as_str().is_some_and(|time| time.ends_with('Z')), "{told}");
    assert!(of("steps").is_some_and(|row| row["objects"] == 2) && of("temporary").is_none(), "{told}");
    let on_disk: u64 = told["kinds"].as_array().unwrap().iter().map(|row| row["bytes"].as_u64().unwrap()).sum();
    assert_eq!(told["total"]["bytes"], on_disk);
    // What can go does go.
    prune(&project, &["--all"]);
    assert_eq!(usage(&project)["total"]["reclaimable"], 0);
    let text = project.rbuild(["du"]).run().success().stdout;
    assert!(text.starts_with("KIND") && text.contains("layers, unpacked") && text.contains("just now"), "{text}");
    leaks::assert_none(&project);
}

#[test]
fn what_was_not_used_for_long_goes_and_what_was_stays() {
    let project = project();
    build(&project, "a");
    build(&project, "b");
    project.rbuild(["rm", "a", "b"]).run().success();
    age(&project, 30);
    // Its step is used again.
    assert_eq!(build(&project, "a").1, 0);
    project.rbuild(["rm", "a"]).run().success();
    for kept in [["--older-than", "31d"], ["--filter", "until=800h"]] {
        prune(&project, &kept);
    }
    prune(&project, &["--older-than", "1w"]);
    assert_eq!((build(&project, "a").1, build(&project, "b").1), (0, 2));
    for wrong in [["--older-than", "soon"], ["--filter", "label=x"], ["--keep-bytes", "much"]] {
        let ran = project.rbuild([&["prune"], &wrong[..]].concat()).run().failure(2);
        assert!(ran.stderr.contains("hint: "), "{}", ran.stderr);
    }
}

#[test]
fn a_store_is_pruned_to_a_size_oldest_first() {
    let project = project();
    for name in ["a", "b"] {
        fs::write(project.context().join(name).join("f"), vec![name.as_bytes()[0]; 3 << 20]).unwrap();
        build(&project, name);
        project.rbuild(["rm", name]).run().success();
        age(&project, 1);
    }
    // Both together have more than 12 MB: two copies of each file.
    let before = usage(&project)["total"]["bytes"].as_u64().unwrap();
    let limit = before - (4 << 20);
    prune(&project, &["--keep-bytes", &limit.to_string()]);
    let after = usage(&project)["total"]["bytes"].as_u64().unwrap();
    assert!(after <= limit && after > limit / 3, "{before} -> {after}");
    assert_eq!(build(&project, "b").1, 0);
    assert!(build(&project, "a").1 > 0);
    // What has a name stays, and that is said.
    let ran = project.rbuild(["prune", "--keep-storage", "1kB"]).run().success();
    assert!(ran.stdout.contains("are left: images with a name"), "{}", ran.stdout);
    project.rbuild(["save", "a", "-o", "../a.tar"]).run().success();
}

#[test]
fn results_that_no_last_build_used_go_after_a_week() {
    let project = project();
    build(&project, "a");
    project.write("//- a/f\nchanged\n");
    build(&project, "a");
    let steps = |project: &Project| leaks::files_below(&project.store().join("records/steps")).len();
    prune(&project, &[]);
    assert_eq!(steps(&project), 4);
    age(&project, 8);
    prune(&project, &[]);
    assert_eq!(steps(&project), 2);
    assert_eq!(build(&project, "a").1, 0);
}

#[test]
fn a_result_whose_layer_is_gone_goes_with_any_prune() {
    let project = project();
    build(&project, "b");
    project.rbuild(["rm", "b"]).run().success();
    for folder in ["trees", "blobs"] {
        fs::remove_dir_all(project.store().join(folder)).unwrap();
        fs::create_dir(project.store().join(folder)).unwrap();
    }
    prune(&project, &[]);
    assert_eq!(leaks::files_below(&project.store().join("records/steps")), Vec::<PathBuf>::new());
}

#[test]
fn a_store_that_grows_beyond_its_limit_is_collected_after_a_build() {
    let project = project();
    let total = |project: &Project| usage(project)["total"]["bytes"].as_u64().unwrap();
    let build_anew = |round: u8, gc: &str| {
        fs::write(project.context().join("b/f"), vec![round; 3 << 20]).unwrap();
        project.rbuild(["--gc", gc, "-t", "b", "-o", "type=image", "b"]).run().success()
    };
    for round in 0..4 {
        assert!(!build_anew(round, "off").stderr.contains("gc removed"));
    }
    let grown = total(&project);
    assert!(grown > 30 << 20, "{grown}");
    let ran = build_anew(4, "size=20MB,free=0");
    assert!(ran.stderr.contains("gc removed what was used longest ago"), "{}", ran.stderr);
    assert!(total(&project) <= 20 << 20, "{}", total(&project));
    // The last build is what was used last.
    let again = project.rbuild(["-t", "b", "-o", "type=image", "b"]).env("RBUILD_GC", "size=20MB").run().success();
    assert_eq!(again.counts().1, 0);
    assert!(!again.stderr.contains("gc"), "{}", again.stderr);
    let ran = project.rbuild(["b"]).env("RBUILD_GC", "size=lots").run().failure(2);
    assert!(ran.stderr.contains("is no size"), "{}", ran.stderr);
    leaks::assert_none(&project);
}

/// Flips a bit in the middle of a file.
fn damage(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let (mode, times) = (fs::metadata(path).unwrap().permissions(), fs::metadata(path).unwrap());
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, mode).unwrap();
    let times = FileTimes::new().set_modified(times.modified().unwrap());
    File::options().write(true).open(path).unwrap().set_times(times).unwrap();
}

/// The first file below a folder of the store whose path says `part`.
#[track_caller]
fn file_of(project: &Project, folder: &str, part: &str) -> PathBuf {
    let files = leaks::files_below(&project.store().join(folder));
    let fits = |path: &PathBuf| path.to_str().unwrap().contains(part) && fs::metadata(path).unwrap().len() > 0;
    files.into_iter().find(fits).unwrap_or_else(|| panic!("no `{part}` in `{folder}`"))
}

#[test]
fn fsck_finds_any_damage_and_the_next_build_heals_it() {
    let project = project();
    let (id, _) = build(&project, "a");
    project.rbuild(["fsck"]).run().success();
    for (folder, part) in [
        ("blobs", ""),
        ("trees", "bin/busybox"),
        ("trees", "/g"),
        ("records/steps", ""),
        ("records/listings", ""),
        ("records/layers", ""),
        ("records/images", ""),
        ("records/names", ""),
        ("records/pulled", ""),
        ("records/builds", ""),
        ("records/files", ""),
        ("records/keys", ""),
    ] {
        let path = file_of(&project, folder, part);
        damage(&path);
        let told = project.rbuild(["fsck", "--dry-run"]).run().failure(4);
        assert!(path.exists() && told.stdout.contains(": left\n"), "{folder} {part}: {}", told.stdout);
        let healed = project.rbuild(["fsck"]).run().failure(1);
        assert!(healed.stdout.contains(": removed\n"), "{folder} {part}: {}", healed.stdout);
        project.rbuild(["fsck"]).run().success();
        assert_eq!(build(&project, "a").0, id, "{folder} {part}");
        project.rbuild(["save", "a", "-o", "../a.tar"]).run().success();
        project.rbuild(["fsck"]).run().success();
    }
    leaks::assert_none(&project);
}

#[test]
fn one_fsck_is_enough_and_an_image_outlives_one_form_of_its_layers() {
    let project = project();
    let output = ["-t", "a", "-o", "type=docker,dest=../a.tar", "a"];
    let make = || built_id(&project.rbuild(output).run().success().stderr);
    let id = make();
    let mut outlived = 0;
    for folder in ["records", "blobs"] {
        for path in leaks::files_below(&project.store().join(folder)).into_iter().filter(|path| path.exists()) {
            // All that was removed for its sake is there again, the archive's form of the layers too.
            fs::remove_file(project.root().join("a.tar")).unwrap();
            assert_eq!(make(), id);
            if !path.exists() || fs::metadata(&path).unwrap().len() == 0 {
                continue;
            }
            damage(&path);
            project.rbuild(["fsck"]).run();
            project.rbuild(["fsck"]).run().success();
            let is_there = project.rbuild(["inspect", "a"]).run().status.success();
            outlived += u32::from(folder == "blobs" && is_there);
            if is_there {
                project.rbuild(["save", "a", "-o", "../saved.tar"]).run().success();
            }
        }
    }
    // Of both layers the tar, the archive's form, or both; the config alone has one form.
    assert!(outlived >= 3, "{outlived}");
    leaks::assert_none(&project);
}

#[test]
fn damage_that_a_build_meets_is_healed_by_the_next_one() {
    let project = project();
    let (id, _) = build(&project, "a");
    let output = ["-t", "a", "-o", "type=docker,dest=../a.tar", "a"];
    for folder in ["records", "blobs"] {
        for path in leaks::files_below(&project.store().join(folder)).into_iter().filter(|path| path.exists()) {
            damage(&path);
            let first = project.rbuild(output).run();
            let second = if first.status.success() { first } else { project.rbuild(output).run().success() };
            assert_eq!(built_id(&second.stderr), id, "{}", path.display());
            project.rbuild(["fsck"]).run();
        }
    }
    project.rbuild(["fsck"]).run().success();
    leaks::assert_none(&project);
}

#[test]
fn fsck_removes_what_is_no_part_of_a_store_and_tells_json() {
    let project = project();
    build(&project, "b");
    fs::write(project.store().join("trees/stray"), "x").unwrap();
    let ran = project.rbuild(["fsck", "--json"]).run().failure(1);
    let told: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(told["findings"][0]["name"], "trees/stray");
    assert_eq!(told["findings"][0]["fate"], "removed");
    assert!(told["blobs"].as_u64() > Some(1) && told["trees"].as_u64() >= Some(1), "{told}");
    project.rbuild(["fsck"]).run().success();
}

#[test]
fn doctor_says_that_steps_can_run_and_what_is_lacking() {
    let project = Project::new();
    let ran = project.rbuild(["doctor"]).run().success();
    assert!(ran.stdout.contains("ok    steps (RUN)"), "{}", ran.stdout);
    assert!(!project.store().exists());
    assert_eq!(leaks::files_below(project.root()), Vec::<PathBuf>::new());
    let told = |call: crate::support::run::Call<'_>| -> Vec<Value> {
        serde_json::from_str(&call.run().success().stdout).unwrap()
    };
    let line = |lines: &[Value], subject: &str| lines.iter().find(|line| line["subject"] == subject).cloned().unwrap();
    project.write_docker_config("{\"credsStore\": \"is-not-there\"}");
    let lines = told(
        project.rbuild(["doctor", "--json"]).env("DOCKER_HOST", "unix:///nowhere").env("SSL_CERT_FILE", "/nowhere"),
    );
    for (subject, cure) in
        [("credentials", "install"), ("docker (--load)", "DOCKER_HOST"), ("certificates", "name a file")]
    {
        let line = line(&lines, subject);
        assert_eq!(line["state"], "warn", "{line}");
        assert!(line["cure"].as_str().unwrap().contains(cure), "{line}");
    }
    assert!(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).is_ok());
}

#[test]
fn doctor_fails_where_steps_cannot_run() {
    let project = Project::new();
    fs::set_permissions(project.root(), fs::Permissions::from_mode(0o755)).unwrap();
    let script =
        "exec setpriv --reuid=65534 --regid=65534 --clear-groups \"$0\" doctor --store /tmp/rbuild-doctor-test";
    let ran = project.program("/bin/sh", ["-c", script, env!("CARGO_BIN_EXE_rbuild")]).run().failure(1);
    assert!(ran.stdout.contains("fail  steps (RUN)") && ran.stdout.contains("-> run rbuild as root"), "{}", ran.stdout);
    assert!(ran.stderr.contains("hint: the lines that begin with `fail`"), "{}", ran.stderr);
}
