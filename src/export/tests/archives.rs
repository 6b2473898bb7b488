use std::io::Read as _;

use super::bench::{Bench, check_skopeo, names, show};
use crate::digest::BlobDigest;
use crate::export::header::{Member, header};
use crate::export::{Error, NamedImage, archive_size, write_archive};

/// Paths, sizes and the facts that must not depend on the host.
#[track_caller]
fn check_members(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(bytes);
    let mut members = Vec::new();
    for entry in archive.entries().expect("a tar") {
        let mut entry = entry.expect("an entry");
        let header = entry.header();
        let mode = if header.entry_type().is_dir() { 0o755 } else { 0o644 };
        assert_eq!(header.mode().expect("mode"), mode);
        assert_eq!(header.mtime().expect("mtime"), 315_532_800);
        assert_eq!((header.uid().expect("uid"), header.gid().expect("gid")), (0, 0));
        let path = entry.path().expect("path").to_string_lossy().into_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("content");
        members.push((path, content));
    }
    members
}

#[test]
fn an_archive_is_a_layout_and_a_docker_archive_at_once() {
    let bench = Bench::new();
    let image = bench.image(&["a", "b"]);
    let members = check_members(&bench.archive(&image, &names(&["app", "127.0.0.1:5000/x/app:v1"])));
    let paths: Vec<&str> = members.iter().map(|(path, _)| path.as_str()).collect();
    assert!(paths.is_sorted(), "{paths:?}");
    assert_eq!(paths.len(), 2 + 4 + 3);
    let content = |name: &str| &members.iter().find(|(path, _)| path == name).expect(name).1;
    for (path, bytes) in &members {
        if let Some(hex) = path.strip_prefix("blobs/sha256/").filter(|hex| !hex.is_empty()) {
            assert_eq!(BlobDigest::of(bytes).hex(), hex);
        }
    }
    let docker: serde_json::Value = serde_json::from_slice(content("manifest.json")).expect("JSON");
    assert_eq!(docker[0]["RepoTags"], serde_json::json!(["app:latest", "127.0.0.1:5000/x/app:v1"]));
    assert_eq!(docker[0]["Config"], format!("blobs/sha256/{}", image.config().digest().hex()));
    let layers = image.layers().iter().map(|layer| format!("blobs/sha256/{}", layer.digest.hex()));
    assert_eq!(docker[0]["Layers"], serde_json::json!(layers.collect::<Vec<_>>()));
    let index: oci_spec::image::ImageIndex = serde_json::from_slice(content("index.json")).expect("an index");
    let annotations = index.manifests()[1].annotations().as_ref().expect("annotations");
    assert_eq!(annotations["org.opencontainers.image.ref.name"], "v1");
    assert_eq!(annotations["io.containerd.image.name"], "127.0.0.1:5000/x/app:v1");
    let annotations = index.manifests()[0].annotations().as_ref().expect("annotations");
    assert_eq!(annotations["io.containerd.image.name"], "docker.io/library/app:latest");
    assert_eq!(content("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#);
}

#[test]
fn equal_images_give_equal_bytes_and_their_size_is_known_before() {
    let (one, two) = (Bench::new(), Bench::new());
    let image = one.image(&["a", "b", "a"]);
    let bytes = one.archive(&image, &names(&["app", "app"]));
    assert_eq!(bytes, two.archive(&two.image(&["a", "b", "a"]), &names(&["app"])));
    assert_eq!(
        archive_size(&[NamedImage { image: &image, names: &names(&["app"]) }]).expect("size"),
        bytes.len() as u64
    );
    assert_eq!(bytes.len() % 512, 0);
    let blobs = check_members(&bytes).iter().filter(|(path, _)| path.starts_with("blobs/sha256/")).count();
    assert_eq!(blobs, 1 + 4, "a repeated layer is there once");
}

#[test]
fn gnu_tar_lists_an_archive_without_complaint() {
    let bench = Bench::new();
    let path = bench.out("app.tar");
    std::fs::write(&path, bench.archive(&bench.image(&["a"]), &[])).expect("written");
    let output = std::process::Command::new("tar").args(["-tf", show(&path)]).output().expect("tar is installed");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    assert_eq!(output.stdout.iter().filter(|byte| **byte == b'\n').count(), 2 + 3 + 3);
}

#[test]
fn skopeo_reads_both_faces_of_an_archive() {
    let bench = Bench::new();
    let image = bench.image(&["a", "b"]);
    let path = bench.out("app.tar");
    std::fs::write(&path, bench.archive(&image, &names(&["app:v1"]))).expect("written");
    for transport in ["docker-archive", "oci-archive"] {
        let config = check_skopeo(&["inspect", "--raw", "--config", &format!("{transport}:{}", show(&path))]);
        assert_eq!(config.trim_end().as_bytes(), image.config().bytes(), "{transport}");
    }
    let raw = check_skopeo(&["inspect", "--raw", &format!("oci-archive:{}:v1", show(&path))]);
    assert_eq!(raw.as_bytes(), image.manifest());
    // Copying reads every layer and compares it with its diff id.
    for source in ["docker-archive", "oci-archive"] {
        let target = format!("dir:{}", show(&bench.out(source)));
        check_skopeo(&["copy", "--insecure-policy", &format!("{source}:{}", show(&path)), &target]);
    }
}

#[test]
fn a_damaged_missing_or_cut_layer_is_never_exported() {
    let bench = Bench::new();
    let image = bench.image(&["a", "b"]);
    let write = |out: &mut Vec<u8>| {
        write_archive(&bench.store, &[NamedImage { image: &image, names: &[] }], out).expect_err("refused")
    };
    bench.damage(&image.layers()[1].digest);
    let error = write(&mut Vec::new());
    assert!(matches!(error, Error::Store(crate::store::Error::Damaged { .. })), "{error}");
    let hex = image.layers()[1].digest.hex();
    let path = bench.store.root().join("blobs").join(&hex[..2]).join(&hex);
    std::fs::write(&path, b"short").expect("written");
    let mut out = Vec::new();
    assert!(matches!(write(&mut out), Error::Size { found: 5, .. }));
    assert!(out.is_empty(), "it is seen before the first byte");
    std::fs::remove_file(&path).expect("removed");
    assert!(matches!(write(&mut out), Error::Store(crate::store::Error::NoBlob { .. })));
}

#[test]
fn a_name_needs_a_tag_and_no_digest() {
    let bench = Bench::new();
    let image = bench.image(&[]);
    let pinned = format!("app@sha256:{}", "a".repeat(64));
    let error =
        write_archive(&bench.store, &[NamedImage { image: &image, names: &names(&[&pinned]) }], &mut Vec::new())
            .expect_err("refused");
    assert!(matches!(error, Error::Name { .. }));
}

#[test]
fn a_full_disk_is_an_error_that_names_what_was_written() {
    let bench = Bench::new();
    let mut full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
    let error = write_archive(&bench.store, &[NamedImage { image: &bench.image(&["a"]), names: &[] }], &mut full)
        .expect_err("full");
    assert!(matches!(error, Error::Write { .. }), "{error}");
}

#[test]
fn a_member_of_8_gib_has_its_size_in_a_pax_record() {
    for size in [0, 1, 511, 512, 0o777_7777_7777, 0o1_000_000_000_000, 1 << 50] {
        let blocks = header("blobs/sha256/x", Member::File(size));
        let mut archive = tar::Archive::new(blocks.as_slice());
        let entry = archive.entries().expect("a tar").next().expect("a member").expect("a header");
        assert_eq!(entry.size(), size);
        assert_eq!(entry.path().expect("path").to_str(), Some("blobs/sha256/x"));
        assert_eq!(blocks.len(), if size < 1 << 33 { 512 } else { 1536 });
    }
}

/// Letters that hardly compress.
fn noise(length: usize) -> String {
    let mut state = 1u64;
    let step = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'!' + u8::try_from((state >> 33) % 90).expect("it is below 90"))
    };
    (0..length).map(step).collect()
}

/// Takes some bytes and no more.
struct Full(usize);

impl std::io::Write for Full {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(std::io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_large_layer_is_written_whole_or_with_an_error() {
    let bench = Bench::new();
    let image = bench.image(&[&noise(8 << 20)]);
    let layer = &image.layers()[0];
    assert!(layer.size > 4 << 20, "{} bytes are read on one thread", layer.size);
    let members = check_members(&bench.archive(&image, &[]));
    let path = format!("blobs/sha256/{}", layer.digest.hex());
    let (_, bytes) = members.iter().find(|(name, _)| *name == path).expect("the layer");
    assert_eq!(BlobDigest::of(bytes), layer.digest);
    for room in [0, 100 << 10, 5 << 20] {
        let error = write_archive(&bench.store, &[NamedImage { image: &image, names: &[] }], &mut Full(room))
            .expect_err("it is full");
        assert!(matches!(error, Error::Write { .. }), "{error}");
    }
    bench.damage(&layer.digest);
    let error =
        write_archive(&bench.store, &[NamedImage { image: &image, names: &[] }], &mut Vec::new()).expect_err("refused");
    assert!(matches!(error, Error::Store(crate::store::Error::Damaged { .. })), "{error}");
}

#[test]
fn several_images_share_what_they_have_in_common() {
    let bench = Bench::new();
    let (one, two) = (bench.image(&["base", "one"]), bench.image(&["base", "two"]));
    let (first, second, third) = (names(&["one"]), names(&["two", "other:v2"]), names(&["again"]));
    let images = [
        NamedImage { image: &one, names: &first },
        NamedImage { image: &two, names: &second },
        NamedImage { image: &one, names: &third },
    ];
    let mut bytes = Vec::new();
    write_archive(&bench.store, &images, &mut bytes).expect("an archive");
    assert_eq!(archive_size(&images).expect("size"), bytes.len() as u64);
    let members = check_members(&bytes);
    let blobs = members.iter().filter(|(path, _)| path.starts_with("blobs/sha256/") && path.len() > 20).count();
    // Three layers, two configs, two manifests.
    assert_eq!(blobs, 7);
    let content = |name: &str| &members.iter().find(|(path, _)| path == name).expect(name).1;
    let docker: serde_json::Value = serde_json::from_slice(content("manifest.json")).expect("JSON");
    let tags: Vec<&serde_json::Value> =
        docker.as_array().expect("a list").iter().map(|image| &image["RepoTags"]).collect();
    assert_eq!(
        tags,
        [&serde_json::json!(["one:latest", "again:latest"]), &serde_json::json!(["two:latest", "other:v2"])]
    );
    let index: oci_spec::image::ImageIndex = serde_json::from_slice(content("index.json")).expect("an index");
    assert_eq!(index.manifests().len(), 4);
    let path = bench.out("two.tar");
    std::fs::write(&path, &bytes).expect("written");
    let shown = check_skopeo(&["inspect", "--raw", "--config", &format!("docker-archive:{}:other:v2", show(&path))]);
    assert_eq!(shown.trim_end().as_bytes(), two.config().bytes());
}

#[test]
fn one_name_leads_to_one_image() {
    let bench = Bench::new();
    let (one, two) = (bench.image(&["one"]), bench.image(&["two"]));
    let app = names(&["app"]);
    let images = [NamedImage { image: &one, names: &app }, NamedImage { image: &two, names: &app }];
    let error = write_archive(&bench.store, &images, &mut Vec::new()).expect_err("refused");
    assert_eq!(error.to_string(), "two different images cannot both be exported as `app:latest`");
}
