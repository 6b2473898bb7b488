//! A plan for people, and as JSON for programs.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use serde::Serialize;

use super::{
    Action, Base, CopySource, ImageNeed, InlineFile, Mounted, Origin, Plan, Stage, StageId, Step, Verb, mount,
};
use crate::dockerfile::Source;
use crate::path::Printable as _;
use crate::remote::masked;

/// A plan as lines of text: each stage with its base, each step with its place and what it takes from elsewhere.
///
/// Control characters are escaped, credentials in URLs masked; values of variables are not shown. Linear in the plan.
pub fn show(plan: &Plan, source: &Source) -> String {
    let mut out = String::new();
    for (index, stage) in plan.stages.iter().enumerate() {
        // Writing to a string cannot fail.
        let _written = show_stage(&mut out, &View { plan, source }.stage(index, stage), index > 0);
    }
    out
}

/// The same as a value to be written as JSON.
pub fn described<'a>(plan: &'a Plan, source: &'a Source) -> Described<'a> {
    let view = View { plan, source };
    let stages = plan.stages.iter().enumerate().map(|(index, stage)| view.stage(index, stage)).collect();
    Described { dockerfile: source.name(), target: plan.target.0, stages }
}

/// A plan to be written as JSON.
#[derive(Debug, Serialize)]
pub struct Described<'a> {
    /// The name of the file.
    dockerfile: &'a str,
    /// The index of the stage that is asked for.
    target: usize,
    stages: Vec<StageView<'a>>,
}

#[derive(Debug, Serialize)]
struct StageView<'a> {
    name: &'a str,
    line: usize,
    is_target: bool,
    base: BaseView<'a>,
    steps: Vec<StepView<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum BaseView<'a> {
    Scratch,
    Image { name: String, platform: String },
    Stage { name: &'a str },
}

#[derive(Debug, Serialize)]
struct StepView<'a> {
    kind: &'static str,
    /// First and last line.
    lines: (usize, usize),
    column: usize,
    /// Its number among the steps of the stage that make a layer, and how many there are; none if it makes none.
    position: Option<(usize, usize)>,
    instruction: &'a str,
    needs: Vec<Need<'a>>,
}

/// What a step takes from elsewhere than its own root filesystem.
#[derive(Debug, Serialize)]
struct Need<'a> {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    paths: Vec<&'a str>,
}

struct View<'a> {
    plan: &'a Plan,
    source: &'a Source,
}

impl<'a> View<'a> {
    fn stage(&self, index: usize, stage: &'a Stage) -> StageView<'a> {
        let base = match &stage.base {
            Base::Scratch => BaseView::Scratch,
            Base::Image(ImageNeed { reference, platform, layout: _ }) => {
                BaseView::Image { name: reference.familiar(), platform: platform.to_string() }
            }
            Base::Stage(id) => BaseView::Stage { name: self.name(*id) },
        };
        StageView {
            name: self.name(StageId(index)),
            line: self.source.line(stage.span.start()),
            is_target: self.plan.target == StageId(index),
            base,
            steps: stage.steps.iter().map(|step| self.step(step)).collect(),
        }
    }

    /// The only stage of a file may have no name.
    fn name(&self, id: StageId) -> &'a str {
        let label = self.plan.stages.get(id.0).map_or("", |stage| stage.label.as_str());
        if label.is_empty() { "stage-0" } else { label }
    }

    fn step(&self, step: &'a Step) -> StepView<'a> {
        let (kind, needs) = match &step.action {
            Action::Config => ("config", Vec::new()),
            Action::Workdir(_) => ("workdir", Vec::new()),
            Action::Run(run) => {
                let devices = run.devices.iter().map(|device| Need::named("device", &device.name));
                ("run", run.mounts.iter().filter_map(|mount| self.mounted(mount)).chain(devices).collect())
            }
            Action::Copy(copy) => {
                let kind = match copy.verb {
                    Verb::Copy => "copy",
                    Verb::Add => "add",
                };
                (kind, self.sources(&copy.from, &copy.sources, &copy.inline))
            }
        };
        let start = self.source.position(step.span.start());
        let last = self.source.line(step.span.end().saturating_sub(1).max(step.span.start()));
        StepView {
            kind,
            lines: (start.line, last),
            column: start.column,
            position: (step.action != Action::Config).then_some(step.position),
            instruction: &step.text,
            needs,
        }
    }

    fn sources(&self, from: &'a Origin, sources: &'a [CopySource], inline: &'a [InlineFile]) -> Vec<Need<'a>> {
        let mut paths = Vec::new();
        let mut needs = Vec::new();
        for source in sources {
            match source {
                CopySource::Path { pattern, .. } => paths.push(pattern.as_str()),
                CopySource::Http { url, .. } => needs.push(Need::named("url", masked(url.written()))),
                CopySource::Git { source, .. } => needs.push(Need::named("git", masked(source.written()))),
            }
        }
        if !paths.is_empty() {
            needs.insert(0, Need { paths, ..self.origin(from) });
        }
        if !inline.is_empty() {
            let paths = inline.iter().map(|file| file.name.as_str()).collect();
            needs.push(Need { kind: "heredoc", name: None, paths });
        }
        needs
    }

    fn origin(&self, origin: &'a Origin) -> Need<'a> {
        match origin {
            Origin::Context => Need { kind: "context", name: None, paths: Vec::new() },
            Origin::Stage(id) => Need::named("stage", self.name(*id)),
            Origin::Image(image) => Need::named("image", image.reference.familiar()),
            Origin::Named(name) => Need::named("named-context", name.as_str()),
        }
    }

    fn mounted(&self, mount: &'a mount::Mount) -> Option<Need<'a>> {
        match &mount.what {
            Mounted::Bind { from, source, .. } => {
                from.as_ref().map(|from| Need { paths: vec![source], ..self.origin(from) })
            }
            // The namespace in front is empty unless a build argument says otherwise.
            Mounted::Cache(cache) => Some(Need::named("cache", cache.id.strip_prefix('/').unwrap_or(&cache.id))),
            Mounted::Secret { id, .. } => Some(Need::named("secret", id.as_str())),
            Mounted::Ssh { id, .. } => Some(Need::named("ssh", id.as_str())),
            Mounted::Tmpfs { .. } => None,
        }
    }
}

impl<'a> Need<'a> {
    fn named(kind: &'static str, name: impl Into<Cow<'a, str>>) -> Self {
        Self { kind, name: Some(name.into()), paths: Vec::new() }
    }
}

fn show_stage(out: &mut String, stage: &StageView<'_>, is_behind_another: bool) -> fmt::Result {
    let StageView { name, line, is_target, base, steps } = stage;
    if is_behind_another {
        out.push('\n');
    }
    write!(out, "stage {}, line {line}, on ", plain(name))?;
    match base {
        BaseView::Scratch => out.push_str("scratch"),
        BaseView::Image { name, platform } => write!(out, "{} for {platform}", plain(name))?,
        BaseView::Stage { name } => write!(out, "stage {}", plain(name))?,
    }
    out.push_str(if *is_target { " (target)\n" } else { "\n" });
    for step in steps {
        show_step(out, step)?;
    }
    Ok(())
}

fn show_step(out: &mut String, step: &StepView<'_>) -> fmt::Result {
    let StepView { kind: _, lines: (first, last), column: _, position, instruction, needs } = step;
    match position {
        Some((at, of)) => write!(out, "{at:>5}/{of:<4}")?,
        None => write!(out, "{:>6}    ", "-")?,
    }
    let start = out.len();
    match first == last {
        true => write!(out, " line {first}")?,
        false => write!(out, " lines {first}-{last}")?,
    }
    let width = out.len() - start;
    writeln!(out, "{:pad$} {}", "", plain(instruction), pad = 16_usize.saturating_sub(width))?;
    for need in needs {
        write!(out, "{:>27} {}", "<-", need.kind)?;
        if let Some(name) = &need.name {
            write!(out, " {}", plain(name))?;
        }
        for (index, path) in need.paths.iter().enumerate() {
            write!(out, "{} {}", if index == 0 { ":" } else { "," }, plain(path))?;
        }
        out.push('\n');
    }
    Ok(())
}

/// Most text needs no escape, and no copy.
fn plain(text: &str) -> Cow<'_, str> {
    match text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        true => Cow::Borrowed(text),
        false => Cow::Owned(text.as_bytes().escape_ascii_utf8()),
    }
}
