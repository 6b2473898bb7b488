//! Dockerfiles by the grammar: every instruction, its flags, heredocs, escapes, and the freedom of layout.

use proptest::prelude::{BoxedStrategy, Just, Strategy, any, prop_oneof};
use proptest::{collection, option};

/// A Dockerfile as pieces that may be laid out in many ways.
#[derive(Debug, Clone)]
pub struct File {
    escape: char,
    statements: Vec<Statement>,
}

#[derive(Debug, Clone)]
struct Statement {
    comment: Option<String>,
    /// The keyword in capitals, the flags, and the arguments: pieces between which any blanks may stand.
    pieces: Vec<String>,
    /// Heredocs: the content and the line that ends it.
    heredocs: Vec<(String, String)>,
}

impl File {
    /// One line an instruction, one space between its pieces.
    pub fn plain(&self) -> String {
        let mut out = format!("# escape={}\n\n", self.escape);
        for statement in &self.statements {
            out.extend(statement.comment.iter().map(|comment| format!("# {comment}\n")));
            out.push_str(&statement.pieces.join(" "));
            out.push('\n');
            out.extend(statement.heredocs.iter().map(|(content, end)| format!("{content}{end}\n")));
        }
        out
    }

    /// The same with other blanks, continued lines with comments and empty lines between, and keywords in other case.
    pub fn loose(&self, seed: u64) -> String {
        let mut random = Random(seed);
        let mut out = format!("#   Escape ={}\r\n\n", self.escape);
        for statement in &self.statements {
            out.push_str(random.pick(&["", "\n", "  \t\n", "\r\n"]));
            out.extend(statement.comment.iter().map(|comment| format!("{}#{comment}  \n", random.pick(&["", "  "]))));
            for (index, piece) in statement.pieces.iter().enumerate() {
                let next = format!("{}\n", self.escape);
                match index {
                    0 => out.push_str(random.pick(&["", " ", "\t"])),
                    _ => match random.below(5) {
                        0 => out.push_str(&format!(" {next}")),
                        1 => out.push_str(&format!("\t{}  \r\n# between\n\n  # again\n   ", self.escape)),
                        2 => out.push_str(" \t "),
                        _ => out.push(' '),
                    },
                }
                match (index, random.below(3)) {
                    (0, 0) => out.push_str(&piece.to_lowercase()),
                    _ => out.push_str(piece),
                }
            }
            out.push_str(random.pick(&["\n", "\r\n", "  \n", "\t\r\n"]));
            out.extend(statement.heredocs.iter().map(|(content, end)| format!("{content}{end}\n")));
        }
        out
    }
}

/// A few choices from a seed: layout needs no shrinking.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn pick(&mut self, options: &[&'static str]) -> &'static str {
        let index = self.below(options.len() as u64) as usize;
        options[index]
    }
}

/// Any file without errors.
pub fn file() -> impl Strategy<Value = File> {
    any::<bool>().prop_flat_map(|tick| {
        let escape = if tick { '`' } else { '\\' };
        let body = collection::vec(collection::vec(statement(escape), 0..6), 1..4);
        (collection::vec(argument(escape), 0..3), body).prop_map(move |(globals, stages)| {
            let mut statements = globals;
            for (number, stage) in stages.into_iter().enumerate() {
                let base = if number == 0 { "${a:-alpine}:3".to_owned() } else { format!("s{}", number - 1) };
                let mut pieces = vec!["FROM".to_owned()];
                pieces.extend((number % 2 == 1).then(|| "--platform=$BUILDPLATFORM".to_owned()));
                pieces.extend([base, "AS".to_owned(), format!("S{number}")]);
                statements.push(Statement { comment: None, pieces, heredocs: Vec::new() });
                statements.extend(stage);
            }
            File { escape, statements }
        })
    })
}

fn simple(pieces: impl Strategy<Value = Vec<String>> + 'static) -> BoxedStrategy<Statement> {
    let comment = option::weighted(0.3, "[a-z]{1,5}( [a-z=]{1,5}){0,2}");
    (comment, pieces).prop_map(|(comment, pieces)| Statement { comment, pieces, heredocs: Vec::new() }).boxed()
}

/// The keyword, then what follows it.
fn with(keyword: &'static str, rest: impl Strategy<Value = Vec<String>> + 'static) -> BoxedStrategy<Statement> {
    simple(rest.prop_map(move |rest| [vec![keyword.to_owned()], rest].concat()))
}

/// A word with variables, quotes and escapes, but no blank outside of quotes.
fn word(escape: char) -> BoxedStrategy<String> {
    let part = prop_oneof![
        4 => "[a-z0-9/._-]{1,6}",
        1 => "é|名|ß",
        1 => "\\$[a-z]{1,3}|\\$\\{[a-z]{1,3}(:-[a-z]{0,3}|\\+x|##a\\*|%b|/a/b)?\\}",
        1 => "\"[a-z $=,#]{0,6}\"",
        1 => "'[a-z $=,#]{0,6}'",
        1 => Just(format!("{escape}$")),
        1 => Just(format!("{escape}{escape}x")),
        1 => Just(format!("{escape} y")),
    ];
    // A word begins with a letter: a dash would be a flag, a bracket an array.
    ("[a-z/]", collection::vec(part, 0..4)).prop_map(|(first, parts)| first + &parts.concat()).boxed()
}

/// A word without blanks, quotes and escapes.
fn bare() -> BoxedStrategy<String> {
    "[a-z/.][a-z0-9/._-]{0,6}(\\$[a-z]|\\$\\{[a-z]\\})?".boxed()
}

fn array(least: usize) -> BoxedStrategy<Vec<String>> {
    let string = "\"([a-zA-Z0-9 $,#<é/-]|\\\\n|\\\\\"|\\\\\\\\|\\\\u00e9|\\\\ud83d\\\\ude00){0,8}\"";
    // The printer has no form for what may announce a heredoc inside of quotes; broken files have it.
    let string = string.prop_filter("a heredoc in quotes", |string| !string.contains("<<"));
    collection::vec(string, least..4)
        .prop_map(|strings| {
            let last = strings.len().saturating_sub(1);
            let comma = |(at, string): (usize, String)| if at < last { format!("{string},") } else { string };
            let strings = strings.into_iter().enumerate().map(comma);
            [vec!["[".to_owned()], strings.collect(), vec!["]".to_owned()]].concat()
        })
        .boxed()
}

fn shell() -> BoxedStrategy<Vec<String>> {
    collection::vec("[a-z][a-z0-9=$/._-]{0,6}|&&|\\|\\||;|>|#|\"x y\"|'z'", 1..5)
        .prop_map(|mut words| {
            words.insert(0, "echo".to_owned());
            // The text of a command keeps its blanks, so it is one piece.
            vec![words.join(" ")]
        })
        .boxed()
}

fn pairs(keyword: &'static str, escape: char) -> BoxedStrategy<Statement> {
    let pair = ("[a-zA-Z_]{1,5}", option::of(word(escape)));
    let pair = pair.prop_map(|(key, value)| format!("{key}={}", value.unwrap_or_default()));
    prop_oneof![
        4 => with(keyword, collection::vec(pair, 1..4)),
        1 => with(keyword, ("[a-z]{1,4}", "[a-z]{1,4}( [a-z=]{1,4}){0,2}").prop_map(|(k, v)| vec![format!("{k} {v}")])),
    ]
    .boxed()
}

fn argument(escape: char) -> BoxedStrategy<Statement> {
    let one = ("[a-zA-Z_]{1,5}", option::of(word(escape)));
    let one = one.prop_map(|(name, default)| default.map_or(name.clone(), |default| format!("{name}={default}")));
    with("ARG", collection::vec(one, 1..4))
}

fn flags(all: &'static [&'static str]) -> BoxedStrategy<Vec<String>> {
    let picks = collection::vec(any::<bool>(), all.len());
    picks
        .prop_map(|picks| all.iter().zip(picks).filter(|(_, is_in)| *is_in).map(|(f, _)| (*f).to_owned()).collect())
        .boxed()
}

const COPY: &[&str] =
    &["--from=s0", "--chown=$u:g", "--chmod=u+x", "--link", "--parents=true", "--exclude=*.o", "--exclude=\"a b\""];
const ADD: &[&str] = &["--chown=1:2", "--link=false", "--checksum=sha256:00", "--keep-git-dir", "--unpack=false"];
const RUN: &[&str] = &[
    "--mount=type=cache,target=/root/.cache,sharing=locked,id=$id",
    "--mount=from=s0,source=/x,target=/y,rw",
    "--mount=type=secret,id=a,env=B,required",
    "--mount=type=tmpfs,target=/t,size=64m",
    "--network=none",
    "--security=sandbox",
    "--device=vendor/x=all,required",
];
const HEALTHCHECK: &[&str] =
    &["--interval=5s", "--timeout=1m30s", "--start-period=1.5h", "--start-interval=10ms", "--retries=3"];

fn copies() -> BoxedStrategy<Statement> {
    let arguments = || prop_oneof![collection::vec(bare(), 2..4), array(2)];
    let copy = with("COPY", (flags(COPY), arguments()).prop_map(|(flags, rest)| [flags, rest].concat()));
    let add = with("ADD", (flags(ADD), arguments()).prop_map(|(flags, rest)| [flags, rest].concat()));
    prop_oneof![copy, add, heredoc_copy()].boxed()
}

/// The words of openings and the heredocs that they announce.
fn heredocs() -> BoxedStrategy<Vec<(String, (String, String))>> {
    let content = "((\t|[a-z$ \\\\\"'#<\\[]|é){0,8}\n){0,4}";
    let one = (any::<[bool; 2]>(), content);
    collection::vec(one, 1..3)
        .prop_map(|all| {
            let named = all.into_iter().enumerate().map(|(number, ([is_quoted, strips], content))| {
                let (name, dash) = (format!("END{number}"), if strips { "-" } else { "" });
                let word = if is_quoted { format!("<<{dash}'{name}'") } else { format!("<<{dash}{name}") };
                (word, (content, if strips { format!("\t{name}") } else { name }))
            });
            named.collect()
        })
        .boxed()
}

fn heredoc_copy() -> BoxedStrategy<Statement> {
    let parts = (flags(&["--chown=1:2", "--link"]), heredocs(), "/[a-z]{1,4}/");
    parts
        .prop_map(|(flags, heredocs, to)| {
            let (words, heredocs): (Vec<String>, Vec<_>) = heredocs.into_iter().unzip();
            let pieces = [vec!["COPY".to_owned()], flags, words, vec![to]].concat();
            Statement { comment: None, pieces, heredocs }
        })
        .boxed()
}

fn heredoc_run() -> BoxedStrategy<Statement> {
    (flags(&["--network=none"]), any::<bool>(), heredocs())
        .prop_map(|(flags, alone, heredocs)| {
            let (words, heredocs): (Vec<String>, Vec<_>) = heredocs.into_iter().unzip();
            let text = if alone { words.join(" ") } else { format!("cat {}", words.join(" ")) };
            let pieces = [vec!["RUN".to_owned()], flags, vec![text]].concat();
            Statement { comment: None, pieces, heredocs }
        })
        .boxed()
}

fn statement(escape: char) -> BoxedStrategy<Statement> {
    let one_word = |keyword| with(keyword, word(escape).prop_map(|word| vec![word]));
    let command = || prop_oneof![shell(), array(1)];
    let inner = prop_oneof![
        shell().prop_map(|text| [vec!["RUN".to_owned()], text].concat()),
        Just(vec!["COPY --link a /b".to_owned()]),
        Just(vec!["ENV a=b".to_owned()]),
    ];
    // What ONBUILD keeps is text with its blanks: one piece.
    let onbuild = with("ONBUILD", inner.prop_map(|inner| vec![inner.join(" ")]));
    let check = (flags(HEALTHCHECK), command());
    let check = check.prop_map(|(flags, rest)| [flags, vec!["CMD".to_owned()], rest].concat());
    prop_oneof![
        copies(),
        with("RUN", (flags(RUN), command()).prop_map(|(flags, rest)| [flags, rest].concat())),
        heredoc_run(),
        argument(escape),
        pairs("ENV", escape),
        pairs("LABEL", escape),
        with("CMD", command()),
        with("ENTRYPOINT", command()),
        with("SHELL", array(1)),
        with("VOLUME", prop_oneof![collection::vec(bare(), 1..3), Just(vec!["[\"/a b\"]".to_owned()])]),
        with("EXPOSE", collection::vec("[1-9][0-9]{0,3}(-9999)?(/tcp|/udp)?|\\$port", 1..4)),
        with("HEALTHCHECK", check),
        with("HEALTHCHECK", Just(vec!["NONE".to_owned()])),
        with("MAINTAINER", "[a-z]{1,5} <[a-z]{1,3}@[a-z]{1,3}>".prop_map(|text| vec![text])),
        one_word("USER"),
        one_word("WORKDIR"),
        one_word("STOPSIGNAL"),
        onbuild,
    ]
    .boxed()
}
