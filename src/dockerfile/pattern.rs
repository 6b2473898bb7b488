//! The patterns of `${v#p}`, `${v%p}` and `${v/p/r}`: `?` is one character, `*` any number; neither matches a newline.

use super::error::ExpandError;
use super::expand::MAX_VALUE;

/// The longest pattern.
const MAX_PATTERN: usize = 1024;

/// How much a pattern takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    Shortest,
    Longest,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Atom {
    Char(char),
    Any,
}

impl Atom {
    fn matches(self, c: char) -> bool {
        match self {
            Self::Char(expected) => expected == c,
            Self::Any => c != '\n',
        }
    }
}

/// A parsed pattern: runs of atoms with a star between each two.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    runs: Vec<Vec<Atom>>,
    length: usize,
}

impl Pattern {
    /// Reads a pattern; a backslash may stand only where it has a meaning.
    pub(super) fn parse(text: &str) -> Result<Self, ExpandError> {
        let invalid = |problem: String| ExpandError::InvalidPattern { pattern: text.to_owned(), problem };
        if text.len() > MAX_PATTERN {
            let pattern = format!("{}…", text.chars().take(40).collect::<String>());
            let problem = format!("it is longer than {MAX_PATTERN} bytes");
            return Err(ExpandError::InvalidPattern { pattern, problem });
        }
        let mut runs = vec![Vec::new()];
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            let atom = match c {
                '*' => {
                    runs.push(Vec::new());
                    continue;
                }
                '?' => Atom::Any,
                '\\' => match chars.next() {
                    Some(c @ ('}' | '/' | '*' | '?' | '\\')) => Atom::Char(c),
                    Some(c) => return Err(invalid(format!("`\\{c}` is no escape"))),
                    None => return Err(invalid("it ends in a backslash".to_owned())),
                },
                c => Atom::Char(c),
            };
            if let Some(run) = runs.last_mut() {
                run.push(atom);
            }
        }
        Ok(Self { runs, length: text.len() })
    }

    /// An upper bound of the comparisons that one use on `value` takes.
    pub(super) fn cost(&self, value: &str) -> usize {
        (value.len() + 1).saturating_mul(self.length + 1)
    }

    /// The value without what the pattern matches at its start.
    pub(super) fn trim_prefix(&self, value: &str, extent: Extent) -> String {
        let chars: Vec<char> = value.chars().collect();
        let end = self.match_at(&chars, 0, extent).unwrap_or(0);
        chars[end..].iter().collect()
    }

    /// The value without what the pattern matches at its end.
    pub(super) fn trim_suffix(&self, value: &str, extent: Extent) -> String {
        let mut chars: Vec<char> = value.chars().rev().collect();
        let runs = self.runs.iter().rev().map(|run| run.iter().rev().copied().collect()).collect();
        let end = Self { runs, length: self.length }.match_at(&chars, 0, extent).unwrap_or(0);
        chars.drain(..end);
        chars.iter().rev().collect()
    }

    /// The value with the first match, or all, replaced; none if that is too long.
    pub(super) fn replace(&self, value: &str, replacement: &str, all: bool) -> Option<String> {
        let chars: Vec<char> = value.chars().collect();
        let mut result = String::new();
        let mut at = 0;
        let mut previous = None;
        while let Some((start, end)) = self.find(&chars, at) {
            // An empty match that touches the previous match does not count.
            let counts = !(start == end && previous == Some(start));
            result.extend(&chars[at..start]);
            if counts {
                result.push_str(replacement);
            }
            previous = Some(end);
            at = end;
            if start == end {
                result.extend(chars.get(at));
                at += 1;
            }
            if result.len() > MAX_VALUE {
                return None;
            }
            if at > chars.len() || (counts && !all) {
                break;
            }
        }
        result.extend(chars.get(at..).unwrap_or_default());
        (result.len() <= MAX_VALUE).then_some(result)
    }

    /// The first match from `from` on, the longest at its place.
    fn find(&self, chars: &[char], from: usize) -> Option<(usize, usize)> {
        let mut start = from;
        let first = self.runs.first()?;
        while start <= chars.len() {
            start = find_run(first, chars, start, chars.len())?;
            if let Some(end) = self.match_at(chars, start, Extent::Longest) {
                return Some((start, end));
            }
            // The runs behind the first star are missing in the rest of this line, so no later start in it can match.
            start = line_end(chars, start) + 1;
        }
        None
    }

    /// The end of a match that begins at `start`.
    fn match_at(&self, chars: &[char], start: usize, extent: Extent) -> Option<usize> {
        let (first, rest) = self.runs.split_first()?;
        if !run_matches(first, chars, start) {
            return None;
        }
        let mut at = start + first.len();
        let Some((last, middle)) = rest.split_last() else { return Some(at) };
        for run in middle {
            at = find_run(run, chars, at, line_end(chars, at))? + run.len();
        }
        let limit = line_end(chars, at);
        let found = match extent {
            Extent::Shortest => find_run(last, chars, at, limit)?,
            Extent::Longest => (at..=limit).rev().find(|&start| run_matches(last, chars, start))?,
        };
        Some(found + last.len())
    }
}

fn run_matches(run: &[Atom], chars: &[char], start: usize) -> bool {
    let found = chars.get(start..start.saturating_add(run.len()));
    found.is_some_and(|found| run.iter().zip(found).all(|(atom, &c)| atom.matches(c)))
}

fn find_run(run: &[Atom], chars: &[char], from: usize, to: usize) -> Option<usize> {
    (from..=to).find(|&start| run_matches(run, chars, start))
}

fn line_end(chars: &[char], from: usize) -> usize {
    let rest = chars.get(from..).unwrap_or_default();
    from + rest.iter().position(|&c| c == '\n').unwrap_or(rest.len())
}
