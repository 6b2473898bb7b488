//! The agent: a conversation over one connection.

use std::io::{self, Read, Write};

use super::Key;
use super::wire::{Reader, put};

/// No request is longer, in bytes; OpenSSH's limit.
const MAX_REQUEST: u32 = 256 << 10;

const FAILURE: u8 = 5;
const LIST: u8 = 11;
const LISTED: u8 = 12;
const SIGN: u8 = 13;
const SIGNED: u8 = 14;

/// Keys that an agent knows.
#[derive(Debug, Default)]
pub struct Keys {
    keys: Vec<Key>,
}

impl Keys {
    /// An agent with these keys.
    pub fn new(keys: Vec<Key>) -> Self {
        Self { keys }
    }

    /// Answers requests until the other side closes the connection.
    pub fn serve(&self, stream: &mut (impl Read + Write)) -> io::Result<()> {
        loop {
            let mut length = [0; 4];
            match stream.read_exact(&mut length) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                read => read?,
            }
            let length = u32::from_be_bytes(length);
            if length > MAX_REQUEST {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the request is too long"));
            }
            let mut request = Vec::new();
            let wanted = u64::from(length);
            if Read::by_ref(stream).take(wanted).read_to_end(&mut request)? as u64 != wanted {
                return Ok(());
            }
            let mut answer = Vec::new();
            put(&mut answer, &self.answer(&request).unwrap_or_else(|| vec![FAILURE]));
            stream.write_all(&answer)?;
        }
    }

    /// None if the request cannot be met, whatever the reason: the protocol has one failure.
    fn answer(&self, request: &[u8]) -> Option<Vec<u8>> {
        let mut request = Reader::new(request);
        match request.byte().ok()? {
            LIST => {
                let mut answer = vec![LISTED];
                answer.extend(u32::try_from(self.keys.len()).ok()?.to_be_bytes());
                for key in &self.keys {
                    put(&mut answer, key.public());
                    put(&mut answer, key.comment());
                }
                Some(answer)
            }
            SIGN => {
                let (public, message) = (request.string().ok()?, request.string().ok()?);
                let flags = request.number().ok()?;
                let key = self.keys.iter().find(|key| key.public() == public)?;
                let mut answer = vec![SIGNED];
                put(&mut answer, &key.sign(message, flags)?);
                Some(answer)
            }
            _ => None,
        }
    }
}
