//! Asks a credential helper: a program `docker-credential-<name>` that keeps passwords in the system's keyring.

use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Deserialize;

use super::credentials::Credentials;
use super::{Error, Result, limits};

/// What a helper had to say.
pub(super) enum Answer {
    Credentials(Credentials),
    /// It keeps none for that server.
    Nothing,
    /// There is no such program.
    NotInstalled,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Reply {
    username: String,
    secret: String,
}

/// Runs `docker-credential-<name> get`, with the server's name on its standard input.
///
/// The helper is a child without a shell, in a process group of its own, which is killed when `timeout` is over.
pub(super) fn ask(name: &str, server: &str, timeout: Duration) -> Result<Answer> {
    let program = format!("docker-credential-{name}");
    let fail = |problem: String| Error::Helper { program: program.clone(), problem };
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-');
    if name.is_empty() || !name.bytes().all(plain) {
        return Err(fail("its name may hold only `a-z`, `0-9`, `.`, `_` and `-`".to_owned()));
    }
    if server.contains(['\n', '\r', '\0']) {
        return Err(fail("the server's name holds a line break".to_owned()));
    }
    run(Command::new(&program).arg("get"), server, timeout).map_err(fail)
}

/// Runs a helper. Errors are what it did wrong.
pub(super) fn run(command: &mut Command, server: &str, timeout: Duration) -> Result<Answer, String> {
    let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0).spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Answer::NotInstalled),
        Err(error) => return Err(format!("it cannot be started: {error}")),
    };
    let outcome = talk(&mut child, server, timeout);
    if outcome.is_err() {
        kill(&mut child);
    }
    let (output, succeeded) = outcome?;
    read(&output, succeeded)
}

/// Writes the question and reads until the helper has exited. What it left behind may hold the pipe open: not waited for.
fn talk(child: &mut Child, server: &str, timeout: Duration) -> Result<(Vec<u8>, bool), String> {
    let deadline = Instant::now() + timeout;
    if let Some(mut stdin) = child.stdin.take() {
        match stdin.write_all(server.as_bytes()) {
            // A helper that does not read its question may still answer.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            other => other.map_err(|e| e.to_string())?,
        }
    }
    let mut stdout = child.stdout.take().ok_or_else(|| "it has no output".to_owned())?;
    let mut output = Vec::new();
    let mut open = true;
    loop {
        let exited = child.try_wait().map_err(|e| e.to_string())?;
        let patience = if exited.is_some() { Duration::ZERO } else { Duration::from_millis(20) };
        while open && is_readable(&stdout, patience).map_err(|e| e.to_string())? {
            open = read_some(&mut stdout, &mut output)?;
            if exited.is_none() {
                break;
            }
        }
        if let Some(status) = exited {
            return Ok((output, status.success()));
        }
        if Instant::now() >= deadline {
            return Err(format!("it did not answer for {} s", timeout.as_secs()));
        }
        if !open {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn is_readable(stdout: &ChildStdout, patience: Duration) -> io::Result<bool> {
    let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(patience.subsec_nanos()) };
    match poll(&mut [PollFd::from_borrowed_fd(stdout.as_fd(), PollFlags::IN)], Some(&timeout)) {
        Ok(ready) => Ok(ready > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Reads once; whether there may be more.
fn read_some(stdout: &mut ChildStdout, output: &mut Vec<u8>) -> Result<bool, String> {
    let mut buffer = [0; 4096];
    let count = stdout.read(&mut buffer).map_err(|e| e.to_string())?;
    output.extend_from_slice(buffer.get(..count).unwrap_or(&[]));
    if output.len() > limits::HELPER_OUTPUT {
        return Err(format!("it printed more than {} bytes", limits::HELPER_OUTPUT));
    }
    Ok(count > 0)
}

fn kill(child: &mut Child) {
    // The group may be gone already; the error that brought us here is the one to report.
    if let Some(group) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
        let _gone = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    // Collects the child, which has just been killed.
    let _status = child.wait();
}

fn read(output: &[u8], succeeded: bool) -> Result<Answer, String> {
    if !succeeded {
        let text = String::from_utf8_lossy(output);
        let text = text.trim();
        if text.contains("credentials not found") {
            return Ok(Answer::Nothing);
        }
        let shown: String = text.chars().filter(|c| !c.is_control()).take(limits::SAID).collect();
        return Err(if shown.is_empty() { "it exited with an error".to_owned() } else { shown });
    }
    // The parser's words could quote the secret.
    let reply: Reply = serde_json::from_slice(output).map_err(|_quotes| "its answer is no JSON object".to_owned())?;
    Ok(match (reply.username.as_str(), reply.secret.as_str()) {
        (_, "") => Answer::Nothing,
        ("<token>", _) => Answer::Credentials(Credentials::Identity(reply.secret)),
        ("", _) => Answer::Nothing,
        _ => Answer::Credentials(Credentials::Password { user: reply.username, password: reply.secret }),
    })
}
