//! The judges are judged: the readers in `support` agree with the tools that made an image, and see every fault.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use expect_test::expect;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::archive::{Archive, sha256};
use crate::support::docker::docker;
use crate::support::fixture;
use crate::support::image::{Compression, Image};
use crate::support::registry::{PASSWORD, Registry, USER};
use crate::support::rootfs::dump_layer;
use crate::support::validate::{Rules, judge, validate};
use crate::support::{base, layout, tools};

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// A tar with these files: path (a slash at the end makes a folder), content and time.
fn tar_of(files: &[(&str, &str, u64)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, content, mtime) in files {
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(content.len() as u64);
        header.set_mtime(*mtime);
        header.set_entry_type(if path.ends_with('/') { tar::EntryType::Directory } else { tar::EntryType::Regular });
        // Written without the checks of `set_path`: these tars are bad on purpose.
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        tar.append(&header, content.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap()
}

/// What the validator says of an image with this one layer.
fn check_layer(files: &[(&str, &str, u64)]) -> String {
    let dir = folder();
    layout::write(&dir.path().join("l"), &tar_of(files), &json!({}));
    match judge(&dir.path().join("l"), Rules::default()) {
        Ok((_, found)) => found.join("\n"),
        Err(error) => error,
    }
}

#[test]
fn a_good_layout_passes() {
    let image = validate(base::busybox(), Rules::default());
    assert_eq!(image.layers.len(), 1);
    let rootfs = image.rootfs().unwrap();
    assert_eq!(rootfs.get("tmp").unwrap().mode, 0o1777);
    let rootfs = rootfs.dump();
    assert!(rootfs.contains("l - 0:0 - 315532800 - /bin/sh -> busybox\n"), "{rootfs}");
    assert!(rootfs.contains("d 1777 0:0 - 315532800 - /tmp\n"), "{rootfs}");
}

/// An archive as `docker save` writes it, with one layer of these bytes, and the image read from it.
fn read_saved(layer: &[u8], tar: &[u8]) -> Result<Image, String> {
    let config = json!({"rootfs": {"diff_ids": [format!("sha256:{}", sha256(tar))]}});
    let manifest = json!([{"Config": "c.json", "Layers": ["l/layer.tar"], "RepoTags": null}]);
    let mut archive = Archive::default();
    archive.files.insert("manifest.json".to_owned(), manifest.to_string().into_bytes());
    archive.files.insert("c.json".to_owned(), config.to_string().into_bytes());
    archive.files.insert("l/layer.tar".to_owned(), layer.to_vec());
    Image::read(&archive)
}

#[test]
fn a_layer_is_read_whole_however_it_is_compressed() {
    let tar = tar_of(&[("a", "one", 1), ("b", "two", 1)]);
    let (head, tail) = tar.split_at(700);
    let gzip = |bytes: &[u8]| {
        let mut member = Vec::new();
        flate2::read::GzEncoder::new(bytes, flate2::Compression::fast()).read_to_end(&mut member).unwrap();
        member
    };
    let members = [gzip(head), gzip(tail)].concat();
    let zstd = zstd::encode_all(tar.as_slice(), 1).unwrap();
    let cases = [(&tar, Compression::None), (&members, Compression::Gzip), (&zstd, Compression::Zstd)];
    for (bytes, compression) in cases {
        let image = read_saved(bytes, &tar).unwrap();
        assert_eq!((image.layers[0].compression, image.layers[0].entries.len()), (compression, 2));
    }
    // The first member by itself ends in the middle of the tar.
    assert!(read_saved(&gzip(head), &tar).is_err());
}

#[test]
fn every_fault_of_a_layer_is_seen() {
    expect![""].assert_eq(&check_layer(&[("a/", "", 1), ("a/b", "x", 1)]));
    expect!["layer 1: `a/b` comes without its folder before it"].assert_eq(&check_layer(&[("a/b", "x", 1)]));
    expect!["layer 1: `a` is there twice"].assert_eq(&check_layer(&[("a", "x", 1), ("a", "y", 1)]));
    expect!["layer 1: `./a` is no clean relative path"].assert_eq(&check_layer(&[("./a", "x", 1)]));
    expect!["layer 1: `a` is of the time 315532801, after the layer epoch"].assert_eq(&check_layer(&[(
        "a",
        "x",
        315_532_801,
    )]));
    expect!["layer 1: `.wh.a` is a whiteout that is no empty file"].assert_eq(&check_layer(&[(".wh.a", "x", 1)]));
    expect!["layer 1: `a` is there and has a whiteout too"].assert_eq(&check_layer(&[(".wh.a", "", 1), ("a", "x", 1)]));
    expect!["layer 1: `../a` is no clean relative path\nlayer 1: `../a` comes without its folder before it"]
        .assert_eq(&check_layer(&[("../a", "x", 1)]));
}

/// Changes a copy of the busybox layout and gives what the validator says of it.
fn check_changed(change: impl FnOnce(&Path, &Archive)) -> String {
    let dir = folder();
    let copy = dir.path().join("copy");
    let good = Archive::open(base::busybox()).unwrap();
    for (name, bytes) in &good.files {
        fs::create_dir_all(copy.join(name).parent().unwrap()).unwrap();
        fs::write(copy.join(name), bytes).unwrap();
    }
    change(&copy, &good);
    match judge(&copy, Rules::default()) {
        Ok((_, found)) => found.join("\n"),
        Err(error) => error,
    }
}

/// Replaces a blob and, in all other files, its digest and size, so that only what it says is wrong.
fn replace_blob(dir: &Path, archive: &Archive, old: &str, new: &[u8]) {
    let mut renamed = vec![(old.to_owned(), archive.files[&format!("blobs/sha256/{old}")].len(), new.to_vec())];
    while let Some((old, old_size, bytes)) = renamed.pop() {
        let new = sha256(&bytes);
        fs::remove_file(dir.join("blobs/sha256").join(&old)).unwrap();
        fs::write(dir.join("blobs/sha256").join(&new), &bytes).unwrap();
        for (name, _) in archive.files.iter().filter(|(_, text)| text.len() < 10_000) {
            let Ok(text) = fs::read_to_string(dir.join(name)) else { continue };
            let (from, to) = (format!("\"size\":{old_size}"), format!("\"size\":{}", bytes.len()));
            let changed = text.replace(&old, &new).replace(&from, &to);
            match name.strip_prefix("blobs/sha256/") {
                _ if changed == text => {}
                Some(digits) => renamed.push((digits.to_owned(), text.len(), changed.into_bytes())),
                None => fs::write(dir.join(name), changed).unwrap(),
            }
        }
    }
}

fn digits_of(archive: &Archive, what: &str) -> String {
    let image = Image::read(archive).unwrap();
    let digest = match what {
        "config" => image.id(),
        _ => image.layers[0].digest.clone(),
    };
    digest.trim_start_matches("sha256:").to_owned()
}

#[test]
fn every_fault_of_an_archive_is_seen() {
    expect![""].assert_eq(&check_changed(|_, _| {}));
    let flipped = check_changed(|dir, archive| {
        let name = format!("blobs/sha256/{}", digits_of(archive, "layer"));
        let mut bytes = archive.files[&name].clone();
        bytes[0] ^= 1;
        fs::write(dir.join(name), bytes).unwrap();
    });
    assert!(flipped.contains("has the digest"), "{flipped}");
    let stray = check_changed(|dir, _| fs::write(dir.join("stray"), "x").unwrap());
    expect!["the archive has `stray`, which the image does not use"].assert_eq(&stray);
    let size = check_changed(|dir, archive| {
        let text = String::from_utf8(archive.files["index.json"].clone()).unwrap();
        fs::write(dir.join("index.json"), text.replace("\"size\":", "\"size\":1")).unwrap();
    });
    assert!(size.contains("its descriptor says 1"), "{size}");
}

#[test]
fn every_fault_of_a_config_is_seen() {
    let changed = |from: &'static str, to: &'static str| {
        check_changed(|dir, archive| {
            let old = digits_of(archive, "config");
            let text = String::from_utf8(archive.files[&format!("blobs/sha256/{old}")].clone()).unwrap();
            assert!(text.contains(from), "{text}");
            replace_blob(dir, archive, &old, text.replacen(from, to, 1).as_bytes());
        })
    };
    let loose = changed("{\"", "{ \"");
    assert!(loose.ends_with("is JSON that is not canonical"), "{loose}");
    let other = changed("\"sha256:", "\"sha256:0");
    assert!(other.starts_with("the config's diff ids are"), "{other}");
    expect!["the config has no os"].assert_eq(&changed("\"linux\"", "\"\""));
    expect!["the history tells of 0 layers, the image has 1"]
        .assert_eq(&changed("\"created_by\"", "\"empty_layer\":true,\"x\""));
}

/// A context that has a layer of every kind when Docker builds it.
const CONTEXT: &str = "
    //- Dockerfile
    FROM busybox:judged
    RUN mkdir -p /d/sub && echo one > /d/one && ln /d/one /d/two && ln -s one /d/three && mkfifo /d/pipe
    RUN rm /d/one && rm -r /d/sub && mkdir /d/sub && echo new > /d/sub/new && chown 7:8 /d/sub/new && chmod 4750 /d/sub/new
    COPY story.txt run.sh /srv/
    CMD [\"/srv/run.sh\"]
    //- story.txt
    once
    //- run.sh mode=755
    #!/bin/sh
    cat /srv/story.txt /d/two
    ";

/// Has Docker's BuildKit build `CONTEXT` on the busybox base under this name.
fn build_with_docker(dir: &Path, name: &str) {
    let archive = dir.join("base.tar");
    let target = format!("docker-archive:{}:busybox:judged", archive.display());
    tools::skopeo_copy(&format!("oci:{}:latest", base::busybox().display()), &target, &[]);
    assert_eq!(docker().load(&archive), ["busybox:judged"]);
    let context = dir.join("context");
    fs::create_dir(&context).unwrap();
    fixture::write(&context, CONTEXT);
    docker().build(&context, &["--tag", name]);
}

/// The lines of a dump that are not busybox's own, without their times.
fn changes(dump: &str) -> String {
    let own = ["/bin", "/dev", "/etc", "/proc", "/root", "/sys", "/tmp", "/usr"];
    let without_time = |line: &str| {
        let mut words: Vec<&str> = line.splitn(7, ' ').collect();
        words.remove(4);
        words.join(" ") + "\n"
    };
    let is_own = |line: &&str| own.iter().any(|dir| line.splitn(7, ' ').last().unwrap_or_default().starts_with(dir));
    dump.lines().filter(|line| !is_own(line)).map(without_time).collect()
}

#[test]
fn what_docker_builds_reads_the_same_from_every_archive() {
    let dir = folder();
    build_with_docker(dir.path(), "judged-archives:1");
    assert_eq!(docker().run("judged-archives:1", &[]), "once\none\n");
    let saved = dir.path().join("saved.tar");
    docker().save("judged-archives:1", &saved);
    let image = Image::open(&saved).unwrap();
    assert_eq!(image.id(), docker().inspect("judged-archives:1")["Id"].as_str().unwrap());
    assert_eq!(image.names, ["judged-archives:1"]);
    expect![[r#"
        d 0755 0:0 - - /d
        p 0644 0:0 - - /d/pipe
        d 0755 0:0 - - /d/sub
        f 4750 7:8 4 7aa7a5359173 /d/sub/new
        l - 0:0 - - /d/three -> one
        f 0644 0:0 4 2c8b08da5ce6 /d/two
        d 0755 0:0 - - /srv
        f 0755 0:0 36 633d5fd8f5c2 /srv/run.sh
        f 0644 0:0 5 ad06e72726f6 /srv/story.txt
    "#]]
    .assert_eq(&changes(&image.rootfs().unwrap().dump()));

    // skopeo's OCI archive of it is compressed, and says the same.
    let source = format!("docker-archive:{}", saved.display());
    let oci = dir.path().join("oci.tar");
    tools::skopeo_copy(&source, &format!("oci-archive:{}:judged", oci.display()), &[]);
    let copy = Image::open(&oci).unwrap();
    assert!(copy.layers.iter().all(|layer| layer.compression == Compression::Gzip));
    assert_eq!(copy.rootfs().unwrap().dump(), image.rootfs().unwrap().dump());
    assert_eq!(copy.config["config"], tools::skopeo_config(&format!("oci-archive:{}", oci.display()))["config"]);
    let names = copy.manifest.unwrap()["layers"].as_array().unwrap().len();
    assert_eq!(names, image.layers.len());

    // umoci unpacks what the dump tells.
    let rootfs = dir.path().join("rootfs");
    tools::unpack_archive(&source, dir.path(), &rootfs);
    assert_eq!(fs::read_to_string(rootfs.join("d/two")).unwrap(), "one\n");
    assert!(!rootfs.join("d/one").exists());
    assert_eq!(fs::metadata(rootfs.join("d/sub/new")).unwrap().permissions().mode() & 0o7777, 0o4750);
}

#[test]
fn a_whiteout_stands_in_the_dump_of_its_layer() {
    let dir = folder();
    build_with_docker(dir.path(), "judged-layers:1");
    let saved = dir.path().join("saved.tar");
    docker().save("judged-layers:1", &saved);
    let image = Image::open(&saved).unwrap();
    let [_, first, second, _] = image.layers.as_slice() else { panic!("{} layers", image.layers.len()) };
    let [first, second] = [first, second].map(|layer| changes(&dump_layer(&layer.entries)));
    assert!(first.contains("h 0644 0:0 - - d/two -> d/one\n"), "{first}");
    assert!(second.contains("f 0600 0:0 0 e3b0c44298fc d/.wh.one\n"), "{second}");
}

#[test]
fn the_registry_serves_the_bases_as_docker_hub_would() {
    let registry = base::registry();
    let dir = folder();
    let conf = dir.path().join("registries.conf");
    fs::write(&conf, registry.mirror_of_docker_hub()).unwrap();
    let conf = format!("--registries-conf={}", conf.display());
    for name in ["docker://docker.io/library/busybox:latest", "docker://docker.io/library/python:3.8"] {
        let text = tools::success("/usr/bin/skopeo", ["--insecure-policy", &conf, "inspect", "--config", name]);
        let config: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(config["os"], "linux");
    }
    assert!(registry.log().contains("/v2/library/python/manifests/3.8"), "{}", registry.log());
}

#[test]
fn the_python_base_has_a_python_and_a_pip_that_run() {
    let name = base::registry().name("library/python:3.8");
    docker().success(["pull", "--quiet", &name]);
    assert_eq!(docker().run(&name, &["python", "-c", "print(6 * 7)"]), "42\n");
    assert!(docker().run(&name, &["pip", "--version"]).starts_with("pip "));
}

#[test]
fn a_registry_with_a_login_asks_for_it() {
    let registry = Registry::with_login();
    let name = format!("docker://{}", registry.name("private/app:1"));
    let source = format!("oci:{}:latest", base::busybox().display());
    let refused = ["--insecure-policy", "copy", "--dest-tls-verify=false", &source, &name];
    let refused = tools::output("/usr/bin/skopeo", refused);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("authentication required"));
    tools::skopeo_copy(&source, &name, &["--dest-creds", &format!("{USER}:{PASSWORD}")]);
    let inspected = tools::skopeo_inspect(&name, &["--creds", &format!("{USER}:{PASSWORD}")]);
    assert_eq!(inspected["RepoTags"], json!(["1"]));
}
