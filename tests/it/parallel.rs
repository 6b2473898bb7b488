//! What is at work at the same time, and what stops with what. Nothing here looks at a clock: who must meet somebody can end
//! only if that one is at work too.

use std::fs;
use std::io::{BufRead, BufReader};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::meeting::MeetingPlace;
use crate::support::run::{Project, Ran};
use crate::support::steps::steps;
use crate::support::validate::{Rules, validate};
use crate::support::{base, leaks};

/// Makes `meet FROM TO` a program of the image: it returns when somebody else has called `meet TO FROM`.
///
/// The two meet in fifos of a cache folder; opening one waits for its other end.
const MEET: &str = r#"
    //- meet mode=755
    #!/bin/sh
    mkfifo /m/$1-$2 /m/$2-$1 2>/dev/null
    if [ "$1" \< "$2" ]; then echo hello >/m/$1-$2; read answer </m/$2-$1
    else read hello </m/$2-$1; echo answer >/m/$1-$2; fi
"#;

/// What `RUN+` stands for: a RUN in which `meet` can be used.
const RUN: &str = "RUN --mount=type=cache,target=/m --mount=type=bind,source=meet,target=/bin/meet";

#[track_caller]
fn project(dockerfile: &str) -> Project {
    let project = base::project(MEET);
    write(&project, dockerfile);
    project
}

#[track_caller]
fn write(project: &Project, dockerfile: &str) {
    let text = dockerfile.trim_start().lines().map(|line| format!("{}\n", line.trim_start())).collect::<String>();
    fs::write(project.context().join("Dockerfile"), text.replace("RUN+", RUN)).unwrap();
}

#[track_caller]
fn id(ran: &Ran) -> String {
    let line = ran.stderr.lines().find(|line| line.starts_with("built sha256:")).expect("a closing line");
    line.split(' ').nth(1).expect("it has an id").to_owned()
}

#[test]
fn stages_that_do_not_need_each_other_are_at_work_at_the_same_time() {
    let project = project(
        "FROM busybox AS a
         RUN+ meet a b && echo a >/a
         FROM busybox AS b
         RUN+ meet b a && echo b >/b
         FROM scratch
         COPY --from=a /a /
         COPY --from=b /b /",
    );
    let ran = project.rbuild(["-t", "app", "."]).run().success();
    assert_eq!(ran.counts(), (0, 4));
    let image = validate(&project.context().join("app.tar"), Rules { base_layers: 0, fixed_times: true });
    let rootfs = image.rootfs().unwrap();
    assert!(rootfs.get("a").is_some() && rootfs.get("b").is_some());
    assert_eq!(project.rbuild(["."]).run().success().counts(), (4, 0));
    leaks::assert_none(&project);
}

#[test]
fn a_stage_waits_only_at_the_step_that_needs_another_one() {
    // Its first two commands run beside those of the stage that it copies from, and that of a stage which mounts a third one.
    let project = project(
        "FROM busybox AS builder
         RUN+ meet builder last
         RUN+ echo built >/out && meet builder mounter
         FROM busybox AS mounter
         RUN+ meet mounter builder
         RUN --mount=type=bind,from=builder,source=/out,target=/in cp /in /seen
         FROM busybox
         RUN+ meet last builder
         RUN echo own >/own
         COPY --from=builder /out /
         COPY --from=mounter /seen /",
    );
    project.rbuild(["-t", "app", "."]).run().success();
    let image = validate(&project.context().join("app.tar"), Rules { base_layers: 1, fixed_times: true });
    let rootfs = image.rootfs().unwrap();
    for name in ["out", "own", "seen"] {
        assert!(rootfs.get(name).is_some(), "{name} is missing");
    }
}

#[test]
fn the_first_failure_stops_the_others_and_nothing_is_begun_after_it() {
    let project = project(
        "FROM busybox AS sleeper
         RUN+ meet sleeper breaker; echo before it sleeps; sleep 1000
         RUN echo never >/never
         FROM busybox AS breaker
         RUN+ meet breaker sleeper; echo the reason; exit 7
         FROM busybox
         COPY --from=sleeper /never /
         COPY --from=breaker /etc/passwd /",
    );
    let ran = project.rbuild(["-t", "app", "."]).run().failure(7);
    assert!(ran.stderr.contains("the reason") && ran.stderr.contains("status 7"), "{}", ran.stderr);
    let cancelled = ran.stderr.lines().filter(|line| line.contains(" CANCELLED ")).count();
    assert_eq!(cancelled, 1, "{}", ran.stderr);
    assert!(!ran.stderr.contains("RUN echo never") && !ran.stderr.contains("interrupted"), "{}", ran.stderr);
    assert_eq!(ran.stderr.matches("error").count(), 1, "{}", ran.stderr);
    assert!(!project.context().join("app.tar").exists());
    leaks::assert_none(&project);
    // What was stopped is not remembered.
    write(&project, "FROM busybox AS sleeper\nRUN echo never >/never\n");
    assert_eq!(project.rbuild(["."]).run().success().counts(), (0, 1));
}

#[test]
fn commands_at_work_side_by_side_end_with_the_builder() {
    for (signal, status) in [(Signal::INT, Some(130)), (Signal::TERM, Some(143)), (Signal::KILL, None)] {
        let project = project(
            "FROM busybox AS a
             RUN+ meet a b; sleep 1000 & echo started; sleep 1000
             FROM busybox
             RUN+ meet b a; sleep 1000 & echo started; sleep 1000
             COPY --from=a / /",
        );
        let mut child = project.rbuild(["-t", "app", "."]).spawn();
        let stderr = child.stderr.take().expect("it is piped");
        let mut lines = BufReader::new(stderr).lines().map(|line| line.expect("text"));
        let started = lines.by_ref().filter(|line| line.ends_with(" started")).take(2).count();
        assert_eq!(started, 2);
        // The rest is read, so that the program never waits for us.
        let rest = thread::spawn(move || lines.filter(|line| line.contains(" CANCELLED ")).count());
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), status);
        let cancelled = rest.join().unwrap();
        assert_eq!(cancelled, if status.is_some() { 2 } else { 0 });
        leaks::wait_for_silence(&project);
        assert_eq!(leaks::mounts_below(project.root()), Vec::<String>::new());
        assert!(!project.context().join("app.tar").exists());
    }
}

#[test]
fn the_output_of_the_step_that_failed_is_shown_again_in_one_piece_where_others_wrote_between() {
    let project = project(
        "FROM busybox AS noisy
         RUN+ echo noise 1; meet noisy failing; echo noise 2; sleep 1000
         FROM busybox AS failing
         RUN+ echo cause 1; meet failing noisy; echo cause 2; exit 3
         FROM scratch
         COPY --from=noisy / /
         COPY --from=failing / /",
    );
    for progress in ["plain", "quiet"] {
        let ran = project.rbuild([&format!("--progress={progress}"), "."]).run().failure(3);
        let (_, shown) = ran.stderr.split_once("output of [failing 2/2]").unwrap_or_else(|| panic!("{}", ran.stderr));
        let shown = shown.split_once("------").expect("it has an end").0;
        assert!(shown.contains("cause 1\ncause 2\n") && !shown.contains("noise"), "{}", ran.stderr);
    }
}

#[test]
fn equal_steps_of_two_stages_run_once() {
    let project = project(
        "FROM busybox AS a
         RUN cat /proc/sys/kernel/random/uuid >/id
         FROM busybox AS b
         RUN cat /proc/sys/kernel/random/uuid >/id
         FROM busybox
         COPY --from=a /id /a
         COPY --from=b /id /b
         RUN cmp /a /b",
    );
    for args in [&["."][..], &["--no-cache", "."]] {
        let ran = project.rbuild(args).run().success();
        let told = steps(&ran.stderr);
        assert_eq!(told.matches(">/id: cached").count(), 1, "{told}");
        assert_eq!(ran.counts(), (1, 4));
    }
}

#[test]
fn the_image_is_the_same_however_many_stages_are_at_work() {
    let mut text = String::new();
    for stage in 0..8 {
        text += &format!("FROM busybox AS s{stage}\nRUN seq {stage} 900 >/n{stage}\nCOPY meet /m{stage}\n");
    }
    text += "FROM busybox\n";
    for stage in 0..8 {
        text += &format!("COPY --from=s{stage} /n{stage} /m{stage} /\n");
    }
    let build = |jobs: &str| {
        let project = project(&text);
        let ran = project.rbuild([jobs, "-t", "app", "."]).run().success();
        assert_eq!(ran.counts(), (0, 24));
        (id(&ran), fs::read(project.context().join("app.tar")).unwrap())
    };
    let (one, eight, all) = (build("--jobs=1"), build("--jobs=8"), build("--jobs=1000"));
    assert_eq!(one.0, eight.0);
    assert!(one.1 == eight.1 && one.1 == all.1, "the archives differ");
}

#[test]
fn with_one_job_the_steps_come_in_the_order_of_the_file() {
    let project = project(
        "FROM busybox AS a
         RUN echo 1; echo a >/a
         FROM busybox AS b
         RUN echo 2; echo b >/b
         FROM busybox
         RUN echo 3
         COPY --from=b /b /
         COPY --from=a /a /",
    );
    let ran = project.rbuild(["--jobs", "1", "."]).run().success();
    let numbers = ran.stderr.lines().filter_map(|line| line.strip_prefix('#')?.split(' ').next()?.parse::<u32>().ok());
    let numbers: Vec<u32> = numbers.collect();
    assert!(numbers.is_sorted() && numbers.last() == Some(&5), "{}", ran.stderr);
    project.rbuild(["--jobs", "0", "."]).run().failure(2);
}

#[test]
fn what_is_not_needed_is_not_asked_for() {
    let project = project(
        "FROM registry.invalid/nothing AS unneeded
         RUN exit 1
         FROM unneeded AS also
         COPY missing /
         FROM busybox AS needed
         RUN echo needed >/needed
         FROM scratch
         COPY --from=needed /needed /",
    );
    let ran = project.rbuild(["-t", "app", "."]).run().success();
    assert_eq!(ran.counts(), (0, 2));
}

#[test]
fn few_descriptors_make_fewer_threads_and_no_failure() {
    let mut text = String::new();
    for stage in 0..20 {
        text += &format!("FROM busybox AS s{stage}\nRUN echo {stage} >/n{stage}\n");
    }
    text += "FROM scratch\n";
    for stage in 0..20 {
        text += &format!("COPY --from=s{stage} /n{stage} /\n");
    }
    let project = project(&text);
    let script = "ulimit -n 64; exec \"$0\" -t app .";
    let ran = project.program("/bin/sh", ["-c", script, env!("CARGO_BIN_EXE_rbuild")]).run().success();
    assert_eq!(ran.counts(), (0, 40));
    leaks::assert_none(&project);
}

#[test]
fn images_are_pulled_at_the_same_time() {
    let address = MeetingPlace::start().address;
    let project = project(&format!("FROM {address}/one AS one\nFROM {address}/two\nCOPY --from=one /one /copied\n"));
    project.rbuild(["-t", "app", "."]).run().success();
    let image = validate(&project.context().join("app.tar"), Rules { base_layers: 1, fixed_times: true });
    assert!(image.rootfs().unwrap().get("copied").is_some());
}

#[test]
fn a_command_runs_while_the_base_of_another_stage_is_pulled() {
    let address = MeetingPlace::start().address;
    // The layer comes only when the command asks for `/go`, and that is answered only when the layer was asked for.
    let project = project(&format!(
        "FROM busybox AS command\nRUN wget -q -O /went http://{address}/go\n\
         FROM {address}/one\nCOPY --from=command /went /\n"
    ));
    project.rbuild(["-t", "app", "."]).run().success();
    let image = validate(&project.context().join("app.tar"), Rules { base_layers: 1, fixed_times: true });
    assert!(image.rootfs().unwrap().get("went").is_some());
}

#[test]
fn a_linked_file_comes_while_the_command_above_it_runs() {
    let address = MeetingPlace::start().address;
    // Neither of the two is answered before both have asked.
    let project = project(&format!(
        "FROM busybox
         RUN wget -q -O /went http://{address}/go
         ADD --link http://{address}/go /brought
         RUN cat /went /brought >/both
         COPY --link meet /met"
    ));
    let ran = project.rbuild(["-t", "app", "."]).run().success();
    assert_eq!(ran.counts(), (0, 4));
    let image = validate(&project.context().join("app.tar"), Rules { base_layers: 1, fixed_times: true });
    let rootfs = image.rootfs().unwrap();
    assert!(["both", "brought", "met"].iter().all(|name| rootfs.get(name).is_some()));
}

#[test]
fn a_linked_file_that_is_not_there_stops_the_command_above_it() {
    let project = project(
        "FROM busybox AS empty
         RUN true
         FROM busybox
         RUN sleep 1000
         COPY --link --from=empty /missing /",
    );
    let ran = project.rbuild(["."]).run().failure(1);
    assert!(ran.stderr.contains("COPY --link --from=empty /missing /"), "{}", ran.stderr);
    leaks::assert_none(&project);
}
