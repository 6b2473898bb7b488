//! The comments at the head of a file that steer how it is read: `# syntax=`, `# escape=`, `# check=`.

use super::diagnostic::{Diagnostic, Sink};
use super::lines::{Line, Lines};
use super::rules::{RULES, Rule};
use super::source::Span;
use super::suggest::nearest;
use super::word::{Escape, Text};

/// The rule that names in `# check=` are rules.
pub const UNKNOWN_RULE: &str = "UnknownRule";

/// What the head of the file says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Directives {
    /// The front end asked for; read and kept, as there is only one here.
    pub syntax: Option<Text>,
    /// The escape character.
    pub escape: Escape,
    /// Which warnings count.
    pub check: Check,
}

/// Which warnings count: `# check=skip=A,B;error=true;experimental=C`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Check {
    /// Rules that are not reported.
    pub skip: Rules,
    /// Experimental rules that are reported.
    pub experimental: Rules,
    /// Whether a warning fails the build.
    pub error: bool,
}

/// A choice of rules by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rules {
    /// Every rule.
    All,
    /// These rules.
    Named(Vec<String>),
}

impl Default for Rules {
    fn default() -> Self {
        Self::Named(Vec::new())
    }
}

impl Rules {
    /// Whether a rule is among them.
    pub fn contains(&self, rule: &str) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => names.iter().any(|name| name == rule),
        }
    }

    fn parse(text: &str) -> Self {
        match text.trim() {
            "all" => Self::All,
            names => Self::Named(names.split(',').map(|name| name.trim().to_owned()).collect()),
        }
    }
}

impl Check {
    /// Reads the value of the directive.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut check = Self::default();
        if text.trim().is_empty() {
            return Ok(check);
        }
        for option in text.trim().splitn(3, ';') {
            let Some((key, value)) = option.split_once('=') else {
                return Err(format!(
                    "`{}` is no check option: expected `skip=`, `error=` or `experimental=`",
                    option.trim()
                ));
            };
            match key.trim() {
                "skip" => check.skip = Rules::parse(value),
                "experimental" => check.experimental = Rules::parse(value),
                "error" => {
                    check.error = parse_bool(value.trim()).ok_or_else(|| format!("`{value}` is not true or false"))?
                }
                key => return Err(format!("`{key}` is no check option: expected `skip`, `error` or `experimental`")),
            }
        }
        Ok(check)
    }

    /// Whether warnings of a rule are reported at an instruction with these comments directly above it.
    ///
    /// An experimental rule is reported where it is asked for, and cannot be skipped, as in BuildKit.
    pub fn reports(&self, rule: &str, comments: &[String]) -> bool {
        let local = comments.iter().find_map(|comment| match split_directive(comment) {
            // Only the first word counts, so that an explanation may follow.
            Some(("check", value)) => Some(Self::parse(value.split(' ').next().unwrap_or("")).unwrap_or_default()),
            _ => None,
        });
        let local = local.unwrap_or_default();
        match Rule::find(rule).is_some_and(Rule::is_experimental) {
            true => self.experimental.contains(rule) || local.experimental.contains(rule),
            false => !self.skip.contains(rule) && !local.skip.contains(rule),
        }
    }
}

/// The spellings of true and false that options of this language take.
pub(super) fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// `name = value` with a known name in any case; the name comes back in lower case.
fn split_directive(text: &str) -> Option<(&'static str, &str)> {
    let (name, value) = text.split_once('=')?;
    let name = ["syntax", "escape", "check"].into_iter().find(|known| name.trim_end().eq_ignore_ascii_case(known))?;
    let value = value.trim();
    (!value.is_empty()).then_some((name, value))
}

/// Reads the directives of a text from `start`, where a byte order mark ends.
///
/// A `check` that is given stands in the place of the file's, which is then not looked at. The second value is where the
/// directives end that are therefore no comments.
pub(super) fn parse(text: &str, start: usize, check: Option<&Check>, sink: &mut Sink) -> (Directives, usize) {
    let mut found = Directives { check: check.cloned().unwrap_or_default(), ..Directives::default() };
    let mut reader =
        Reader { text, found: &mut found, sink, seen: Vec::new(), end: start, check_is_given: check.is_some() };
    let first = Lines::new(text, start).next();
    let body = match first {
        Some(line) if line.full.starts_with("#!") => start + line.full.len(),
        _ => start,
    };
    reader.read(start, body);
    if reader.found.syntax.is_none() {
        reader.found.syntax = slashed_syntax(text, body).or_else(|| json_syntax(text, body));
    }
    let end = reader.end;
    (found, end)
}

struct Reader<'a> {
    text: &'a str,
    end: usize,
    found: &'a mut Directives,
    sink: &'a mut Sink,
    seen: Vec<&'static str>,
    check_is_given: bool,
}

impl Reader<'_> {
    /// Reads directives up to the first line that is none. A `#!` line may precede all but `escape`, which BuildKit then
    /// takes for a comment.
    fn read(&mut self, start: usize, body: usize) {
        for line in Lines::new(self.text, body) {
            let Some(comment) = line.content().trim_start().strip_prefix('#') else { return };
            let Some((name, value)) = split_directive(comment.trim_start()) else { return };
            let span = span_of(line, value);
            if start == body {
                self.end = line.start + line.full.len();
            }
            if self.seen.contains(&name) {
                let message = format!("the directive `{name}` is given twice");
                self.sink.push(
                    Diagnostic::error("duplicate-directive", line.span(), message).with_label("remove one of them"),
                );
                continue;
            }
            self.seen.push(name);
            match name {
                "syntax" => self.found.syntax = Some(syntax_value(value, span)),
                "check" if self.check_is_given => {}
                "check" => self.read_check(value, span),
                _ if start == body => self.read_escape(value, span),
                _ => {}
            }
        }
    }

    fn read_escape(&mut self, value: &str, span: Span) {
        match value {
            "\\" => self.found.escape = Escape::Backslash,
            "`" => self.found.escape = Escape::Backtick,
            _ => {
                let message = format!("`{value}` cannot be the escape character");
                let report = Diagnostic::error("bad-escape", span, message);
                self.sink.push(report.with_label("expected `\\` or `` ` ``"));
            }
        }
    }

    /// BuildKit is silent about names that are no rules, and then reports what was meant to be skipped.
    fn warn_of_unknown_rules(&mut self, value: &str, mut at: usize) {
        for option in value.split(';') {
            let (key, names) = option.split_once('=').unwrap_or((option, ""));
            let mut start = at + key.len() + 1;
            for name in names.split(',').filter(|_| key.trim() != "error") {
                let given = name.trim();
                if !matches!(given, "" | "all") && Rule::find(given).is_none() {
                    let begin = start + (name.len() - name.trim_start().len());
                    let span = Span::new(begin, begin + given.len());
                    let message = format!("there is no rule called `{given}`");
                    let report = Diagnostic::warning(UNKNOWN_RULE, span, message);
                    self.sink.push(match nearest_rule(given) {
                        Some(near) => report.with_fix(format!("did you mean `{near}`?"), span, near),
                        None => report.with_label("no rule is skipped or asked for by this"),
                    });
                }
                start += name.len() + 1;
            }
            at += option.len() + 1;
        }
    }

    fn read_check(&mut self, value: &str, span: Span) {
        match Check::parse(value) {
            Ok(check) => {
                self.found.check = check;
                self.warn_of_unknown_rules(value, span.start());
            }
            Err(problem) => {
                let report = Diagnostic::error("bad-check", span, problem);
                self.sink.push(report.with_help("for example `# check=skip=RULE,RULE;error=true`"));
            }
        }
    }
}

/// What a name that is no rule was most likely meant to be.
fn nearest_rule(name: &str) -> Option<&'static str> {
    let names = || RULES.iter().map(|rule| rule.name);
    names().find(|known| known.eq_ignore_ascii_case(name)).or_else(|| nearest(name, names()))
}

fn span_of(line: Line<'_>, value: &str) -> Span {
    let at = line.full.find('=').map_or(0, |equals| equals + 1);
    let skipped = line.full[at..].len() - line.full[at..].trim_start().len();
    Span::new(line.start + at + skipped, line.start + at + skipped + value.len())
}

/// Only the first word names the front end.
fn syntax_value(value: &str, span: Span) -> Text {
    let word = value.split(' ').next().unwrap_or("");
    Text::new(word, Span::new(span.start(), span.start() + word.len()))
}

/// `// syntax=…`, for files whose comments begin with slashes.
fn slashed_syntax(text: &str, start: usize) -> Option<Text> {
    for line in Lines::new(text, start) {
        let (name, value) = split_directive(line.content().strip_prefix("//")?.trim_start())?;
        if name == "syntax" {
            return Some(syntax_value(value, span_of(line, value)));
        }
    }
    None
}

/// `{"syntax": "…"}`, for files that are JSON.
fn json_syntax(text: &str, start: usize) -> Option<Text> {
    let body = text.get(start..)?;
    if !body.trim_start().starts_with('{') {
        return None;
    }
    // A text that is no JSON is simply not of this form.
    let value: serde_json::Value = serde_json::from_str(body).ok()?;
    let syntax = value.get("syntax")?.as_str()?;
    Some(Text::new(syntax, Span::new(start, start)))
}
