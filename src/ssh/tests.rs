use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use super::number::modulo_predecessor;
use super::wire::{Reader, put};
use super::{Error, Key, Keys};

/// A key that ssh-keygen has just made, with its file.
fn made(folder: &Path, args: &[&str]) -> Vec<u8> {
    let file = folder.join("key");
    let _absent = std::fs::remove_file(&file);
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-C", "a comment", "-f"]).arg(&file).args(args).stdin(Stdio::null());
    let status = command.status().expect("ssh-keygen is installed: apt-get install openssh-client");
    assert!(status.success(), "{args:?}");
    std::fs::read(file).expect("the key")
}

#[test]
fn keys_of_ssh_keygen_are_read_and_have_its_public_half() {
    let folder = tempfile::tempdir().expect("a folder");
    for (args, kind) in [
        (vec!["-t", "ed25519", "-N", ""], "ssh-ed25519"),
        (vec!["-t", "rsa", "-b", "2048", "-N", ""], "ssh-rsa"),
        (vec!["-t", "rsa", "-b", "2048", "-m", "PEM", "-N", ""], "ssh-rsa"),
        (vec!["-t", "ecdsa", "-b", "256", "-N", ""], "ecdsa-sha2-nistp256"),
        (vec!["-t", "ecdsa", "-b", "384", "-N", ""], "ecdsa-sha2-nistp384"),
        (vec!["-t", "ecdsa", "-b", "384", "-m", "PKCS8", "-N", ""], "ecdsa-sha2-nistp384"),
    ] {
        let key = Key::parse(&made(folder.path(), &args)).expect("a key");
        let public = std::fs::read_to_string(folder.path().join("key.pub")).expect("its public half");
        use base64::Engine as _;
        let expected = format!("{kind} {}", base64::engine::general_purpose::STANDARD.encode(key.public()));
        assert!(public.starts_with(&expected), "{public} is not {expected}");
        assert!(key.sign(b"text", 4).is_some(), "{args:?}");
    }
    let protected = made(folder.path(), &["-t", "ed25519", "-N", "secret"]);
    assert_eq!(Key::parse(&protected).err(), Some(Error::Protected));
    let protected = made(folder.path(), &["-t", "rsa", "-m", "PEM", "-N", "secret"]);
    assert_eq!(Key::parse(&protected).err(), Some(Error::Protected));
    let unsupported = made(folder.path(), &["-t", "ecdsa", "-b", "521", "-N", ""]);
    let Err(Error::Unsupported { kind }) = Key::parse(&unsupported) else { panic!("unsupported") };
    assert_eq!(kind, "ecdsa-sha2-nistp521");
}

#[test]
fn what_is_no_key_or_cut_off_is_an_error_wherever_it_ends() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = String::from_utf8(made(folder.path(), &["-t", "ed25519", "-N", ""])).expect("text");
    assert_eq!(Key::parse(b"hello").err(), Some(Error::NoKey));
    assert_eq!(Key::parse(b"\xff").err(), Some(Error::NoKey));
    let lines: Vec<&str> = text.lines().collect();
    let body = lines[1..lines.len() - 1].concat();
    for end in (0..body.len() - 4).step_by(4) {
        let cut = format!("{}\n{}\n{}\n", lines[0], &body[..end], lines[lines.len() - 1]);
        assert!(Key::parse(cut.as_bytes()).is_err(), "{end}");
    }
    let public = std::fs::read(folder.path().join("key.pub")).expect("its public half");
    assert_eq!(Key::parse(&public).err(), Some(Error::NoKey));
}

/// A connection whose other side has said everything already.
struct Connection {
    said: io::Cursor<Vec<u8>>,
    heard: Vec<u8>,
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.said.read(buffer)
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.heard.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn answers(keys: &Keys, requests: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut said = Vec::new();
    requests.iter().for_each(|request| put(&mut said, request));
    let mut connection = Connection { said: io::Cursor::new(said), heard: Vec::new() };
    keys.serve(&mut connection).expect("an end");
    let mut reader = Reader::new(&connection.heard);
    std::iter::from_fn(|| reader.string().ok().map(<[u8]>::to_vec)).collect()
}

#[test]
fn an_agent_lists_its_keys_signs_with_them_and_does_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = Key::parse(&made(folder.path(), &["-t", "ed25519", "-N", ""])).expect("a key");
    let public = key.public().to_vec();
    let keys = Keys::new(vec![key]);
    let mut sign = vec![13];
    put(&mut sign, &public);
    put(&mut sign, b"text");
    sign.extend([0; 4]);
    let mut other = vec![13];
    put(&mut other, b"another key");
    put(&mut other, b"text");
    other.extend([0; 4]);
    // Beside these: nothing, half a request, add, remove all, lock, an extension.
    let requests: [&[u8]; 9] = [&[11], &sign, &other, &[], &sign[..9], &[17], &[19], &[22], &[27]];
    let answers = answers(&keys, &requests);
    assert_eq!(answers.iter().map(|answer| answer[0]).collect::<Vec<u8>>(), [12, 14, 5, 5, 5, 5, 5, 5, 5]);
    let mut listed = vec![12, 0, 0, 0, 1];
    put(&mut listed, &public);
    put(&mut listed, b"a comment");
    assert_eq!(answers[0], listed);
    let mut endless = Connection { said: io::Cursor::new(vec![0xff; 8]), heard: Vec::new() };
    assert!(keys.serve(&mut endless).is_err());
    assert!(!format!("{keys:?}").contains("seed"));
}

#[test]
fn remainders_are_those_of_division() {
    let bytes = |number: u64| number.to_be_bytes();
    for (value, modulus) in
        [(0_u64, 3_u64), (7, 3), (u64::MAX, 255), (u64::MAX, u64::MAX), (1 << 40, 1 << 33), (5, 300)]
    {
        let rest = modulo_predecessor(&bytes(value), &bytes(modulus)).expect("a remainder");
        let expected = bytes(value % (modulus - 1));
        let zeros = expected.iter().take_while(|byte| **byte == 0).count();
        assert_eq!(rest, expected[zeros..], "{value} mod {modulus}");
    }
    assert_eq!(modulo_predecessor(&[5], &[1]), None);
}
