//! The command line.

use std::path::PathBuf;

use crate::content::Scale;

/// What is to be run.
pub struct Options {
    pub scale: Scale,
    pub rounds: usize,
    /// Names, or their beginnings; all cases if there are none.
    pub only: Vec<String>,
    pub rivals: Vec<String>,
    /// Where `raw.csv` and `summary.md` go.
    pub out: Option<PathBuf>,
    /// Whether to show what ten times the files and bytes cost.
    pub growth: bool,
}

impl Options {
    pub fn parse(words: &[&str]) -> Self {
        let list = |text: &str| text.split(',').filter(|part| !part.is_empty()).map(str::to_owned).collect();
        let mut options = Self {
            scale: Scale::full(),
            rounds: 5,
            only: Vec::new(),
            rivals: list("docker,buildah"),
            out: None,
            growth: false,
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || *words.next().unwrap_or_else(|| panic!("`{word}` needs a value"));
            match *word {
                "--size" => options.scale = Scale::named(value()),
                "--rounds" => options.rounds = value().parse().expect("--rounds takes a number"),
                "--only" => options.only = list(value()),
                "--rivals" => options.rivals = list(value()),
                "--out" => options.out = Some(value().into()),
                "--growth" => options.growth = true,
                other => panic!("`{other}` is no option: --size, --rounds, --only, --rivals, --out, --growth"),
            }
        }
        options
    }

    /// Whether a scenario or case of that name is wanted.
    pub fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| name.starts_with(only.as_str()))
    }
}
