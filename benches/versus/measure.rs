//! Runs a program and says what it took.

use std::io::Read as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// What one run took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    pub wall: Duration,
    /// User and system time, its helpers' and commands' included; of a rival's daemon nothing is known.
    pub cpu: Duration,
    /// The largest resident memory of the program or of one of its helpers.
    pub peak_kib: u64,
}

impl Cost {
    /// Of two commands, one after the other.
    pub fn then(self, next: Self) -> Self {
        let peak_kib = self.peak_kib.max(next.peak_kib);
        Self { wall: self.wall + next.wall, cpu: self.cpu + next.cpu, peak_kib }
    }
}

/// Runs a command that must succeed.
pub fn run(command: &mut Command) -> Cost {
    attempt(command).unwrap_or_else(|problem| panic!("{problem}"))
}

/// Runs a command that may fail; the error says which, and what it said.
#[expect(clippy::zombie_processes, reason = "`wait` waits for it, and learns its usage")]
pub fn attempt(command: &mut Command) -> Result<Cost, String> {
    let start = Instant::now();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    let mut said = String::new();
    let mut stderr = child.stderr.take().expect("it is piped");
    // Standard error ends with the program; what it says is only shown if it fails.
    stderr.read_to_string(&mut said).unwrap_or_else(|error| panic!("{command:?} does not speak UTF-8: {error}"));
    let (status, usage) = wait(child.id());
    let wall = start.elapsed();
    if !status.success() {
        return Err(format!("{command:?}: {status}\n{said}"));
    }
    let time = |t: libc::timeval| Duration::new(t.tv_sec.unsigned_abs(), 1000 * u32::try_from(t.tv_usec).unwrap_or(0));
    let cpu = time(usage.ru_utime) + time(usage.ru_stime);
    Ok(Cost { wall, cpu, peak_kib: usage.ru_maxrss.unsigned_abs() })
}

/// Waits for a child and gives what it and all that it waited for have used.
#[expect(
    unsafe_code,
    reason = "wait4 is the one call that tells the usage of a single child, and no crate here has it"
)]
fn wait(pid: u32) -> (ExitStatus, libc::rusage) {
    let pid = libc::pid_t::try_from(pid).expect("process ids are small");
    let mut status = 0;
    // SAFETY: all of `rusage` is numbers, for which zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to variables of this function, and the child is ours and was not waited for.
    let waited = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) };
    assert_eq!(waited, pid, "cannot wait for the child: {}", std::io::Error::last_os_error());
    (ExitStatus::from_raw(status), usage)
}

/// The middle one.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
