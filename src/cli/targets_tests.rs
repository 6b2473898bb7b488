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
    assert!(of(&["-o", "type=oci,dest=x,compression=gzip,compression-level=13", "."]).is_err());
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
