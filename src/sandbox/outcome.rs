//! How a step ended.

use std::time::Duration;

use super::error::{Error, Result};
use super::wire::Ended;

/// How a step ended, and what it took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How its main process ended.
    pub end: End,
    /// The most memory one of its processes held, in bytes.
    pub max_rss: u64,
    /// Processor time spent in its processes.
    pub user_time: Duration,
    /// Processor time spent in the kernel for them.
    pub system_time: Duration,
    /// Whether it was killed while the kernel killed processes for lack of memory: a hint, not a proof.
    pub out_of_memory: bool,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl End {
    /// Whether it was code 0.
    pub fn is_success(self) -> bool {
        self == Self::Code(0)
    }

    /// The code a shell would report: 128 and the number for a signal.
    pub fn shell_code(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128 + signal,
        }
    }
}

impl Outcome {
    /// `kills` is what `kills_for_memory` said before the step.
    pub(super) fn new(ended: Ended, kills: Option<u64>) -> Result<Self> {
        let Ended { code, signal, max_rss_kib, user_micros, system_micros } = ended;
        let end = match (code, signal) {
            (Some(code), _) => End::Code(code),
            (None, Some(signal)) => End::Signal(signal),
            (None, None) => return Err(Error::Lost),
        };
        const KILLED: i32 = 128 + 9;
        Ok(Self {
            end,
            max_rss: max_rss_kib.saturating_mul(1024),
            user_time: Duration::from_micros(user_micros),
            system_time: Duration::from_micros(system_micros),
            out_of_memory: end.shell_code() == KILLED && kills < kills_for_memory(),
        })
    }
}

/// How many processes this machine, or this container's cgroup, has lost for lack of memory; none if it does not count.
pub(super) fn kills_for_memory() -> Option<u64> {
    let counters = std::fs::read_to_string("/proc/vmstat").ok()?;
    counters.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse().ok()
}
