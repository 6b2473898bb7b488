//! Caches in images: `BUILDKIT_INLINE_CACHE`, `--cache-to type=inline`, and `--cache-from IMAGE`.

use std::fs;
use std::path::{Path, PathBuf};

use expect_test::expect;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::docker::docker;
use crate::support::leaks::{self, files_below};
use crate::support::registry::Registry;
use crate::support::run::{Project, Ran};
use crate::support::steps::steps;
use crate::support::{base, tools};

const APP: &str = "
    //- Dockerfile
    FROM busybox
    WORKDIR /app
    COPY a lib/
    ARG TOKEN
    RUN cat lib/a >all
    COPY b lib/
    RUN cat lib/b >>all
    CMD [\"cat\", \"/app/all\"]
    //- a
    a
    //- b
    b
";
const SECRET: &str = "CANARY-77d1";
const FIELD: &str = "rbuild.cache.v1";
const INLINE: &str = "--build-arg=BUILDKIT_INLINE_CACHE=1";

#[track_caller]
fn build(project: &Project, flags: &[&str]) -> Ran {
    let token = format!("--build-arg=TOKEN={SECRET}");
    project.rbuild([token.as_str()].iter().chain(flags).chain(&["."])).run().success()
}

/// A registry with an image that tells of its steps, and the id of that image.
fn pushed() -> (Registry, String, String) {
    let registry = Registry::start();
    let name = registry.name("team/app:1");
    let ran = build(&base::project(APP), &[INLINE, "-t", &name, "--push"]);
    assert_eq!(ran.counts(), (0, 5), "{}", ran.stderr);
    (registry, name, image(&ran))
}

/// The id that a build tells.
fn image(ran: &Ran) -> String {
    let line = ran.stderr.lines().find(|line| line.starts_with("built ")).unwrap();
    line.split(' ').nth(1).unwrap().to_owned()
}

/// How many blobs of a repository were fetched.
fn fetched(registry: &Registry) -> usize {
    registry.log().lines().filter(|line| line.contains("\"GET /v2/team/app/blobs/sha256:")).count()
}

/// The config as it is: skopeo itself reads only the fields that it knows.
fn config(name: &str) -> Value {
    tools::skopeo_inspect(&format!("docker://{name}"), &["--config", "--raw"])
}

#[test]
fn another_store_runs_nothing_and_makes_the_same_image_which_a_third_one_can_use() {
    let (registry, name, id) = pushed();
    let second = base::project(APP);
    let again = registry.name("team/app:2");
    let ran = build(&second, &["--cache-from", &name, "--cache-to=type=inline", "-t", &again, "--push"]);
    assert_eq!(ran.counts(), (5, 0), "{}", ran.stderr);
    assert_eq!(image(&ran), id);
    leaks::assert_none(&second);
    let third = base::project(APP);
    let from = format!("type=registry,ref={again}");
    let ran = build(&third, &["--cache-from", &from, "-o", "type=image"]);
    assert_eq!(ran.counts(), (5, 0), "{}", ran.stderr);
    // Who builds without it gets nothing of it.
    assert_eq!(build(&third, &["-o", "type=image"]).counts(), (0, 5));
}

#[test]
fn an_edit_runs_the_later_steps_and_fetches_no_layer_of_theirs() {
    let (registry, name, _) = pushed();
    let second = base::project(APP);
    second.write("//- b\nbb\n");
    let before = fetched(&registry);
    let ran = build(&second, &["--cache-from", &name, "-o", "type=image"]);
    expect![[r#"
        WORKDIR /app: cached
        COPY a lib/: cached
        RUN cat lib/a >all: cached
        COPY b lib/: ran because 1 file changed: b
        RUN cat lib/b >>all: ran because COPY b lib/ changed (1 file: b)
    "#]]
    .assert_eq(&steps(&ran.stderr));
    // The config, and three layers.
    assert_eq!(fetched(&registry) - before, 4, "{}", registry.log());
    let third = base::project(APP);
    third.write("//- b\nbb\n");
    let flags = [&format!("--build-arg=TOKEN={SECRET}"), "--cache-from", &name, "."];
    let told = third.rbuild(["why"].iter().chain(&flags)).run().success();
    expect![[r#"
        #1 [2/6] WORKDIR /app: cached
        #2 [3/6] COPY a lib/: cached
        #3 [4/6] RUN cat lib/a >all: cached
        #4 [5/6] COPY b lib/: runs because 1 file changed: b
        #5 [6/6] RUN cat lib/b >>all: runs because COPY b lib/ changed (1 file: b)
        3 cached, 2 would run
    "#]]
    .assert_eq(&told.stdout);
}

#[test]
fn only_the_steps_of_the_image_are_told_of_and_no_secret_is() {
    let registry = Registry::start();
    let name = registry.name("team/app:1");
    let stages = "
        //- Dockerfile
        FROM busybox AS tools
        ARG TOKEN
        RUN --mount=type=secret,id=key test -s /run/secrets/key && echo 1 >/tool
        FROM busybox
        ARG TOKEN
        RUN --mount=type=secret,id=key test -n \"$TOKEN\" && echo 1 >/used
        COPY --from=tools /tool /bin/
    ";
    let given = ["--secret", "id=key,env=KEY", &format!("--build-arg=TOKEN={SECRET}"), "."];
    let project = base::project(stages);
    project.rbuild(["-t", &name, "--push", INLINE].iter().chain(&given)).env("KEY", SECRET).run().success();
    let config = config(&name);
    assert!(!config.to_string().contains(SECRET), "{config}");
    assert_eq!(config[FIELD]["records"].as_array().unwrap().len(), 2);
    let other = base::project(stages);
    let flags = ["--cache-from", &name, "-o", "type=image"];
    let ran = other.rbuild(flags.iter().chain(&given)).env("KEY", SECRET).run().success();
    assert_eq!(ran.counts(), (2, 1), "{}", ran.stderr);
}

#[test]
fn docker_runs_the_image_and_neither_a_plain_one_nor_one_upon_it_tells_of_steps() {
    let (registry, name, id) = pushed();
    docker().success(["pull", "--quiet", &name]);
    assert_eq!(docker().run(&name, &[]), "a\nb\n");
    assert_eq!(docker().inspect(&name)["Id"], id.as_str());
    let mut told = config(&name);
    assert!(told.as_object_mut().unwrap().remove(FIELD).is_some(), "{told}");

    let project = base::project(APP);
    build(&project, &[INLINE, "-t", "told:1", "-o", "type=docker,dest=../told.tar"]);
    assert_eq!(docker().load(&project.root().join("told.tar")), ["told:1"]);
    assert_eq!(docker().inspect("told:1")["Id"], id.as_str());
    let plain = registry.name("team/app:plain");
    let ran = build(&project, &["-t", &plain, "--push"]);
    assert_ne!(image(&ran), id);
    assert_eq!(config(&plain), told);

    let upon = base::project(&format!("//- Dockerfile\nFROM {name}\nRUN echo 1 >/one\n"));
    let child = registry.name("team/child:1");
    upon.rbuild(["-t", &child, "--push", "."]).run().success();
    assert!(config(&child).get(FIELD).is_none());

    // Layers with other times are not those of the steps.
    let flags = ["--build-arg=SOURCE_DATE_EPOCH=315532801", INLINE, "-o", "type=docker,dest=../x.tar"];
    let rewritten = [&flags[..3], &["type=docker,dest=../x.tar,rewrite-timestamp=true"]].concat();
    let ran = build(&project, &rewritten);
    assert!(ran.stderr.contains("warning: the image holds no cache: "), "{}", ran.stderr);
    let archive = format!("docker-archive:{}", project.root().join("x.tar").display());
    assert!(tools::skopeo_inspect(&archive, &["--config", "--raw"]).get(FIELD).is_none());
}

#[test]
fn an_image_that_is_not_there_or_holds_no_cache_is_a_note() {
    let registry = Registry::start();
    let name = registry.name("team/app:1");
    let ran = build(&base::project(APP), &["--cache-from", &name, "-t", &name, "--push"]);
    assert!(ran.stderr.contains(&format!("there is no image `{name}` yet to take a cache from")), "{}", ran.stderr);
    let ran = build(&base::project(APP), &["--cache-from", &name, "-o", "type=image"]);
    assert!(ran.stderr.contains("holds no cache: `--cache-to type=inline` puts one there"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("warning:"), "{}", ran.stderr);
    assert_eq!(ran.counts(), (0, 5));
    // A registry that cannot be reached keeps nobody from building.
    drop(registry);
    let ran = build(&base::project(APP), &["--cache-from", &name, "-o", "type=image"]);
    assert!(ran.stderr.contains(&format!("warning: the cache in `{name}` is not used: ")), "{}", ran.stderr);
    assert_eq!(ran.counts(), (0, 5));
    // Who takes nothing from a cache asks for none.
    let ran = build(&base::project(APP), &["--no-cache", "--cache-from", &name, "-o", "type=image"]);
    assert!(!ran.stderr.contains("the cache in"), "{}", ran.stderr);
}

#[test]
fn a_layer_that_the_registry_lost_or_damaged_is_made_again() {
    for spoil in [|path: &Path| fs::remove_file(path).unwrap(), |path: &Path| fs::write(path, "no layer").unwrap()] {
        let (registry, name, _) = pushed();
        let expected = image(&build(&base::project(APP), &["-o", "type=image"]));
        let manifest =
            tools::success("/usr/bin/skopeo", ["inspect", "--raw", "--tls-verify=false", &format!("docker://{name}")]);
        let manifest: Value = serde_json::from_str(&manifest).unwrap();
        let layer = manifest["layers"].as_array().unwrap().last().unwrap()["digest"].as_str().unwrap().to_owned();
        let hex = layer.strip_prefix("sha256:").unwrap().to_owned();
        let data: Vec<PathBuf> = files_below(registry.folder());
        let data = data.into_iter().find(|path| path.ends_with(format!("{hex}/data"))).unwrap();
        spoil(&data);
        let ran = build(&base::project(APP), &["--cache-from", &name, "-o", "type=image"]);
        assert_eq!(image(&ran), expected);
        assert_eq!(ran.counts(), (4, 1), "{}", ran.stderr);
        assert!(ran.stderr.contains("warning: the cache in `"), "{}", ran.stderr);
    }
}

#[test]
fn services_of_a_compose_file_take_and_make_them_too() {
    let registry = Registry::start();
    let name = registry.name("team/app:1");
    let text = format!(
        "{APP}
    //- compose.yaml
    services:
      app:
        image: {name}
        build:
          context: .
          args: {{TOKEN: {SECRET}, BUILDKIT_MULTI_PLATFORM: 1}}
          cache_from: [\"{name}\"]
          cache_to: [type=inline]
    "
    );
    let built = || base::project(&text).rbuild(["compose", "build", "--push"]).run().success();
    let first = built();
    assert!(first.stderr.contains("there is no image `") && first.stderr.contains(" 5 ran"), "{}", first.stderr);
    assert!(config(&name).get(FIELD).is_some());
    let index = tools::skopeo_inspect(&format!("docker://{name}"), &["--raw"]);
    assert_eq!(index["manifests"].as_array().map(Vec::len), Some(1), "{index}");
    let second = built();
    assert!(second.stderr.contains(" 5 cached, 0 ran; 6 layers pulled"), "{}", second.stderr);
}

/// Pushes the image with another list of steps.
fn push_changed(registry: &Registry, change: impl Fn(&mut Value)) -> String {
    let project = base::project(APP);
    build(&project, &[INLINE, "-t", "app:latest", "-o", "type=oci,dest=../layout,tar=false"]);
    let layout = project.root().join("layout");
    let blob =
        |digest: &Value| layout.join("blobs/sha256").join(digest.as_str().unwrap().strip_prefix("sha256:").unwrap());
    let read = |path: &Path| -> Value { serde_json::from_slice(&fs::read(path).unwrap()).unwrap() };
    let write = |value: &Value| {
        let bytes = serde_json::to_vec(value).unwrap();
        let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        fs::write(layout.join("blobs/sha256").join(&digest), &bytes).unwrap();
        (json!(format!("sha256:{digest}")), json!(bytes.len()))
    };
    let mut index = read(&layout.join("index.json"));
    let mut manifest = read(&blob(&index["manifests"][0]["digest"]));
    let mut config = read(&blob(&manifest["config"]["digest"]));
    change(&mut config[FIELD]);
    (manifest["config"]["digest"], manifest["config"]["size"]) = write(&config);
    (index["manifests"][0]["digest"], index["manifests"][0]["size"]) = write(&manifest);
    fs::write(layout.join("index.json"), index.to_string()).unwrap();
    let name = registry.name("team/changed:1");
    base::push(&layout, &name);
    name
}

#[test]
fn a_list_that_makes_no_sense_is_left_out() {
    let registry = Registry::start();
    let expected = image(&build(&base::project(APP), &["-o", "type=image"]));
    let other = "sha256:ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff";
    let changes: [&dyn Fn(&mut Value); 5] = [
        &|list| *list = json!("nonsense"),
        &|list| list["key_version"] = json!(0),
        &|list| list["records"] = json!([{"key": "x"}]),
        // A layer that the image does not have.
        &|list| list["records"].as_array_mut().unwrap().iter_mut().for_each(|r| r["output"]["diff_id"] = json!(other)),
        // What an image says of blobs does not count, only its manifest does.
        &|list| {
            list["blobs"] = json!({other: {"digest": other, "size": 1, "media_type": "x"}});
            list["records"].as_array_mut().unwrap().iter_mut().for_each(|r| r["output"]["diff_id"] = json!(other));
        },
    ];
    for change in changes {
        let name = push_changed(&registry, change);
        let ran = build(&base::project(APP), &["--cache-from", &name, "-o", "type=image"]);
        assert!(ran.stderr.contains("warning: the cache in `"), "{}", ran.stderr);
        assert_eq!((image(&ran), ran.counts()), (expected.clone(), (0, 5)));
    }
    // A list without what explains it serves as well.
    let strip = |list: &mut Value| {
        list.as_object_mut().unwrap().remove("journal").unwrap();
        for record in list["records"].as_array_mut().unwrap() {
            record.as_object_mut().unwrap().remove("ingredients").unwrap();
        }
    };
    let name = push_changed(&registry, strip);
    let ran = build(&base::project(APP), &["--cache-from", &name, "-o", "type=image"]);
    assert_eq!((image(&ran), ran.counts()), (expected, (5, 0)), "{}", ran.stderr);
}
