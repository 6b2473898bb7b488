//! Every place that a parsed Dockerfile and its diagnostics point at.
//!
//! Fuzz targets take this file too, so it uses nothing but the crate's public names.

use rbuild::dockerfile::{
    ArgDeclaration, CommandLine, Diagnostic, Dockerfile, Head, Healthcheck, Heredoc, Instruction, InstructionKind,
    Mount, Run, Span, Text, Transfer, Word,
};

/// All of them, in no order that matters.
pub fn spans(dockerfile: &Dockerfile, diagnostics: &[Diagnostic]) -> Vec<Span> {
    let mut found = Found(Vec::new());
    for diagnostic in diagnostics {
        found.0.push(diagnostic.span);
        found.0.extend(diagnostic.help.iter().filter_map(|help| help.replacement.as_ref()).map(|(span, _)| *span));
    }
    found.texts(&dockerfile.directives.syntax);
    dockerfile.globals.iter().for_each(|instruction| found.instruction(instruction));
    for stage in &dockerfile.stages {
        found.0.push(stage.span);
        found.head(&stage.from.head);
        found.words([&stage.from.image].into_iter().chain(&stage.from.platform));
        found.texts(&stage.name);
        for instruction in &stage.instructions {
            found.instruction(instruction);
        }
    }
    found.0
}

struct Found(Vec<Span>);

impl Found {
    fn head(&mut self, head: &Head) {
        self.0.extend([head.span, head.keyword_span]);
    }

    fn texts<'t>(&mut self, texts: impl IntoIterator<Item = &'t Text>) {
        self.0.extend(texts.into_iter().map(|text| text.span));
    }

    fn words<'w>(&mut self, words: impl IntoIterator<Item = &'w Word>) {
        self.0.extend(words.into_iter().map(Word::span));
    }

    fn declarations(&mut self, all: &[ArgDeclaration]) {
        self.texts(all.iter().map(|one| &one.name));
        self.words(all.iter().filter_map(|one| one.default.as_ref()));
    }

    fn heredocs(&mut self, all: &[Heredoc]) {
        self.0.extend(all.iter().flat_map(|heredoc| [heredoc.name.span, heredoc.content_span]));
    }

    fn command(&mut self, command: &CommandLine) {
        match command {
            CommandLine::Shell { text, heredocs } => {
                self.texts([text]);
                self.heredocs(heredocs);
            }
            CommandLine::Exec(words) => self.texts(words),
        }
    }

    fn transfer(&mut self, transfer: &Transfer) {
        let Transfer { sources, heredocs, destination, chown, chmod, link: _, exclude } = transfer;
        self.words(sources);
        self.heredocs(heredocs);
        self.words([destination].into_iter().chain(chown).chain(chmod));
        self.texts(exclude);
    }

    fn mount(&mut self, mount: &Mount) {
        self.0.push(mount.span);
        self.texts(mount.options.iter().map(|option| &option.key));
        self.words(mount.options.iter().filter_map(|option| option.value.as_ref()));
    }

    fn run(&mut self, run: &Run) {
        self.command(&run.command);
        run.mounts.iter().for_each(|mount| self.mount(mount));
        self.texts(run.devices.iter().map(|device| &device.name));
    }

    fn instruction(&mut self, instruction: &Instruction) {
        self.head(&instruction.head);
        match &instruction.kind {
            InstructionKind::Add(add) => {
                self.transfer(&add.transfer);
                self.words(&add.checksum);
            }
            InstructionKind::Copy(copy) => {
                self.transfer(&copy.transfer);
                self.words(&copy.from);
            }
            InstructionKind::Run(run) => self.run(run),
            InstructionKind::Arg(all) => self.declarations(all),
            InstructionKind::Cmd(command)
            | InstructionKind::Entrypoint(command)
            | InstructionKind::Healthcheck(Healthcheck::Command { command, .. }) => self.command(command),
            InstructionKind::Healthcheck(Healthcheck::None) => {}
            InstructionKind::Env(pairs) | InstructionKind::Label(pairs) => {
                self.words(pairs.iter().flat_map(|pair| [&pair.key, &pair.value]));
            }
            InstructionKind::Expose(words) | InstructionKind::Volume(words) => self.words(words),
            InstructionKind::Maintainer(text) => self.texts([text]),
            InstructionKind::Onbuild(onbuild) => self.instruction(&onbuild.instruction),
            InstructionKind::Shell(words) => self.texts(words),
            InstructionKind::StopSignal(word) | InstructionKind::User(word) | InstructionKind::Workdir(word) => {
                self.words([word]);
            }
        }
    }
}
