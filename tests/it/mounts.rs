//! `RUN --mount` and the flags for RUN, end to end.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::thread;
use std::time::{Duration, SystemTime};

use crate::support::image::Image;
use crate::support::run::{Call, Project, Ran};
use crate::support::{leaks, tools};

/// What nobody writes by chance.
const CANARY: &str = "canary-4d1f77a0-secret";

/// A project whose Dockerfile begins with an image of busybox, make and tools of ssh, made from this machine's own.
#[track_caller]
pub fn project(dockerfile: &str) -> Project {
    let project = Project::new();
    let root = project.context().join("root");
    for dir in ["bin", "etc", "tmp", "lib64", "usr/bin"] {
        fs::create_dir_all(root.join(dir)).unwrap();
    }
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| Path::new(path).exists());
    let busybox = busybox.expect("busybox is missing: apt-get install busybox-static, or run .ci/test");
    fs::copy(busybox, root.join("bin/busybox")).unwrap();
    for applet in
        "cat cp cut echo env grep head id ls mkdir rm sh stat test touch true false sleep ln hostname mknod nc"
            .split(' ')
    {
        symlink("busybox", root.join("bin").join(applet)).unwrap();
    }
    for program in ["/usr/bin/make", "/usr/bin/ssh-add", "/usr/bin/ssh-keygen"] {
        let libraries = tools::success("/usr/bin/ldd", [tools::require(program)]);
        let libraries = libraries.split_whitespace().filter(|word| word.starts_with('/'));
        for file in libraries.chain([program]) {
            let target = root.join(file.trim_start_matches('/'));
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            fs::copy(file, target).unwrap();
        }
    }
    fs::write(project.context().join(".dockerignore"), "ignored\n").unwrap();
    write(
        &project,
        "Dockerfile",
        &format!("FROM scratch AS base\nCOPY root /\nENV PATH=/bin:/usr/bin\n{dockerfile}\n"),
    );
    project
}

#[track_caller]
pub fn write(project: &Project, name: &str, text: &str) {
    let path = project.context().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
}

/// Sets a file's time to so many seconds from now.
#[track_caller]
fn set_time(project: &Project, name: &str, seconds: i64) {
    let magnitude = Duration::from_secs(seconds.unsigned_abs());
    let now = SystemTime::now();
    let time = if seconds < 0 { now - magnitude } else { now + magnitude };
    fs::File::open(project.context().join(name)).unwrap().set_modified(time).unwrap();
}

pub fn call<'a>(project: &'a Project, flags: &[&str]) -> Call<'a> {
    let fixed = ["--progress=plain", "-o", "type=oci,dest=../out.tar", "."];
    project.rbuild(flags.iter().copied().chain(fixed))
}

#[track_caller]
pub fn build(project: &Project, flags: &[&str]) -> Ran {
    let ran = call(project, flags).run().success();
    leaks::assert_none(project);
    ran
}

/// Whether a file of the image holds exactly this text.
#[track_caller]
pub fn check_file(project: &Project, path: &str, text: &str) {
    Image::open(&project.root().join("out.tar")).unwrap().assert_holds(path, text);
}

const MAKEFILE: &str = "/out/program: main.c part.c\n\tcat main.c part.c >/out/program\n\techo made\n";

/// The program comes from the sources of this build, whichever build left what in the cache.
#[track_caller]
fn check_rebuilds(project: &Project) {
    write(project, "src/Makefile", MAKEFILE);
    write(project, "src/part.c", "part\n");
    set_time(project, "src/part.c", -5000);
    let mut number = 0;
    let mut check = |text: &str, seconds: i64| {
        number += 1;
        write(project, "src/main.c", text);
        set_time(project, "src/main.c", seconds);
        let ran = build(project, &["--build-arg", &format!("NUMBER={number}")]);
        check_file(project, "program", &format!("{text}part\n"));
        ran.stderr.contains("made\n")
    };
    assert!(check("one\n", -4000));
    assert!(check("two\n", -2000), "an edited file is built again");
    assert!(check("one\n", -1000), "the old content with a new time is built again");
    assert!(check("two\n", -2000), "content that comes back with the time it had is built again");
    assert!(check("three\n", -9000), "new content with a time before all others is built again");
    assert!(!check("three\n", -9000), "what did not change is not built again");
}

#[test]
fn make_builds_what_copy_brought_whatever_the_times_are() {
    let project = project(
        "COPY src /src\nARG NUMBER\n\
         RUN --mount=type=cache,target=/out echo $NUMBER && make -C /src && cp /out/program /program",
    );
    check_rebuilds(&project);
}

#[test]
fn make_builds_what_a_bind_mount_shows_whatever_the_times_are() {
    let project = project(
        "ARG NUMBER\n\
         RUN --mount=type=bind,source=src,target=/src --mount=type=cache,target=/out,sharing=locked \
         echo $NUMBER && make -C /src && cp /out/program /program",
    );
    check_rebuilds(&project);
    // A checkout gives every file the time of the checkout.
    for name in ["src/main.c", "src/part.c", "src/Makefile"] {
        set_time(&project, name, 0);
    }
    let ran = build(&project, &["--build-arg", "NUMBER=again"]);
    assert!(!ran.stderr.contains("made\n"), "{}", ran.stderr);
}

#[test]
fn make_builds_what_an_earlier_step_made_whatever_the_times_are() {
    let project = project(
        "COPY src /generate\nRUN mkdir /src && cp /generate/* /src/\nARG NUMBER\n\
         RUN --mount=type=cache,target=/out,sharing=private echo $NUMBER && make -C /src && cp /out/program /program",
    );
    check_rebuilds(&project);
}

#[test]
fn make_builds_what_a_mounted_stage_holds_whatever_the_times_are() {
    let project = project(
        "FROM base AS sources\nCOPY src /src\nFROM base\nARG NUMBER\n\
         RUN --mount=from=sources,source=/src,target=/work --mount=type=cache,target=/out \
         echo $NUMBER && make -C /work && cp /out/program /program",
    );
    check_rebuilds(&project);
}

#[test]
fn a_command_that_failed_leaves_no_stale_program() {
    let project = project(
        "COPY src /src\nARG FAIL\n\
         RUN --mount=type=cache,target=/out test -z \"$FAIL\" && make -C /src && cp /out/program /program",
    );
    write(&project, "src/Makefile", MAKEFILE);
    write(&project, "src/part.c", "part\n");
    for (text, fail) in [("one\n", ""), ("two\n", "yes"), ("one\n", "yes"), ("two\n", "")] {
        write(&project, "src/main.c", text);
        let ran = call(&project, &["--build-arg", &format!("FAIL={fail}")]).run();
        assert_eq!(ran.status.success(), fail.is_empty(), "{}", ran.stderr);
    }
    check_file(&project, "program", "two\npart\n");
}

#[test]
fn what_is_written_to_a_bind_mount_is_lost_and_the_context_stays() {
    let project = project(
        "RUN --mount=target=/ctx,rw echo changed >/ctx/file && rm /ctx/other && echo new >/ctx/new && cp /ctx/file /out",
    );
    write(&project, "file", "mine\n");
    write(&project, "other", "kept\n");
    build(&project, &[]);
    check_file(&project, "out", "changed\n");
    assert_eq!(fs::read_to_string(project.context().join("file")).unwrap(), "mine\n");
    assert_eq!(fs::read_to_string(project.context().join("other")).unwrap(), "kept\n");
    assert!(!project.context().join("new").exists());
}

#[test]
fn a_mounted_file_is_part_of_the_key_and_an_ignored_one_is_not() {
    let project = project("RUN --mount=target=/ctx cat /ctx/src/file >/out");
    write(&project, "src/file", "one\n");
    write(&project, "ignored", "1");
    build(&project, &[]);
    write(&project, "ignored", "2");
    let ran = build(&project, &[]);
    assert!(
        ran.stderr.lines().filter(|line| line.contains("RUN")).all(|line| !line.contains("because")),
        "{}",
        ran.stderr
    );
    check_file(&project, "out", "one\n");
    write(&project, "src/file", "two\n");
    let ran = build(&project, &[]);
    assert!(ran.stderr.contains("1 file changed: src/file"), "{}", ran.stderr);
    check_file(&project, "out", "two\n");
}

#[test]
fn a_place_in_another_root_filesystem_stays_inside_of_it() {
    let canary = tempfile::tempdir().unwrap();
    fs::write(canary.path().join("canary"), CANARY).unwrap();
    let outside = canary.path().display().to_string();
    let project = project(&format!(
        "FROM base AS evil\nRUN ln -s / /up && ln -s ../../../../../../../../../../.. /far && ln -s {outside} /abs\n\
         FROM base\nRUN --mount=from=evil,source=/up,target=/a --mount=from=evil,source=/far,target=/b \
         test -e /a/up && test -e /b/up && test ! -e /a{outside}/canary && test ! -e /b{outside}/canary && echo safe >/out"
    ));
    build(&project, &[]);
    check_file(&project, "out", "safe\n");
    let dockerfile = fs::read_to_string(project.context().join("Dockerfile")).unwrap();
    write(&project, "Dockerfile", &format!("{dockerfile}\nRUN --mount=from=evil,source=/abs,target=/c true\n"));
    let ran = call(&project, &[]).run().failure(1);
    assert!(ran.stderr.contains("cannot find `/abs`"), "{}", ran.stderr);
}

#[test]
fn the_id_of_a_cache_is_no_path_and_its_source_stays_inside() {
    let project = project(
        "RUN --mount=type=cache,id=../../../../escape,target=/c touch /c/f\n\
         RUN --mount=type=cache,id=links,target=/c ln -s / /c/root && ln -s ../../../../../../.. /c/up && mkdir /c/sub && echo in >/c/sub/f\n\
         RUN --mount=type=cache,id=links,source=sub,target=/c cat /c/f >/out\n\
         RUN --mount=type=cache,id=links,source=root,target=/c ls /c >/root-link\n\
         RUN --mount=type=cache,id=links,source=../../up,target=/c ls /c >/up-link",
    );
    build(&project, &[]);
    check_file(&project, "out", "in\n");
    // Both lead to the cache's own top.
    for name in ["root-link", "up-link"] {
        check_file(&project, name, "root\nsub\nup\n");
    }
    let escaped = leaks::files_below(project.root()).into_iter().filter(|path| path.ends_with("escape"));
    assert_eq!(escaped.count(), 0);
}

#[test]
fn a_cache_has_one_locked_user_and_any_number_of_shared_ones() {
    let project = project(
        "ARG NUMBER\n\
         RUN --mount=type=cache,id=counter,target=/c,sharing=locked echo $NUMBER && \
         n=$(cat /c/n || echo 0) && test ! -e /c/busy && touch /c/busy && sleep 0.1 && echo $((n+1)) >/c/n && rm /c/busy",
    );
    let children: Vec<_> = (0..6)
        .map(|number| {
            let args =
                ["--build-arg".to_owned(), format!("NUMBER={number}"), "-o".to_owned(), "type=cacheonly".to_owned()];
            project.rbuild(args.into_iter().chain([".".to_owned()])).spawn()
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let dockerfile = fs::read_to_string(project.context().join("Dockerfile")).unwrap();
    write(&project, "Dockerfile", &format!("{dockerfile}\nRUN --mount=type=cache,id=counter,target=/c cp /c/n /out"));
    build(&project, &["--build-arg", "NUMBER=last"]);
    check_file(&project, "out", "7\n");
}

#[test]
fn a_secret_rests_nowhere() {
    let project = project(
        "RUN --mount=type=secret,id=file --mount=type=secret,id=variable,env=KEY \
         grep -q canary /run/secrets/file && test \"$KEY\" = \"$(cat /run/secrets/file)\" && echo seen >/out\n\
         RUN --mount=type=secret,id=file,target=/root/deep/key,mode=0440,uid=7 stat -c '%a %u' /root/deep/key >/mode\n\
         RUN --mount=type=secret,id=file test ! -e /root/deep && test -z \"$KEY\" && false || true",
    );
    let secret = project.root().join("home/secret");
    fs::write(&secret, CANARY).unwrap();
    let flags = [format!("--secret=id=file,src={}", secret.display()), "--secret=id=variable,env=CANARY".to_owned()];
    let ran = call(&project, &[&flags[0], &flags[1]]).env("CANARY", CANARY).run().success();
    check_file(&project, "out", "seen\n");
    check_file(&project, "mode", "440 7\n");
    assert!(!ran.stderr.contains(CANARY) && !ran.stdout.contains(CANARY));
    // Another value is no reason to run again: the id is in the key, the value is not.
    let ran = call(&project, &[&flags[0], &flags[1]]).env("CANARY", "other").run().success();
    assert!(!ran.stderr.contains("other"));
    for path in leaks::files_below(project.root()).into_iter().filter(|path| *path != secret && path.is_file()) {
        let bytes = fs::read(&path).unwrap();
        let found = bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes());
        assert!(!found, "`{}` holds the secret", path.display());
    }
}

#[test]
fn a_secret_that_is_required_is_asked_for_by_its_id() {
    let project = project("RUN --mount=type=secret,id=token,required true");
    let ran = call(&project, &[]).run().failure(1);
    assert!(ran.stderr.contains("the secret `token` is required, but was not given"), "{}", ran.stderr);
}

#[test]
fn an_agent_is_reached_through_a_socket_of_the_steps_own() {
    let project = project(
        "RUN --mount=type=ssh,mode=0666,uid=7 stat -c '%a %u' $SSH_AUTH_SOCK >/mode && \
         (ssh-add -l >/out; true) && test $SSH_AUTH_SOCK = /run/buildkit/ssh_agent.0",
    );
    let socket = project.root().join("agent.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o600)).unwrap();
    // The agent protocol: a request for identities, and the answer that there are none.
    let agent = thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let mut asked = [0; 5];
        connection.read_exact(&mut asked).unwrap();
        assert_eq!(asked, [0, 0, 0, 1, 11]);
        connection.write_all(&[0, 0, 0, 5, 12, 0, 0, 0, 0]).unwrap();
    });
    build(&project, &[&format!("--ssh=default={}", socket.display())]);
    agent.join().unwrap();
    check_file(&project, "mode", "666 7\n");
    check_file(&project, "out", "The agent has no identities.\n");
}

#[test]
fn flags_for_run_reach_the_command() {
    let project = project(
        "RUN hostname >/name && grep my.host /etc/hosts >/hosts; grep -c ' /dev/shm tmpfs .*size=16384k' /proc/mounts >/shm; \
         ulimit -n >/files",
    );
    let flags = ["--add-host=my.host:10.1.2.3", "--shm-size=16m", "--ulimit=nofile=123:456"];
    build(&project, &[&flags[..], &["--build-arg", "BUILDKIT_SANDBOX_HOSTNAME=abc"]].concat());
    check_file(&project, "name", "abc\n");
    check_file(&project, "hosts", "10.1.2.3\tmy.host\n");
    check_file(&project, "shm", "1\n");
    check_file(&project, "files", "123\n");
}

#[test]
fn an_insecure_command_must_be_allowed_and_may_then_do_everything() {
    let project = project(
        "RUN --security=insecure grep -i ^CapEff /proc/self/status >/caps && mkdir /m && mount -t tmpfs x /m && echo mounted >/out",
    );
    symlink("busybox", project.context().join("root/bin/mount")).unwrap();
    let ran = call(&project, &[]).run().failure(1);
    assert!(ran.stderr.contains("--allow security.insecure"), "{}", ran.stderr);
    build(&project, &["--allow=security.insecure"]);
    check_file(&project, "out", "mounted\n");
}

#[test]
fn prune_leaves_caches_alone_until_everything_goes() {
    let project = project(
        "ARG NUMBER\nRUN --mount=type=cache,target=/c echo $NUMBER; cp /c/f /out || echo none >/out; echo kept >/c/f",
    );
    build(&project, &["--build-arg=NUMBER=1"]);
    check_file(&project, "out", "none\n");
    let usage = project.rbuild(["du"]).run().success();
    assert!(usage.stdout.contains("cache mounts"), "{}", usage.stdout);
    project.rbuild(["prune"]).run().success();
    build(&project, &["--build-arg=NUMBER=2"]);
    check_file(&project, "out", "kept\n");
    project.rbuild(["prune", "--all"]).run().success();
    build(&project, &["--build-arg=NUMBER=3"]);
    check_file(&project, "out", "none\n");
}

#[test]
fn mount_points_leave_nothing_behind() {
    let project = project(
        "RUN --mount=type=tmpfs,target=/new/deep/t --mount=target=/new/ctx --mount=type=cache,target=/other/c \
         --mount=type=secret,id=none,target=/third/s touch /new/deep/t/x /other/c/x",
    );
    build(&project, &[]);
    let image = Image::open(&project.root().join("out.tar")).unwrap();
    let rootfs = image.rootfs().unwrap();
    for gone in ["new", "other", "third"] {
        assert!(rootfs.get(gone).is_none(), "`{gone}` was left behind");
    }
}
