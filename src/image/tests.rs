use super::*;
use crate::digest::{BlobDigest, DiffId};
use crate::platform::Platform;

#[test]
fn unknown_keys_and_docker_fields_survive() {
    let given = r#"{"architecture":"amd64","config":{"ArgsEscaped":true,"Cmd":null,"Env":null,"Healthcheck":{"Test":["NONE"]},
        "OnBuild":["RUN x"],"Shell":["/bin/bash","-c"],"X":{"b":1,"a":2}},"history":null,"moby.x":1,"os":"linux",
        "rootfs":{"diff_ids":null,"type":"layers"}}"#;
    let sealed = ImageConfig::parse(given.as_bytes()).expect("parse").seal().expect("seal");
    let text = String::from_utf8(sealed.bytes().to_vec()).expect("utf-8");
    let expected = concat!(
        r#"{"architecture":"amd64","config":{"ArgsEscaped":true,"Healthcheck":{"Test":["NONE"]},"OnBuild":["RUN x"],"#,
        r#""Shell":["/bin/bash","-c"],"X":{"a":2,"b":1}},"moby.x":1,"os":"linux","rootfs":{"diff_ids":[],"type":"layers"}}"#
    );
    assert_eq!(text, expected);
}

#[test]
fn a_manifest_names_as_many_blobs_as_the_config_has_layers() {
    let mut config = ImageConfig::scratch(&Platform::new("linux", "amd64", None));
    config.rootfs.diff_ids.push(DiffId::of(b"layer"));
    assert!(matches!(config.seal().expect("seal").seal(Vec::new()), Err(Error::LayerCount { diff_ids: 1, blobs: 0 })));
    let blob = LayerBlob { digest: BlobDigest::of(b"gz"), size: 2, media_type: media_type::DOCKER_LAYER_GZIP.into() };
    let sealed = config.seal().expect("seal").seal(vec![blob]).expect("seal");
    let manifest = Manifest::parse(sealed.manifest()).expect("parse");
    assert_eq!(manifest.layers[0].media_type, media_type::LAYER_GZIP);
    let read: oci_spec::image::ImageManifest = serde_json::from_slice(sealed.manifest()).expect("oci-spec reads it");
    assert_eq!(read.layers().len(), 1);
}

#[test]
fn an_image_in_an_index_is_named_by_it_and_keeps_its_manifest() {
    let config = ImageConfig::scratch(&Platform::new("linux", "arm", Some("v7")));
    let plain = config.seal().expect("seal").seal(Vec::new()).expect("seal");
    let indexed = plain.clone().indexed().expect("seal");
    assert_eq!((plain.index(), plain.digest()), (None, plain.manifest_digest()));
    assert_eq!((indexed.manifest(), indexed.manifest_digest()), (plain.manifest(), plain.digest()));
    let bytes = indexed.index().expect("an index");
    assert_eq!(indexed.descriptor(), Descriptor::new(media_type::INDEX, BlobDigest::of(bytes), bytes.len() as u64));
    let read: oci_spec::image::ImageIndex = serde_json::from_slice(bytes).expect("oci-spec reads it");
    let [manifest] = read.manifests().as_slice() else { panic!("{read:?}") };
    assert_eq!(manifest.digest().to_string(), plain.digest().to_string());
    let platform = manifest.platform().as_ref().expect("a platform");
    assert_eq!((platform.architecture().to_string(), platform.variant().as_deref()), ("arm".to_owned(), Some("v7")));
}

#[test]
fn a_document_that_is_two_kinds_at_once_is_refused() {
    let both = br#"{"schemaVersion":2,"manifests":[],"layers":[]}"#;
    assert!(Index::parse(both).is_err());
}

#[test]
fn history_must_tell_of_every_layer() {
    let mut config = ImageConfig::scratch(&Platform::new("linux", "amd64", None));
    config.history.push(History { created_by: "RUN x".into(), ..History::default() });
    assert!(matches!(config.seal(), Err(Error::History { history: 1, diff_ids: 0 })));
}

#[test]
fn a_variable_keeps_its_place() {
    let mut run = RunConfig { env: vec!["A=1".into(), "AB=2".into()], ..RunConfig::default() };
    run.set_variable("A", "3");
    run.set_variable("C", "");
    assert_eq!(run.env, ["A=3", "AB=2", "C="]);
    assert_eq!((run.variable("AB"), run.variable("B")), (Some("2"), None));
}
