//! Several processes at one store, and processes that are killed.

use std::io::{BufRead, BufReader};
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::support::run::{Project, Ran};
use crate::support::validate::{Rules, validate};
use crate::support::{base, leaks};

/// The image id and the numbers of `N cached, M ran` of a closing line.
fn summary(ran: &Ran) -> (String, usize, usize) {
    let line = ran.stderr.lines().find(|line| line.starts_with("built ")).expect("a closing line");
    let words: Vec<&str> = line.split([' ', ',']).collect();
    let before = |word: &str| {
        let at = words.iter().rposition(|other| *other == word).expect("the word is there");
        words[at - 1].parse::<usize>().unwrap()
    };
    (words[1].to_owned(), before("cached"), before("ran"))
}

#[test]
fn eight_identical_builds_at_once_run_each_step_once() {
    let project = base::project(
        "
        //- Dockerfile
        FROM busybox
        RUN cat /proc/sys/kernel/random/uuid >/id
        COPY a /
        RUN cat /id /a >/both
        //- a
        ",
    );
    let build = |number: usize| {
        let output = project.root().join(format!("{number}.tar"));
        let ran = project.rbuild(["-t".as_ref(), "app".as_ref(), "-o".as_ref(), output.as_os_str(), ".".as_ref()]);
        (ran.run().success(), output)
    };
    let build = &build;
    let all: Vec<_> = thread::scope(|scope| {
        let builds: Vec<_> = (0..8).map(|number| scope.spawn(move || build(number))).collect();
        builds.into_iter().map(|build| build.join().expect("it does not panic")).collect()
    });
    let summaries: Vec<_> = all.iter().map(|(ran, _)| summary(ran)).collect();
    assert!(summaries.iter().all(|(id, cached, ran)| *id == summaries[0].0 && cached + ran == 3), "{summaries:?}");
    assert_eq!(summaries.iter().map(|(_, _, ran)| ran).sum::<usize>(), 3, "{summaries:?}");
    for (_, output) in &all {
        assert_eq!(validate(output, Rules { base_layers: 1, fixed_times: true }).id(), summaries[0].0);
    }
    leaks::assert_none(&project);
}

#[test]
fn pruning_beside_builds_takes_nothing_away_from_them() {
    let project = base::project("//- base/Dockerfile\nFROM busybox\nRUN echo base >/base\n");
    let build = |number: usize, round: usize| {
        let name = format!("of-{number}");
        project.write(&format!(
            "//- {name}/Dockerfile\nFROM busybox\nRUN echo {round} >/a\nCOPY f /\nRUN cat /f >>/a\n//- {name}/f\n{number}\n",
        ));
        let dir = project.context().join(&name);
        project.rbuild(["-t", &name, "."]).current_dir(&dir).run().success();
        let image = validate(&dir.join(format!("{name}.tar")), Rules { base_layers: 1, fixed_times: true });
        assert_eq!(image.layers.len(), 4);
    };
    let build = &build;
    thread::scope(|scope| {
        let builds: Vec<_> =
            (0..3).map(|number| scope.spawn(move || (0..3).for_each(|round| build(number, round)))).collect();
        let mut all = false;
        while !builds.iter().all(thread::ScopedJoinHandle::is_finished) {
            let args: &[&str] = if all { &["prune", "--all"] } else { &["prune"] };
            project.rbuild(args).run().success();
            all = !all;
        }
    });
    // What has a name is whole.
    for number in 0..3 {
        let output = project.root().join(format!("{number}.tar"));
        let name = format!("of-{number}");
        project.rbuild(["save".as_ref(), name.as_ref(), "-o".as_ref(), output.as_os_str()]).run().success();
        validate(&output, Rules { base_layers: 1, fixed_times: true });
    }
    leaks::assert_none(&project);
}

/// A build whose second RUN has said that it runs, and will not end by itself. It has a process group of its own.
fn stuck() -> (Project, Child) {
    let project = base::project(
        "//- Dockerfile\nFROM busybox\nRUN echo a >/a\nRUN sleep 1000 & echo started; echo x >/x; sleep 1000\n",
    );
    let mut child = project.program("setsid", [env!("CARGO_BIN_EXE_rbuild"), "-t", "app", "."]).spawn();
    let stderr = child.stderr.take().expect("it is piped");
    let mut lines = BufReader::new(stderr).lines().map(|line| line.expect("text"));
    assert!(lines.any(|line| line.ends_with(" started")), "the step did not start");
    // The rest is read, so that the program never waits for us.
    thread::spawn(move || lines.count());
    (project, child)
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap()
}

#[track_caller]
fn check_killed(kill: impl Fn(Pid) -> rustix::io::Result<()>) {
    let (project, mut child) = stuck();
    kill(pid(&child)).unwrap();
    child.wait().unwrap();
    leaks::wait_for_silence(&project);
    assert_eq!(leaks::mounts_below(project.root()), Vec::<String>::new());
    assert!(!project.context().join("app.tar").exists());
    // The next build uses what was finished, is right, and sweeps up.
    project.write("//- Dockerfile\nFROM busybox\nRUN echo a >/a\nRUN test ! -e /x && cp /a /b\n");
    let ran = project.rbuild(["-t", "app", "."]).run().success();
    let (_, cached, executed) = summary(&ran);
    assert_eq!((cached, executed), (1, 1), "{}", ran.stderr);
    let image = validate(&project.context().join("app.tar"), Rules { base_layers: 1, fixed_times: true });
    let rootfs = image.rootfs().unwrap();
    assert!(rootfs.get("b").is_some() && rootfs.get("x").is_none());
    leaks::assert_none(&project);
}

#[test]
fn a_killed_process_group_leaves_nothing_and_the_next_build_is_right() {
    check_killed(|pid| kill_process_group(pid, Signal::KILL));
}

#[test]
fn a_killed_builder_takes_its_step_along() {
    check_killed(|pid| kill_process(pid, Signal::KILL));
}

#[test]
fn interrupted_it_ends_at_once_with_130_and_leaves_nothing() {
    for signal in [Signal::INT, Signal::TERM] {
        let (project, mut child) = stuck();
        let start = Instant::now();
        kill_process(pid(&child), signal).unwrap();
        let status = child.wait().unwrap();
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
        assert_eq!(status.code(), Some(128 + signal.as_raw()));
        leaks::wait_for_silence(&project);
        leaks::assert_none(&project);
        assert!(!project.context().join("app.tar").exists());
    }
}
