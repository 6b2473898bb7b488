//! Runs a step: starts the helper, passes output on, waits, tidies up.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};

use super::cancel::Cancel;
use super::error::{Error, Result};
use super::outcome::{Outcome, kills_for_memory};
use super::program::Program;
use super::spec::Spec;
use super::stubs;
use super::wire::{self, Ended, Failure, Footprint, KILL, Report, Request, TERMINATE};

/// How long output may take to arrive after everything that could write it has ended: what somebody else was handed.
const DRAIN: Duration = Duration::from_secs(2);

/// The most output held at a time.
const CHUNK: usize = 64 << 10;

/// Which of a step's outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Runs steps. One serves any number of threads. Until the first step it has opened nothing.
#[derive(Debug)]
pub struct Sandbox {
    path: PathBuf,
    program: Mutex<Option<Arc<Program>>>,
}

impl Default for Sandbox {
    fn default() -> Self {
        Self::new()
    }
}

impl Sandbox {
    /// A sandbox whose helper is this program, whose `main` must begin with `init_main`.
    pub fn new() -> Self {
        Self::with_program(Path::new("/proc/self/exe"))
    }

    /// A sandbox whose helper is another program.
    pub fn with_program(path: &Path) -> Self {
        Self { path: path.to_path_buf(), program: Mutex::default() }
    }

    fn program(&self) -> Result<Arc<Program>> {
        let mut program = self.program.lock().unwrap_or_else(PoisonError::into_inner);
        match &*program {
            Some(program) => Ok(Arc::clone(program)),
            None => Ok(Arc::clone(program.insert(Arc::new(Program::open(&self.path)?)))),
        }
    }

    /// Runs the command of `spec` and returns when it and all it started have ended.
    ///
    /// Output goes to `sink` as it comes, at most 64 KiB at a time; a slow sink slows the step. Everything is killed if this
    /// thread ends, so it must not be one that is stopped early. After a success the upper folder holds the step's changes and
    /// nothing of the sandbox's; after an error it is to be thrown away.
    ///
    /// # Errors
    /// Whatever keeps the command from running, the helper's program that cannot be opened too; `Error::Cancelled` if it was
    /// stopped. A failing command is an `Outcome`.
    pub fn run(&self, spec: &Spec, cancel: &Cancel, sink: &mut dyn FnMut(Stream, &[u8])) -> Result<Outcome> {
        spec.check()?;
        let kills = kills_for_memory();
        // Not serialised from a reference because a request owns what it carries.
        let mut helper = Helper::start(&*self.program()?, &Request::Run(Box::new(spec.clone())))?;
        let heard = helper.listen(cancel, sink)?;
        helper.wait()?;
        if let Some(failure) = heard.failure {
            return Err(failure.into_error());
        }
        if heard.cancelled {
            return Err(Error::Cancelled);
        }
        let (Some(ended), Some(footprint)) = (heard.ended, heard.footprint) else { return Err(Error::Lost) };
        stubs::clean(&spec.upper, &footprint)?;
        Outcome::new(ended, kills)
    }

    /// Tries whether a step could run with its root filesystem in `folder`; the failure if not.
    pub(super) fn try_in(&self, folder: &Path) -> Result<()> {
        let mut helper = Helper::start(&*self.program()?, &Request::Probe(folder.to_path_buf()))?;
        let heard = helper.listen(&Cancel::new()?, &mut |_, _| {})?;
        helper.wait()?;
        match (heard.failure, heard.footprint) {
            (Some(failure), _) => Err(failure.into_error()),
            (None, Some(_)) => Ok(()),
            (None, None) => Err(Error::Lost),
        }
    }
}

/// A running helper process; it and the step are killed if this is dropped.
struct Helper {
    child: Child,
    control: Option<UnixStream>,
    output: Option<OwnedFd>,
    error: Option<OwnedFd>,
}

/// What was heard from a helper until it fell silent.
#[derive(Default)]
struct Heard {
    footprint: Option<Footprint>,
    failure: Option<Failure>,
    ended: Option<Ended>,
    cancelled: bool,
}

fn speaking(source: io::Error) -> Error {
    Error::Start { action: "speak to", source }
}

impl Helper {
    fn start(program: &Program, request: &Request) -> Result<Self> {
        let preparing = |source: io::Error| Error::Start { action: "prepare", source };
        let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(|error| preparing(error.into()));
        let (control, far_control) = UnixStream::pair().map_err(preparing)?;
        let (output, far_output) = pipe()?;
        let (error, far_error) = pipe()?;
        let child = program.start(far_control.into(), far_output, far_error)?;
        let helper = Self { child, control: Some(control), output: Some(output), error: Some(error) };
        if let Some(control) = &helper.control {
            wire::send(control, request).map_err(speaking)?;
        }
        Ok(helper)
    }

    fn listen(&mut self, cancel: &Cancel, sink: &mut dyn FnMut(Stream, &[u8])) -> Result<Heard> {
        let mut heard = Heard::default();
        let mut buffer = vec![0; CHUNK];
        let (mut heed_terminate, mut heed_kill) = (true, true);
        let mut deadline: Option<Instant> = None;
        while self.control.is_some() || self.output.is_some() || self.error.is_some() {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                break;
            }
            let ready = self.wait_ready(cancel, heed_terminate, heed_kill, left)?;
            if ready.terminate {
                heed_terminate = false;
                heard.cancelled = true;
                self.say(TERMINATE);
            }
            if ready.kill {
                heed_kill = false;
                self.say(KILL);
            }
            pass_on(&mut self.output, ready.output, &mut buffer, &mut |bytes| sink(Stream::Stdout, bytes))?;
            pass_on(&mut self.error, ready.error, &mut buffer, &mut |bytes| sink(Stream::Stderr, bytes))?;
            if ready.control && !self.hear(&mut heard)? {
                self.control = None;
                deadline = Some(Instant::now() + DRAIN);
            }
        }
        Ok(heard)
    }

    /// Sends one byte; a helper that is gone needs to hear nothing.
    fn say(&self, word: u8) {
        if let Some(control) = &self.control {
            let _gone = rustix::io::write(control, &[word]);
        }
    }

    /// Receives one message; false at the end of them.
    fn hear(&self, heard: &mut Heard) -> Result<bool> {
        let Some(control) = &self.control else { return Ok(false) };
        match wire::receive(control) {
            Ok(Report::Ready(footprint)) => heard.footprint = Some(footprint),
            // The first failure is the cause, and tells more than the end of the process that reported it.
            Ok(Report::Failed(failure)) => {
                heard.failure.get_or_insert(failure);
            }
            Ok(Report::Ended(ended)) => heard.ended = Some(ended),
            Err(error) if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) => {
                return Ok(false);
            }
            Err(error) => return Err(speaking(error)),
        }
        Ok(true)
    }

    fn wait_ready(&self, cancel: &Cancel, terminate: bool, kill: bool, left: Option<Duration>) -> Result<Ready> {
        let nothing = PollFlags::empty();
        let mut watched = vec![
            PollFd::from_borrowed_fd(cancel.terminate_event(), if terminate { PollFlags::IN } else { nothing }),
            PollFd::from_borrowed_fd(cancel.kill_event(), if kill { PollFlags::IN } else { nothing }),
        ];
        let mut places = [None; 3];
        let sources = [
            self.control.as_ref().map(|fd| fd.as_fd()),
            self.output.as_ref().map(|fd| fd.as_fd()),
            self.error.as_ref().map(|fd| fd.as_fd()),
        ];
        for (place, source) in places.iter_mut().zip(sources) {
            if let Some(source) = source {
                *place = Some(watched.len());
                watched.push(PollFd::from_borrowed_fd(source, PollFlags::IN));
            }
        }
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut watched, left.as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(Ready::default()),
            Err(error) => return Err(speaking(error.into())),
        }
        let is_ready = |place: Option<usize>| place.is_some_and(|place| !watched[place].revents().is_empty());
        let [control, output, error] = places.map(is_ready);
        Ok(Ready { terminate: terminate && is_ready(Some(0)), kill: kill && is_ready(Some(1)), control, output, error })
    }

    fn wait(mut self) -> Result<()> {
        self.hang_up();
        self.child.wait().map(|_status| ()).map_err(|source| Error::Start { action: "wait for", source })
    }

    fn hang_up(&mut self) {
        // The end of this socket is what kills whatever is left.
        (self.control, self.output, self.error) = (None, None, None);
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        self.hang_up();
        // Reaps; after `wait` this does nothing.
        let _reaped = self.child.wait();
    }
}

/// What can be read without waiting.
#[derive(Default)]
struct Ready {
    terminate: bool,
    kill: bool,
    control: bool,
    output: bool,
    error: bool,
}

fn pass_on(from: &mut Option<OwnedFd>, ready: bool, buffer: &mut [u8], sink: &mut dyn FnMut(&[u8])) -> Result<()> {
    let Some(pipe) = from.as_ref().filter(|_| ready) else { return Ok(()) };
    match rustix::io::read(pipe, &mut *buffer) {
        Ok(0) => *from = None,
        Ok(length) => sink(&buffer[..length]),
        Err(Errno::INTR) => {}
        Err(error) => return Err(speaking(error.into())),
    }
    Ok(())
}
