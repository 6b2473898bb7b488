//! The comma-separated options of `--mount` and `--device`.

use super::diagnostic::Diagnostic;
use super::flags::Value;
use super::source::Span;
use super::word::Text;

/// Splits a value at its commas; a field may be quoted as a whole, a doubled quote inside stands for one.
pub(super) fn fields(value: &Value<'_>) -> Result<Vec<Text>, Box<Diagnostic>> {
    let text = value.text.as_str();
    let mut fields = Vec::new();
    let mut at = 0;
    loop {
        let (field, end) = match text[at..].starts_with('"') {
            true => quoted(text, at).map_err(|problem| bad_quote(problem, value.span_of(at, text.len())))?,
            false => plain(text, at).map_err(|problem| bad_quote(problem, value.span_of(at, text.len())))?,
        };
        fields.push(Text::new(field, value.span_of(at, end)));
        if end >= text.len() {
            return Ok(fields);
        }
        at = end + 1;
    }
}

fn bad_quote(problem: &'static str, span: Span) -> Box<Diagnostic> {
    let help = "quote the whole option, with the quotes escaped from the Dockerfile: `\\\"key=a,b\\\"`";
    Box::new(Diagnostic::error("bad-option", span, problem).with_help(help))
}

fn plain(text: &str, start: usize) -> Result<(String, usize), &'static str> {
    let end = text[start..].find(',').map_or(text.len(), |length| start + length);
    let field = &text[start..end];
    match field.contains('"') {
        true => Err("a quote stands inside an option that does not begin with one"),
        false => Ok((field.to_owned(), end)),
    }
}

fn quoted(text: &str, start: usize) -> Result<(String, usize), &'static str> {
    let mut field = String::new();
    let mut chars = text[start..].char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        match (c, chars.peek()) {
            ('"', Some((_, '"'))) => {
                field.push('"');
                chars.next();
            }
            ('"', None | Some((_, ','))) => return Ok((field, start + at + 1)),
            ('"', Some(_)) => return Err("text follows the closing quote of an option"),
            (c, _) => field.push(c),
        }
    }
    Err("the quote of an option is not closed")
}
