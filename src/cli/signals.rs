//! SIGINT, SIGTERM and SIGHUP stop the build; a second one kills the command that runs; a third ends the program at once,
//! wherever it is: a kill loses nothing.

use std::io;
use std::process::{Command, ExitStatus};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::error::Result;
use crate::build::Interrupt;

/// The signal that came, if one did.
#[derive(Debug, Clone, Default)]
pub struct Received(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    came: Condvar,
}

#[derive(Debug, Default)]
struct State {
    signal: Option<i32>,
    /// Who gets the signals too.
    child: Option<Pid>,
}

impl Received {
    /// The exit status that tells of the signal: 128 and its number.
    pub fn status(&self) -> Option<u8> {
        self.state().signal.and_then(|signal| u8::try_from(128 + signal).ok())
    }

    /// Returns after so long, or as soon as a signal has come.
    pub fn wait(&self, time: Duration) {
        let waited = self.0.came.wait_timeout_while(self.state(), time, |state| state.signal.is_none());
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Runs a command to its end, and passes on to it each signal that comes meanwhile, or came before.
    pub fn run(&self, command: &mut Command) -> io::Result<ExitStatus> {
        let mut child = command.spawn()?;
        let pid = Pid::from_child(&child);
        let mut state = self.state();
        state.signal.into_iter().for_each(|signal| pass_on(pid, signal));
        state.child = Some(pid);
        drop(state);
        // Until it is reaped, which is after the last signal to it, its number is nobody else's.
        let ended = loop {
            match waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
                Err(Errno::INTR) => {}
                other => break other,
            }
        };
        self.state().child = None;
        let status = child.wait()?;
        ended?;
        Ok(status)
    }

    fn came(&self, signal: i32) {
        let mut state = self.state();
        state.signal = Some(signal);
        state.child.into_iter().for_each(|child| pass_on(child, signal));
        drop(state);
        self.0.came.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn pass_on(child: Pid, signal: i32) {
    if let Some(signal) = Signal::from_named_raw(signal) {
        // One that has ended needs none.
        let _ended = kill_process(child, signal);
    }
}

/// Lets signals set `interrupt` from now on.
pub fn watch(interrupt: &Interrupt) -> Result<Received> {
    let received = Received::default();
    let (interrupt, told) = (interrupt.clone(), received.clone());
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for (number, signal) in signals.forever().enumerate() {
            told.came(signal);
            interrupt.set();
            if number >= 2 {
                std::process::exit(128 + signal);
            }
        }
    })?;
    Ok(received)
}
