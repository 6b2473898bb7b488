//! Which view is shown.

use std::io::IsTerminal as _;

/// The value of `--progress`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Choice {
    /// `tty` on a terminal, else `plain`.
    #[default]
    Auto,
    /// What is running is redrawn in place.
    Tty,
    /// A line for everything that happens.
    Plain,
    /// An object of JSON for everything that happens, a line each, with the fields of BuildKit's.
    #[value(name = "rawjson")]
    RawJson,
    /// The image's id and nothing else.
    Quiet,
}

/// A view that is really shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ViewKind {
    /// What is running is redrawn in place.
    Tty,
    /// A line for everything that happens.
    Plain,
    /// An object of JSON for everything that happens.
    RawJson,
    /// The image's id and nothing else.
    Quiet,
}

/// Whether text may be coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colours {
    /// It may.
    Wanted,
    /// It stays plain, and a step's own colours are removed.
    Unwanted,
}

/// What the choice depends on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Surroundings {
    /// Whether standard error is a terminal.
    pub terminal: bool,
    /// The variable TERM.
    pub term: Option<String>,
    /// The variable NO_COLOR.
    pub no_color: Option<String>,
}

impl Surroundings {
    /// Looks at this process.
    pub fn of_process() -> Self {
        let text = |name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        Self { terminal: std::io::stderr().is_terminal(), term: text("TERM"), no_color: text("NO_COLOR") }
    }

    /// Whether standard error understands escape sequences.
    pub fn is_capable(&self) -> bool {
        self.terminal && !matches!(self.term.as_deref(), None | Some("" | "dumb"))
    }

    /// Colours are wanted on a capable terminal, unless NO_COLOR holds anything.
    pub fn colours(&self) -> Colours {
        let unwanted = self.no_color.as_deref().is_some_and(|value| !value.is_empty());
        if self.is_capable() && !unwanted { Colours::Wanted } else { Colours::Unwanted }
    }
}

impl Choice {
    /// The view to show. `tty` where nothing can be redrawn becomes `plain`.
    pub fn view(self, surroundings: &Surroundings) -> ViewKind {
        match self {
            Choice::Quiet => ViewKind::Quiet,
            Choice::Plain => ViewKind::Plain,
            Choice::RawJson => ViewKind::RawJson,
            Choice::Auto | Choice::Tty if surroundings.is_capable() => ViewKind::Tty,
            Choice::Auto | Choice::Tty => ViewKind::Plain,
        }
    }
}
