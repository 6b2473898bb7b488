//! One JSON object a line, for programs, with the fields of BuildKit's `--progress=rawjson`.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use serde::Serialize;

use super::{Size, Summary, View};
use crate::build::{BuildEvent, ExportOutcome, StepId, StepOutcome, Stream};
use crate::digest::{Canonical, ContentDigest};

/// A transfer tells of its progress no more often than this.
const PAUSE: Duration = Duration::from_millis(100);

/// Writes each event as an object with some of `vertexes`, `statuses`, `logs` and `warnings`.
///
/// # References
/// BuildKit `client/graph.go`: `SolveStatus`.
pub(super) struct RawJson {
    text: String,
    started: jiff::Timestamp,
    running: BTreeMap<StepId, Vertex>,
    transfers: BTreeMap<String, Transfer>,
}

struct Transfer {
    vertex: Vertex,
    told: Duration,
}

#[derive(Debug, Default, Serialize)]
struct Status<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    vertexes: Vec<&'a Vertex>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    statuses: Vec<VertexStatus>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    logs: Vec<Log>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Warning>,
}

/// A step, a pull or an export. Its digest only tells it from the others of the same build.
#[derive(Debug, Clone, Serialize)]
struct Vertex {
    digest: String,
    name: String,
    started: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    completed: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cached: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    error: String,
}

#[derive(Debug, Serialize)]
struct VertexStatus {
    id: String,
    vertex: String,
    #[serde(skip_serializing_if = "is_zero")]
    total: u64,
    current: u64,
    timestamp: String,
    started: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    completed: Option<String>,
}

#[derive(Debug, Serialize)]
struct Log {
    #[serde(skip_serializing_if = "String::is_empty")]
    vertex: String,
    #[serde(skip_serializing_if = "is_zero")]
    stream: u64,
    data: String,
    timestamp: String,
}

#[derive(Debug, Serialize)]
struct Warning {
    level: u32,
    short: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// As Go's JSON has bytes.
fn bytes(text: impl AsRef<[u8]>) -> String {
    base64::engine::general_purpose::STANDARD.encode(text)
}

impl RawJson {
    /// A build that begins at this moment.
    pub fn new(started: jiff::Timestamp) -> Self {
        Self { text: String::new(), started, running: BTreeMap::new(), transfers: BTreeMap::new() }
    }

    fn time(&self, now: Duration) -> String {
        // No build lasts until the end of the calendar.
        let time = jiff::SignedDuration::try_from(now).ok().and_then(|now| self.started.checked_add(now).ok());
        time.unwrap_or(self.started).to_string()
    }

    fn line(&mut self, status: &Status<'_>) {
        self.text.push_str(&serde_json::to_string(status).expect("strings and numbers are JSON"));
        self.text.push('\n');
    }

    fn vertex(&mut self, vertex: &Vertex) {
        self.line(&Status { vertexes: vec![vertex], ..Status::default() });
    }

    fn begin(&self, now: Duration, number: u32, name: String) -> Vertex {
        let mut canonical = Canonical::new("vertex");
        canonical.text("number", &number.to_string());
        canonical.text("name", &name);
        let digest = canonical.finish::<ContentDigest>().to_string();
        Vertex { digest, name, started: self.time(now), completed: None, cached: false, error: String::new() }
    }

    fn end_step(&mut self, now: Duration, step: StepId, change: impl FnOnce(&mut Vertex)) {
        if let Some(mut vertex) = self.running.remove(&step) {
            vertex.completed = Some(self.time(now));
            change(&mut vertex);
            self.vertex(&vertex);
        }
    }

    fn log(&mut self, now: Duration, step: StepId, stream: Stream, data: &[u8]) {
        let vertex = self.running.get(&step).map(|vertex| vertex.digest.clone()).unwrap_or_default();
        let stream = match stream {
            Stream::Stdout => 1,
            Stream::Stderr => 2,
        };
        let log = Log { vertex, stream, data: bytes(data), timestamp: self.time(now) };
        self.line(&Status { logs: vec![log], ..Status::default() });
    }

    fn start_transfer(&mut self, now: Duration, name: String) {
        let vertex = self.begin(now, 0, name.clone());
        self.vertex(&vertex);
        self.transfers.insert(name, Transfer { vertex, told: now });
    }

    fn progress(&mut self, now: Duration, name: &str, done: u64, total: u64) {
        let Some(transfer) = self.transfers.get_mut(name) else { return };
        if now.saturating_sub(transfer.told) < PAUSE && done < total {
            return;
        }
        transfer.told = now;
        let Vertex { digest: vertex, started, .. } = transfer.vertex.clone();
        let timestamp = self.time(now);
        let completed = (done >= total).then(|| timestamp.clone());
        let status = VertexStatus { id: name.to_owned(), vertex, total, current: done, timestamp, started, completed };
        self.line(&Status { statuses: vec![status], ..Status::default() });
    }

    fn end_transfer(&mut self, now: Duration, name: &str, cached: bool) {
        if let Some(Transfer { mut vertex, .. }) = self.transfers.remove(name) {
            vertex.completed = Some(self.time(now));
            vertex.cached = cached;
            self.vertex(&vertex);
        }
    }

    /// What is to be told of a step, as something that was done for it.
    fn status(&mut self, now: Duration, step: StepId, id: String) {
        let Some(vertex) = self.running.get(&step).map(|vertex| vertex.digest.clone()) else { return };
        let time = self.time(now);
        let (timestamp, started) = (time.clone(), time.clone());
        let status = VertexStatus { id, vertex, total: 0, current: 0, timestamp, started, completed: Some(time) };
        self.line(&Status { statuses: vec![status], ..Status::default() });
    }
}

impl View for RawJson {
    fn event(&mut self, now: Duration, event: &BuildEvent) {
        match event {
            BuildEvent::Started { .. } => {}
            BuildEvent::StepStarted { step, position, text } => {
                let vertex = self.begin(now, step.0, format!("{position} {text}"));
                self.vertex(&vertex);
                self.running.insert(*step, vertex);
            }
            BuildEvent::StepRefused { step, position, text, message } => {
                let mut vertex = self.begin(now, step.0, format!("{position} {text}"));
                vertex.completed = Some(vertex.started.clone());
                vertex.error.clone_from(message);
                self.vertex(&vertex);
            }
            BuildEvent::StepCached { step } => self.end_step(now, *step, |vertex| vertex.cached = true),
            BuildEvent::StepMissed { step, reason } => {
                if let Some(reason) = reason {
                    self.status(now, *step, format!("runs because {reason}"));
                }
            }
            BuildEvent::StepDiffers { step, lines } => {
                lines.iter().for_each(|line| self.status(now, *step, line.clone()));
            }
            BuildEvent::StepOutput { step, stream, bytes } => self.log(now, *step, *stream, bytes),
            BuildEvent::StepFinished { step, outcome, duration: _ } => {
                let error = match outcome {
                    StepOutcome::Ran => String::new(),
                    StepOutcome::Failed { message } => message.clone(),
                    StepOutcome::Cancelled => "cancelled".to_owned(),
                };
                self.end_step(now, *step, |vertex| vertex.error = error);
            }
            BuildEvent::PullStarted { reference } => self.start_transfer(now, format!("pull {reference}")),
            BuildEvent::PullProgress { reference, done, total } => {
                self.progress(now, &format!("pull {reference}"), *done, *total);
            }
            BuildEvent::PullFinished { reference, .. } => self.end_transfer(now, &format!("pull {reference}"), false),
            BuildEvent::ExportStarted { target } => self.start_transfer(now, format!("exporting to {target}")),
            BuildEvent::ExportProgress { target, done, total } => {
                self.progress(now, &format!("exporting to {target}"), *done, *total);
            }
            BuildEvent::ExportFinished { target, outcome, .. } => {
                let unchanged = *outcome == ExportOutcome::Unchanged;
                self.end_transfer(now, &format!("exporting to {target}"), unchanged);
            }
            BuildEvent::Warning { text } => {
                let warning = Warning { level: 1, short: bytes(text) };
                self.line(&Status { warnings: vec![warning], ..Status::default() });
            }
            BuildEvent::Note { text } => {
                let timestamp = self.time(now);
                let log = Log { vertex: String::new(), stream: 0, data: bytes(format!("{text}\n")), timestamp };
                self.line(&Status { logs: vec![log], ..Status::default() });
            }
        }
    }

    fn draw(&mut self, _now: Duration, _size: Size) -> String {
        std::mem::take(&mut self.text)
    }

    fn finish(&mut self, _now: Duration, _size: Size, _summary: &Summary) -> String {
        std::mem::take(&mut self.text)
    }
}
