//! What programs read.

use std::time::Duration;

use serde_json::{Value, json};

use super::events::{built, output, ran, started};
use crate::build::{BuildEvent, StepId, StepOutcome};
use crate::cli::progress::rawjson::RawJson;
use crate::cli::progress::{Size, View as _};

/// The objects that a build writes whose events come a second after each other, without digests.
fn lines(events: &[BuildEvent]) -> Vec<Value> {
    let mut view = RawJson::new(jiff::Timestamp::UNIX_EPOCH);
    for (second, event) in (0..).zip(events) {
        view.event(Duration::from_secs(second), event);
    }
    let text = view.finish(Duration::ZERO, Size { columns: 80, rows: 24 }, &built());
    text.lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect()
}

#[test]
fn a_step_is_a_vertex_with_logs() {
    let missed = BuildEvent::StepMissed { step: StepId(1), reason: Some("a changed".to_owned()) };
    let lines = lines(&[started(1, "[1/2]", "RUN x\u{1b}"), missed, output(1, "\u{1b}[1mhi\n"), ran(1, 5)]);
    let digest = lines[0]["vertexes"][0]["digest"].as_str().expect("a digest");
    let (start, name) = ("1970-01-01T00:00:00Z", "[1/2] RUN x\u{1b}");
    assert_eq!(lines[0], json!({"vertexes": [{"digest": digest, "name": name, "started": start}]}));
    let time = "1970-01-01T00:00:01Z";
    let status = json!({"id": "runs because a changed", "vertex": digest, "current": 0, "timestamp": time,
                        "started": time, "completed": time});
    assert_eq!(lines[1], json!({"statuses": [status]}));
    let log = json!({"vertex": digest, "stream": 1, "data": "G1sxbWhpCg==", "timestamp": "1970-01-01T00:00:02Z"});
    assert_eq!(lines[2], json!({"logs": [log]}));
    let end = "1970-01-01T00:00:03Z";
    assert_eq!(lines[3], json!({"vertexes": [{"digest": digest, "name": name, "started": start, "completed": end}]}));
}

#[test]
fn ends_of_steps_are_told_apart() {
    let failed = BuildEvent::StepFinished {
        step: StepId(2),
        outcome: StepOutcome::Failed { message: "exit code 1".to_owned() },
        duration: Duration::ZERO,
    };
    let cached = BuildEvent::StepCached { step: StepId(1) };
    let lines = lines(&[started(1, "[1/2]", "RUN x"), started(2, "[1/2]", "RUN x"), cached, failed]);
    assert_ne!(lines[0]["vertexes"][0]["digest"], lines[1]["vertexes"][0]["digest"]);
    assert_eq!(lines[2]["vertexes"][0]["cached"], true);
    assert_eq!(lines[3]["vertexes"][0]["error"], "exit code 1");
}

#[test]
fn transfers_tell_how_far_they_are() {
    let reference = || "busybox:latest".to_owned();
    let lines = lines(&[
        BuildEvent::PullStarted { reference: reference() },
        BuildEvent::PullProgress { reference: reference(), done: 1, total: 2 },
        BuildEvent::PullFinished { reference: reference(), bytes: 2 },
        BuildEvent::Warning { text: "w".to_owned() },
    ]);
    assert_eq!(lines[0]["vertexes"][0]["name"], "pull busybox:latest");
    let status = &lines[1]["statuses"][0];
    assert_eq!((&status["current"], &status["total"]), (&json!(1), &json!(2)));
    assert_eq!(lines[2]["vertexes"][0]["completed"], "1970-01-01T00:00:02Z");
    assert_eq!(lines[3], json!({"warnings": [{"level": 1, "short": "dw=="}]}));
}
