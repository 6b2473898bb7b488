use expect_test::{Expect, expect};
use proptest::prelude::{ProptestConfig, any, proptest};

use super::events::{built, cached, failed, finished, millis, missed, output, ran, started};
use super::screen::Screen;
use crate::build::{BuildEvent, ExportOutcome, StepOutcome};
use crate::cli::progress::tty::Tty;
use crate::cli::progress::{Colours, Summary, View};

/// A view on a screen.
struct Shown {
    view: Tty,
    screen: Screen,
}

impl Shown {
    fn new(columns: usize, rows: usize) -> Self {
        Self { view: Tty::new(Colours::Wanted), screen: Screen::new(columns, rows) }
    }

    #[track_caller]
    fn tell(&mut self, now: u64, events: &[BuildEvent]) {
        for event in events {
            self.view.event(millis(now), event);
        }
        let text = self.view.draw(millis(now), self.screen.size());
        self.screen.write(&text);
    }

    #[track_caller]
    fn finish(&mut self, now: u64, summary: &Summary) {
        let text = self.view.finish(millis(now), self.screen.size(), summary);
        self.screen.write(&text);
    }

    #[track_caller]
    fn check(&self, expected: &Expect) {
        expected.assert_eq(&self.screen.text());
    }
}

fn pull_progress(done: u64) -> BuildEvent {
    BuildEvent::PullProgress { reference: "python:3.8".into(), done, total: 45_600_000 }
}

#[test]
fn what_runs_is_redrawn_and_what_ended_stays_above_it() {
    let mut shown = Shown::new(90, 24);
    shown
        .tell(0, &[BuildEvent::Started { total_steps: 3 }, BuildEvent::PullStarted { reference: "python:3.8".into() }]);
    shown.tell(2000, &[pull_progress(20_000_000), started(1, "[1/3]", "COPY a b"), cached(1)]);
    shown.check(&expect![[r#"
        [1/3] COPY a b                                                                     CACHED
        building 2.0s: 1 of 3 steps done, 1 cached
        => pull python:3.8              [========            ] 20.0 MB / 45.6 MB, 10.0 MB/s  2.0s
    "#]]);
    let steps = [
        BuildEvent::PullFinished { reference: "python:3.8".into(), bytes: 45_600_000 },
        started(2, "[2/3]", "RUN pip install -r requirements.txt"),
        missed(2, "COPY requirements.txt changed (1 file: requirements.txt)"),
        started(3, "[build 3/3]", "RUN make"),
        output(2, (1..=20).map(|n| format!("\u{1b}[31mline {n}\n")).collect::<String>() + "10%\r20%"),
    ];
    shown.tell(3000, &steps);
    shown.check(&expect![[r#"
        [1/3] COPY a b                                                                     CACHED
        pull python:3.8                                                         45.6 MB DONE 3.0s
        building 3.0s: 1 of 3 steps done, 1 cached
        => [2/3] RUN pip install -r requirements.txt                                         0.0s
         | line 16
         | line 17
         | line 18
         | line 19
         | line 20
         | 20%
        => [build 3/3] RUN make                                                              0.0s
    "#]]);
    shown.tell(4500, &[ran(2, 1500)]);
    shown.check(&expect![[r#"
        [1/3] COPY a b                                                                     CACHED
        pull python:3.8                                                         45.6 MB DONE 3.0s
        [2/3] RUN pip install -r requirements.txt                                       DONE 1.5s
           ran because COPY requirements.txt changed (1 file: requirements.txt)
        building 4.5s: 2 of 3 steps done, 1 cached
        => [build 3/3] RUN make                                                              1.5s
    "#]]);
    shown.tell(5000, &[ran(3, 2000), BuildEvent::ExportStarted { target: "./app.tar".into() }]);
    let done = BuildEvent::ExportFinished { target: "./app.tar".into(), size: 99, outcome: ExportOutcome::Unchanged };
    shown.tell(5100, &[done, BuildEvent::Note { text: "ok".into() }]);
    shown.finish(5100, &built());
    shown.check(&expect![[r#"
        [1/3] COPY a b                                                                     CACHED
        pull python:3.8                                                         45.6 MB DONE 3.0s
        [2/3] RUN pip install -r requirements.txt                                       DONE 1.5s
           ran because COPY requirements.txt changed (1 file: requirements.txt)
        [build 3/3] RUN make                                                            DONE 2.0s
        export to ./app.tar                                                   99 B UNCHANGED 0.1s
        note: ok
        built sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881 (12.3 MB) in
         5.1s: 1 cached, 2 ran
        load it with `docker load -i app.tar`
    "#]]);
}

#[test]
fn a_failure_ends_with_the_last_lines_of_the_step() {
    let mut shown = Shown::new(60, 24);
    let steps =
        [started(1, "[1/2]", "RUN make"), output(1, "cc x.c\nx.c:1: error"), started(2, "[2/2]", "RUN sleep 9")];
    shown.tell(0, &steps);
    shown.tell(500, &[failed(1, "exit code 2", 500), finished(2, StepOutcome::Cancelled, 500)]);
    shown.finish(500, &Summary::Failed);
    shown.check(&expect![[r#"
        [1/2] RUN make                                  FAILED 0.5s
           exit code 2
        [2/2] RUN sleep 9                            CANCELLED 0.5s
        ------
        output of [1/2] RUN make:
        cc x.c
        x.c:1: error
        ------
    "#]]);
}

#[test]
fn nothing_is_written_while_nothing_changes() {
    let mut view = Tty::new(Colours::Unwanted);
    let size = Screen::new(80, 24).size();
    assert_eq!(view.draw(millis(0), size), "\r\u{1b}[J");
    assert_eq!(view.draw(millis(100), size), "");
    view.event(millis(100), &started(1, "[1/1]", "RUN x"));
    assert_ne!(view.draw(millis(100), size), "");
    assert_eq!(view.draw(millis(110), size), "", "the same tenth of a second");
    assert_ne!(view.draw(millis(200), size), "");
}

#[test]
fn without_colours_there_are_none() {
    let mut view = Tty::new(Colours::Unwanted);
    let size = Screen::new(80, 24).size();
    let mut text = String::new();
    for event in [started(1, "[1/1]", "RUN x"), output(1, "\u{1b}[31mx\n"), failed(1, "exit code 1", 1)] {
        view.event(millis(0), &event);
        text.push_str(&view.draw(millis(0), size));
    }
    text.push_str(&view.finish(millis(0), size, &Summary::Failed));
    let is_colour = |rest: &str| rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').starts_with('m');
    assert!(!text.split("\u{1b}[").skip(1).any(is_colour), "{text:?}");
}

#[test]
fn many_steps_on_few_lines_are_counted() {
    let mut shown = Shown::new(40, 6);
    let steps: Vec<BuildEvent> = (1..=9).map(|n| started(n, "[1/1]", "RUN x")).collect();
    shown.tell(0, &steps);
    shown.check(&expect![[r#"
        building 0.0s
        => [1/1] RUN x                     0.0s
        => [1/1] RUN x                     0.0s
           and 7 more
    "#]]);
}

#[test]
fn a_narrower_terminal_leaves_no_old_lines_behind() {
    let mut shown = Shown::new(100, 200);
    let step = [started(1, "[1/2]", "RUN a rather long command"), output(1, "日本語 ".repeat(40) + "\nx\n")];
    shown.tell(0, &step);
    for columns in [50, 30, 13, 7, 80, 99, 5, 100] {
        shown.screen.resize(columns, 200);
        shown.tell(1000 + columns as u64 * 100, &[]);
        let text = shown.screen.text();
        assert_eq!((text.matches("bui").count(), text.matches("=>").count()), (1, 1), "{columns}: {text}");
        assert_eq!(text.lines().count(), 4, "{columns}: {text}");
    }
    shown.tell(20_000, &[ran(1, 20_000)]);
    shown.check(&expect![[r#"
        [1/2] RUN a rather long command                                                          DONE 20.0s
    "#]]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// The screen refuses every sequence but the few that the view is to use, and moves above its top.
    #[test]
    fn no_output_escapes_its_lines(
        pieces in proptest::collection::vec((1_u32..4, any::<Vec<u8>>()), 0..30),
        columns in 1_usize..40,
        rows in 1_usize..12,
        words in any::<String>(),
    ) {
        let mut shown = Shown::new(columns, rows);
        shown.tell(0, &[started(1, &words, &words), started(2, "", &words), started(3, "[x]", "")]);
        shown.tell(0, &[BuildEvent::PullStarted { reference: words.clone() }, missed(2, &words)]);
        for (step, bytes) in pieces {
            shown.tell(100, &[output(step, bytes)]);
        }
        shown.tell(200, &[failed(1, &words, 1), ran(2, 1), BuildEvent::Note { text: words.clone() }]);
        shown.finish(300, &Summary::Failed);
    }
}
