//! The forms in which layers are kept and leave the store.

use std::fs;

use expect_test::expect;

use crate::support::docker::docker;
use crate::support::image::Image;
use crate::support::run::Project;
use crate::support::validate::{Rules, validate};
use crate::support::{base, leaks};

const RULES: Rules = Rules { base_layers: 1, fixed_times: true };

/// A COPY of many small files and a large one, and a command before it.
fn project() -> Project {
    let project = base::project(
        "//- Dockerfile\nFROM busybox\nRUN seq 200000 >/numbers\nCOPY files /files\nENV A=b\n//- files/0\nnothing\n",
    );
    let files = project.context().join("files");
    for number in 0..400 {
        fs::write(files.join(format!("f{number}")), format!("{number}\n").repeat(number % 50)).unwrap();
    }
    let large: Vec<u8> = (0..1_500_000_u32).flat_map(|number| (number ^ (number >> 7)).to_le_bytes()).collect();
    fs::write(files.join("large"), large).unwrap();
    project
}

#[test]
fn an_image_exported_at_once_is_the_one_exported_later() {
    let (at_once, later) = (project(), project());
    at_once.rbuild(["-o", "../image.tar", "."]).run().success();
    later.rbuild(["-o", "type=image", "."]).run().success();
    later.rbuild(["-o", "../image.tar", "."]).run().success();
    let archive = |project: &Project| fs::read(project.root().join("image.tar")).unwrap();
    assert!(archive(&at_once) == archive(&later), "the archives differ");
    validate(&at_once.root().join("image.tar"), RULES);
    leaks::assert_none(&at_once);
}

#[test]
fn a_command_sees_a_layer_that_was_kept_compressed_only() {
    let project = project();
    project.rbuild(["-o", "../image.tar", "."]).run().success();
    let text = fs::read_to_string(project.context().join("Dockerfile")).unwrap();
    fs::write(project.context().join("Dockerfile"), format!("{text}RUN sha256sum /files/* | sha256sum >/sum\n"))
        .unwrap();
    let ran = project.rbuild(["-o", "../second.tar", "."]).run().success();
    assert!(ran.stderr.contains("2 cached, 1 ran"), "{}", ran.stderr);
    validate(&project.root().join("second.tar"), RULES);
    let cold = self::project();
    fs::copy(project.context().join("Dockerfile"), cold.context().join("Dockerfile")).unwrap();
    cold.rbuild(["-o", "../second.tar", "."]).run().success();
    let archive = |project: &Project| fs::read(project.root().join("second.tar")).unwrap();
    assert!(archive(&project) == archive(&cold), "the archives differ");
}

#[test]
fn an_image_that_stays_in_the_store_is_not_compressed() {
    let project = project();
    project.rbuild(["-t", "app", "-o", "type=image", "."]).run().success();
    let size = |path: &std::path::Path| fs::metadata(path).unwrap().len();
    let blobs = crate::support::leaks::files_below(&project.store().join("blobs"));
    // The tar of the COPY; the base's layer and the documents are smaller.
    let large: Vec<u64> = blobs.iter().map(|path| size(path)).filter(|size| *size > 3 << 20).collect();
    assert!(matches!(large.as_slice(), [one] if *one > 6_000_000), "{large:?}");
    project.rbuild(["save", "app", "-o", "../app.tar"]).run().success();
    validate(&project.root().join("app.tar"), RULES);
}

/// Files of every kind, each with one name.
const FILES: &str =
    "RUN echo one >/f1 && ln -s f1 /l1 && mkfifo /p1 && mknod /n1 c 1 3 && mkdir /d && echo x >/plain\n";

/// More names for them, which the next step sees.
const NAMES: &str = "RUN ln /f1 /f2 && ln /l1 /l2 && ln /l1 /d/l3 && ln /p1 /p2 && ln /n1 /d/n2\n\
    RUN ln /plain /d/plain && rm /d/plain && chmod 644 /plain\nRUN stat -c '%h %n' /f1 /l1 /p1 /n1 >/seen\n";

/// The groups of names of one inode, after the number of names that it says it has.
const GROUPS: &str = r#"cd / && stat -c '%i %h %n' f1 f2 l1 l2 d/l3 p1 p2 n1 d/n2 plain | sort |
    awk '{ printf "%s%s", ($1 == last ? " " : "\n" $2 " names: "), $3; last = $1 } END { print "" }' | sort; cat seen"#;

/// Writes the Dockerfile, builds an archive of it and judges that.
fn build(project: &Project, dockerfile: &str, base_layers: usize) -> Image {
    fs::write(project.context().join("Dockerfile"), dockerfile).unwrap();
    project.rbuild(["-t", "names", "-o", "../names.tar", "."]).run().success();
    let image = validate(&project.root().join("names.tar"), Rules { base_layers, fixed_times: true });
    leaks::assert_none(project);
    image
}

#[test]
fn names_of_one_file_are_one_inode_in_docker_and_wherever_their_files_came_from() {
    let warm = base::project("//- Dockerfile\nFROM busybox\n");
    let built = build(&warm, &format!("FROM busybox\n{FILES}{NAMES}"), 1);
    let name = docker().load(&warm.root().join("names.tar")).remove(0);
    expect![[r#"

        1 names: plain
        2 names: d/n2 n1
        2 names: f1 f2
        2 names: p1 p2
        3 names: d/l3 l1 l2
        2 /f1
        3 /l1
        2 /p1
        2 /n1
    "#]]
    .assert_eq(&docker().run(&name, &["sh", "-c", GROUPS]));
    // What was copied up and left as it was is no part of its layer.
    assert!(!built.layers[3].entries.iter().any(|entry| entry.path == b"plain"));

    // The same steps on files that come from a registry.
    let below = base::registry().name("names/below:1");
    fs::write(warm.context().join("Dockerfile"), format!("FROM busybox\n{FILES}")).unwrap();
    warm.rbuild(["-t", &below, "--push", "."]).run().success();
    let pulled = base::project("//- Dockerfile\nFROM busybox\n");
    let on_pulled = build(&pulled, &format!("FROM {below}\n{NAMES}"), 2);
    let diff_ids = |image: &Image| image.layers.iter().map(|layer| layer.diff_id.clone()).collect::<Vec<_>>();
    assert_eq!(diff_ids(&on_pulled), diff_ids(&built));

    // And names that come from there.
    let above = base::registry().name("names/above:1");
    fs::write(warm.context().join("Dockerfile"), format!("FROM busybox\n{FILES}{NAMES}")).unwrap();
    assert_eq!(warm.rbuild(["-t", &above, "--push", "."]).run().success().counts().1, 0);
    let last =
        "RUN ln /d/n2 /n3 && ln /f2 /f3 && ln /l1 /l0 && rm /p1\nRUN stat -c '%h %n' /f? /l? /n? /p? /d/* >/seen\n";
    let again = build(&warm, &format!("FROM busybox\n{FILES}{NAMES}{last}"), 1);
    let on_pulled = build(&pulled, &format!("FROM {above}\n{last}"), 5);
    assert_eq!(diff_ids(&on_pulled), diff_ids(&again));
    assert_eq!(on_pulled.rootfs().unwrap().dump(), again.rootfs().unwrap().dump());
    for project in [&warm, &pulled] {
        project.rbuild(["fsck"]).run().success();
        assert_eq!(project.rbuild(["-o", "../names.tar", "."]).run().success().counts().1, 0);
    }
}
