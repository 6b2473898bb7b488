//! What is odd about the instructions of a stage, each with the variables that it finds.

use std::collections::{BTreeMap, BTreeSet};

use super::Report;
use super::from::{label_of, place_of};
use crate::dockerfile::{
    ArgDeclaration, CommandLine, Diagnostic, Head, Instruction, InstructionKind, Keyword, Pair, Separator, Span,
    Transfer, Word, expand, expand_heredoc, expand_words, json_fault, nearest, secret_value,
};
use crate::plan::settings::{NOT_IN_ENVIRONMENT, looks_secret, ports, workdir};
use crate::plan::stage::{StageState, Surroundings};

/// For how many undefined names of a stage a near one is looked for.
const MAX_ADVISED: usize = 20;

/// Looks at a stage while it is planned.
pub(in crate::plan) struct StageLint<'a, 'r> {
    surroundings: &'a Surroundings<'a>,
    report: &'a mut Report<'r>,
    /// The last CMD, ENTRYPOINT and HEALTHCHECK.
    seen: BTreeMap<Keyword, Span>,
    /// Where the FROM stands, while a trigger of the base is looked at: it stands nowhere else in the file.
    trigger_of: Option<Span>,
    /// What undefined names were probably meant to be, as it was when each was seen first.
    advised: BTreeMap<String, Option<String>>,
}

impl<'a, 'r> StageLint<'a, 'r> {
    /// Begins a stage.
    pub(in crate::plan) fn new(surroundings: &'a Surroundings<'a>, report: &'a mut Report<'r>) -> Self {
        Self { surroundings, report, seen: BTreeMap::new(), trigger_of: None, advised: BTreeMap::new() }
    }

    /// Looks at an instruction before it is applied; `trigger_of` is the place of the FROM that brings it, if one does.
    pub(in crate::plan) fn check(&mut self, state: &StageState, instruction: &Instruction, trigger_of: Option<Span>) {
        self.trigger_of = trigger_of;
        let head = &instruction.head;
        match &instruction.kind {
            InstructionKind::Env(pairs) => {
                self.pairs(state, head, pairs);
                self.env(state, head, pairs);
            }
            InstructionKind::Label(pairs) => self.pairs(state, head, pairs),
            InstructionKind::Arg(declarations) => self.arg(state, head, declarations),
            InstructionKind::Copy(copy) => self.transfer(state, head, &copy.transfer, None),
            InstructionKind::Add(add) => self.transfer(state, head, &add.transfer, add.checksum.as_ref()),
            InstructionKind::Run(run) => {
                for mount in &run.mounts {
                    let escape = self.surroundings.dockerfile.directives.escape;
                    // A mount that is wrong is an error where it is planned.
                    let Ok((_, unset)) = mount.resolve(escape, &state.variables) else { continue };
                    let word = Word::new("", mount.span);
                    self.undefined(state, head, &word, &unset);
                }
            }
            InstructionKind::Workdir(path) => {
                self.word(state, head, path);
                self.relative(state, head, path);
            }
            InstructionKind::User(word) | InstructionKind::StopSignal(word) => self.word(state, head, word),
            InstructionKind::Volume(words) => words.iter().for_each(|word| self.word(state, head, word)),
            InstructionKind::Expose(words) => words.iter().for_each(|word| self.expose(state, head, word)),
            InstructionKind::Cmd(command) | InstructionKind::Entrypoint(command) => {
                self.only_last_counts(head);
                self.shell_form(state, head, command);
            }
            InstructionKind::Healthcheck(_) => self.only_last_counts(head),
            InstructionKind::Maintainer(_) | InstructionKind::Onbuild(_) | InstructionKind::Shell(_) => {}
        }
    }

    /// Adds a warning; one about a trigger stands at the FROM and has no edits, for its text is not in the file.
    fn add(&mut self, head: &Head, mut warning: Diagnostic) {
        if let Some(span) = self.trigger_of {
            warning.span = span;
            warning.message = format!("the base's trigger `ONBUILD {}`: {}", head.text, warning.message);
            warning.help.iter_mut().for_each(|help| help.replacement = None);
            // The secret stands in the base image.
            if warning.code == "SecretValue" {
                return;
            }
        }
        self.report.add(&head.comments, warning);
    }

    fn transfer(&mut self, state: &StageState, head: &Head, transfer: &Transfer, checksum: Option<&Word>) {
        let options = [transfer.chown.as_ref(), transfer.chmod.as_ref(), checksum];
        for word in options.into_iter().flatten().chain(&transfer.sources).chain([&transfer.destination]) {
            self.word(state, head, word);
        }
        for heredoc in &transfer.heredocs {
            if let Ok(expanded) = expand_heredoc(heredoc, &state.variables) {
                let word = Word::new("", heredoc.content_span);
                self.undefined(state, head, &word, &expanded.unset);
            }
        }
    }

    fn word(&mut self, state: &StageState, head: &Head, word: &Word) {
        // What cannot be expanded is an error where it is used.
        if let Ok(expanded) = expand(word, self.surroundings.dockerfile.directives.escape, &state.variables) {
            self.undefined(state, head, word, &expanded.unset);
        }
    }

    fn undefined(&mut self, state: &StageState, head: &Head, word: &Word, unset: &BTreeSet<String>) {
        if !state.base_is_known {
            // It may well be one of the base image.
            return;
        }
        let dockerfile = self.surroundings.dockerfile;
        for name in unset {
            let declared = state.told.has(name);
            if declared || NOT_IN_ENVIRONMENT.contains(&name.as_str()) {
                continue;
            }
            let message = format!("the variable `{name}` is not defined here");
            let place = place_of(dockerfile, word, name);
            let warning = Diagnostic::warning("UndefinedVar", place, message);
            let warning = warning.with_label(label_of(dockerfile, place));
            let warning = match self.advice(state, name) {
                Some(help) => warning.with_help(help),
                None => warning,
            };
            self.add(head, warning);
        }
    }

    fn advice(&mut self, state: &StageState, name: &str) -> Option<String> {
        let Surroundings { dockerfile, globals, .. } = self.surroundings;
        if dockerfile.global_args().any(|argument| argument.name.value == name) || globals.get(name).is_some() {
            return Some(format!(
                "repeat `ARG {name}` in this stage: what is declared before FROM counts for FROM only"
            ));
        }
        // Each look compares the name with all variables.
        if !self.advised.contains_key(name) && self.advised.len() < MAX_ADVISED {
            let known = state.variables.environment();
            let near = nearest(name, known.iter().map(|variable| variable.name.as_str()));
            self.advised.insert(name.to_owned(), near.map(|near| format!("did you mean `${near}`?")));
        }
        self.advised.get(name).cloned().flatten()
    }

    fn pairs(&mut self, state: &StageState, head: &Head, pairs: &[Pair]) {
        for pair in pairs {
            self.word(state, head, &pair.key);
            self.word(state, head, &pair.value);
        }
        for pair in pairs.iter().filter(|pair| pair.separator == Separator::Space) {
            let span = pair.key.span().to(pair.value.span());
            let message = format!("`{} name value` is the old form", head.keyword);
            let value = pair.value.raw();
            let plain = !value.contains(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '\\'));
            let warning = Diagnostic::warning("LegacyKeyValueFormat", span, message);
            let warning = match plain {
                true => warning.with_fix("put `=` between name and value", span, format!("{}={value}", pair.key.raw())),
                false => warning.with_help(format!("write `{} name=\"value\"`", head.keyword)),
            };
            self.add(head, warning);
        }
    }

    fn env(&mut self, state: &StageState, head: &Head, pairs: &[Pair]) {
        let escape = self.surroundings.dockerfile.directives.escape;
        for pair in pairs {
            let Ok(name) = expand(&pair.key, escape, &state.variables) else { continue };
            self.secret_name(head, &name.value, pair.key.span());
            if let Ok(value) = expand(&pair.value, escape, &state.variables) {
                self.secret_value(head, &name.value, &value.value, pair.value.span());
            }
        }
    }

    fn arg(&mut self, state: &StageState, head: &Head, declarations: &[ArgDeclaration]) {
        let Surroundings { dockerfile, inputs, .. } = self.surroundings;
        let mut before: BTreeSet<String> = BTreeSet::new();
        for declaration in declarations {
            let name = &declaration.name.value;
            self.secret_name(head, name, declaration.name.span);
            if let Some(default) = &declaration.default
                && let Ok(mut expanded) = expand(default, dockerfile.directives.escape, &state.variables)
            {
                self.secret_value(head, name, &expanded.value, default.span());
                if !inputs.build_args.contains_key(name) {
                    expanded.unset.retain(|name| !before.contains(name));
                    self.undefined(state, head, default, &expanded.unset);
                }
            }
            before.insert(name.clone());
        }
    }

    fn secret_name(&mut self, head: &Head, name: &str, span: Span) {
        if looks_secret(name) {
            let message = format!("{} `{name}` looks like a secret, which the image would keep", head.keyword);
            let warning = Diagnostic::warning("SecretsUsedInArgOrEnv", span, message);
            self.add(head, warning.with_help("use `RUN --mount=type=secret`"));
        }
    }

    fn secret_value(&mut self, head: &Head, name: &str, value: &str, span: Span) {
        let Some(kind) = secret_value(name, value) else { return };
        let message =
            format!("the value of `{name}` looks like {}, which everyone who has the image can read", kind.as_str());
        let warning = Diagnostic::warning("SecretValue", span, message);
        let help = "take it out of the file, replace it where it is used, and give it to commands with `RUN --mount=type=secret`";
        self.add(head, warning.with_help(help));
    }

    fn relative(&mut self, state: &StageState, head: &Head, path: &Word) {
        let Ok(given) = expand(path, self.surroundings.dockerfile.directives.escape, &state.variables) else { return };
        if state.workdir_is_set || given.value.starts_with('/') {
            return;
        }
        let message = format!("the relative WORKDIR `{}` depends on the working folder of the base image", given.value);
        let warning = Diagnostic::warning("WorkdirRelativePath", path.span(), message);
        let whole = workdir(&state.config.config.working_dir, &given.value);
        self.add(head, warning.with_help(format!("write the whole path, for example `WORKDIR {whole}`")));
    }

    fn expose(&mut self, state: &StageState, head: &Head, word: &Word) {
        let escape = self.surroundings.dockerfile.directives.escape;
        let Ok(specs) = expand_words(word, escape, &state.variables) else { return };
        for spec in specs.value.iter().filter(|spec| ports(spec).is_ok()) {
            let (host, container) = spec.rsplit_once(':').map_or(("", spec.as_str()), |(host, port)| (host, port));
            let lower = container.to_lowercase();
            let fix = |warning: Diagnostic, text: &str| match word.raw() == spec {
                true => warning.with_fix(format!("write `{text}`"), word.span(), text),
                false => warning.with_help(format!("write `{text}`")),
            };
            if lower != container {
                let message = format!("the protocol of `{spec}` should be in lower case");
                let warning = Diagnostic::warning("ExposeProtoCasing", word.span(), message);
                self.add(head, fix(warning, &spec.replace(container, &lower)));
            }
            if host.chars().any(|c| c != ':') {
                let message = format!("`{spec}` names an address or port of the host, which EXPOSE does not set");
                let warning = Diagnostic::warning("ExposeInvalidFormat", word.span(), message);
                let warning =
                    warning.with_note("ports of the host are chosen when a container starts: `docker run -p`");
                self.add(head, fix(warning, &lower));
            }
        }
    }

    fn only_last_counts(&mut self, head: &Head) {
        let keyword = head.keyword;
        let span = self.trigger_of.unwrap_or(head.span);
        if let Some(before) = self.seen.insert(keyword, span) {
            let message = format!("this {keyword} has no effect: only the last one of a stage counts");
            let warning = Diagnostic::warning("MultipleInstructionsDisallowed", before, message);
            // The comments are those of the later one, the place is that of the one before, as in BuildKit.
            self.report.add(&head.comments, warning.with_help("remove it"));
        }
    }

    fn shell_form(&mut self, state: &StageState, head: &Head, command: &CommandLine) {
        let CommandLine::Shell { text, .. } = command else { return };
        if state.config.config.shell.as_ref().is_some_and(|shell| !shell.is_empty()) {
            return;
        }
        let message = format!("{} runs in a shell, which does not pass signals on", head.keyword);
        let warning = Diagnostic::warning("JSONArgsRecommended", head.span, message);
        let help = match text.value.starts_with('[') {
            true => format!("this begins like an array but is no valid JSON: {}", json_fault(&text.value)),
            false => as_array(head.keyword, &text.value),
        };
        self.add(head, warning.with_help(help));
    }
}

/// The same command as an array, if it needs no shell.
fn as_array(keyword: Keyword, text: &str) -> String {
    let plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, ' ' | '-' | '_' | '.' | '/' | ':' | '=' | ',' | '@' | '+');
    if text.is_empty() || text.len() > 100 || !text.chars().all(plain) || text.contains('=') {
        return format!("write the arguments as an array: `{keyword} [\"program\", \"argument\"]`");
    }
    let words: Vec<String> =
        text.split(' ').filter(|word| !word.is_empty()).map(|word| format!("\"{word}\"")).collect();
    format!("write the arguments as an array: `{keyword} [{}]`", words.join(", "))
}
