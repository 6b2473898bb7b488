use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::bench::{Bench, check_skopeo, names, show};
use crate::export::{Error, write_layout};
use crate::image::Index;

fn index(folder: &Path) -> Vec<String> {
    let bytes = fs::read(folder.join("index.json")).expect("an index");
    let index = Index::parse(&bytes).expect("an index");
    let name = |d: &crate::image::Descriptor| d.annotations.get("io.containerd.image.name").cloned();
    index.manifests.iter().map(|d| format!("{} {}", name(d).unwrap_or_default(), d.digest.short())).collect()
}

#[test]
fn a_new_layout_is_one_that_skopeo_reads() {
    let bench = Bench::new();
    let image = bench.image(&["a", "b"]);
    let folder = bench.out("layout");
    write_layout(&bench.store, &image, &names(&["app:v1"]), &folder).expect("written");
    let raw = check_skopeo(&["inspect", "--raw", &format!("oci:{}:v1", show(&folder))]);
    assert_eq!(raw.as_bytes(), image.manifest());
    check_skopeo(&[
        "copy",
        "--insecure-policy",
        &format!("oci:{}:v1", show(&folder)),
        &format!("dir:{}", show(&bench.out("copy"))),
    ]);
    assert_eq!(fs::read_dir(&folder).expect("listed").count(), 3);
    assert_eq!(fs::read_dir(folder.join("blobs/sha256")).expect("listed").count(), 4);
}

#[test]
fn a_layout_is_extended_and_given_names_move() {
    let bench = Bench::new();
    let (one, two) = (bench.image(&["a"]), bench.image(&["b"]));
    let folder = bench.out("layout");
    for (image, given) in [(&one, &["app", "other"][..]), (&two, &["app"]), (&two, &["app"]), (&one, &[]), (&one, &[])]
    {
        write_layout(&bench.store, image, &names(given), &folder).expect("written");
    }
    let (one, two) = (one.digest().short(), two.digest().short());
    let expected = [
        format!("docker.io/library/other:latest {one}"),
        format!("docker.io/library/app:latest {two}"),
        format!(" {one}"),
    ];
    assert_eq!(index(&folder), expected);
}

#[test]
fn a_blob_that_is_damaged_in_the_layout_is_written_again() {
    let bench = Bench::new();
    let image = bench.image(&["a"]);
    let folder = bench.out("layout");
    write_layout(&bench.store, &image, &[], &folder).expect("written");
    let path = folder.join("blobs/sha256").join(image.layers()[0].digest.hex());
    let good = fs::read(&path).expect("the blob");
    let mut bad = good.clone();
    bad[3] ^= 1;
    for lie in [bad, b"short".to_vec()] {
        fs::write(&path, lie).expect("written");
        write_layout(&bench.store, &image, &[], &folder).expect("written");
        assert_eq!(fs::read(&path).expect("the blob"), good);
    }
    fs::remove_file(&path).expect("removed");
    fs::write(bench.out("canary"), b"alive").expect("written");
    symlink(bench.out("canary"), &path).expect("a symlink");
    write_layout(&bench.store, &image, &[], &folder).expect("written");
    assert_eq!(fs::read(bench.out("canary")).expect("the file"), b"alive");
    assert!(fs::symlink_metadata(&path).expect("metadata").is_file());
}

#[test]
fn a_folder_that_is_no_layout_is_left_as_it_is() {
    let bench = Bench::new();
    let image = bench.image(&["a"]);
    let refused = |folder: &Path| {
        let error = write_layout(&bench.store, &image, &[], folder).expect_err("refused");
        assert!(matches!(error, Error::Layout { .. } | Error::File(_)), "{error}");
    };
    let foreign = bench.out("foreign");
    fs::create_dir(&foreign).expect("a folder");
    fs::write(foreign.join("x"), b"").expect("written");
    refused(&foreign);
    assert_eq!(fs::read_dir(&foreign).expect("listed").count(), 1);
    for (file, content) in [("oci-layout", r#"{"imageLayoutVersion":"9"}"#), ("oci-layout", "["), ("index.json", "{}x")]
    {
        let folder = tempfile::tempdir_in(bench.out("")).expect("a folder");
        write_layout(&bench.store, &image, &[], folder.path()).expect("written");
        fs::write(folder.path().join(file), content).expect("written");
        refused(folder.path());
    }
    let linked = bench.out("linked");
    fs::create_dir(&linked).expect("a folder");
    fs::write(linked.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("written");
    symlink("/tmp", linked.join("blobs")).expect("a symlink");
    refused(&linked);
    let file = bench.out("file");
    fs::write(&file, b"").expect("written");
    refused(&file);
}
