//! The meaning of an ignore file, written as simply as it can be: every rule is tried on the path and on every folder
//! above it, by a matcher that tries every way a pattern can be read.
//!
//! Fuzz targets take this file too, so it uses nothing but the standard library.

/// The number of the line that leaves a path out, if one does; an error for a file with a line that means nothing.
///
/// The path must be clean. Time is exponential in the number of stars.
pub fn ignored_by(file: &str, path: &str) -> Result<Option<usize>, BadLine> {
    let mut verdict = None;
    for rule in rules(file)? {
        let mut above = path.char_indices().filter(|(_, c)| *c == '/').map(|(at, _)| &path[..at]).chain([path]);
        if above.any(|path| matches(&rule.pattern, path)) {
            verdict = (!rule.is_exception).then_some(rule.line);
        }
    }
    Ok(verdict)
}

/// A line that cannot be read as a pattern.
#[derive(Debug, PartialEq, Eq)]
pub struct BadLine;

struct Rule {
    line: usize,
    is_exception: bool,
    pattern: Vec<Part>,
}

enum Part {
    One(char),
    NotSlash,
    Class { is_negated: bool, ranges: Vec<(char, char)> },
    Star,
    Anything,
    Folders,
}

fn rules(file: &str) -> Result<Vec<Rule>, BadLine> {
    let mut rules = Vec::new();
    for (index, line) in file.strip_prefix('\u{feff}').unwrap_or(file).split('\n').enumerate() {
        if line.starts_with('#') {
            continue;
        }
        let line = line.trim();
        let (is_exception, text) = match line.strip_prefix('!') {
            Some(rest) => (true, rest.trim()),
            None => (false, line),
        };
        if text.is_empty() && !is_exception {
            continue;
        }
        let text = if text.is_empty() { String::new() } else { clean(text) };
        let anchored = match text.strip_prefix('/') {
            Some(rest) if !rest.is_empty() => rest.to_owned(),
            _ => text,
        };
        // What was cleaned is looked at once more: it is one list of patterns, whoever wrote it.
        let whole = if is_exception { format!("!{anchored}") } else { anchored };
        let whole = whole.trim();
        if whole.is_empty() {
            continue;
        }
        let whole = clean(whole);
        let (is_exception, text) = whole.strip_prefix('!').map_or((false, whole.as_str()), |text| (true, text));
        if text.is_empty() {
            return Err(BadLine);
        }
        rules.push(Rule { line: index + 1, is_exception, pattern: parts(text)? });
    }
    Ok(rules)
}

/// The shortest path of the same meaning; `..` at the front of a relative one stays.
fn clean(path: &str) -> String {
    let is_rooted = path.starts_with('/');
    let mut kept: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match (part, kept.last()) {
            ("" | ".", _) => {}
            ("..", None) if is_rooted => {}
            ("..", None | Some(&"..")) => kept.push(part),
            ("..", Some(_)) => {
                kept.pop();
            }
            _ => kept.push(part),
        }
    }
    match (is_rooted, kept.is_empty()) {
        (true, _) => format!("/{}", kept.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => kept.join("/"),
    }
}

fn parts(text: &str) -> Result<Vec<Part>, BadLine> {
    let chars: Vec<char> = text.chars().collect();
    let mut parts = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        match chars[at] {
            '*' if chars.get(at + 1) == Some(&'*') => {
                let is_first = at == 0;
                at += 2;
                let has_slash = chars.get(at) == Some(&'/');
                let plain = !chars[at..].iter().any(|c| "*?[]\\".contains(*c));
                at += usize::from(has_slash);
                let is_last = at == chars.len();
                // `**name` with nothing special in the name is any path that ends with it.
                parts.push(match is_last || (is_first && plain && !has_slash) {
                    true => Part::Anything,
                    false => Part::Folders,
                });
            }
            '*' => {
                parts.push(Part::Star);
                at += 1;
            }
            '?' => {
                parts.push(Part::NotSlash);
                at += 1;
            }
            '[' => {
                let (class, end) = class(&chars, at + 1)?;
                parts.push(class);
                at = end;
            }
            '\\' => {
                parts.push(Part::One(*chars.get(at + 1).ok_or(BadLine)?));
                at += 2;
            }
            c => {
                parts.push(Part::One(c));
                at += 1;
            }
        }
    }
    Ok(parts)
}

fn class(chars: &[char], start: usize) -> Result<(Part, usize), BadLine> {
    let is_negated = chars.get(start) == Some(&'^');
    let mut at = start + usize::from(is_negated);
    let mut ranges = Vec::new();
    // One end of a range, and what follows it, which must be there.
    let member = |at: usize| {
        let (c, next) = match chars.get(at).ok_or(BadLine)? {
            '-' | ']' => return Err(BadLine),
            '\\' => (*chars.get(at + 1).ok_or(BadLine)?, at + 2),
            c => (*c, at + 1),
        };
        if next < chars.len() { Ok((c, next)) } else { Err(BadLine) }
    };
    loop {
        if chars.get(at) == Some(&']') && !ranges.is_empty() {
            return Ok((Part::Class { is_negated, ranges }, at + 1));
        }
        let (low, next) = member(at)?;
        let (high, next) = if chars.get(next) == Some(&'-') { member(next + 1)? } else { (low, next) };
        ranges.push((low, high));
        at = next;
    }
}

fn matches(pattern: &[Part], path: &str) -> bool {
    let Some((first, rest)) = pattern.split_first() else { return path.is_empty() };
    let mut chars = path.chars();
    let next = chars.next();
    let behind = chars.as_str();
    match first {
        Part::One(c) => next == Some(*c) && matches(rest, behind),
        Part::NotSlash => next.is_some_and(|c| c != '/') && matches(rest, behind),
        Part::Class { is_negated, ranges } => {
            let is_in = |c: char| ranges.iter().any(|(low, high)| (*low..=*high).contains(&c));
            next.is_some_and(|c| is_in(c) != *is_negated) && matches(rest, behind)
        }
        Part::Star => matches(rest, path) || (next.is_some_and(|c| c != '/') && matches(pattern, behind)),
        Part::Anything => matches(rest, path) || (next.is_some() && matches(pattern, behind)),
        // Nothing, or whatever ends with a slash.
        Part::Folders => {
            let ends = path.char_indices().filter(|(_, c)| *c == '/').map(|(at, _)| at + 1);
            std::iter::once(0).chain(ends).any(|end| matches(rest, &path[end..]))
        }
    }
}
