//! A view behind its driver.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use super::events::{built, output, ran, started};
use crate::cli::progress::{Choice, Progress, Size, Surroundings, ViewKind};

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("not poisoned").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn size() -> Size {
    Size { columns: 80, rows: 24 }
}

fn terminal() -> Surroundings {
    Surroundings { terminal: true, term: Some("xterm".into()), no_color: None }
}

#[test]
fn events_come_from_any_thread() {
    for choice in [Choice::Plain, Choice::Tty] {
        let out = Shared::default();
        let progress = Progress::on(choice, &terminal(), Box::new(out.clone()), size);
        std::thread::scope(|scope| {
            for step in 1..=4 {
                let progress = &progress;
                scope.spawn(move || {
                    progress.event(&started(step, "[1/1]", "RUN x"));
                    progress.event(&output(step, "line\n"));
                    progress.event(&ran(step, 1));
                });
            }
        });
        progress.finish(&built(), &mut io::sink()).expect("shown");
        let text = String::from_utf8(out.0.lock().expect("not poisoned").clone()).expect("text");
        assert_eq!(text.matches("DONE").count(), 4, "{text}");
        assert!(text.contains("0 cached, 4 ran"), "{text}");
    }
}

#[test]
fn quiet_writes_the_id_to_standard_output_alone() {
    let (out, mut stdout) = (Shared::default(), Vec::new());
    let progress = Progress::on(Choice::Quiet, &terminal(), Box::new(out.clone()), size);
    progress.event(&started(1, "[1/1]", "RUN x"));
    progress.finish(&built(), &mut stdout).expect("shown");
    assert!(out.0.lock().expect("not poisoned").is_empty());
    let id = crate::digest::ConfigDigest::of(b"x");
    assert_eq!(String::from_utf8(stdout).expect("text"), format!("{id}\n"));
}

#[test]
fn a_live_view_that_is_not_possible_says_so() {
    let out = Shared::default();
    let progress = Progress::on(Choice::Tty, &Surroundings::default(), Box::new(out.clone()), size);
    assert_eq!(progress.kind(), ViewKind::Plain);
    drop(progress);
    let text = out.0.lock().expect("not poisoned").clone();
    assert!(text.starts_with(b"note: standard error is not a terminal"));
}
