//! Reads YAML into trees that know where everything stands.

use std::collections::HashMap;
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, Span as YamlSpan, Tag as YamlTag};

use super::node::{Entry, FileId, Map, Node, Place, Scalar, Tag, Value, resolve};
use super::problems::{Problems, Report};
use crate::dockerfile::{Diagnostic, Source, Span};

/// Values of one file, those that aliases repeat counted each time.
const MAX_NODES: usize = 100_000;
/// Lists and mappings in each other.
const MAX_DEPTH: usize = 100;

/// Reads every document of a file; a problem is reported, and ends the reading.
pub(super) fn read(file: FileId, problems: &mut Problems) -> Vec<Node> {
    let source = problems.file(file).clone();
    let mut reader = Reader {
        file,
        offsets: Offsets::of(source.text()),
        text: source.text(),
        open: Vec::new(),
        done: Vec::new(),
        anchors: HashMap::new(),
        nodes: 0,
        found: Vec::new(),
    };
    let mut parser = Parser::new_from_str(source.text());
    while let Some(event) = parser.next_event() {
        let outcome = match event {
            Ok((event, span)) => reader.event(event, span),
            Err(error) => {
                let at = reader.offsets.byte(error.marker().index());
                Err(Box::new(syntax_error(source.text(), at, error.info())))
            }
        };
        if let Err(problem) = outcome {
            reader.found.push(*problem);
            break;
        }
    }
    for problem in reader.found {
        problems.push(file, problem);
    }
    reader.done
}

/// Reads every document of a YAML file that is no compose file; `name` is for messages.
pub(crate) fn read_yaml(name: &str, text: String) -> Result<(Arc<Source>, Vec<Node>), Report> {
    let mut problems = Problems::default();
    let file = problems.add_file(name, text);
    let nodes = read(file, &mut problems);
    let source = problems.file(file).clone();
    match problems.into_reports().into_iter().next() {
        Some(report) => Err(report),
        None => Ok((source, nodes)),
    }
}

/// From the parser's characters to bytes.
struct Offsets {
    /// Empty where both are the same.
    bytes: Vec<usize>,
    length: usize,
}

impl Offsets {
    fn of(text: &str) -> Self {
        let bytes = if text.is_ascii() { Vec::new() } else { text.char_indices().map(|(at, _)| at).collect() };
        Self { bytes, length: text.len() }
    }

    fn byte(&self, character: usize) -> usize {
        if self.bytes.is_empty() {
            return character.min(self.length);
        }
        self.bytes.get(character).copied().unwrap_or(self.length)
    }
}

/// A list or a mapping that has not ended.
struct Open {
    start: usize,
    anchor: usize,
    tag: Tag,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    /// And a key whose value is to come.
    Map(Map, Option<(String, Place)>, Vec<(Place, Node)>),
}

struct Reader<'a> {
    file: FileId,
    offsets: Offsets,
    text: &'a str,
    open: Vec<Open>,
    done: Vec<Node>,
    /// Each with the number of values in it.
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
    /// What does not end the reading.
    found: Vec<Diagnostic>,
}

impl Reader<'_> {
    fn event(&mut self, event: Event<'_>, span: YamlSpan) -> Result<(), Box<Diagnostic>> {
        let start = self.offsets.byte(span.start.index());
        let end = self.offsets.byte(span.end.index());
        match event {
            Event::Scalar(text, style, anchor, tag) => self.scalar(&text, style, anchor, tag.as_deref(), start, end),
            Event::SequenceStart(anchor, tag) => self.start(start, anchor, tag.as_deref(), Content::List(Vec::new())),
            Event::MappingStart(anchor, tag) => {
                self.start(start, anchor, tag.as_deref(), Content::Map(Map::default(), None, Vec::new()))
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(end),
            Event::Alias(anchor) => self.alias(anchor, start, end),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {
                Ok(())
            }
        }
    }

    fn place(&self, start: usize, end: usize) -> Place {
        let inner = self.text.get(start..end).unwrap_or("").trim_end();
        Place { file: self.file, span: Span::new(start, start + inner.len()) }
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&YamlTag>,
        start: usize,
        end: usize,
    ) -> Result<(), Box<Diagnostic>> {
        let place = self.place(start, end);
        let scalar = match (style, tag) {
            (_, Some(tag)) if tag.is_yaml_core_schema() && tag.suffix == "str" => Scalar::Text(text.to_owned()),
            (ScalarStyle::Plain, _) => resolve(text),
            _ => Scalar::Text(text.to_owned()),
        };
        if style == ScalarStyle::Plain && self.awaits_key() && text == "<<" {
            // It may stand more than once, unlike other keys.
            return self.key(text.to_owned(), place);
        }
        let mut node = Node::new(Value::Scalar(scalar), place);
        node.tag = self.tag(tag, place)?;
        self.value(node, anchor, 1)
    }

    fn start(
        &mut self,
        start: usize,
        anchor: usize,
        tag: Option<&YamlTag>,
        content: Content,
    ) -> Result<(), Box<Diagnostic>> {
        let place = self.place(start, start + 1);
        if self.awaits_key() {
            return Err(Box::new(place.error("yaml-syntax", "a key must be a text").with_label("this is no text")));
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(Box::new(
                place.error("yaml-syntax", format!("more than {MAX_DEPTH} lists and mappings in each other")),
            ));
        }
        let tag = self.tag(tag, place)?;
        self.open.push(Open { start, anchor, tag, content });
        Ok(())
    }

    fn end(&mut self, end: usize) -> Result<(), Box<Diagnostic>> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let place = self.place(open.start, end.max(open.start));
        let value = match open.content {
            Content::List(nodes) => Value::List(nodes),
            Content::Map(map, _, merges) => Value::Map(self.merge_keys(map, merges)?),
        };
        let size = size_of(&value);
        self.value(Node { value, place, tag: open.tag }, open.anchor, size)
    }

    fn alias(&mut self, anchor: usize, start: usize, end: usize) -> Result<(), Box<Diagnostic>> {
        let place = self.place(start, end);
        let Some((node, size)) = self.anchors.get(&anchor) else {
            let message = "an anchor cannot hold itself";
            return Err(Box::new(
                place.error("yaml-syntax", message).with_label("this stands inside of its own anchor"),
            ));
        };
        let (node, size) = (node.clone(), *size);
        self.count(size, place)?;
        self.value(node, 0, size)
    }

    fn count(&mut self, size: usize, place: Place) -> Result<(), Box<Diagnostic>> {
        self.nodes += size;
        if self.nodes <= MAX_NODES {
            return Ok(());
        }
        Err(Box::new(place.error(
            "yaml-syntax",
            format!("the file has more than {MAX_NODES} values, with those that aliases repeat"),
        )))
    }

    fn awaits_key(&self) -> bool {
        matches!(self.open.last(), Some(Open { content: Content::Map(_, None, _), .. }))
    }

    /// A whole value: it goes where one is awaited.
    fn value(&mut self, node: Node, anchor: usize, size: usize) -> Result<(), Box<Diagnostic>> {
        self.count(1, node.place)?;
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), size));
        }
        if self.awaits_key() {
            let place = node.place;
            return match node.value {
                Value::Scalar(Scalar::Text(text)) => self.key(text, place),
                Value::Scalar(scalar) => {
                    let kind = Node::new(Value::Scalar(scalar), place).kind();
                    let text = self.text.get(place.span.range()).unwrap_or("").to_owned();
                    self.found.push(
                        place.error("yaml-key", format!("`{text}` is {kind}, and a key must be a text")).with_fix(
                            "put it in quotes",
                            place.span,
                            format!("\"{text}\""),
                        ),
                    );
                    self.key(text, place)
                }
                Value::List(_) | Value::Map(_) => {
                    Err(Box::new(place.error("yaml-syntax", "a key must be a text").with_label("this is no text")))
                }
            };
        }
        match self.open.last_mut().map(|open| &mut open.content) {
            None => self.done.push(node),
            Some(Content::List(nodes)) => nodes.push(node),
            Some(Content::Map(map, key, merges)) => {
                let Some((key, key_place)) = key.take() else { return Ok(()) };
                if key == "<<" {
                    merges.push((key_place, node));
                } else {
                    // An empty value is nowhere: its key tells where it would be.
                    let place = if node.place.span.is_empty() && node.is_null() { key_place } else { node.place };
                    map.entries.push(Entry { key, key_place, node: Node { place, ..node } });
                }
            }
        }
        Ok(())
    }

    fn key(&mut self, text: String, place: Place) -> Result<(), Box<Diagnostic>> {
        let Some(Open { content: Content::Map(map, awaited, _), .. }) = self.open.last_mut() else { return Ok(()) };
        if let Some(first) = map.entry(&text).filter(|_| text != "<<") {
            let line = self.text.get(..first.key_place.span.start()).unwrap_or("").matches('\n').count() + 1;
            let message = format!("the key `{text}` stands twice in one mapping");
            self.found.push(
                place
                    .error("duplicate-key", message)
                    .with_label("again here")
                    .with_note(format!("first in line {line}")),
            );
            map.remove(&text);
        }
        *awaited = Some((text, place));
        Ok(())
    }

    /// Adds what `<<` brings: own keys count more, and earlier mappings more than later ones.
    fn merge_keys(&mut self, mut map: Map, merges: Vec<(Place, Node)>) -> Result<Map, Box<Diagnostic>> {
        for (key_place, node) in merges {
            let sources = match node.value {
                Value::List(nodes) => nodes,
                value => vec![Node { value, ..node }],
            };
            for source in sources {
                let Value::Map(merged) = source.value else {
                    let message = "`<<` takes a mapping, or a list of mappings";
                    return Err(Box::new(key_place.error("yaml-merge", message).with_help("write `<<: *anchor`")));
                };
                let lacking = |entry: &Entry| map.entry(&entry.key).is_none();
                let (added, _own): (Vec<Entry>, Vec<Entry>) = merged.entries.into_iter().partition(lacking);
                map.entries.extend(added);
            }
        }
        Ok(map)
    }

    fn tag(&mut self, tag: Option<&YamlTag>, place: Place) -> Result<Tag, Box<Diagnostic>> {
        match tag {
            None => Ok(Tag::Merge),
            Some(tag) if tag.is_yaml_core_schema() => Ok(Tag::Merge),
            Some(tag) => match (tag.handle.as_str(), tag.suffix.as_str()) {
                ("!" | "", "reset" | "!reset") => Ok(Tag::Reset),
                ("!" | "", "override" | "!override") => Ok(Tag::Override),
                _ => {
                    let message = format!("`{tag}` is not a tag of compose files");
                    Err(Box::new(
                        place.error("unknown-tag", message).with_help("the tags are `!reset` and `!override`"),
                    ))
                }
            },
        }
    }
}

fn size_of(value: &Value) -> usize {
    match value {
        Value::Scalar(_) => 1,
        Value::List(nodes) => 1 + nodes.iter().map(|node| size_of(&node.value)).sum::<usize>(),
        Value::Map(map) => 1 + map.entries.iter().map(|entry| size_of(&entry.node.value)).sum::<usize>(),
    }
}

/// What the parser says, where it says it.
fn syntax_error(text: &str, at: usize, info: &str) -> Diagnostic {
    let rest = text.get(at..).unwrap_or("");
    let width = rest.chars().next().filter(|c| *c != '\n').map_or(0, char::len_utf8);
    let line_start = text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1);
    let line = text.get(line_start..).and_then(|line| line.lines().next()).unwrap_or("");
    let indent = &line[..line.len() - line.trim_start().len()];
    if let Some(tab) = indent.find('\t') {
        let span = Span::new(line_start + tab, line_start + tab + 1);
        return Diagnostic::error("yaml-syntax", span, "YAML does not indent with tabs")
            .with_label("a tab")
            .with_help("indent with spaces");
    }
    let message = format!("this is not YAML: {}", info.trim_end_matches('.'));
    Diagnostic::error("yaml-syntax", Span::new(at, at + width), message).with_label("reading stopped here")
}
