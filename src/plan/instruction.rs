//! What each instruction does to a stage.

use super::settings::{
    NOT_IN_ENVIRONMENT, duration, is_signal, looks_secret, nearest_signal, plain_list, ports, quoted_list, workdir,
};
use super::stage::{Effect, StageState, Surroundings};
use super::step::{Action, Argument, ArgumentSource, Device, InlineFile, Insecure, Network, Run, Security, Workdir};
use super::transfer;
use super::variables::SetBy;
use super::{HistoryLine, arguments, mount, values};
use crate::dockerfile::{
    self, ArgDeclaration, CommandLine, Diagnostic, Instruction, InstructionKind, Pair, Script, Span, Text, Word,
    expand, expand_words,
};
use crate::image::{Empty, Healthcheck};

type Applied<T> = Result<T, Box<Diagnostic>>;

/// Applies one instruction to the stage and says what is to be done.
pub(super) fn apply(
    surroundings: &Surroundings<'_>,
    state: &mut StageState,
    instruction: &Instruction,
) -> Applied<Effect> {
    match &instruction.kind {
        InstructionKind::Run(run) => apply_run(surroundings, state, run, instruction.span),
        InstructionKind::Copy(copy) => transfer::copy(surroundings, state, copy),
        InstructionKind::Add(add) => transfer::add(surroundings, state, add),
        InstructionKind::Workdir(path) => apply_workdir(surroundings, state, path),
        InstructionKind::Arg(declarations) => apply_arg(surroundings, state, declarations),
        InstructionKind::Env(pairs) => apply_env(surroundings, state, pairs),
        InstructionKind::Label(pairs) => apply_label(surroundings, state, pairs),
        InstructionKind::Cmd(command) => Ok(apply_cmd(state, command)),
        InstructionKind::Entrypoint(command) => Ok(apply_entrypoint(state, command)),
        InstructionKind::Expose(words) => apply_expose(surroundings, state, words),
        InstructionKind::Volume(words) => apply_volume(surroundings, state, words),
        InstructionKind::User(word) => {
            let user = value(surroundings, state, word)?;
            state.config_mut().config.user.clone_from(&user);
            state.user_at = Some(word.span());
            Ok(config_only(format!("USER {user}")))
        }
        InstructionKind::StopSignal(word) => apply_stop_signal(surroundings, state, word),
        InstructionKind::Shell(words) => {
            let words = values(words);
            state.config_mut().config.shell = Some(words.clone());
            Ok(config_only(format!("SHELL {}", plain_list(&words))))
        }
        InstructionKind::Healthcheck(check) => Ok(apply_healthcheck(state, check)),
        InstructionKind::Maintainer(text) => {
            state.config_mut().author.clone_from(&text.value);
            Ok(config_only(format!("MAINTAINER {}", text.value)))
        }
        InstructionKind::Onbuild(onbuild) => {
            state.config_mut().config.on_build.push(onbuild.trigger.clone());
            // BuildKit leaves no history line for it either.
            Ok(Effect { action: Action::Config, history: None })
        }
    }
}

/// The value of a word where it stands.
pub(super) fn value(surroundings: &Surroundings<'_>, state: &StageState, word: &Word) -> Applied<String> {
    let escape = surroundings.dockerfile.directives.escape;
    match expand(word, escape, &state.variables) {
        Ok(expanded) => Ok(expanded.value),
        Err(error) => Err(Box::new(error.diagnostic(word))),
    }
}

/// What is refused because it cannot be done yet: by name, at its place.
pub(super) fn unsupported(span: Span, what: &str) -> Box<Diagnostic> {
    let message = format!("{what} is not supported by this version of rbuild");
    Box::new(Diagnostic::error("unsupported", span, message))
}

fn config_only(history: String) -> Effect {
    Effect { action: Action::Config, history: Some(HistoryLine::config(history)) }
}

fn values(texts: &[Text]) -> Vec<String> {
    texts.iter().map(|text| text.value.clone()).collect()
}

fn with_shell(state: &StageState, text: &str) -> Vec<String> {
    let shell = state.config.config.shell.clone().filter(|shell| !shell.is_empty());
    let mut argv = shell.unwrap_or_else(|| vec!["/bin/sh".to_owned(), "-c".to_owned()]);
    argv.push(text.to_owned());
    argv
}

fn command_words(state: &StageState, command: &CommandLine) -> Vec<String> {
    match command {
        CommandLine::Exec(words) => values(words),
        CommandLine::Shell { text, .. } => with_shell(state, &text.value),
    }
}

fn apply_run(
    surroundings: &Surroundings<'_>,
    state: &StageState,
    run: &dockerfile::Run,
    span: Span,
) -> Applied<Effect> {
    let security = security(surroundings, run, span)?;
    values::check_user(&state.config.config.user, state.user_at.unwrap_or(span))?;
    let network = match run.network {
        None | Some(dockerfile::Network::Default) => surroundings.inputs.network,
        Some(dockerfile::Network::Host) => Network::Host,
        Some(dockerfile::Network::None) => Network::None,
    };
    let (argv, script) = match run.command.script() {
        None => (command_words(state, &run.command), None),
        Some(Script::Shell(text)) => (with_shell(state, &text), None),
        Some(Script::Program { name, content }) => {
            let file = InlineFile { name: name.clone(), content: content.into_bytes() };
            // The shell starts it, as in BuildKit, although it names its interpreter.
            (with_shell(state, &format!("/dev/pipes/{name}")), Some(file))
        }
    };
    let history = HistoryLine::run(&state.told, argv.join(" ") + " # buildkit");
    let run = Run {
        argv,
        env: state.variables.environment(),
        proxies: arguments::proxies(surroundings.inputs),
        workdir: state.config.config.working_dir.clone(),
        user: state.config.config.user.clone(),
        network,
        security,
        mounts: mount::mounts(surroundings, state, &run.mounts)?,
        devices: devices(run)?,
        hostname: arguments::hostname(surroundings.inputs),
        script,
    };
    Ok(Effect { action: Action::Run(run), history: Some(history) })
}

/// Its names hold no variables, in BuildKit neither.
fn devices(run: &dockerfile::Run) -> Applied<Vec<Device>> {
    let devices = run.devices.iter().map(|device| {
        let dockerfile::Device { name, required } = device;
        if name.value.is_empty() {
            let report = Diagnostic::error("missing-option", name.span, "the device has no name");
            return Err(Box::new(report.with_help("write for example `--device=vendor.com/class=name`")));
        }
        Ok(Device { name: name.value.clone(), required: *required, span: name.span })
    });
    devices.collect()
}

fn security(surroundings: &Surroundings<'_>, run: &dockerfile::Run, span: Span) -> Applied<Security> {
    if run.security != Some(dockerfile::Security::Insecure) {
        return Ok(Security::Sandbox);
    }
    match surroundings.inputs.insecure {
        Insecure::Allowed => Ok(Security::Insecure),
        Insecure::Refused => {
            let message = "`--security=insecure` gives the command every right of the builder, which is not allowed";
            let help = "if you trust this Dockerfile, build with `--allow security.insecure`";
            Err(Box::new(Diagnostic::error("security-not-allowed", span, message).with_help(help)))
        }
    }
}

fn apply_workdir(surroundings: &Surroundings<'_>, state: &mut StageState, word: &Word) -> Applied<Effect> {
    let given = value(surroundings, state, word)?;
    let path = workdir(&state.config.config.working_dir, &given);
    state.config_mut().config.working_dir.clone_from(&path);
    let history = format!("WORKDIR {path}");
    if path == "/" {
        return Ok(config_only(history));
    }
    let action = Action::Workdir(Workdir { path, user: state.config.config.user.clone() });
    Ok(Effect { action, history: Some(HistoryLine::layer(history)) })
}

fn apply_arg(
    surroundings: &Surroundings<'_>,
    state: &mut StageState,
    declarations: &[ArgDeclaration],
) -> Applied<Effect> {
    let mut told = Vec::new();
    for declaration in declarations {
        let name = &declaration.name.value;
        let given = surroundings.inputs.build_args.get(name).cloned();
        let (value, set_by) = match (given, &declaration.default) {
            (Some(given), _) => (Some(given), ArgumentSource::CommandLine),
            (None, Some(default)) => (Some(value(surroundings, state, default)?), ArgumentSource::Default),
            (None, None) => (surroundings.globals.get(name).map(str::to_owned), ArgumentSource::Global),
        };
        let span = declaration.name.span;
        state.own_arguments.push(Argument { name: name.clone(), value: value.clone(), set_by, span });
        if let Some(value) = value.as_ref().filter(|_| !NOT_IN_ENVIRONMENT.contains(&name.as_str())) {
            state.set_variable(name, value, SetBy::Arg);
        }
        told.push(match &value {
            Some(value) if !looks_secret(name) => format!("{name}={value}"),
            _ => name.clone(),
        });
        let now = state.variables.get(name).map(str::to_owned).or(value).unwrap_or_default();
        state.told.declare(name, &now);
    }
    Ok(config_only(format!("ARG {}", told.join(" "))))
}

/// The keys and values of ENV or LABEL, all as the variables were before the instruction.
fn pairs(surroundings: &Surroundings<'_>, state: &StageState, pairs: &[Pair]) -> Applied<Vec<(String, String)>> {
    let expanded = pairs.iter().map(|pair| {
        let (key, text) = (value(surroundings, state, &pair.key)?, value(surroundings, state, &pair.value)?);
        Ok((key, text))
    });
    expanded.collect()
}

fn told_pairs(keyword: &str, pairs: &[(String, String)]) -> String {
    let told: Vec<String> = pairs.iter().map(|(key, text)| format!("{key}={text}")).collect();
    format!("{keyword} {}", told.join(" "))
}

fn apply_env(surroundings: &Surroundings<'_>, state: &mut StageState, given: &[Pair]) -> Applied<Effect> {
    let pairs = pairs(surroundings, state, given)?;
    for (name, text) in &pairs {
        state.set_env(name, text);
    }
    Ok(config_only(told_pairs("ENV", &pairs)))
}

fn apply_label(surroundings: &Surroundings<'_>, state: &mut StageState, given: &[Pair]) -> Applied<Effect> {
    let pairs = pairs(surroundings, state, given)?;
    state.config_mut().config.labels.extend(pairs.iter().cloned());
    Ok(config_only(told_pairs("LABEL", &pairs)))
}

fn apply_cmd(state: &mut StageState, command: &CommandLine) -> Effect {
    let words = command_words(state, command);
    state.config_mut().config.cmd = Some(words.clone()).filter(|words| !words.is_empty());
    state.config_mut().config.extra.insert("ArgsEscaped".to_owned(), serde_json::Value::Bool(true));
    state.has_cmd = true;
    config_only(format!("CMD {}", quoted_list(&words)))
}

fn apply_entrypoint(state: &mut StageState, command: &CommandLine) -> Effect {
    let words = command_words(state, command);
    state.config_mut().config.entrypoint = Some(words.clone()).filter(|words| !words.is_empty());
    if !state.has_cmd {
        state.config_mut().config.cmd = None;
    }
    config_only(format!("ENTRYPOINT {}", quoted_list(&words)))
}

fn apply_expose(surroundings: &Surroundings<'_>, state: &mut StageState, words: &[Word]) -> Applied<Effect> {
    let escape = surroundings.dockerfile.directives.escape;
    let mut exposed = Vec::new();
    for word in words {
        let specs = expand_words(word, escape, &state.variables).map_err(|error| Box::new(error.diagnostic(word)))?;
        for spec in specs.value {
            let found = ports(&spec);
            exposed.extend(found.map_err(|problem| {
                let report = Diagnostic::error("bad-port", word.span(), problem);
                Box::new(match (word.raw(), spec.contains(',')) {
                    ("#", _) => report.with_help("a comment cannot follow an instruction: put it on a line of its own"),
                    (_, true) => report.with_fix("put spaces between ports", word.span(), word.raw().replace(',', " ")),
                    (raw, _) if raw.starts_with('[') => {
                        report.with_help("write ports without brackets: `EXPOSE 80 443`")
                    }
                    _ => report.with_help("write `8080`, `53/udp` or a range such as `8000-8010`"),
                })
            })?);
        }
    }
    state.config_mut().config.exposed_ports.extend(exposed.iter().map(|port| (port.clone(), Empty {})));
    Ok(config_only(format!("EXPOSE {}", plain_list(&exposed))))
}

fn apply_volume(surroundings: &Surroundings<'_>, state: &mut StageState, words: &[Word]) -> Applied<Effect> {
    let mut volumes = Vec::new();
    for word in words {
        let volume = value(surroundings, state, word)?;
        if volume.is_empty() {
            let message = format!("the path `{}` of a VOLUME is empty once its variables are replaced", word.raw());
            let help = "give the variable a value with ARG or ENV above, or write the path itself";
            return Err(Box::new(Diagnostic::error("empty-volume", word.span(), message).with_help(help)));
        }
        volumes.push(volume);
    }
    state.config_mut().config.volumes.extend(volumes.iter().map(|volume| (volume.clone(), Empty {})));
    Ok(config_only(format!("VOLUME {}", plain_list(&volumes))))
}

fn apply_stop_signal(surroundings: &Surroundings<'_>, state: &mut StageState, word: &Word) -> Applied<Effect> {
    let signal = value(surroundings, state, word)?;
    if !is_signal(&signal) {
        let message = format!("`{signal}` is no signal");
        let report = Diagnostic::error("bad-signal", word.span(), message);
        return Err(Box::new(match nearest_signal(&signal) {
            Some(near) => report.with_help(format!("did you mean `{near}`?")),
            None => report.with_help("write a name such as `SIGTERM`, or a number"),
        }));
    }
    state.config_mut().config.stop_signal.clone_from(&signal);
    Ok(config_only(format!("STOPSIGNAL {signal}")))
}

fn apply_healthcheck(state: &mut StageState, check: &dockerfile::Healthcheck) -> Effect {
    let nanos = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let check = match check {
        dockerfile::Healthcheck::None => Healthcheck { test: Some(vec!["NONE".to_owned()]), ..Healthcheck::default() },
        dockerfile::Healthcheck::Command { command, timing } => {
            let mut test = match command {
                CommandLine::Exec(_) => vec!["CMD".to_owned()],
                CommandLine::Shell { .. } => vec!["CMD-SHELL".to_owned()],
            };
            match command {
                CommandLine::Exec(words) => test.extend(values(words)),
                CommandLine::Shell { text, .. } => test.push(text.value.clone()),
            }
            Healthcheck {
                test: Some(test),
                interval: nanos(timing.interval),
                timeout: nanos(timing.timeout),
                start_period: nanos(timing.start_period),
                start_interval: nanos(timing.start_interval),
                retries: i64::from(timing.retries),
                ..Healthcheck::default()
            }
        }
    };
    let told = format!(
        "HEALTHCHECK {{Test:{} Interval:{} Timeout:{} StartPeriod:{} StartInterval:{} Retries:{}}}",
        plain_list(check.test.as_deref().unwrap_or_default()),
        duration(check.interval),
        duration(check.timeout),
        duration(check.start_period),
        duration(check.start_interval),
        check.retries
    );
    state.config_mut().config.healthcheck = Some(check);
    config_only(told)
}
