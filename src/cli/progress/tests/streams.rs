//! Streams that take nothing.

use std::fs::OpenOptions;
use std::io::{self, Write};

use super::events::{built, output, started};
use crate::cli::progress::{Choice, Progress, Size, Surroundings};

fn size() -> Size {
    Size { columns: 80, rows: 24 }
}

fn full() -> Box<dyn Write + Send> {
    Box::new(OpenOptions::new().write(true).open("/dev/full").expect("/dev/full"))
}

#[track_caller]
fn check_broken(choice: Choice, out: Box<dyn Write + Send>, kind: io::ErrorKind) {
    let surroundings = Surroundings { terminal: true, term: Some("xterm".into()), no_color: None };
    let progress = Progress::on(choice, &surroundings, out, size);
    progress.event(&started(1, "[1/1]", "RUN x"));
    for _ in 0..100 {
        progress.event(&output(1, "line\n"));
    }
    let error = progress.finish(&built(), &mut io::sink()).expect_err("nothing could be written");
    assert_eq!(error.kind(), kind);
}

#[test]
fn a_full_disk_behind_standard_error_is_an_error_at_the_end() {
    check_broken(Choice::Plain, full(), io::ErrorKind::StorageFull);
    check_broken(Choice::Tty, full(), io::ErrorKind::StorageFull);
}

#[test]
fn a_reader_that_went_away_is_an_error_at_the_end() {
    let (reader, writer) = io::pipe().expect("a pipe");
    drop(reader);
    check_broken(Choice::Plain, Box::new(writer), io::ErrorKind::BrokenPipe);
}

#[test]
fn an_id_that_cannot_be_written_is_an_error() {
    let progress = Progress::on(Choice::Quiet, &Surroundings::default(), Box::new(io::sink()), size);
    let error = progress.finish(&built(), &mut full()).expect_err("full");
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
}
