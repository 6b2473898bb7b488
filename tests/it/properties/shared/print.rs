//! Writes a parsed Dockerfile as text again, and compares two of them without their places.
//!
//! Fuzz targets take this file too, so it uses nothing but the crate's public names.

use std::fmt::Write as _;

use rbuild::dockerfile::{
    Add, ArgDeclaration, CommandLine, Copy, Device, Dockerfile, Escape, Head, Healthcheck, Heredoc, Instruction,
    InstructionKind, Mount, Network, Pair, Run, Security, Separator, Transfer, Word,
};

/// The file in a normal form: one line an instruction, capitals, arguments behind one space. Comments stay.
///
/// None for the few texts that have no such form: white space beyond ASCII means something only where it stands, heredocs
/// beside quotes are read across words, and an escaped blank at the end of a value is no more at the end of a line.
pub fn print(dockerfile: &Dockerfile) -> Option<String> {
    if dockerfile.source.text().contains(|c: char| !c.is_ascii() && c.is_whitespace()) {
        return None;
    }
    let escape = dockerfile.directives.escape;
    let mut out = Printer { text: format!("# escape={}\n\n", escape.char()), escape };
    for argument in dockerfile.global_args() {
        let declared = declaration(argument);
        if declared.ends_with([' ', '\t']) {
            return None;
        }
        out.line("ARG", &[], &declared, &[]);
    }
    for stage in &dockerfile.stages {
        out.comments(&stage.from.head);
        let flags: Vec<_> = stage.from.platform.iter().map(|word| ("platform", word.raw().to_owned())).collect();
        let name = stage.name.as_ref().map(|name| format!(" AS {}", name.value)).unwrap_or_default();
        out.line("FROM", &flags, &format!("{}{name}", stage.from.image.raw()), &[]);
        for instruction in &stage.instructions {
            out.comments(&instruction.head);
            out.instruction(instruction)?;
        }
    }
    Some(out.text)
}

/// What the file says, without the places where it says it.
pub fn meaning(dockerfile: &Dockerfile) -> String {
    let globals: Vec<_> = dockerfile.global_args().collect();
    let mut out = format!("{:?}\n{globals:?}\n", dockerfile.directives.escape);
    for stage in &dockerfile.stages {
        let from = &stage.from;
        let parts = (&from.image, &from.platform, &stage.name, &from.head.comments);
        out.push_str(&format!("{parts:?}\n"));
        for one in &stage.instructions {
            out.push_str(&format!("    {:?} {:?} {:?}\n", one.head.keyword, one.head.comments, one.kind));
        }
    }
    without_places(&out)
}

/// Each `12..34` becomes `..`, in texts too, which does no harm as both sides lose it.
fn without_places(text: &str) -> String {
    let mut parts = text.split("..").peekable();
    let mut out = String::new();
    let mut is_first = true;
    while let Some(part) = parts.next() {
        let part = if is_first { part } else { part.trim_start_matches(|c: char| c.is_ascii_digit()) };
        let part = if parts.peek().is_some() { part.trim_end_matches(|c: char| c.is_ascii_digit()) } else { part };
        out.push_str(if is_first { "" } else { ".." });
        out.push_str(part);
        is_first = false;
    }
    out
}

type Flag = (&'static str, String);

struct Printer {
    text: String,
    escape: Escape,
}

impl Printer {
    fn comments(&mut self, head: &Head) {
        for comment in &head.comments {
            self.text.push_str(&format!("# {comment}\n"));
        }
    }

    fn line(&mut self, keyword: &str, flags: &[Flag], arguments: &str, heredocs: &[&Heredoc]) {
        let mut line = keyword.to_owned();
        for (name, value) in flags {
            line.push_str(&format!(" --{name}={}", self.flag_value(value)));
        }
        if arguments.starts_with("--") {
            line.push_str(" --");
        }
        if !arguments.is_empty() {
            line.push(' ');
            line.push_str(arguments);
        }
        // The head of an ONBUILD trigger is followed by its heredocs already.
        let end = line.find('\n').unwrap_or(line.len());
        let escape = self.escape.char();
        let before = line[..end].trim_end_matches([' ', '\t']).strip_suffix(escape);
        if before.is_some_and(|before| !before.ends_with(escape)) {
            // A form feed is white space, but not behind an escape: the next line is not joined.
            line.insert(end, '\u{c}');
        }
        self.text.push_str(&line);
        self.text.push('\n');
        for heredoc in heredocs {
            self.text.push_str(&format!("{}{}\n", heredoc.content, heredoc.name.value));
        }
    }

    fn needs_quotes(&self, value: &str) -> bool {
        value.contains(|c: char| c.is_whitespace() || matches!(c, '"' | '\'') || c == self.escape.char())
    }

    fn flag_value(&self, value: &str) -> String {
        if !self.needs_quotes(value) {
            return value.to_owned();
        }
        let mut quoted = String::from('"');
        for c in value.chars() {
            if c == '"' || c == self.escape.char() {
                quoted.push(self.escape.char());
            }
            quoted.push(c);
        }
        quoted.push('"');
        quoted
    }

    fn instruction(&mut self, instruction: &Instruction) -> Option<()> {
        let keyword = instruction.head.keyword.name();
        match &instruction.kind {
            InstructionKind::Add(add) => self.add(add)?,
            InstructionKind::Copy(copy) => self.copy(copy)?,
            InstructionKind::Run(run) => self.run(run)?,
            InstructionKind::Healthcheck(check) => self.healthcheck(check),
            InstructionKind::Cmd(command) | InstructionKind::Entrypoint(command) => {
                self.line(keyword, &[], &command_line(command), &[]);
            }
            InstructionKind::Arg(all) => {
                let all: Vec<String> = all.iter().map(declaration).collect();
                self.line(keyword, &[], &all.join(" "), &[]);
            }
            InstructionKind::Env(pairs) | InstructionKind::Label(pairs) => {
                let pairs: Vec<String> = pairs.iter().map(pair).collect();
                self.line(keyword, &[], &pairs.join(" "), &[]);
            }
            InstructionKind::Expose(words) => {
                let words: Vec<&str> = words.iter().map(Word::raw).collect();
                self.line(keyword, &[], &words.join(" "), &[]);
            }
            InstructionKind::Volume(words) => self.line(keyword, &[], &list(words.iter()), &[]),
            InstructionKind::Maintainer(text) => self.line(keyword, &[], &text.value, &[]),
            InstructionKind::Onbuild(onbuild) => self.line(keyword, &[], &onbuild.trigger, &[]),
            InstructionKind::Shell(words) => {
                self.line(keyword, &[], &array(words.iter().map(|word| word.value.as_str())), &[]);
            }
            InstructionKind::StopSignal(word) | InstructionKind::User(word) | InstructionKind::Workdir(word) => {
                self.line(keyword, &[], word.raw(), &[]);
            }
        }
        Some(())
    }

    fn copy(&mut self, copy: &Copy) -> Option<()> {
        let mut flags = transfer_flags(&copy.transfer);
        flags.extend(copy.from.iter().map(|from| ("from", from.raw().to_owned())));
        flags.extend(copy.parents.then(|| ("parents", "true".to_owned())));
        self.transfer("COPY", &flags, &copy.transfer)
    }

    fn add(&mut self, add: &Add) -> Option<()> {
        let mut flags = transfer_flags(&add.transfer);
        flags.extend(add.checksum.iter().map(|sum| ("checksum", sum.raw().to_owned())));
        flags.extend(add.keep_git_dir.map(|keep| ("keep-git-dir", keep.to_string())));
        flags.extend(add.unpack.map(|unpack| ("unpack", unpack.to_string())));
        self.transfer("ADD", &flags, &add.transfer)
    }

    fn transfer(&mut self, keyword: &str, flags: &[Flag], transfer: &Transfer) -> Option<()> {
        self.hides_no_heredoc(flags, !transfer.heredocs.is_empty())?;
        let words = || transfer.sources.iter().chain([&transfer.destination]);
        if transfer.heredocs.is_empty() {
            self.line(keyword, flags, &list(words()), &[]);
            return Some(());
        }
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-' | '_');
        let names = transfer.heredocs.iter().map(|heredoc| heredoc.name.value.as_str());
        if !words().map(Word::raw).chain(names).all(|text| text.chars().all(is_plain)) {
            return None;
        }
        let mut all: Vec<String> = transfer.sources.iter().map(|word| word.raw().to_owned()).collect();
        all.extend(transfer.heredocs.iter().map(opening));
        all.push(transfer.destination.raw().to_owned());
        self.line(keyword, flags, &all.join(" "), &transfer.heredocs.iter().collect::<Vec<_>>());
        Some(())
    }

    fn run(&mut self, run: &Run) -> Option<()> {
        let mut flags: Vec<Flag> = run.mounts.iter().map(|mount| ("mount", mount_value(mount))).collect();
        flags.extend(run.network.map(|network| {
            let name = match network {
                Network::Default => "default",
                Network::None => "none",
                Network::Host => "host",
            };
            ("network", name.to_owned())
        }));
        flags.extend(run.security.map(|security| {
            let name = match security {
                Security::Sandbox => "sandbox",
                Security::Insecure => "insecure",
            };
            ("security", name.to_owned())
        }));
        flags.extend(run.devices.iter().map(|device| ("device", device_value(device))));
        let heredocs: Vec<&Heredoc> = match &run.command {
            CommandLine::Shell { heredocs, .. } => heredocs.iter().collect(),
            CommandLine::Exec(_) => Vec::new(),
        };
        let text = command_line(&run.command);
        self.hides_no_heredoc(&flags, text.contains("<<"))?;
        self.line("RUN", &flags, &text, &heredocs);
        Some(())
    }

    /// None where flags, with quotes of their own, may change which heredocs a line announces: these are looked for in all
    /// of it, and always with the backslash as escape.
    fn hides_no_heredoc(&self, flags: &[Flag], may_announce: bool) -> Option<()> {
        let mut values = flags.iter().map(|(_, value)| value);
        let is_odd = |value: &str| value.contains(['\\', '$']) || self.needs_quotes(value);
        let may_harm = |value: &String| value.contains("<<") || (may_announce && is_odd(value));
        (!values.any(may_harm)).then_some(())
    }

    fn healthcheck(&mut self, check: &Healthcheck) {
        match check {
            Healthcheck::None => self.line("HEALTHCHECK", &[], "NONE", &[]),
            Healthcheck::Command { command, timing } => {
                let times = [
                    ("interval", timing.interval),
                    ("timeout", timing.timeout),
                    ("start-period", timing.start_period),
                    ("start-interval", timing.start_interval),
                ];
                let mut flags: Vec<Flag> = times.into_iter().map(|(name, time)| (name, format!("{time}ns"))).collect();
                flags.push(("retries", timing.retries.to_string()));
                self.line("HEALTHCHECK", &flags, &format!("CMD {}", command_line(command)), &[]);
            }
        }
    }
}

fn transfer_flags(transfer: &Transfer) -> Vec<Flag> {
    let mut flags: Vec<Flag> = Vec::new();
    flags.extend(transfer.chown.iter().map(|word| ("chown", word.raw().to_owned())));
    flags.extend(transfer.chmod.iter().map(|word| ("chmod", word.raw().to_owned())));
    flags.extend(transfer.link.then(|| ("link", "true".to_owned())));
    flags.extend(transfer.exclude.iter().map(|pattern| ("exclude", pattern.value.clone())));
    flags
}

fn command_line(command: &CommandLine) -> String {
    match command {
        CommandLine::Shell { text, .. } => text.value.clone(),
        CommandLine::Exec(words) => array(words.iter().map(|word| word.value.as_str())),
    }
}

fn declaration(argument: &ArgDeclaration) -> String {
    let default = argument.default.as_ref().map(|word| format!("={}", word.raw())).unwrap_or_default();
    format!("{}{default}", argument.name.value)
}

fn pair(pair: &Pair) -> String {
    // Two spaces: the first of them may be escaped by the end of the key.
    let separator = match pair.separator {
        Separator::Equals => "=",
        Separator::Space => "  ",
    };
    format!("{}{separator}{}", pair.key.raw(), pair.value.raw())
}

fn list<'w>(words: impl Iterator<Item = &'w Word> + Clone) -> String {
    let plain = |word: &Word| !word.raw().is_empty() && !word.raw().contains(|c: char| c.is_whitespace() || c == '<');
    let first = words.clone().next().map_or("", Word::raw);
    match words.clone().all(plain) && !first.starts_with(['[', '-']) {
        true => words.map(Word::raw).collect::<Vec<_>>().join(" "),
        false => array(words.map(Word::raw)),
    }
}

fn array<'w>(words: impl Iterator<Item = &'w str>) -> String {
    let mut out = String::from("[");
    for (index, word) in words.enumerate() {
        out.push_str(if index == 0 { "\"" } else { ", \"" });
        for c in word.chars() {
            match c {
                '"' | '\\' => out.extend(['\\', c]),
                // Formatting into a string cannot fail.
                c if c.is_control() => drop(write!(out, "\\u{:04x}", u32::from(c))),
                c => out.push(c),
            }
        }
        out.push('"');
    }
    out.push(']');
    out
}

fn opening(heredoc: &Heredoc) -> String {
    let fd = if heredoc.fd == 0 { String::new() } else { heredoc.fd.to_string() };
    let dash = if heredoc.strip_tabs { "-" } else { "" };
    let quote = if heredoc.expand { "" } else { "'" };
    format!("{fd}<<{dash}{quote}{}{quote}", heredoc.name.value)
}

fn mount_value(mount: &Mount) -> String {
    let field = |key: &str, value: Option<&Word>| match value {
        Some(value) => csv_field(&format!("{key}={}", value.raw())),
        None => csv_field(key),
    };
    let fields: Vec<String> =
        mount.options.iter().map(|option| field(&option.key.value, option.value.as_ref())).collect();
    fields.join(",")
}

fn device_value(device: &Device) -> String {
    let required = if device.required { ",required" } else { "" };
    format!("{}{required}", csv_field(&format!("name={}", device.name.value)))
}

fn csv_field(field: &str) -> String {
    match field.contains([',', '"']) {
        true => format!("\"{}\"", field.replace('"', "\"\"")),
        false => field.to_owned(),
    }
}
