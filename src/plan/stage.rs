//! One stage: its instructions applied to its base, one after the other.

use std::collections::BTreeMap;
use std::sync::Arc;

use rpds::RedBlackTreeMapSync;

use super::choices::{Choices, Known};
use super::graph::{Draft, Meaning};
use super::instruction::apply;
use super::lint::{Report, StageLint};
use super::step::{Action, Argument, Base, Copy, CopySource, Origin, Stage, Step, Unpack, Verb};
use super::told::ToldArguments;
use super::variables::{SetBy, Variables};
use super::{HistoryLine, ImageNeed, Inputs, StageId};
use crate::dockerfile::{Diagnostic, Dockerfile, Instruction, InstructionKind, Span};
use crate::image::ImageConfig;
use crate::remote;

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What every stage of a file sees.
pub(super) struct Surroundings<'a> {
    pub(super) dockerfile: &'a Dockerfile,
    pub(super) inputs: &'a Inputs,
    pub(super) globals: &'a Variables,
    /// The stage's number in the file.
    pub(super) index: usize,
    /// The planned stages by their number in the file.
    pub(super) ids: &'a BTreeMap<usize, StageId>,
}

impl<'a> Surroundings<'a> {
    /// What all stages share.
    pub(super) fn known(&self) -> Known<'a> {
        Known { dockerfile: self.dockerfile, inputs: self.inputs, globals: self.globals }
    }
}

/// What a stage has become after some of its instructions.
#[derive(Debug, Clone)]
pub(super) struct StageState {
    /// Copied where it is changed: stages that only bring files share it.
    pub(super) config: Arc<ImageConfig>,
    pub(super) variables: Variables,
    /// The arguments that may choose what `--from` names.
    pub(super) choices: Choices,
    /// The place of each variable in the config's list, in which looking for one would take long.
    env_places: RedBlackTreeMapSync<String, usize>,
    /// Whether an ARG of this stage hides a variable of the config, which the next stage sees again.
    hides_env: bool,
    /// The ARGs so far, as history lines tell them.
    pub(super) told: ToldArguments,
    /// Whether this stage itself has a CMD: an ENTRYPOINT resets an inherited one.
    pub(super) has_cmd: bool,
    /// Whether this stage or one that it stands on has a WORKDIR.
    pub(super) workdir_is_set: bool,
    /// Whether the config of the image that it stands on is known.
    pub(super) base_is_known: bool,
    /// Where the USER stands that counts, if this stage has one.
    pub(super) user_at: Option<Span>,
    /// The ARGs of this stage itself.
    pub(super) own_arguments: Vec<Argument>,
}

/// What an instruction amounts to.
pub(super) struct Effect {
    pub(super) action: Action,
    /// Its line in the history.
    pub(super) history: Option<HistoryLine>,
}

impl StageState {
    /// What a stage is before its first instruction, on an image, or on nothing.
    pub(super) fn on(base: &Meaning, inputs: &Inputs, bases: &BTreeMap<ImageNeed, ImageConfig>) -> Self {
        let scratch = ImageConfig::scratch(&inputs.platform);
        match base {
            Meaning::Image(image) => match bases.get(image) {
                Some(config) => Self::of(config.clone()),
                None => Self { base_is_known: false, ..Self::of(scratch) },
            },
            Meaning::Scratch | Meaning::Named(_) | Meaning::Stage(_) => {
                let mut config = scratch;
                config.config.working_dir = "/".to_owned();
                Self::of(config)
            }
        }
    }

    /// The config, to be changed.
    pub(super) fn config_mut(&mut self) -> &mut ImageConfig {
        Arc::make_mut(&mut self.config)
    }

    /// What a stage that stands on this one begins with.
    pub(super) fn inherited(mut self) -> Self {
        self.has_cmd = false;
        self.user_at = None;
        self.own_arguments.clear();
        if !self.config.config.on_build.is_empty() {
            self.config_mut().config.on_build.clear();
        }
        if std::mem::take(&mut self.hides_env) {
            self.see_config();
        }
        self
    }

    /// The variables of the config are those that count.
    fn see_config(&mut self) {
        let config = self.config.clone();
        for pair in &config.config.env {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            self.set_variable(name, value, SetBy::Env);
        }
    }

    /// ENV: sets a variable, in its old place if it has one.
    pub(super) fn set_env(&mut self, name: &str, value: &str) {
        let pair = format!("{name}={value}");
        let env = &mut Arc::make_mut(&mut self.config).config.env;
        match self.env_places.get(name).and_then(|place| env.get_mut(*place)) {
            Some(old) => *old = pair,
            None => {
                self.env_places.insert_mut(name.to_owned(), env.len());
                env.push(pair);
            }
        }
        self.set_variable(name, value, SetBy::Env);
    }

    /// Sets a variable, in its old place if it has one.
    pub(super) fn set_variable(&mut self, name: &str, value: &str, from: SetBy) {
        self.hides_env |= from == SetBy::Arg && self.env_places.contains_key(name);
        self.variables.set(name, value, from);
        self.told.change(name, value);
    }

    /// A stage on an image, or on nothing.
    fn of(mut config: ImageConfig) -> Self {
        config.created = None;
        config.forget_caches();
        config.config.on_build.clear();
        if config.config.variable("PATH").is_none() {
            config.config.set_variable("PATH", DEFAULT_PATH);
        }
        let mut env_places = RedBlackTreeMapSync::default();
        for (place, pair) in config.config.env.iter().enumerate() {
            let name = pair.split('=').next().unwrap_or(pair);
            // Of two variables of one name the first is the one that ENV changes.
            if !env_places.contains_key(name) {
                env_places.insert_mut(name.to_owned(), place);
            }
        }
        let mut state = Self {
            config: Arc::new(config),
            variables: Variables::default(),
            choices: Choices::default(),
            told: ToldArguments::default(),
            has_cmd: false,
            workdir_is_set: false,
            base_is_known: true,
            user_at: None,
            own_arguments: Vec::new(),
            env_places,
            hides_env: false,
        };
        state.see_config();
        state
    }

    /// The names of its ARGs.
    pub(super) fn declared_names(&self) -> impl Iterator<Item = String> + '_ {
        self.told.names().cloned()
    }
}

/// Applies a stage's instructions: its state at the end, the planned stage, and every problem found.
pub(super) fn evaluate(
    surroundings: &Surroundings<'_>,
    draft: &Draft<'_>,
    base: Base,
    mut state: StageState,
    report: &mut Report<'_>,
) -> (StageState, Stage, Vec<Diagnostic>) {
    let from_span = draft.stage.from.image.span();
    // A file may have thousands of stages of one step.
    let mut steps =
        Vec::with_capacity(draft.triggers.len() + draft.instructions.len() + usize::from(draft.is_replaced));
    if let Meaning::Named(name) = &draft.base {
        steps.push(files_of_context(name, from_span));
    }
    let mut problems = Vec::new();
    let mut lint = StageLint::new(surroundings, report);
    for (at, instruction) in draft.triggers.iter().chain(draft.instructions).enumerate() {
        let is_trigger = at < draft.triggers.len();
        state.choices.see(&instruction.kind, &surroundings.known());
        lint.check(&state, instruction, is_trigger.then_some(draft.stage.from.span));
        state.workdir_is_set |= matches!(instruction.kind, InstructionKind::Workdir(_));
        let known_arguments = state.own_arguments.len();
        let outcome = apply(surroundings, &mut state, instruction);
        if is_trigger {
            state.own_arguments[known_arguments..].iter_mut().for_each(|argument| argument.span = from_span);
        }
        match outcome {
            Ok(effect) => steps.push(step(instruction, effect, is_trigger.then_some(from_span))),
            Err(problem) if is_trigger => {
                let message = format!("the base's trigger `ONBUILD {}`: {}", instruction.text, problem.message);
                problems.push(Diagnostic::error("bad-trigger", from_span, message));
            }
            Err(problem) => problems.push(*problem),
        }
    }
    number(&mut steps, &base);
    let label = label(surroundings, draft);
    let config = state.config.clone();
    let arguments = state.own_arguments.clone();
    let stage = Stage { label, base, steps, config, arguments, span: draft.stage.from.span };
    (state, stage, problems)
}

/// The step that makes the files of a context a stage's base.
fn files_of_context(name: &str, span: Span) -> Step {
    let copy = Copy {
        verb: Verb::Copy,
        from: Origin::Named(name.to_owned()),
        sources: vec![CopySource::Path { pattern: "/".to_owned(), span }],
        inline: Vec::new(),
        destination: "/".to_owned(),
        chown: None,
        chmod: None,
        link: false,
        parents: false,
        exclude: Vec::new(),
        unpack: Unpack::Never,
    };
    let text = format!("FROM {name}");
    let history = HistoryLine::layer(text.clone());
    Step { span, text, position: (0, 0), action: Action::Copy(copy), history: Some(history) }
}

fn step(instruction: &Instruction, effect: Effect, trigger_of: Option<Span>) -> Step {
    let text = match trigger_of {
        Some(_) => format!("ONBUILD {}", instruction.text),
        None => instruction.text.clone(),
    };
    // It is shown, logged and remembered.
    let text = remote::masked(&text).into_owned();
    let Effect { action, history } = effect;
    Step { span: trigger_of.unwrap_or(instruction.span), text, position: (0, 0), action, history }
}

/// Counts the steps that do something, and the base if it is one: as `docker build` shows them.
fn number(steps: &mut [Step], base: &Base) {
    let first = usize::from(matches!(base, Base::Image(_)));
    let total = first + steps.iter().filter(|step| step.action != Action::Config).count();
    let mut at = first;
    for step in steps {
        if step.action == Action::Config {
            step.position = (0, total);
        } else {
            at += 1;
            step.position = (at, total);
        }
    }
}

fn label(surroundings: &Surroundings<'_>, draft: &Draft<'_>) -> String {
    match &draft.stage.name {
        Some(name) => name.value.clone(),
        None if surroundings.dockerfile.stages.len() == 1 => String::new(),
        None => format!("stage-{}", surroundings.index),
    }
}
