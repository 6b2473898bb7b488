//! What was found out, and what must hold.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::sync::{Mutex, MutexGuard};

/// The figures of all cases.
#[derive(Default)]
pub struct Ledger {
    figures: Mutex<Figures>,
    /// The layer that was made in an empty store under each key with its facts, and by what.
    layers: Mutex<BTreeMap<String, (String, String)>>,
}

/// What was counted.
#[derive(Debug, Default)]
pub struct Figures {
    /// The cases whose edits were made.
    pub cases: usize,
    /// Those that do not build here as they are.
    pub left_out: Vec<String>,
    /// Edits by their kind.
    pub edits: BTreeMap<&'static str, usize>,
    /// Edits after which every step is in the cache.
    pub known: usize,
    /// Edits that are no Dockerfile, or name files that are not there.
    pub refused: usize,
    /// Edits that were built in both stores, and are an image.
    pub pairs: usize,
    /// Of these, those that were in the cache as a whole.
    pub known_pairs: usize,
    /// Edits that are no build in either store.
    pub failed_alike: usize,
    /// Pairs whose command never ended, or that makes something else each time.
    pub undecided: Vec<String>,
    /// Layers of empty stores whose key had been met before.
    pub compared: usize,
    pub unsound: Vec<String>,
    /// Edits that change nothing, by their kind.
    pub neutral: BTreeMap<&'static str, usize>,
    pub needless: Vec<String>,
}

impl Ledger {
    /// The figures, to be added to.
    pub fn figures(&self) -> MutexGuard<'_, Figures> {
        self.figures.lock().unwrap()
    }

    /// Notes an edit that changes nothing, and what ran because of it.
    pub fn neutral(&self, what: &'static str, missed: Option<String>) {
        let mut figures = self.figures();
        *figures.neutral.entry(what).or_default() += 1;
        figures.needless.extend(missed.map(|missed| format!("{what}: {missed}")));
    }

    /// Notes a layer that was made from nothing under a key; another one that was made under it before, and by what.
    pub fn layer(&self, key: String, layer: &str, made_by: &str) -> Option<(String, String)> {
        let mut layers = self.layers.lock().unwrap();
        let known = layers.get(&key).cloned();
        self.figures().compared += usize::from(known.is_some());
        match known {
            Some(known) => Some(known).filter(|(other, _)| other != layer),
            None => {
                layers.insert(key, (layer.to_owned(), made_by.to_owned()));
                None
            }
        }
    }

    /// Panics if a key stood for two results, if too many edits missed in vain, or if there was little to judge by.
    #[track_caller]
    pub fn judge(&self, wanted: usize) {
        let figures = self.figures();
        assert_eq!(figures.unsound, [""; 0]);
        let neutral: usize = figures.neutral.values().sum();
        assert!(figures.needless.len() * 100 <= neutral, "{:#?}", figures.needless);
        assert!(figures.left_out.len() * 20 <= figures.cases, "{:?}", figures.left_out);
        let (pairs, edits) = (figures.pairs, figures.edits.values().sum::<usize>());
        assert!(edits * 10 >= wanted * 9 && pairs * 50 >= edits, "{pairs} pairs of {edits} edits");
    }
}

impl Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let figures = self.figures();
        let Figures { cases, left_out, edits, known, refused, pairs, known_pairs, failed_alike, .. } = &*figures;
        let Figures { undecided, compared, unsound, neutral, needless, .. } = &*figures;
        let layers = self.layers.lock().unwrap().len();
        writeln!(f, "{cases} cases, {} more do not build here: {left_out:?}", left_out.len())?;
        writeln!(f, "{} edits {edits:?}: {known} kept every key, {refused} refused", edits.values().sum::<usize>())?;
        writeln!(
            f,
            "{pairs} pairs built from nothing, {known_pairs} of them all from the cache; {failed_alike} more failed \
             alike, {} undecided; {layers} keys of layers, {compared} met again: {} unsound",
            undecided.len(),
            unsound.len()
        )?;
        writeln!(
            f,
            "{} edits that change nothing {neutral:?}: {} missed",
            neutral.values().sum::<usize>(),
            needless.len()
        )?;
        let some = |name: &str, all: &[String]| -> String {
            all.iter().take(40).map(|text| format!("{name}: {text}\n")).collect()
        };
        write!(f, "{}{}", some("undecided", undecided), some("missed", needless))
    }
}
