//! Two images compared, and two builds.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Child;
use std::thread;

use expect_test::expect;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::run::{Project, Ran};
use crate::support::{base, leaks};

/// Puts other text in place of some of the Dockerfile's.
#[track_caller]
fn edit(project: &Project, from: &str, to: &str) {
    let path = project.context().join("Dockerfile");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from));
    fs::write(&path, text.replace(from, to)).unwrap();
}

#[test]
fn two_images_are_compared_in_words_wherever_they_are() {
    let project = base::project(
        "
        //- Dockerfile
        FROM scratch
        ENV LEVEL=1
        COPY a b /x/
        //- a
        a
        //- b
        b
        ",
    );
    let build = |name: &str| {
        let (archive, layout) = (format!("type=docker,dest={name}.tar"), format!("type=oci,dest={name}.oci,tar=false"));
        let oci = format!("type=oci,dest={name}-oci.tar");
        let flags = ["-t", name, "-o", "type=image", "-o", &archive, "-o", &layout, "-o", &oci, "."];
        project.rbuild(flags).run().success();
    };
    build("one");
    edit(&project, "LEVEL=1", "LEVEL=2");
    edit(&project, "COPY a b /x/", "COPY --chmod=600 a /x/\nCOPY c /x/");
    project.write("//- a\naa\n//- c\nc\n");
    build("two");
    let diff = |left: &str, right: &str| project.rbuild(["diff", left, right]).run();
    expect![[r#"
        config: 6 differences
          config.Env.LEVEL: 1 → 2
          history: ENV LEVEL=1 → nothing
          history: COPY a b /x/ # buildkit → nothing
          history: nothing → ENV LEVEL=2
          history: nothing → COPY --chmod=600 a /x/ # buildkit
          history: nothing → COPY c /x/ # buildkit
        layers: 0 shared
          - layer 1 db521db06287 (4 B of files)
          + layer 1 3b141187742d (3 B of files)
          + layer 2 579e91bcb3af (2 B of files)
        files: 4 differences
          ~ /x: mode 755 → 600
          ~ /x/a: size 2 → 3, mode 644 → 600
          - /x/b
          + /x/c
    "#]]
    .assert_eq(&diff("one", "two").failure(1).stdout);
    let told = diff("one", "two").stdout;
    for (left, right) in [("one.tar", "./two.oci"), ("./one.oci", "two-oci.tar"), ("one-oci.tar", "two.tar")] {
        assert_eq!(diff(left, right).failure(1).stdout, told, "{left} {right}");
    }
    for same in ["one.tar", "./one.oci", "one-oci.tar"] {
        assert!(diff("one", same).success().stdout.starts_with("identical: sha256:"), "{same}");
    }
    let json = project.rbuild(["diff", "--json", "one", "two"]).run().failure(1);
    let json: serde_json::Value = serde_json::from_str(&json.raw_stdout).unwrap();
    assert_eq!(json["files"][1]["path"], "/x/a");
    assert_eq!(json["files"][1]["aspects"], serde_json::json!(["size 2 → 3", "mode 644 → 600"]));
    leaks::assert_none(&project);
}

#[test]
fn images_that_cannot_be_compared_are_no_difference() {
    let project = base::project("//- Dockerfile\nFROM scratch\nENV A=1\n");
    project.rbuild(["-t", "one", "-o", "type=image", "."]).run().success();
    let diff = |left: &str, right: &str| project.rbuild(["diff", left, right]).run();
    let missing = diff("one", "three").failure(2);
    assert_eq!(missing.stderr, "error: there is no image `three` in the store\n");
    fs::write(project.context().join("bad.tar"), "no archive").unwrap();
    fs::create_dir(project.context().join("folder")).unwrap();
    for wrong in ["bad.tar", "./none.tar", "./folder"] {
        let ran = diff(wrong, "one").failure(2);
        assert!(ran.stdout.is_empty() && ran.stderr.starts_with("error: "), "{wrong}: {}{}", ran.stdout, ran.stderr);
    }
    // A class of failure with a status of its own keeps it.
    fs::write(project.store().join("version"), "1000").unwrap();
    diff("one", "one").failure(4);
}

#[test]
fn a_build_that_depends_on_what_is_around_it_is_found_out_by_step_and_file() {
    let project = base::project(
        "
        //- Dockerfile
        FROM busybox AS made
        RUN date +%s >/stamp && nproc >/cpus && echo 1 >/same
        FROM busybox
        COPY --from=made /stamp /x/
        RUN echo same >/same
        ",
    );
    let ran = project.rbuild(["verify", "."]).run().failure(1);
    for line in
        ["[made] RUN date +%s >/stamp && nproc >/cpus && echo 1 >/same\n", "  ~ /stamp: content ", "; from byte "]
    {
        assert!(ran.stdout.contains(line), "{line}:\n{}", ran.stdout);
    }
    assert!(ran.stdout.contains("[stage-1] COPY --from=made /stamp /x/\n  ~ /x/stamp: content "), "{}", ran.stdout);
    assert!(!ran.stdout.contains("/same:"), "{}", ran.stdout);
    assert!(ran.stdout.ends_with(" in 2 steps of 3\n"), "{}", ran.stdout);
    check_nothing_is_left(&project, &[&ran]);
}

#[test]
fn a_build_that_depends_on_nothing_is_verified() {
    let project = base::project("//- Dockerfile\nFROM busybox\nCOPY a /app/\nRUN sort /app/a >/app/b\n//- a\nb\na\n");
    // A base that was built here is found by both builds too.
    project.rbuild(["-t", "mine", "-o", "type=image", "."]).run().success();
    project.write("//- Dockerfile\nFROM mine\nCOPY . /all/\nRUN find /all /app | sort >/found\n");
    let same = project.rbuild(["verify", "."]).run().success();
    let verdict = same.stdout.lines().last().unwrap();
    assert!(verdict.starts_with("identical: sha256:") && verdict.ends_with("(2 steps)"), "{}", same.stdout);
    project.write("//- Dockerfile\nFROM busybox\nRUN exit 7\n");
    let ran = project.rbuild(["verify", "."]).run().failure(7);
    assert!(ran.stderr.ends_with("error: the first of the two builds failed\n"), "{}", ran.stderr);
    check_nothing_is_left(&project, &[&same, &ran]);
}

#[test]
fn what_would_have_no_effect_on_a_verdict_is_refused_by_name() {
    let project = base::project("//- Dockerfile\nFROM scratch\nENV A=1\n");
    let refused = |flags: &[&str]| {
        let ran = project.rbuild(["verify"].iter().chain(flags).chain(&["."])).run().failure(2);
        assert!(ran.stdout.is_empty(), "{}", ran.stdout);
        ran.stderr
    };
    assert_eq!(
        refused(&["--cache-from", "type=local,src=vc"]),
        "error: `--cache-from` has no effect in `rbuild verify`: it builds twice from cold: what an earlier build made would \
         not be built, and not be compared\nhint: leave `--cache-from` out\n"
    );
    for flags in [
        &["--tag", "x"][..],
        &["--output", "x.tar"],
        &["--push"],
        &["--load"],
        &["--iidfile", "id"],
        &["--metadata-file", "metadata"],
        &["--cache-to", "type=local,dest=vc"],
        &["--explain"],
        &["--check"],
    ] {
        let told = refused(flags);
        assert!(told.starts_with(&format!("error: `{}` ", flags[0])), "{told}");
    }
    project.rbuild(["verify", "-"]).run().failure(2);
    // The words for itself are no way around it.
    project.rbuild(["verify", "--half", "half", "--which", "first", "--parent", "1", "."]).run().failure(2);
    assert_eq!(fs::read_dir(project.context()).unwrap().count(), 1, "a refused build wrote something");
    // A cache in the image is a part of what is compared.
    project.rbuild(["verify", "--cache-to", "type=inline", "."]).run().success();
    leaks::assert_none(&project);
}

/// Where the commands of the builds ask how to go on: they are on this machine's network.
struct Desk(TcpListener);

impl Desk {
    fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    /// A command that asks and prints the answer.
    fn question(&self) -> String {
        format!("nc 127.0.0.1 {}", self.0.local_addr().unwrap().port())
    }

    /// The next one to ask, while the program runs.
    #[track_caller]
    fn asked(&self, by: &mut Child) -> TcpStream {
        loop {
            if let Ok((asking, _)) = self.0.accept() {
                asking.set_nonblocking(false).unwrap();
                return asking;
            }
            assert!(by.try_wait().unwrap().is_none(), "rbuild has ended");
            thread::yield_now();
        }
    }

    /// Runs a program to its end, whose commands get these answers one after the other, and no more.
    #[track_caller]
    fn answering(&self, call: crate::support::run::Call<'_>, answers: &[&str]) -> Ran {
        thread::scope(|scope| {
            let asked = scope.spawn(|| call.run());
            for answer in answers {
                let mut asking = loop {
                    if let Ok((asking, _)) = self.0.accept() {
                        break asking;
                    }
                    assert!(!asked.is_finished(), "rbuild has ended and did not ask");
                    thread::yield_now();
                };
                asking.write_all(answer.as_bytes()).unwrap();
            }
            asked.join().expect("it does not panic")
        })
    }
}

/// A verify in whose first or second build two processes of a command wait for what never comes, and their connections.
fn stuck(project: &Project, builds_before: usize) -> (Child, [TcpStream; 2]) {
    let desk = Desk::open();
    let ask = desk.question();
    fs::write(project.context().join("Dockerfile"), format!("FROM busybox\nRUN echo a >/a\nRUN {ask} & {ask}; wait\n"))
        .unwrap();
    let mut child = project.rbuild(["verify", "."]).spawn();
    // All is read, so that the program never waits for us.
    let mut stderr = child.stderr.take().expect("it is piped");
    thread::spawn(move || stderr.read_to_end(&mut Vec::new()).is_ok());
    for _ in 0..builds_before * 2 {
        drop(desk.asked(&mut child));
    }
    let waiting = [desk.asked(&mut child), desk.asked(&mut child)];
    (child, waiting)
}

/// Returns when the process at the other end is gone.
fn hears_the_end(mut waiting: TcpStream) -> bool {
    matches!(waiting.read(&mut [0; 1]), Ok(0) | Err(_))
}

#[test]
fn a_signal_to_verify_ends_the_build_that_runs_and_leaves_nothing() {
    let project = base::project("//- Dockerfile\nFROM busybox\n");
    for (signal, builds_before) in [(Signal::TERM, 0), (Signal::INT, 1), (Signal::HUP, 0), (Signal::TERM, 1)] {
        let (mut child, waiting) = stuck(&project, builds_before);
        let pid = child.id();
        kill_process(Pid::from_child(&child), signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(128 + signal.as_raw()));
        assert!(waiting.into_iter().all(hears_the_end));
        leaks::wait_for_silence(&project);
        leaks::assert_none(&project);
        assert_eq!(in_memory(pid), Vec::<String>::new());
    }
}

#[test]
fn a_killed_verify_takes_its_build_along_and_the_next_one_removes_what_it_left() {
    let project = base::project("//- Dockerfile\nFROM busybox\n");
    let mut killed = Vec::new();
    for builds_before in [0, 1] {
        let (mut child, waiting) = stuck(&project, builds_before);
        killed.push(child.id());
        kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
        child.wait().unwrap();
        assert!(waiting.into_iter().all(hears_the_end));
        leaks::wait_for_silence(&project);
    }
    project.write("//- Dockerfile\nFROM busybox\nRUN echo a >/a\n");
    project.rbuild(["verify", "."]).run().success();
    for pid in killed {
        assert_eq!(in_memory(pid), Vec::<String>::new());
    }
    leaks::assert_none(&project);
}

#[test]
fn what_a_step_did_in_one_build_only_is_told_as_what_it_did() {
    let desk = Desk::open();
    let ask = desk.question();
    let project = base::project("//- Dockerfile\nFROM busybox\n");
    let work = format!("if test -n \"$({ask})\"; then chmod 600 /same; echo 1 >/new; rm /gone; fi");
    let dockerfile = format!(
        "FROM busybox AS other\nRUN echo 1 >/same; echo 1 >/gone\nRUN {work}; echo 2 >/own\n\
         FROM busybox\nRUN echo 1 >/same; echo 1 >/gone\nCOPY --from=other /bin/busybox /x\nRUN {work}\n"
    );
    fs::write(project.context().join("Dockerfile"), dockerfile).unwrap();
    let ran = desk.answering(project.rbuild(["verify", "."]), &["", "", "x", "x"]).failure(1);
    let told: Vec<&str> = ran.stdout.lines().skip(2).filter(|line| line.starts_with("  ")).collect();
    let expected = [
        "  ~ /gone: removed in the second build only",
        "  ~ /new: made or changed in the second build only",
        "  ~ /same: made or changed in the second build only",
        "  ~ /gone: removed in the second build only",
        "  + /new: made in the second build only",
        "  ~ /same: changed in the second build only",
    ];
    assert_eq!(told, expected, "{}", ran.stdout);
    assert!(ran.stdout.ends_with("different: 6 files in 2 steps of 5\n"), "{}", ran.stdout);
    let ran = desk.answering(project.rbuild(["verify", "."]), &["x", "x", "", ""]).failure(1);
    assert!(ran.stdout.contains("\n  - /new: made in the first build only\n"), "{}", ran.stdout);
}

#[test]
fn archives_of_earlier_builds_are_no_part_of_what_is_verified() {
    let project = base::project("//- Dockerfile\nFROM busybox\nCOPY . /all/\nRUN test ! -e /all/app.tar\n");
    project.rbuild(["-t", "app", "."]).run().success();
    assert!(project.context().join("app.tar").exists());
    project.rbuild(["verify", "."]).run().success();
}

/// `rbuild verify .` in a mount namespace with a `/dev/shm` of its own; the names that are then left there are told last.
fn with_memory<'a>(project: &'a Project, options: &str, before: &str) -> crate::support::run::Call<'a> {
    let script = format!(
        "mount -t tmpfs -o {options} memory /dev/shm && cd /dev/shm && {before} && cd \"$1\" && \"$0\" verify .; \
         status=$?; echo left: $(ls -A /dev/shm); exit $status"
    );
    let context = project.context();
    let args = ["-m", "sh", "-c", &script, env!("CARGO_BIN_EXE_rbuild"), context.to_str().unwrap()];
    project.program("unshare", args)
}

#[test]
fn where_memory_has_no_room_the_second_build_is_on_disk() {
    let project = base::project("//- Dockerfile\nFROM busybox\nRUN echo a >/a\n");
    let small = with_memory(&project, "size=1m", "true").run().success();
    // Room, but for no more than so many files: there are none for a store, or for its base, or for the build.
    let tries = ["4", "20", "60"].map(|files| with_memory(&project, &format!("size=8g,nr_inodes={files}"), "true"));
    let [none, some, full] = tries.map(|call| call.run().success());
    assert!(full.stderr.contains("\nnote: the second build failed in memory (status "), "{}", full.stderr);
    for ran in [small, none, some, full] {
        assert_eq!(ran.stdout.matches("store on disk").count(), 2, "{}", ran.stdout);
        assert!(ran.stdout.contains("\nidentical: "), "{}", ran.stdout);
        assert!(ran.stdout.ends_with("\nleft:\n"), "{}", ran.stdout);
    }
    leaks::assert_none(&project);
}

#[test]
fn a_second_build_that_fails_in_memory_is_tried_once_more_on_disk() {
    let desk = Desk::open();
    let project = base::project("//- Dockerfile\nFROM busybox\n");
    let dockerfile = format!("FROM busybox\nRUN test -z \"$({})\" || exit 7\n", desk.question());
    fs::write(project.context().join("Dockerfile"), dockerfile).unwrap();
    let ran = desk.answering(with_memory(&project, "size=8g", "true"), &["", "x", ""]).success();
    assert!(
        ran.stderr.contains("\nnote: the second build failed in memory (status 7); once more on disk\n"),
        "{}",
        ran.stderr
    );
    assert_eq!(ran.stdout.matches("store on disk").count(), 2, "{}", ran.stdout);
    let ran = desk.answering(with_memory(&project, "size=8g", "true"), &["", "x", "x"]).failure(7);
    assert!(ran.stderr.ends_with("\nerror: the second of the two builds failed\n"), "{}", ran.stderr);
    assert_eq!(ran.stdout, "left:\n");
    leaks::assert_none(&project);
}

#[test]
fn folders_in_memory_that_are_there_already_are_no_hindrance_and_only_those_of_the_dead_go() {
    let project = base::project("//- Dockerfile\nFROM busybox\nRUN echo a >/a\n");
    let before = "mkdir -m 700 rbuild-verify-1-0 rbuild-verify-$$ && mkdir rbuild-verify-1-0/store && \
                  mkdir -m 755 rbuild-verify-2 && ln -s \"$1\" rbuild-verify-3 && echo a >rbuild-verify-4";
    let ran = with_memory(&project, "size=8g,mode=1777", before).run().success();
    assert!(ran.stdout.contains(", store in memory, "), "{}", ran.stdout);
    assert!(ran.stdout.ends_with("\nleft: rbuild-verify-2 rbuild-verify-3 rbuild-verify-4\n"), "{}", ran.stdout);
    assert!(project.context().join("Dockerfile").exists());
}

/// Nothing of these calls; others may verify at the same time, or were killed.
#[track_caller]
fn check_nothing_is_left(project: &Project, of: &[&Ran]) {
    leaks::assert_none(project);
    for ran in of {
        assert_eq!(in_memory(ran.pid), Vec::<String>::new());
    }
}

/// The folders in memory that a verify of this number made.
fn in_memory(pid: u32) -> Vec<String> {
    let all = fs::read_dir("/dev/shm").into_iter().flatten().flatten();
    let names = all.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| name.starts_with(&format!("rbuild-verify-{pid}-"))).collect()
}
