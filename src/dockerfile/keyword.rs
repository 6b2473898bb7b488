//! The names of instructions, and what somebody meant who wrote something else.

use std::fmt;

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
