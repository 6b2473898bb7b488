use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;

use super::bench::{Bench, names};
use crate::export::{Error, NamedImage, Outcome, OutputRecord, OutputState, Overwrite, Result};
use crate::export::{check_output, forget_absent_outputs, outputs, write_file};
use crate::image::SealedImage;

#[track_caller]
fn check_write(bench: &Bench, image: &SealedImage, name: &str, overwrite: Overwrite) -> Result<Outcome> {
    write_file(&bench.store, &[NamedImage { image, names: &names(&["app"]) }], &bench.out(name), overwrite, &mut |_| {})
}

/// What lies in the folder of outputs.
fn listing(bench: &Bench) -> Vec<String> {
    let entries = fs::read_dir(bench.out("")).expect("the folder");
    let mut listed: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    listed.sort();
    listed
}

#[test]
fn an_output_is_written_whole_remembered_and_left_alone_while_it_is_the_same() {
    let bench = Bench::new();
    let image = bench.image(&["a"]);
    let mut told = Vec::new();
    let path = bench.out("app.tar");
    let outcome = write_file(
        &bench.store,
        &[NamedImage { image: &image, names: &names(&["app"]) }],
        &path,
        Overwrite::OwnOnly,
        &mut |bytes| told.push(bytes),
    )
    .expect("written");
    let bytes = fs::read(&path).expect("the output");
    assert_eq!(outcome, Outcome::Written { size: bytes.len() as u64 });
    assert_eq!(told.last(), Some(&(bytes.len() as u64)));
    assert_eq!(bytes, bench.archive(&image, &names(&["app"])));
    assert_eq!(listing(&bench), ["app.tar"]);
    let inode = fs::metadata(&path).expect("metadata").ino();
    let again = check_write(&bench, &image, "app.tar", Overwrite::OwnOnly).expect("left");
    assert_eq!(again, Outcome::Unchanged { size: bytes.len() as u64 });
    assert_eq!(fs::metadata(&path).expect("metadata").ino(), inode);
    assert_eq!(outputs(&bench.store, &[]).expect("outputs"), [path.canonicalize().expect("path")]);
}

#[test]
fn an_output_of_another_image_or_name_is_replaced() {
    let bench = Bench::new();
    let (one, two) = (bench.image(&["a"]), bench.image(&["b"]));
    check_write(&bench, &one, "app.tar", Overwrite::OwnOnly).expect("written");
    assert!(matches!(check_write(&bench, &two, "app.tar", Overwrite::OwnOnly), Ok(Outcome::Written { .. })));
    let other = names(&["other"]);
    let outcome = write_file(
        &bench.store,
        &[NamedImage { image: &two, names: &other }],
        &bench.out("app.tar"),
        Overwrite::OwnOnly,
        &mut |_| {},
    );
    assert!(matches!(outcome, Ok(Outcome::Written { .. })));
    assert_eq!(fs::read(bench.out("app.tar")).expect("the output"), bench.archive(&two, &other));
}

#[test]
fn a_file_that_is_not_ours_is_replaced_only_on_demand() {
    let bench = Bench::new();
    let image = bench.image(&["a"]);
    let path = bench.out("app.tar");
    fs::write(&path, b"precious").expect("written");
    let error = check_write(&bench, &image, "app.tar", Overwrite::OwnOnly).expect_err("refused");
    assert!(matches!(error, Error::Foreign { .. }) && error.to_string().contains("`-o FILE.tar`"), "{error}");
    assert_eq!(fs::read(&path).expect("the file"), b"precious");
    check_write(&bench, &image, "app.tar", Overwrite::Any).expect("replaced");
    // Ours now, until somebody changes it: the same length, and the old time put back.
    let before = fs::metadata(&path).expect("metadata").modified().expect("mtime");
    let mut bytes = fs::read(&path).expect("the output");
    bytes[600] ^= 1;
    fs::write(&path, bytes).expect("written");
    fs::File::options().write(true).open(&path).and_then(|f| f.set_modified(before)).expect("the old time");
    assert_eq!(check_output(&bench.store, &path).expect("state"), OutputState::Foreign);
    assert!(outputs(&bench.store, &[]).expect("outputs").is_empty());
    assert!(check_write(&bench, &image, "app.tar", Overwrite::OwnOnly).is_err());
}

#[test]
fn a_folder_symlink_or_device_is_never_replaced() {
    let bench = Bench::new();
    let image = bench.image(&[]);
    fs::create_dir(bench.out("folder")).expect("a folder");
    fs::write(bench.out("canary"), b"alive").expect("a file");
    symlink("canary", bench.out("link")).expect("a symlink");
    symlink("nowhere", bench.out("dangling")).expect("a symlink");
    for name in ["folder", "link", "dangling", "folder/", "folder/.."] {
        let error = check_write(&bench, &image, name, Overwrite::Any).expect_err(name);
        assert!(matches!(error, Error::Destination { .. }), "{name}: {error}");
    }
    let device = write_file(
        &bench.store,
        &[NamedImage { image: &image, names: &[] }],
        Path::new("/dev/null"),
        Overwrite::Any,
        &mut |_| {},
    );
    assert!(matches!(device, Err(Error::Destination { .. })));
    assert_eq!(fs::read(bench.out("canary")).expect("the file"), b"alive");
    assert!(matches!(check_write(&bench, &image, "none/app.tar", Overwrite::Any), Err(Error::File(_))));
}

#[test]
fn a_failed_export_leaves_the_old_output_and_nothing_else() {
    let bench = Bench::new();
    let (one, two) = (bench.image(&["a"]), bench.image(&["b"]));
    check_write(&bench, &one, "app.tar", Overwrite::OwnOnly).expect("written");
    bench.damage(&two.layers()[0].digest);
    check_write(&bench, &two, "app.tar", Overwrite::OwnOnly).expect_err("damaged");
    check_write(&bench, &two, "new.tar", Overwrite::OwnOnly).expect_err("damaged");
    assert_eq!(listing(&bench), ["app.tar"]);
    assert!(matches!(check_write(&bench, &one, "app.tar", Overwrite::OwnOnly), Ok(Outcome::Unchanged { .. })));
}

#[test]
fn a_kill_between_announcing_and_renaming_leaves_both_files_ours() {
    let bench = Bench::new();
    let (one, two) = (bench.image(&["a"]), bench.image(&["bb"]));
    check_write(&bench, &one, "app.tar", Overwrite::OwnOnly).expect("written");
    let path = bench.out("app.tar").canonicalize().expect("path");
    let coming = bench.out("coming");
    let bytes = bench.archive(&two, &names(&["app"]));
    fs::write(&coming, &bytes).expect("written");
    let record = OutputRecord::new(&[NamedImage { image: &two, names: &names(&["app"]) }], bytes.len() as u64);
    let record = record.expect("an image");
    outputs::announce(&bench.store, &path, &fs::metadata(&coming).expect("metadata"), &record).expect("announced");
    assert!(matches!(check_write(&bench, &one, "app.tar", Overwrite::OwnOnly), Ok(Outcome::Unchanged { .. })));
    fs::rename(&coming, &path).expect("renamed");
    assert_eq!(check_output(&bench.store, &path).expect("state"), OutputState::Ours(record));
}

#[test]
fn records_of_outputs_that_are_gone_can_be_forgotten() {
    let bench = Bench::new();
    let image = bench.image(&[]);
    check_write(&bench, &image, "a.tar", Overwrite::OwnOnly).expect("written");
    check_write(&bench, &image, "b.tar", Overwrite::OwnOnly).expect("written");
    fs::remove_file(bench.out("a.tar")).expect("removed");
    assert_eq!(forget_absent_outputs(&bench.store).expect("forgotten"), 1);
    assert_eq!(outputs(&bench.store, &[]).expect("outputs").len(), 1);
    assert_eq!(check_output(&bench.store, &bench.out("a.tar")).expect("state"), OutputState::Absent);
}

#[test]
fn a_file_with_a_name_is_removed_when_dropped_and_may_refuse_to_replace() {
    use crate::export::temporary::{Replace, Temporary};
    let bench = Bench::new();
    let folder = bench.out("");
    let mut temporary = Temporary::create(&folder).expect("created");
    temporary.write_all(b"new").expect("written");
    fs::write(bench.out("there"), b"old").expect("written");
    let error = temporary.publish(&bench.out("there"), Replace::No).expect_err("it is there");
    assert_eq!(error.source.kind(), std::io::ErrorKind::AlreadyExists);
    assert_eq!(listing(&bench), ["there"]);
    let temporary = Temporary::create(&folder).expect("created");
    temporary.publish(&bench.out("there"), Replace::Yes).expect("replaced");
    assert_eq!(fs::read(bench.out("there")).expect("the file"), b"");
}
