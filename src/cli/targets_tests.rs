use clap::Parser as _;

use super::*;
use crate::cli::args::CommandLine;

fn of(words: &[&str]) -> Result<Targets> {
    let line = CommandLine::try_parse_from([&["rbuild"], words].concat()).expect("words of the command line");
    targets(&line.build)
}

#[track_caller]
fn check(words: &[&str], places: &[Place]) {
    assert_eq!(of(words).expect("targets").places, places, "{words:?}");
}

fn file(path: &str, overwrite: Overwrite) -> Place {
    Place::File { path: path.into(), overwrite, form: Form::Docker }
}

#[test]
fn a_name_alone_makes_an_archive_of_its_last_component() {
    check(&["-t", "registry.example:5000/team/app:1", "."], &[file("app.tar", Overwrite::OwnOnly)]);
    check(&["."], &[Place::Store]);
}

#[test]
fn outputs_go_where_they_say() {
    check(&["-o", "x.tar", "."], &[file("x.tar", Overwrite::Any)]);
    check(&["-t", "a", "-o", "type=docker,dest=y", "."], &[file("y", Overwrite::Any)]);
    check(&["-o", "type=oci,dest=d,tar=false", "."], &[Place::Layout("d".into(), Form::Oci)]);
    check(&["-o", "type=oci,dest=-", "."], &[Place::Stdout(Form::Oci)]);
    check(&["-o", "type=image", "-o", "type=cacheonly", "."], &[Place::Store, Place::CacheOnly]);
    check(&["-t", "a", "--push", "--load", "."], &[Place::Registry, Place::Docker]);
    check(&["-o", "type=docker", "."], &[Place::Docker]);
}

#[test]
fn compressions_have_levels() {
    let zstd = of(&["-o", "type=oci,dest=x,compression=zstd,compression-level=9", "."]).expect("targets");
    assert_eq!(zstd.compression, Compression::Zstd { level: 9 });
    let level = |kind: &str, level: &str| {
        let spec = format!("type=oci,dest=x,compression={kind},compression-level={level}");
        of(&["-o", &spec, "."]).map(|targets| targets.compression).map_err(|error| error.to_string())
    };
    for n in 0..=12 {
        assert_eq!(level("gzip", &n.to_string()), Ok(Compression::Gzip { level: n, single_member: false }));
    }
    for n in 1..=22 {
        assert_eq!(level("zstd", &n.to_string()), Ok(Compression::Zstd { level: n }));
    }
    assert_eq!(level("zstd", "0"), Ok(Compression::Zstd { level: 3 }));
    assert_eq!(level("gzip", "13"), Err("`13` is not a level of gzip: they are 0 to 12".to_owned()));
    assert_eq!(level("zstd", "23"), Err("`23` is not a level of zstd: they are 0 to 22".to_owned()));
    for wrong in ["-1", "256", "best"] {
        assert_eq!(level("zstd", wrong), Err(format!("`{wrong}` is not a compression level")));
    }
}

#[test]
fn what_came_compressed_is_compressed_anew_if_asked() {
    let of = |spec: &str| of(&["-t", "a", "-o", spec, "."]);
    let pulled = |spec: &str| {
        let targets = of(spec).expect(spec);
        (targets.compression, targets.pulled)
    };
    for kind in ["docker", "docker,dest=x", "oci,dest=x", "oci,dest=x,tar=false", "image,push=true", "registry"] {
        assert_eq!(pulled(&format!("type={kind}")), (Compression::DEFAULT, Pulled::Kept));
        let forced = format!("type={kind},force-compression=true");
        assert_eq!(pulled(&forced), (Compression::DEFAULT, Pulled::Recompressed));
    }
    let zstd = "type=docker,force-compression=true,compression=zstd";
    assert_eq!(pulled(zstd), (Compression::Zstd { level: 3 }, Pulled::Recompressed));
    assert_eq!(pulled("type=docker,force-compression=false").1, Pulled::Kept);
    let error = of("type=docker,force-compression=always").expect_err("no boolean");
    assert_eq!(error.to_string(), "`force-compression=always` is neither true nor false");
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    for (words, said) in [
        (&["--push", "."][..], "pushing needs a name"),
        (&["-o", "type=oci", "."], "does not say where to"),
        (&["-o", "type=local,dest=x", "."], "`-o type=local`, a root filesystem, is not supported"),
        (&["-o", "dir", "."], "is not supported"),
        (&["-o", "type=oci,dest=x,foo=1", "."], "the output attribute `foo`"),
        (&["-o", "type=nope,dest=x", "."], "`nope` is not a type of output"),
        (&["-t", "UPPER", "."], "lower case"),
    ] {
        let message = of(words).expect_err("an error").to_string();
        assert!(message.contains(said), "{message}");
    }
}
