//! SIGINT, SIGTERM and SIGHUP stop the build; a second one kills the command that runs; a third ends the program at once,
//! wherever it is: a kill loses nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::error::Result;
use crate::build::Interrupt;

/// The signal that came, if one did.
#[derive(Debug, Clone, Default)]
pub struct Received(Arc<AtomicI32>);

impl Received {
    /// The exit status that tells of the signal: 128 and its number.
    pub fn status(&self) -> Option<u8> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            signal => u8::try_from(128 + signal).ok(),
        }
    }
}

/// Lets signals set `interrupt` from now on.
pub fn watch(interrupt: &Interrupt) -> Result<Received> {
    let received = Received::default();
    let (interrupt, told) = (interrupt.clone(), received.clone());
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for (number, signal) in signals.forever().enumerate() {
            told.0.store(signal, Ordering::Relaxed);
            interrupt.set();
            if number >= 2 {
                std::process::exit(128 + signal);
            }
        }
    })?;
    Ok(received)
}
