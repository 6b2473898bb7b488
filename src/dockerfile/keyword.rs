//! The names of instructions, and what somebody meant who wrote something else.

use std::fmt;

use super::diagnostic::Diagnostic;
use super::lines::Fragment;
use super::suggest::nearest;

macro_rules! keywords {
    ($($(#[$doc:meta])* $variant:ident $name:literal,)*) => {
        /// The name of an instruction.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Keyword {
            $($(#[$doc])* $variant,)*
        }

        impl Keyword {
            /// Every instruction.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name in capitals.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

keywords! {
    /// Copies files, fetches URLs and unpacks archives.
    Add "ADD",
    /// Declares a build argument.
    Arg "ARG",
    /// Sets the default command.
    Cmd "CMD",
    /// Copies files.
    Copy "COPY",
    /// Sets the program of the image.
    Entrypoint "ENTRYPOINT",
    /// Sets environment variables.
    Env "ENV",
    /// Names the ports that the image listens on.
    Expose "EXPOSE",
    /// Begins a stage.
    From "FROM",
    /// Sets the health check.
    Healthcheck "HEALTHCHECK",
    /// Adds labels.
    Label "LABEL",
    /// Names the author; deprecated.
    Maintainer "MAINTAINER",
    /// Keeps an instruction for the images built on this one.
    Onbuild "ONBUILD",
    /// Runs a command.
    Run "RUN",
    /// Sets the shell of the shell form.
    Shell "SHELL",
    /// Sets the signal that stops a container.
    StopSignal "STOPSIGNAL",
    /// Sets the user.
    User "USER",
    /// Names folders that become volumes.
    Volume "VOLUME",
    /// Sets the working directory.
    Workdir "WORKDIR",
}

impl Keyword {
    /// Reads a name in any case.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|keyword| keyword.name().eq_ignore_ascii_case(text))
    }

    /// Whether the instruction may be followed by heredocs.
    pub(super) fn takes_heredocs(self) -> bool {
        matches!(self, Self::Add | Self::Copy | Self::Run)
    }
}

impl fmt::Display for Keyword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a word that is no instruction was probably meant to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meant {
    /// An instruction and its arguments without the space between; the length of the name.
    Glued(Keyword, usize),
    /// An instruction with a typing error.
    Mistyped(Keyword),
}

impl Meant {
    /// The instruction.
    pub(super) fn keyword(self) -> Keyword {
        match self {
            Self::Glued(keyword, _) | Self::Mistyped(keyword) => keyword,
        }
    }
}

/// Guesses what a word that is no instruction was meant to be.
pub(super) fn guess(word: &str) -> Option<Meant> {
    let glued = Keyword::ALL.iter().copied().find(|keyword| is_glued(*keyword, word));
    if let Some(keyword) = glued {
        return Some(Meant::Glued(keyword, keyword.name().len()));
    }
    let name = nearest(word, Keyword::ALL.iter().map(|keyword| keyword.name()))?;
    Keyword::parse(name).map(Meant::Mistyped)
}

/// A name followed by a character that no name has, or a name in capitals followed by something else than capitals.
fn is_glued(keyword: Keyword, word: &str) -> bool {
    let name = keyword.name();
    let Some((head, rest)) = word.split_at_checked(name.len()) else { return false };
    let Some(next) = rest.chars().next() else { return false };
    match next.is_ascii_alphabetic() {
        true => head == name && next.is_ascii_lowercase() && rest.len() > 2,
        false => head.eq_ignore_ascii_case(name) && next != '_' && next != '-',
    }
}

/// The report of an instruction that does not exist.
pub(super) fn unknown_instruction(word: Fragment<'_>, rest: Option<Fragment<'_>>) -> Diagnostic {
    let text = word.text();
    let shown: String = text.chars().take(40).collect();
    let report = Diagnostic::error("unknown-instruction", word.span(), format!("`{shown}` is not an instruction"));
    let report = match guess(text) {
        Some(Meant::Glued(keyword, length)) => return glued(report, keyword, word, length, rest),
        Some(Meant::Mistyped(keyword)) => {
            let written = if text.chars().any(char::is_uppercase) {
                keyword.name().to_owned()
            } else {
                keyword.name().to_lowercase()
            };
            return report.with_label("unknown").with_fix(format!("did you mean `{keyword}`?"), word.span(), written);
        }
        None => report.with_label("an instruction is expected here"),
    };
    match text.chars().next() {
        Some('&' | '|' | '-' | ';') => {
            report.with_help("to continue the line before, end it with the escape character, `\\` by default")
        }
        Some('/') if text.starts_with("//") => report.with_help("a comment begins with `#`"),
        Some('<' | '>' | '=') if text.starts_with("<<<<<<<") || text.starts_with(">>>>>>>") || text.starts_with("=======") => {
            report.with_help("this looks like the mark of a merge conflict: resolve it first")
        }
        _ => report.with_note(
            "the instructions are ADD, ARG, CMD, COPY, ENTRYPOINT, ENV, EXPOSE, FROM, HEALTHCHECK, LABEL, ONBUILD, RUN, SHELL, \
             STOPSIGNAL, USER, VOLUME and WORKDIR; a line that belongs to the instruction before it needs a `\\` at the end of \
             the line before",
        ),
    }
}

fn glued(
    report: Diagnostic,
    keyword: Keyword,
    word: Fragment<'_>,
    length: usize,
    rest: Option<Fragment<'_>>,
) -> Diagnostic {
    let tail = word.from(length);
    let label = match tail.text() {
        ":" => "there is no colon after an instruction".to_owned(),
        _ => format!("a space is missing after `{}`", &word.text()[..length]),
    };
    let report = report.with_label(label);
    let name = &word.text()[..length];
    // `COPY..` is meant to be `COPY . .`, and so is `COPY.` with nothing behind it.
    let fixed = match (keyword, tail.text(), rest.is_some()) {
        (Keyword::Copy | Keyword::Add, ".." | ".", false) => format!("{name} . ."),
        // A colon, as in YAML, belongs to nothing.
        (_, ":", true) => name.to_owned(),
        (_, tail, _) => format!("{name} {tail}"),
    };
    let message = match rest.map(Fragment::text) {
        Some(rest) if rest.len() <= 60 => format!("write `{fixed} {rest}`"),
        Some(_) => format!("write `{fixed} …`"),
        None => format!("write `{fixed}`"),
    };
    report.with_fix(message, word.span(), fixed)
}
