//! How steps end, and what ends with them.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rbuild::sandbox::{Cancel, End, Error, ProcessOne, Spec};

use super::bench::{Bench, host, mount, run, sandbox};

/// Runs a step that is cancelled when it first says something.
fn cancelled(spec: &Spec) -> Duration {
    let cancel = Cancel::new().expect("a cancel");
    let mut since = None;
    let stopped = sandbox().run(spec, &cancel, &mut |_, _| {
        since.get_or_insert_with(Instant::now);
        cancel.cancel();
    });
    assert!(matches!(stopped, Err(Error::Cancelled)), "{stopped:?}");
    since.expect("the step said something").elapsed()
}

/// A pipe with a name, in a folder that steps see as `/shared`: at its end when nobody is left who could write to it.
fn fifo(bench: &Bench) -> (PathBuf, PathBuf) {
    let folder = bench.folder("shared");
    let fifo = folder.join("fifo");
    let made = Command::new("/bin/busybox").arg("mkfifo").arg(&fifo).status().expect("busybox runs");
    assert!(made.success());
    (folder, fifo)
}

#[test]
fn codes_and_signals_are_told_apart() {
    let bench = Bench::new();
    for (script, end) in [
        ("exit 0", End::Code(0)),
        ("exit 137", End::Code(137)),
        ("kill -9 $$", End::Signal(9)),
        ("kill $$", End::Signal(15)),
    ] {
        assert_eq!(run(&bench.spec(script)).expect("runs").outcome.end, end, "{script}");
    }
}

#[test]
fn nothing_outlives_its_step() {
    let bench = Bench::new();
    let (folder, fifo) = fifo(&bench);
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        File::open(&fifo).and_then(|mut fifo| fifo.read_to_string(&mut text)).expect("the pipe ends");
        text
    });
    let script = "exec 9>/shared/fifo; echo open >&9; sleep 987 & (setsid sleep 987 &) ; nohup sleep 987 >/dev/null 2>&1 & \
        (trap '' TERM HUP INT; sleep 987) & (sleep 987 | cat) & echo out";
    for process_one in [ProcessOne::Init, ProcessOne::Step] {
        let mut spec = bench.spec(if process_one == ProcessOne::Init { script } else { "sleep 987 & echo out" });
        spec.process_one = process_one;
        spec.mounts = vec![mount("/shared", host(&folder))];
        let start = Instant::now();
        assert_eq!(run(&spec).expect("runs").stdout, "out\n");
        assert!(start.elapsed() < Duration::from_secs(20), "it waited for what it left behind");
    }
    assert_eq!(reader.join().expect("the reader ends"), "open\n");
}

#[test]
fn a_cancelled_step_may_end_by_itself() {
    let bench = Bench::new();
    let folder = bench.folder("shared");
    let mut spec =
        bench.spec("trap 'echo bye >/shared/bye; exit' TERM; echo ready; while :; do sleep 987 & wait; done");
    spec.mounts = vec![mount("/shared", host(&folder))];
    spec.grace = Duration::from_secs(60);
    assert!(cancelled(&spec) < Duration::from_secs(30));
    assert_eq!(fs::read_to_string(folder.join("bye")).expect("it said goodbye"), "bye\n");
}

#[test]
fn a_cancelled_step_that_will_not_end_is_killed() {
    let bench = Bench::new();
    let mut spec = bench.spec("trap '' TERM; echo ready; while :; do sleep 987; done");
    spec.grace = Duration::from_millis(100);
    assert!(cancelled(&spec) < Duration::from_secs(30));
    // As process 1 of its namespace a step without an action for the signal would never see it.
    let mut spec = bench.spec("echo ready; sleep 987; sleep 987");
    spec.process_one = ProcessOne::Step;
    spec.grace = Duration::from_secs(600);
    assert!(cancelled(&spec) < Duration::from_secs(30));
}

#[test]
fn a_step_is_not_started_when_it_is_cancelled_already() {
    let bench = Bench::new();
    let cancel = Cancel::new().expect("a cancel");
    cancel.kill();
    let stopped = sandbox().run(&bench.spec("sleep 987"), &cancel, &mut |_, _| {});
    assert!(matches!(stopped, Err(Error::Cancelled)), "{stopped:?}");
}

#[test]
fn one_sandbox_serves_several_threads() {
    let sandbox = sandbox();
    std::thread::scope(|scope| {
        for number in 0..4 {
            let sandbox = &sandbox;
            scope.spawn(move || {
                let bench = Bench::new();
                for round in 0..3 {
                    let cancel = Cancel::new().expect("a cancel");
                    let mut said = Vec::new();
                    let spec = bench.spec(&format!("echo {number} {round}; hostname; exit {number}"));
                    let outcome =
                        sandbox.run(&spec, &cancel, &mut |_, bytes| said.extend_from_slice(bytes)).expect("runs");
                    assert_eq!(outcome.end, End::Code(number));
                    assert_eq!(String::from_utf8_lossy(&said), format!("{number} {round}\nbuildkitsandbox\n"));
                }
            });
        }
    });
}

#[test]
fn a_caller_that_panics_kills_its_step() {
    let bench = Bench::new();
    let spec = bench.spec("trap '' TERM; echo ready; while :; do sleep 987; done");
    let start = Instant::now();
    let caller = std::thread::spawn(move || {
        let cancel = Cancel::new().expect("a cancel");
        sandbox().run(&spec, &cancel, &mut |_, _| panic!("the sink fails, as it should here"))
    });
    assert!(caller.join().is_err());
    assert!(start.elapsed() < Duration::from_secs(60));
}

#[test]
fn orphans_are_reaped() {
    let bench = Bench::new();
    let script = "i=0; while [ $i -lt 300 ]; do (true & ) ; i=$((i+1)); done; \
        n=1; while [ $n != 0 ]; do n=$(grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l); done; echo $n";
    assert_eq!(bench.says(script), "0\n");
}

const VICTIM: &str = "RBUILD_TEST_VICTIM";

/// The caller that the next test kills; does nothing on its own.
#[test]
fn a_caller_to_be_killed() {
    let Some(folder) = std::env::var_os(VICTIM) else { return };
    let bench = Bench::new();
    let mut spec = bench.spec("exec 9>/shared/fifo; trap '' TERM; (setsid sleep 987 &); echo ready >&9; sleep 987");
    spec.mounts = vec![mount("/shared", host(Path::new(&folder)))];
    run(&spec).expect("it is killed before");
}

#[test]
fn nothing_outlives_a_killed_caller() {
    let bench = Bench::new();
    let (folder, fifo) = fifo(&bench);
    let mut caller = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "sandbox::lifetime::a_caller_to_be_killed"])
        .env(VICTIM, &folder)
        .env("TMPDIR", bench.folder("callers"))
        .stdout(Stdio::null())
        .spawn()
        .expect("the caller starts");
    let mut lines = BufReader::new(File::open(fifo).expect("the pipe opens"));
    let mut line = String::new();
    lines.read_line(&mut line).expect("the step speaks");
    assert_eq!(line, "ready\n");
    caller.kill().expect("killed");
    caller.wait().expect("reaped");
    // Returns when the last process of the step is gone.
    lines.read_to_string(&mut line).expect("the pipe ends");
}

/// Prints what a step costs; asserts nothing, for the machine may be busy.
#[test]
#[expect(clippy::print_stdout, reason = "the cost is all this test is about")]
fn the_cost_of_a_step() {
    let bench = Bench::new();
    let sandbox = sandbox();
    let cancel = Cancel::new().expect("a cancel");
    for process_one in [ProcessOne::Init, ProcessOne::Step] {
        let mut times: Vec<Duration> = (0..30)
            .map(|_| {
                let mut spec = bench.spec("");
                spec.argv = super::bench::words(&["/bin/true"]);
                spec.process_one = process_one;
                let start = Instant::now();
                sandbox.run(&spec, &cancel, &mut |_, _| {}).expect("runs");
                start.elapsed()
            })
            .collect();
        times.sort();
        println!("{process_one:?}: best {:?}, median {:?}", times[0], times[times.len() / 2]);
    }
}
