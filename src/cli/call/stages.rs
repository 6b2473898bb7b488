//! The answer of `--call=targets`.

use serde_json::{Value, json};

use super::document::{data, lines, location, object, text_of};
use super::table::table;
use crate::dockerfile::{Dockerfile, Stage};

/// For people: a table of the stages.
pub(super) fn text(dockerfile: &Dockerfile) -> String {
    let mut rows = vec![["TARGET", "DESCRIPTION"].map(str::to_owned).to_vec()];
    for (stage, is_default) in stages(dockerfile) {
        let name = match (name(stage), is_default) {
            ("", true) => "(default)".to_owned(),
            (name, true) => format!("{name} (default)"),
            (name, false) => name.to_owned(),
        };
        rows.push(vec![name, description(stage).to_owned()]);
    }
    table(&rows, 1)
}

/// For programs: the document of BuildKit's subrequest `frontend.targets`.
pub(super) fn json(dockerfile: &Dockerfile) -> String {
    let targets: Vec<Value> = stages(dockerfile)
        .map(|(stage, is_default)| {
            object(&[
                ("name", json!(name(stage))),
                ("default", json!(is_default)),
                ("description", json!(description(stage))),
                ("base", json!(stage.from.image.raw())),
                ("platform", json!(stage.from.platform.as_ref().map(|platform| platform.raw()))),
                ("location", location(lines(dockerfile, stage.from.span))),
            ])
        })
        .collect();
    text_of(&json!({ "targets": targets, "sources": [data(dockerfile, &[])] }))
}

/// Each stage, and whether it is the one that is built if no other is asked for.
fn stages(dockerfile: &Dockerfile) -> impl Iterator<Item = (&Stage, bool)> {
    let last = dockerfile.stages.len().saturating_sub(1);
    dockerfile.stages.iter().enumerate().map(move |(at, stage)| (stage, at == last))
}

fn name(stage: &Stage) -> &str {
    stage.name.as_ref().map_or("", |name| name.value.as_str())
}

fn description(stage: &Stage) -> &str {
    stage.from.description(name(stage)).unwrap_or_default()
}
