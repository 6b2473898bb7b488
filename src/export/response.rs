//! Docker's answer to a load: HTTP/1.1, then a JSON object a line.

use std::io::{self, BufRead, BufReader, Read};

use serde::Deserialize;

use super::{Error, Loaded, Result};

/// The status line and headers together.
const MAX_HEAD: u64 = 64 << 10;
/// The answer's body: some lines a name.
const MAX_BODY: u64 = 4 << 20;
/// Nobody sends more interim answers than this.
const MAX_INTERIM: usize = 8;
/// Docker's own words are cut here.
const MAX_MESSAGE: usize = 2000;

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Line {
    stream: Option<String>,
    error: Option<String>,
    error_detail: Option<Detail>,
    message: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Detail {
    message: Option<String>,
}

/// How the body's end is known.
enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
}

/// Reads the whole answer; an error if Docker says that it did not load the image.
pub(super) fn read_response(stream: &mut dyn Read) -> Result<Loaded> {
    let mut reader = BufReader::new(stream);
    let (mut status, mut framing) = read_head(&mut reader)?;
    for _ in 0..MAX_INTERIM {
        // An interim answer is followed by the real one.
        if (100..200).contains(&status) {
            (status, framing) = read_head(&mut reader)?;
        }
    }
    let body = read_body(&mut reader, &framing)?;
    let mut loaded = Loaded::default();
    for line in body.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
        let Ok(line) = serde_json::from_slice::<Line>(line) else {
            if status == 200 {
                return Err(protocol("its answer is not JSON"));
            }
            return Err(refused(status, &String::from_utf8_lossy(&body)));
        };
        let detail = line.error_detail.and_then(|detail| detail.message);
        if let Some(message) = detail.or(line.error) {
            return Err(refused(status, &message));
        }
        if status != 200 {
            return Err(refused(status, &line.message.unwrap_or_default()));
        }
        for said in line.stream.unwrap_or_default().lines() {
            note(&mut loaded, said);
        }
    }
    if status != 200 {
        return Err(refused(status, ""));
    }
    Ok(loaded)
}

/// Docker reports what it loaded in English sentences only.
fn note(loaded: &mut Loaded, said: &str) {
    if let Some(id) = said.strip_prefix("Loaded image ID: ") {
        loaded.ids.push(clean(id));
    } else if let Some(name) = said.strip_prefix("Loaded image: ") {
        loaded.names.push(clean(name));
    }
}

fn read_head(reader: &mut impl BufRead) -> Result<(u16, Framing)> {
    let mut head = reader.take(MAX_HEAD);
    let status = read_line(&mut head)?;
    let code = status.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)).and_then(|code| code.parse().ok());
    let code = code.ok_or_else(|| protocol("what answers at its socket is not Docker"))?;
    let mut framing = Framing::UntilClose;
    loop {
        let line = read_line(&mut head)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(|| protocol("its answer has a malformed header"))?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("transfer-encoding") && value.eq_ignore_ascii_case("chunked") {
            framing = Framing::Chunked;
        } else if name.eq_ignore_ascii_case("content-length") && !matches!(framing, Framing::Chunked) {
            let length = value.parse().ok().ok_or_else(|| protocol("its answer has a malformed length"))?;
            framing = Framing::Length(length);
        }
    }
    Ok((code, framing))
}

fn read_body(reader: &mut impl BufRead, framing: &Framing) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    match framing {
        Framing::Length(length) => {
            reader.take((*length).min(MAX_BODY + 1)).read_to_end(&mut body).map_err(broken)?;
            if (body.len() as u64) < (*length).min(MAX_BODY) {
                return Err(protocol("its answer ends early"));
            }
        }
        Framing::UntilClose => {
            reader.take(MAX_BODY + 1).read_to_end(&mut body).map_err(broken)?;
        }
        Framing::Chunked => read_chunks(reader, &mut body)?,
    }
    if body.len() as u64 > MAX_BODY { Err(protocol("its answer is too long")) } else { Ok(body) }
}

fn read_chunks(reader: &mut impl BufRead, body: &mut Vec<u8>) -> Result<()> {
    loop {
        let line = read_line(&mut reader.take(MAX_HEAD))?;
        let digits = line.split(';').next().unwrap_or("").trim();
        let size = u64::from_str_radix(digits, 16).ok().ok_or_else(|| protocol("its answer has a malformed chunk"))?;
        if size == 0 {
            return Ok(());
        }
        if body.len() as u64 + size.min(MAX_BODY + 1) > MAX_BODY {
            return Err(protocol("its answer is too long"));
        }
        let before = body.len() as u64;
        reader.take(size).read_to_end(body).map_err(broken)?;
        if body.len() as u64 - before != size || !read_line(&mut reader.take(MAX_HEAD))?.is_empty() {
            return Err(protocol("its answer ends early"));
        }
    }
}

/// A line without its end; an error where the bytes end first.
fn read_line(reader: &mut impl BufRead) -> Result<String> {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line).map_err(broken)?;
    if line.pop() != Some(b'\n') {
        return Err(protocol("Docker closed the connection before it answered"));
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    String::from_utf8(line).ok().ok_or_else(|| protocol("its answer is not text"))
}

fn refused(status: u16, message: &str) -> Error {
    let message = clean(message);
    let message = if message.is_empty() { format!("it answered with status {status}") } else { message };
    Error::Docker { message }
}

/// Docker's words go to a terminal: one line, no control characters, not endless.
fn clean(message: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    message.trim().chars().take(MAX_MESSAGE).map(plain).collect()
}

fn protocol(problem: &str) -> Error {
    Error::Protocol { problem: problem.to_owned() }
}

fn broken(source: io::Error) -> Error {
    Error::Protocol { problem: format!("the connection broke: {source}") }
}
