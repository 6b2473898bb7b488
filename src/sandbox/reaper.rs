//! Process 1: starts the step, reaps orphans, passes on the wish to stop, and takes everything with it when it ends.

use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};
use rustix::thread::UnshareFlags;

use super::init::Helper;
use super::spec::{ProcessOne, Spec};
use super::step;
use super::sys::{self, Forked};
use super::wire::{Doing as _, Ended, Failure, KILL, Report, TERMINATE};

/// Runs the step of `spec`; ends this process.
pub(super) fn main(helper: &Helper, spec: &Spec) -> ! {
    if let Err(failure) = supervise(helper, spec) {
        helper.tell(&Report::Failed(failure));
    }
    sys::exit_now(0)
}

fn supervise(helper: &Helper, spec: &Spec) -> Result<(), Failure> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).doing("ask for the death signal", "")?;
    let signals = sys::block_signals_but_watch_children().doing("watch child processes", "")?;
    if spec.process_one == ProcessOne::Step {
        sys::unshare(UnshareFlags::NEWPID).doing("make namespaces", "")?;
    }
    let step = match sys::fork().doing("start a process", "")? {
        Forked::Child => step::main(helper, spec),
        Forked::Parent(step) => step,
    };
    helper.drop_stdio().doing("redirect standard output", "")?;
    let mut stop = Stop { spec, deadline: None, listening: true };
    let status = loop {
        if let Some(status) = reap(step)? {
            break status;
        }
        stop.wait(helper, &signals)?;
    };
    // Nothing outlives the step. As process 1 this process is spared by its own signal.
    kill_all(Signal::KILL);
    while let Ok(Some(_)) | Err(Errno::INTR) = rustix::process::wait(WaitOptions::empty()) {}
    let (max_rss_kib, user_micros, system_micros) = sys::children_usage();
    let (code, signal) = (status.exit_status(), status.terminating_signal());
    helper.tell(&Report::Ended(Ended { code, signal, max_rss_kib, user_micros, system_micros }));
    Ok(())
}

/// Reaps whatever has ended; the step's status if it has.
fn reap(step: Pid) -> Result<Option<WaitStatus>, Failure> {
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == step => return Ok(Some(status)),
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => return Ok(None),
            Err(error) => return Err(error).doing("wait for the step", ""),
        }
    }
}

/// Signals everything in the sandbox; that there may be nothing left is no failure.
fn kill_all(signal: Signal) {
    let _nobody_left = sys::signal_all(signal);
}

/// What the caller wants.
struct Stop<'a> {
    spec: &'a Spec,
    deadline: Option<Instant>,
    listening: bool,
}

impl Stop<'_> {
    /// Sleeps until a child has ended, the caller has said something, or the grace is over.
    fn wait(&mut self, helper: &Helper, signals: &std::os::fd::OwnedFd) -> Result<(), Failure> {
        let left = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left == Some(Duration::ZERO) {
            kill_all(Signal::KILL);
            self.deadline = None;
        }
        // Never zero, or a grace that has just ended would spin.
        let left = left.filter(|left| !left.is_zero()).and_then(|left| Timespec::try_from(left).ok());
        let mut watched = vec![PollFd::new(signals, PollFlags::IN)];
        if self.listening {
            watched.push(PollFd::from_borrowed_fd(helper.control.as_fd(), PollFlags::IN));
        }
        match poll(&mut watched, left.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error).doing("wait for the step", ""),
        }
        let spoken = watched.get(1).is_some_and(|control| !control.revents().is_empty());
        if !watched[0].revents().is_empty() {
            let mut record = [0; 128];
            // One record stands for any number of children; all are reaped.
            let _record = rustix::io::read(signals, &mut record);
        }
        if spoken { self.listen(helper) } else { Ok(()) }
    }

    fn listen(&mut self, helper: &Helper) -> Result<(), Failure> {
        let mut word = [0];
        match rustix::io::read(&helper.control, &mut word) {
            Ok(1) if word[0] == TERMINATE => {
                if self.spec.process_one == ProcessOne::Step && !catches_terminate() {
                    kill_all(Signal::KILL);
                } else {
                    kill_all(Signal::TERM);
                    // A stopped process gets the signal only when it goes on.
                    kill_all(Signal::CONT);
                    self.deadline = Some(Instant::now() + self.spec.grace);
                }
                Ok(())
            }
            Ok(1) if word[0] == KILL => {
                kill_all(Signal::KILL);
                Ok(())
            }
            Err(Errno::INTR) => Ok(()),
            // The caller is gone.
            Ok(_) | Err(_) => {
                self.listening = false;
                kill_all(Signal::KILL);
                sys::exit_now(0)
            }
        }
    }
}

/// Whether the step, being process 1 of its namespace, has an action for SIGTERM. The kernel drops the signal if not.
fn catches_terminate() -> bool {
    let Ok(status) = std::fs::read_to_string("/proc/1/status") else { return false };
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & (1 << (15 - 1)) != 0)
}
