//! Caches that travel between stores in a folder: complete, without secrets, and distrusted.

use std::fs;
use std::path::{Path, PathBuf};

use expect_test::expect;

use crate::support::leaks::files_below;
use crate::support::run::{Project, Ran};
use crate::support::steps::steps;
use crate::support::{base, leaks, tools};

/// Two stages, one of which leaves only a file in the image.
const APP: &str = "
    //- Dockerfile
    FROM busybox AS tools
    ARG TOKEN
    RUN --mount=type=secret,id=key test -s /run/secrets/key && echo 1 >/tool
    FROM busybox
    WORKDIR /app
    COPY --from=tools /tool /bin/
    COPY a b lib/
    ARG TOKEN
    RUN cat lib/a >all
    //- .dockerignore
    cache
    //- a
    a
    //- b
    b
";

const SECRET: &str = "CANARY-0f2c";
const TO: &str = "type=local,dest=cache";
const FROM: &str = "type=local,src=cache";

/// A build with the secret as an argument, an environment variable and a secret.
#[track_caller]
fn build(project: &Project, flags: &[&str]) -> Ran {
    let token = format!("TOKEN={SECRET}");
    let common = ["-o", "type=image", "--build-arg", &token, "--secret", "id=key,env=KEY"];
    project.rbuild(common.iter().chain(flags).chain(&["."])).env("KEY", SECRET).run()
}

/// Forgets the store.
fn forget(project: &Project) {
    fs::remove_dir_all(project.store()).unwrap();
}

fn cache(project: &Project) -> PathBuf {
    project.context().join("cache")
}

/// A project whose store is gone and whose cache is in a folder.
#[track_caller]
fn carried(flags: &str) -> (Project, String) {
    let project = base::project(APP);
    let ran = build(&project, &["--cache-to", &format!("{TO}{flags}")]).success();
    forget(&project);
    (project, image(&ran))
}

/// The id that a build tells.
fn image(ran: &Ran) -> String {
    let line = ran.stderr.lines().find(|line| line.starts_with("built ")).unwrap();
    line.split(' ').nth(1).unwrap().to_owned()
}

#[test]
fn an_empty_store_finds_every_step_in_a_cache_of_all() {
    let (project, first) = carried(",mode=max");
    let ran = build(&project, &["--cache-from", FROM]).success();
    assert_eq!(ran.counts(), (5, 0), "{}", ran.stderr);
    assert_eq!(image(&ran), first);
    assert_eq!(build(&project, &["--cache-from", FROM]).success().counts(), (5, 0));
    leaks::assert_none(&project);
}

#[test]
fn a_cache_that_is_written_over_the_one_that_was_read_has_all_of_it() {
    let (project, first) = carried(",mode=max");
    let both = ["--cache-from", FROM, "--cache-to", "type=local,dest=cache,mode=max"];
    assert_eq!(build(&project, &both).success().counts(), (5, 0));
    forget(&project);
    let ran = build(&project, &both).success();
    assert_eq!((image(&ran), ran.counts()), (first, (5, 0)), "{}", ran.stderr);
}

#[test]
fn who_builds_without_a_cache_gets_nothing_of_it() {
    let (project, first) = carried(",mode=max");
    build(&project, &["--cache-from", FROM]).success();
    let ran = build(&project, &[]).success();
    assert_eq!(ran.counts(), (0, 5), "{}", ran.stderr);
    assert_eq!(image(&ran), first);
}

#[test]
fn a_cache_of_the_image_holds_the_steps_of_the_image() {
    let (project, first) = carried("");
    let ran = build(&project, &["--cache-from", FROM]).success();
    expect![[r#"
        RUN --mount=type=secret,id=key test -s /run/secrets/key && echo 1 >/tool: ran because it was not built here before
        WORKDIR /app: cached
        COPY --from=tools /tool /bin/: cached
        COPY a b lib/: cached
        RUN cat lib/a >all: cached
    "#]].assert_eq(&steps(&ran.stderr));
    assert_eq!(image(&ran), first);
}

#[test]
fn a_miss_is_explained_against_the_cache() {
    let (project, _) = carried(",mode=max");
    project.write("//- b\nbb\n");
    let ran = build(&project, &["--cache-from", FROM, "--explain"]).success();
    expect![[r#"
        RUN --mount=type=secret,id=key test -s /run/secrets/key && echo 1 >/tool: cached
        WORKDIR /app: cached
        COPY --from=tools /tool /bin/: cached
        COPY a b lib/: ran because 1 file changed: b
        RUN cat lib/a >all: ran because COPY a b lib/ changed (1 file: b)
    "#]]
    .assert_eq(&steps(&ran.stderr));
    let ran = project.rbuild(["why", "--cache-from", FROM, "--secret", "id=key,env=KEY", "."]).env("KEY", "x").run();
    expect![[r#"
        #1 [tools 2/2] RUN --mount=type=secret,id=key test -s /run/secrets/key && echo 1 >/tool: runs because build argument TOKEN changed
        #2 [stage-1 2/5] WORKDIR /app: cached
        #3 [stage-1 3/5] COPY --from=tools /tool /bin/: cached if #1 makes the same as before
        #4 [stage-1 4/5] COPY a b lib/: cached if #3 leaves alone where it goes to
        #5 [stage-1 5/5] RUN cat lib/a >all: runs because build argument TOKEN changed
        1 cached, 2 would run, 2 depend on what these make
    "#]].assert_eq(&ran.success().stdout);
}

#[test]
fn no_secret_is_in_a_cache() {
    let (project, _) = carried(",mode=max,compression=uncompressed");
    let files = files_below(&cache(&project));
    assert!(files.len() > 5, "{files:?}");
    for path in files {
        let bytes = fs::read(&path).unwrap();
        assert!(!bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()), "{}", path.display());
    }
}

#[test]
fn a_cache_is_an_image_layout_that_other_tools_read() {
    let (project, _) = carried("");
    let layout = cache(&project);
    let inspected =
        tools::success("/usr/bin/skopeo", ["inspect", "--raw", &format!("oci:{}:rbuild-cache", layout.display())]);
    assert!(inspected.contains("application/vnd.rbuild.cache.config.v1+json"), "{inspected}");
}

#[test]
fn caches_of_several_builds_at_once_are_whole() {
    let project = base::project(APP);
    build(&project, &[]).success();
    std::thread::scope(|scope| {
        for mode in ["min", "max", "min", "max"] {
            let to = format!("{TO},mode={mode}");
            let project = &project;
            scope.spawn(move || build(project, &["--cache-to", &to]).success());
        }
    });
    forget(&project);
    let ran = build(&project, &["--cache-from", FROM]).success();
    assert!(ran.counts().0 >= 4 && !ran.stderr.contains("warning: the cache"), "{}", ran.stderr);
}

/// The blobs of the cache, the largest first.
fn blobs(folder: &Path) -> Vec<PathBuf> {
    let mut blobs = files_below(&folder.join("blobs"));
    blobs.sort_by_key(|path| std::cmp::Reverse(fs::metadata(path).unwrap().len()));
    blobs
}

/// Spoils the cache, and builds with it: the image is right, and the user is told.
#[track_caller]
fn check_distrusted(spoil: impl Fn(&Path)) {
    let (project, first) = carried(",mode=max");
    spoil(&cache(&project));
    let ran = build(&project, &["--cache-from", FROM]).success();
    assert_eq!(image(&ran), first);
    assert!(ran.stderr.contains("warning: the cache in `"), "{}", ran.stderr);
    leaks::assert_none(&project);
}

#[test]
fn a_damaged_blob_is_left_out() {
    check_distrusted(|folder| {
        for blob in blobs(folder) {
            let mut bytes = fs::read(&blob).unwrap();
            let last = bytes.len() - 1;
            bytes[last / 2] ^= 1;
            fs::write(&blob, bytes).unwrap();
        }
    });
    check_distrusted(|folder| blobs(folder).iter().for_each(|blob| fs::write(blob, "").unwrap()));
}

#[test]
fn a_missing_part_is_left_out() {
    check_distrusted(|folder| fs::remove_dir_all(folder).unwrap());
    check_distrusted(|folder| fs::remove_file(folder.join("index.json")).unwrap());
    check_distrusted(|folder| fs::remove_dir_all(folder.join("blobs")).unwrap());
    // Layers alone.
    check_distrusted(|folder| {
        let is_layer = |path: &PathBuf| fs::read(path).unwrap().starts_with(&[0x1f, 0x8b]);
        let layers: Vec<PathBuf> = blobs(folder).into_iter().filter(is_layer).collect();
        assert!(layers.len() > 2);
        layers.iter().for_each(|layer| fs::remove_file(layer).unwrap());
    });
}

#[test]
fn links_and_pipes_in_a_cache_are_not_followed() {
    check_distrusted(|folder| {
        let index = folder.join("index.json");
        fs::rename(&index, folder.join("other.json")).unwrap();
        std::os::unix::fs::symlink("other.json", &index).unwrap();
    });
    check_distrusted(|folder| {
        fs::remove_file(folder.join("index.json")).unwrap();
        tools::success("/usr/bin/mkfifo", [folder.join("index.json")]);
    });
    check_distrusted(|folder| {
        fs::rename(folder.join("blobs"), folder.join("elsewhere")).unwrap();
        std::os::unix::fs::symlink("elsewhere", folder.join("blobs")).unwrap();
    });
}

#[test]
fn nonsense_in_a_cache_is_left_out() {
    for text in ["", "{}", "[", "{\"schemaVersion\":2,\"manifests\":[{\"digest\":\"sha256:0\"}]}"] {
        check_distrusted(|folder| fs::write(folder.join("index.json"), text).unwrap());
    }
}

#[test]
fn a_cache_folder_that_is_something_else_is_not_written_to() {
    let project = base::project(APP);
    project.write("//- cache/precious\nmine\n");
    let ran = build(&project, &["--cache-to", TO]).failure(5);
    assert!(ran.stderr.contains("it holds other files and no `oci-layout`"), "{}", ran.stderr);
    assert_eq!(files_below(&cache(&project)).len(), 1);
}

#[test]
fn other_types_of_caches_are_refused_by_name() {
    let project = base::project(APP);
    let ran = build(&project, &["--cache-from", "type=gha"]).failure(2);
    expect![[r#"
        error: `--cache-from type=gha` is not supported by this version of rbuild
        hint: write `--cache-from IMAGE` or `--cache-from type=local,src=DIR`; keep the folder where your jobs keep theirs
    "#]]
    .assert_eq(&ran.stderr);
    let ran = build(&project, &["--cache-to", "type=registry,ref=x"]).failure(2);
    expect![[r#"
        error: `--cache-to type=registry` is not supported by this version of rbuild
        hint: write `--cache-to type=inline` or `--cache-to type=local,dest=DIR[,mode=min|max]`; keep the folder where your jobs keep theirs
    "#]]
    .assert_eq(&ran.stderr);
}
