//! What a target takes from outside: arguments, secrets, agents, caches.

use std::collections::{BTreeMap, BTreeSet};

use super::mount::Mounted;
use super::settings::looks_secret;
use super::step::{Action, ArgumentSource, Base, Copy, Origin, Plan, Stage, StageId};
use super::{Inputs, arguments};
use crate::dockerfile::{Dockerfile, InstructionKind, Span, expand};

/// What a target takes from outside, as BuildKit's outline tells it, each in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outline {
    /// The target's name; empty if it has none.
    pub name: String,
    /// What the comment above it says.
    pub description: String,
    /// Build arguments.
    pub arguments: Vec<OutlineArgument>,
    /// Secrets.
    pub secrets: Vec<OutlineNeed>,
    /// Agents for ssh.
    pub agents: Vec<OutlineNeed>,
    /// Caches, none of which is required.
    pub caches: Vec<OutlineNeed>,
}

/// A build argument that a target uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutlineArgument {
    /// Its name.
    pub name: String,
    /// What the comment above it says.
    pub description: String,
    /// Its value; empty if it has none, or if it was given and has the name of a secret.
    pub value: String,
    /// Where it stands.
    pub span: Span,
}

/// Something that a mount of a target asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutlineNeed {
    /// Its id.
    pub id: String,
    /// Whether the build fails without it.
    pub required: bool,
    /// Where the mount stands.
    pub span: Span,
}

/// Tells what the target of a plan takes from outside.
pub fn outline(dockerfile: &Dockerfile, inputs: &Inputs, plan: &Plan) -> Outline {
    let mut found = Outline::default();
    let Some(target) = plan.stages.get(plan.target.0) else { return found };
    if let Some(stage) = stage_of(dockerfile, target)
        && let Some(name) = &stage.name
    {
        found.name.clone_from(&name.value);
        found.description = stage.from.description(&name.value).unwrap_or_default().to_owned();
    }
    let globals = globals(dockerfile, inputs);
    let mut seen = BTreeSet::new();
    for stage in stages_below(plan) {
        add_arguments(dockerfile, &globals, stage, &mut seen, &mut found.arguments);
        add_mounts(stage, &mut found);
    }
    found.arguments.sort_by_key(|argument| argument.span.start());
    for needs in [&mut found.secrets, &mut found.agents, &mut found.caches] {
        needs.sort_by_key(|need| need.span.start());
    }
    found
}

fn stage_of<'a>(dockerfile: &'a Dockerfile, stage: &Stage) -> Option<&'a crate::dockerfile::Stage> {
    dockerfile.stages.iter().find(|one| one.from.span == stage.span)
}

/// The target, what it stands on, what it copies from, and so on, each once.
fn stages_below(plan: &Plan) -> Vec<&Stage> {
    let mut found = Vec::new();
    let mut seen: BTreeSet<StageId> = BTreeSet::new();
    let mut pending = vec![plan.target];
    while let Some(id) = pending.pop() {
        let Some(stage) = plan.stages.get(id.0).filter(|_| seen.insert(id)) else { continue };
        found.push(stage);
        // The base comes first, so it is the last to be put aside.
        pending.extend(stage.steps.iter().rev().flat_map(|step| sources(&step.action)));
        if let Base::Stage(base) = stage.base {
            pending.push(base);
        }
    }
    found
}

fn sources(action: &Action) -> Vec<StageId> {
    let stage = |origin: &Origin| match origin {
        Origin::Stage(id) => Some(*id),
        Origin::Context | Origin::Image(_) | Origin::Named(_) => None,
    };
    match action {
        Action::Copy(Copy { from, .. }) => stage(from).into_iter().collect(),
        Action::Run(run) => {
            let origins = run.mounts.iter().filter_map(|mount| match &mount.what {
                Mounted::Bind { from, .. } => from.as_ref(),
                Mounted::Cache(cache) => cache.seed.as_ref().map(|(origin, _)| origin),
                Mounted::Tmpfs { .. } | Mounted::Secret { .. } | Mounted::Ssh { .. } => None,
            });
            origins.filter_map(stage).collect()
        }
        Action::Workdir(_) | Action::Config => Vec::new(),
    }
}

/// An argument before the first FROM.
#[derive(Debug, Default)]
struct Global {
    argument: Option<OutlineArgument>,
    /// The arguments that its default is made of.
    made_of: BTreeSet<String>,
}

fn globals(dockerfile: &Dockerfile, inputs: &Inputs) -> BTreeMap<String, Global> {
    let mut variables = arguments::automatic(dockerfile, inputs);
    let mut found: BTreeMap<String, Global> = BTreeMap::new();
    for instruction in &dockerfile.globals {
        let InstructionKind::Arg(declarations) = &instruction.kind else { continue };
        for declaration in declarations {
            let name = &declaration.name.value;
            let given = inputs.build_args.get(name);
            let mut made_of = BTreeSet::new();
            let mut value = given.cloned();
            if given.is_none()
                && let Some(default) = &declaration.default
                && let Ok(expanded) = expand(default, dockerfile.directives.escape, &variables)
            {
                made_of = expanded.used;
                // One that is declared again with its own old value is made of what that was made of.
                if made_of.remove(name) {
                    made_of.extend(found.get(name).map(|old| old.made_of.clone()).unwrap_or_default());
                }
                value = Some(expanded.value);
            }
            if let Some(value) = &value {
                variables.set(name, value, super::variables::SetBy::Arg);
            }
            let hidden = given.is_some() && looks_secret(name);
            let argument = OutlineArgument {
                name: name.clone(),
                description: instruction.description(name).unwrap_or_default().to_owned(),
                value: value.filter(|_| !hidden).unwrap_or_default(),
                span: declaration.name.span,
            };
            found.insert(name.clone(), Global { argument: Some(argument), made_of });
        }
    }
    found
}

fn add_arguments(
    dockerfile: &Dockerfile,
    globals: &BTreeMap<String, Global>,
    stage: &Stage,
    seen: &mut BTreeSet<String>,
    found: &mut Vec<OutlineArgument>,
) {
    // Of one name, the last declaration counts.
    let mut own: BTreeMap<&str, OutlineArgument> = BTreeMap::new();
    let mut used: Vec<String> = used_by_from(dockerfile, stage);
    for argument in &stage.arguments {
        if argument.set_by == ArgumentSource::Global && argument.value.is_some() {
            used.push(argument.name.clone());
            continue;
        }
        let hidden = argument.set_by == ArgumentSource::CommandLine && looks_secret(&argument.name);
        let description = dockerfile.head_at(argument.span).and_then(|head| head.description(&argument.name));
        let shown = OutlineArgument {
            name: argument.name.clone(),
            description: description.unwrap_or_default().to_owned(),
            value: argument.value.clone().filter(|_| !hidden).unwrap_or_default(),
            span: argument.span,
        };
        own.insert(&argument.name, shown);
    }
    let mut done = BTreeSet::new();
    while let Some(name) = used.pop() {
        let Some(global) = globals.get(&name).filter(|_| done.insert(name.clone())) else { continue };
        used.extend(global.made_of.iter().cloned());
        if !own.contains_key(name.as_str()) && seen.insert(name) {
            found.extend(global.argument.clone());
        }
    }
    found.extend(own.into_values().filter(|argument| seen.insert(argument.name.clone())));
}

/// The variables that stand in the FROM of a stage.
fn used_by_from(dockerfile: &Dockerfile, stage: &Stage) -> Vec<String> {
    let Some(stage) = stage_of(dockerfile, stage) else { return Vec::new() };
    let words = std::iter::once(&stage.from.image).chain(&stage.from.platform);
    // Whether they are set does not matter: what is not declared is not found.
    let expanded = words.filter_map(|word| {
        let nothing = crate::dockerfile::NoEnv;
        expand(word, dockerfile.directives.escape, &nothing).ok()
    });
    expanded.flat_map(|expanded| expanded.unset).collect()
}

fn add_mounts(stage: &Stage, found: &mut Outline) {
    for step in &stage.steps {
        let Action::Run(run) = &step.action else { continue };
        for mount in &run.mounts {
            let need = |id: &str, required| OutlineNeed { id: id.to_owned(), required, span: step.span };
            let (list, need) = match &mount.what {
                Mounted::Secret { id, required, .. } => (&mut found.secrets, need(id, *required)),
                Mounted::Ssh { id, required, .. } => (&mut found.agents, need(id, *required)),
                // The namespace stands before the first slash.
                Mounted::Cache(cache) => {
                    let id = cache.id.split_once('/').map_or(cache.id.as_str(), |(_, id)| id);
                    (&mut found.caches, need(id, false))
                }
                Mounted::Bind { .. } | Mounted::Tmpfs { .. } => continue,
            };
            if !list.iter().any(|known| known.id == need.id) {
                list.push(need);
            }
        }
    }
}
