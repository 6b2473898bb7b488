//! Installs of dependencies that run again whenever any copied file changes.

use std::collections::BTreeSet;
use std::io::Read as _;

use super::manifests::{Install, Tool, installs};
use super::sources::add;
use crate::context::{Kind, Source};
use crate::dockerfile::{Diagnostic, Dockerfile};
use crate::path::ContextPath;
use crate::plan::{Action, Base, Copy, CopySource, Origin, Plan, Run, Stage, Step};

/// The rule's name.
const RULE: &str = "InstallAfterCopy";
/// No manifest that is looked into is longer, in bytes; longer ones are taken for ones that read other files.
const MAX_MANIFEST: u64 = 1 << 20;

/// A folder of the context that was copied whole.
struct Broad<'a> {
    /// The instruction.
    text: &'a str,
    folder: ContextPath,
    /// Where its content is, without a slash at the end.
    destination: String,
}

/// A warning for each install that could stand above a COPY of a whole folder, and then would run less often.
pub(in crate::build) fn late_installs(dockerfile: &Dockerfile, plan: &Plan, context: &dyn Source) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for stage in &plan.stages {
        let mut installed = inherited(plan, stage);
        let mut broad: Vec<Broad<'_>> = Vec::new();
        for step in &stage.steps {
            match &step.action {
                Action::Copy(copy) => broad.extend(copied_folders(step, copy, context)),
                Action::Run(run) => {
                    for install in installs(&shell_text(run)) {
                        let is_first = installed.insert(install.tool());
                        if run.mounts.is_empty() && (is_first || matches!(install, Install::System(_))) {
                            let warning = late(step, run, &install, &broad, context);
                            warning.into_iter().for_each(|warning| add(dockerfile, step.span, warning, &mut found));
                        }
                    }
                }
                Action::Workdir(_) | Action::Config => {}
            }
        }
    }
    found
}

/// The package managers that installed something in the stages below.
fn inherited(plan: &Plan, stage: &Stage) -> BTreeSet<&'static str> {
    let mut found = BTreeSet::new();
    let mut base = &stage.base;
    while let Base::Stage(id) = base {
        let Some(stage) = plan.stages.get(id.0) else { break };
        for step in &stage.steps {
            if let Action::Run(run) = &step.action {
                found.extend(installs(&shell_text(run)).iter().map(Install::tool));
            }
        }
        base = &stage.base;
    }
    found
}

fn shell_text(run: &Run) -> String {
    match run.argv.as_slice() {
        [_, flag, text] if flag == "-c" => text.clone(),
        words => words.join(" "),
    }
}

fn copied_folders<'a>(step: &'a Step, copy: &'a Copy, context: &dyn Source) -> Vec<Broad<'a>> {
    if copy.from != Origin::Context || copy.parents || !copy.exclude.is_empty() {
        return Vec::new();
    }
    let folders = copy.sources.iter().filter_map(|source| match source {
        CopySource::Path { pattern, .. } => Some(ContextPath::new(pattern)),
        CopySource::Http { .. } | CopySource::Git { .. } => None,
    });
    let is_folder = |path: &ContextPath| {
        path.is_root() || matches!(context.lookup(path), Ok(Some(meta)) if meta.kind.is_directory())
    };
    let destination = copy.destination.trim_end_matches("/.").trim_end_matches('/').to_owned();
    let folders = folders.filter(is_folder);
    folders.map(|folder| Broad { text: &step.text, folder, destination: destination.clone() }).collect()
}

fn late(step: &Step, run: &Run, install: &Install, broad: &[Broad<'_>], context: &dyn Source) -> Option<Diagnostic> {
    let message = format!("`{}` installs everything again whenever any of the copied files changes", install.tool());
    if let Install::System(_) = install {
        let copied = broad.last()?;
        let warning = Diagnostic::warning(RULE, step.span, message).with_label("needs no file of the context");
        return Some(warning.with_help(format!("put it above `{}`", copied.text)));
    }
    let workdir = run.workdir.trim_end_matches('/');
    broad.iter().rev().find_map(|copied| {
        let below = workdir.strip_prefix(&copied.destination)?;
        if !below.is_empty() && !below.starts_with('/') {
            return None;
        }
        let folder = copied.folder.join(below.trim_start_matches('/'));
        let files = match install {
            Install::Manifest(tool) => files_of(tool, &folder, context)?,
            Install::Requirements(lists) => lists_of(lists, &folder, context)?,
            Install::System(_) => return None,
        };
        if !has_others(&folder, &files, context) {
            return None;
        }
        let warning = Diagnostic::warning(RULE, step.span, message.clone());
        let warning = warning.with_label(format!("reads only {}", listed(&files)));
        let copy = files.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let help =
            format!("copy what it reads first: `COPY {copy} ./` above this line, and `{}` below it", copied.text);
        Some(warning.with_help(help))
    })
}

/// The files that an install reads, if it reads no others.
fn files_of(tool: &Tool, folder: &ContextPath, context: &dyn Source) -> Option<Vec<ContextPath>> {
    let there = |name: &&str| is_there(context, &folder.child(name.as_bytes()));
    if tool.needs_more.iter().any(&there) {
        return None;
    }
    let manifest = tool.manifest.iter().find(|name| there(name)).map(|name| folder.child(name.as_bytes()))?;
    let text = read(context, &manifest)?;
    if tool.reads_more.iter().any(|more| text.contains(more)) {
        return None;
    }
    let also = tool.also.iter().filter(|name| there(name)).map(|name| folder.child(name.as_bytes()));
    Some(std::iter::once(manifest).chain(also).collect())
}

/// The lists of pip, if they name no files.
fn lists_of(lists: &[String], folder: &ContextPath, context: &dyn Source) -> Option<Vec<ContextPath>> {
    let paths = lists.iter().map(|list| {
        let path = folder.join(list);
        let text = read(context, &path)?;
        let names_files =
            |line: &str| line.starts_with(['-', '.', '/']) || line.contains("file:") || line.contains(".whl");
        let reads_more = text.lines().map(str::trim).any(|line| names_files(line) && !line.starts_with("--"));
        (!reads_more).then_some(path)
    });
    paths.collect()
}

fn is_there(context: &dyn Source, path: &ContextPath) -> bool {
    // A context that cannot be read is reported where it is needed.
    matches!(context.lookup(path), Ok(Some(_)))
}

fn read(context: &dyn Source, path: &ContextPath) -> Option<String> {
    match context.lookup(path) {
        Ok(Some(meta)) if matches!(meta.kind, Kind::File { size } if size <= MAX_MANIFEST) => {}
        _ => return None,
    }
    let mut bytes = Vec::new();
    context.open(path).ok()?.take(MAX_MANIFEST).read_to_end(&mut bytes).ok()?;
    String::from_utf8(bytes).ok()
}

/// Whether the folder holds anything that changes more often than what the install reads.
fn has_others(folder: &ContextPath, files: &[ContextPath], context: &dyn Source) -> bool {
    let Ok(names) = context.list(folder) else { return false };
    names.iter().any(|name| {
        let is_hidden = name.starts_with(b".") || name.eq_ignore_ascii_case(b"dockerfile");
        !is_hidden && !files.contains(&folder.child(name))
    })
}

fn listed(files: &[ContextPath]) -> String {
    let names: Vec<String> = files.iter().map(|file| format!("`{file}`")).collect();
    match names.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    }
}
