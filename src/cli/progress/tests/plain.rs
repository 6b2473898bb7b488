use expect_test::{Expect, expect};

use super::events::{built, cached, failed, finished, millis, missed, output, ran, started};
use crate::build::{BuildEvent, ExportOutcome, StepOutcome};
use crate::cli::progress::plain::Plain;
use crate::cli::progress::quiet::Quiet;
use crate::cli::progress::{Colours, Size, Summary, View};

const SIZE: Size = Size { columns: 80, rows: 24 };

#[track_caller]
fn check_view(view: &mut dyn View, events: &[(u64, BuildEvent)], summary: &Summary, expected: &Expect) {
    let mut text = String::new();
    let mut now = 0;
    for (at, event) in events {
        now = *at;
        view.event(millis(now), event);
        text.push_str(&view.draw(millis(now), SIZE));
    }
    text.push_str(&view.finish(millis(now), SIZE, summary));
    expected.assert_eq(&text);
}

#[test]
fn plain_is_a_line_for_everything_that_happens() {
    let reference = || "python:3.8".to_owned();
    let target = || "./app.tar".to_owned();
    let events = [
        (0, BuildEvent::Started { total_steps: 3 }),
        (0, BuildEvent::Warning { text: "MAINTAINER is deprecated".into() }),
        (0, BuildEvent::PullStarted { reference: reference() }),
        (1000, BuildEvent::PullProgress { reference: reference(), done: 10_000_000, total: 45_600_000 }),
        (6000, BuildEvent::PullProgress { reference: reference(), done: 30_000_000, total: 45_600_000 }),
        (6100, BuildEvent::PullProgress { reference: reference(), done: 31_000_000, total: 45_600_000 }),
        (7000, BuildEvent::PullFinished { reference: reference(), bytes: 45_600_000 }),
        (7000, started(1, "[1/3]", "COPY requirements.txt .")),
        (7001, cached(1)),
        (7001, started(2, "[2/3]", "RUN pip install -r requirements.txt")),
        (7001, missed(2, "COPY requirements.txt changed (1 file: requirements.txt)")),
        (7001, started(3, "[3/3]", "COPY . .")),
        (7124, output(2, "Collecting flask\nDown")),
        (7200, ran(3, 199)),
        (8000, output(2, "loading\u{1b}[2J \u{1b}[31mred\r\n50%\r100%")),
        (19_301, ran(2, 12_300)),
        (19_301, BuildEvent::Note { text: "app.tar is left out of the context".into() }),
        (19_301, BuildEvent::ExportStarted { target: target() }),
        (19_401, BuildEvent::ExportFinished { target: target(), size: 1234, outcome: ExportOutcome::Written }),
    ];
    check_view(
        &mut Plain::new(Colours::Unwanted),
        &events,
        &built(),
        &expect![[r#"
            warning: MAINTAINER is deprecated
            pull python:3.8
            pull python:3.8 30.0 MB / 45.6 MB
            pull python:3.8 DONE 7.0s, 45.6 MB
            #1 [1/3] COPY requirements.txt .
            #1 CACHED
            #2 [2/3] RUN pip install -r requirements.txt
            #2 runs because COPY requirements.txt changed (1 file: requirements.txt)
            #3 [3/3] COPY . .
            #2 0.123 Collecting flask
            #3 DONE 0.1s
            #2 0.999 Downloading red
            #2 12.300 100%
            #2 DONE 12.3s
            note: app.tar is left out of the context
            export to ./app.tar
            export to ./app.tar DONE 0.1s, 1.2 kB
            built sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881 (12.3 MB) in 19.4s: 1 cached, 2 ran
            load it with `docker load -i app.tar`
        "#]],
    );
}

#[test]
fn a_failed_step_shows_its_last_lines_again() {
    let many: String = (1..=60).map(|n| format!("line {n}\n")).collect();
    let events = [
        (0, started(1, "[build 1/2]", "RUN make <<EOF\nx\nEOF")),
        (0, started(2, "[2/2]", "RUN sleep 9")),
        (100, output(1, &many[..many.len() - 1])),
        (150, output(2, "x\n")),
        (200, failed(1, "exit code 2", 200)),
        (300, finished(2, StepOutcome::Cancelled, 300)),
    ];
    let mut view = Plain::new(Colours::Unwanted);
    let mut text = String::new();
    for (at, event) in &events {
        view.event(millis(*at), event);
        text.push_str(&view.draw(millis(*at), SIZE));
    }
    assert_eq!(text.lines().count(), 2 + 60 + 1 + 2);
    assert!(text.contains("#1 0.200 line 60\n#1 FAILED 0.2s\n#2 CANCELLED 0.3s\n"), "{text}");
    let end = view.finish(millis(300), SIZE, &Summary::Failed);
    let lines: Vec<&str> = end.lines().collect();
    assert_eq!(lines[..3], ["------", "last 50 of 60 lines of [build 1/2] RUN make <<EOF …:", "line 11"]);
    assert_eq!(lines[51..], ["line 60", "------"]);
}

#[test]
fn a_failed_step_whose_lines_stand_right_above_does_not_show_them_again() {
    let events = [(0, started(1, "[1/1]", "RUN x")), (1, output(1, "oh\n")), (2, failed(1, "exit code 2", 2))];
    let expected = expect![[r#"
        #1 [1/1] RUN x
        #1 0.001 oh
        #1 FAILED 0.0s
    "#]];
    check_view(&mut Plain::new(Colours::Unwanted), &events, &Summary::Failed, &expected);
}

#[test]
fn what_stands_behind_the_lines_of_a_failed_step_makes_them_shown_again() {
    let events = [
        (0, started(1, "[a 1/1]", "RUN x")),
        (0, started(2, "[b 1/1]", "RUN y")),
        (1, output(1, "oh\n")),
        (2, failed(1, "exit code 2", 2)),
        (3, finished(2, StepOutcome::Cancelled, 3)),
    ];
    let expected = expect![[r#"
        #1 [a 1/1] RUN x
        #2 [b 1/1] RUN y
        #1 0.001 oh
        #1 FAILED 0.0s
        #2 CANCELLED 0.0s
        ------
        output of [a 1/1] RUN x:
        oh
        ------
    "#]];
    check_view(&mut Plain::new(Colours::Unwanted), &events, &Summary::Failed, &expected);
}

#[test]
fn of_a_step_that_writes_without_end_the_first_lines_are_shown_and_the_last_ones_if_it_fails() {
    let mut view = Plain::new(Colours::Unwanted);
    view.event(millis(0), &started(1, "[1/1]", "RUN yes"));
    let line = format!("{}\n", "y".repeat(999));
    for _ in 0..3000 {
        view.event(millis(1), &output(1, &line));
    }
    view.event(millis(1), &output(1, "the end\n"));
    view.event(millis(2), &failed(1, "exit code 1", 2));
    let text = view.draw(millis(2), SIZE);
    assert!(text.len() < 2_200_000, "{}", text.len());
    assert!(text.ends_with("\n#1 [what follows is not shown: more than 2 MiB of output]\n#1 FAILED 0.0s\n"));
    assert!(view.finish(millis(2), SIZE, &Summary::Failed).ends_with("\nthe end\n------\n"));
}

#[test]
fn colours_are_used_where_they_are_wanted() {
    let mut view = Plain::new(Colours::Wanted);
    for event in [started(1, "[1/1]", "RUN x"), output(1, "\u{1b}[32mok\n"), failed(1, "exit code 1", 100)] {
        view.event(millis(0), &event);
    }
    let text = view.draw(millis(0), SIZE).replace('\u{1b}', "ESC");
    let expected = "#1 ESC[1m[1/1] RUN xESC[0m\n#1 0.000 ESC[32mokESC[0m\n#1 ESC[1;31mFAILED 0.1sESC[0m\n";
    assert_eq!(text, expected);
}

#[test]
fn quiet_tells_only_what_a_failed_step_wrote() {
    let good = [(0, started(1, "[1/2]", "RUN a")), (1, output(1, "a\n")), (2, ran(1, 2))];
    let mut events = good.to_vec();
    check_view(&mut Quiet::new(Colours::Unwanted), &events, &built(), &expect![""]);
    events.extend([(3, started(2, "[2/2]", "RUN b")), (4, output(2, "b\nc")), (5, failed(2, "exit code 1", 2))]);
    check_view(
        &mut Quiet::new(Colours::Unwanted),
        &events,
        &Summary::Failed,
        &expect![[r#"
            ------
            output of [2/2] RUN b:
            b
            c
            ------
        "#]],
    );
}
