//! What a step can see and do.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use expect_test::expect;
use rbuild::path::ImagePath;
use rbuild::sandbox::{Access, Capabilities, Credentials, End, Error, Network, ProcessOne, Source, Writes};

use super::bench::{Bench, host, mount, run, says, tmpfs, words};

#[test]
fn a_step_sees_only_what_its_spec_names() {
    let bench = Bench::new();
    let script = "grep -E '^(Groups|Sig(Blk|Ign|Cgt)|Cap|NoNewPrivs|Seccomp:)' /proc/self/status; ls /proc/self/fd | wc -l; \
        env; umask; hostname; pwd; cat /proc/sys/kernel/domainname; readlink /proc/self/fd/0; ls /dev; ulimit -Sc; ulimit -Sn; \
        ulimit -Ss; cat /etc/hosts /etc/resolv.conf; ls /; ls -A /dev/shm /dev/mqueue /tmp; cat; wc -c </proc/keys; \
        cat /proc/timer_list; ls /sys/firmware";
    expect![[r#"
        Groups:	0 
        SigBlk:	0000000000000000
        SigIgn:	0000000000000000
        SigCgt:	0000000000000000
        CapInh:	0000000000000000
        CapPrm:	00000000a80405fb
        CapEff:	00000000a80405fb
        CapBnd:	00000000a80405fb
        CapAmb:	0000000000000000
        NoNewPrivs:	0
        Seccomp:	2
        4
        SHLVL=1
        PATH=/usr/bin:/bin
        PWD=/
        0022
        buildkitsandbox
        /
        (none)
        /dev/null
        fd
        full
        mqueue
        null
        ptmx
        pts
        random
        shm
        stderr
        stdin
        stdout
        tty
        urandom
        zero
        0
        1024
        8192
        127.0.0.1 localhost
        nameserver 10.0.0.1
        bin
        dev
        etc
        proc
        root
        sys
        tmp
        /dev/mqueue:

        /dev/shm:

        /tmp:
        0
    "#]]
    .assert_eq(&bench.says(script));
}

#[test]
fn the_step_is_process_1_or_2_as_asked() {
    let bench = Bench::new();
    for (process_one, number) in [(ProcessOne::Init, "2\n"), (ProcessOne::Step, "1\n")] {
        let mut spec = bench.spec("echo $$");
        spec.process_one = process_one;
        assert_eq!(says(&spec), number);
    }
}

#[test]
fn every_namespace_is_new_but_the_hosts_network() {
    let bench = Bench::new();
    let inside = bench.says("for n in ipc mnt net pid uts; do readlink /proc/self/ns/$n; done");
    for (inside, name) in inside.lines().zip(["ipc", "mnt", "net", "pid", "uts"]) {
        let outside = fs::read_link(format!("/proc/self/ns/{name}")).expect("a namespace");
        assert_eq!(outside.to_string_lossy() == inside, name == "net", "{name}: {inside}");
    }
}

#[test]
fn a_step_without_network_has_loopback_alone() {
    let bench = Bench::new();
    let mut spec =
        bench.spec("ip -o link | cut -d: -f2; ip -o addr | grep -c 127.0.0.1; grep CapEff /proc/self/status");
    spec.network = Network::None;
    spec.capabilities = Capabilities::default_for(Network::None);
    assert_eq!(says(&spec), " lo\n1\nCapEff:\t00000000a80425fb\n");
}

#[test]
fn no_device_can_be_opened_but_the_six() {
    let bench = Bench::new();
    let script = "for d in / /dev /dev/shm /dev/mqueue /dev/pts /tmp /m /h /proc /sys /etc; do mknod $d/b b 7 0 2>/dev/null && \
        mknod $d/c c 1 1 && { head -c1 $d/b 2>/dev/null || head -c1 $d/c 2>/dev/null; } && echo opened in $d; done; \
        for n in null zero full random urandom; do head -c1 /dev/$n >/dev/null || echo $n; done; echo x >/dev/null; echo done";
    let mut spec = bench.spec(script);
    let folder = bench.folder("host");
    spec.mounts = vec![mount("/m", tmpfs()), mount("/h", host(&folder))];
    assert_eq!(says(&spec), "done\n");
    let table = bench.says("cat /proc/self/mountinfo");
    let open: Vec<&str> = table.lines().filter(|line| !line.contains("nodev")).collect();
    assert!(open.iter().all(|line| line.contains("/null /") || line.contains(" /dev/")), "{open:#?}");
    assert!(!table.contains(&*bench.dir.path().to_string_lossy()), "the host's paths show: {table}");
}

#[test]
fn the_kernel_refuses_what_the_filter_refuses() {
    let bench = Bench::new();
    let script = "for c in 'mount -t tmpfs none /tmp' 'unshare -U true' 'unshare -m true' 'umount /proc' 'hostname x' 'umount /etc/hosts' \
        'chroot / true' 'dmesg' 'swapoff -a'; do $c >/dev/null 2>&1 && echo \"$c\"; done; echo 1 2>&1 >/proc/sys/kernel/domainname; \
        echo b 2>&1 >/proc/sysrq-trigger; echo x 2>&1 >>/etc/hosts; mkdir /sys/x 2>&1; true";
    let ran = run(&bench.spec(script)).expect("runs");
    expect![[r#"
        chroot / true
        /bin/sh: can't create /proc/sys/kernel/domainname: Read-only file system
        /bin/sh: can't create /proc/sysrq-trigger: nonexistent directory
        /bin/sh: can't create /etc/hosts: Read-only file system
        mkdir: can't create directory '/sys/x': Read-only file system
    "#]]
    .assert_eq(&(ran.stdout + &ran.stderr));
}

#[test]
fn another_user_has_no_capability_and_its_own_output() {
    let bench = Bench::new();
    let mut spec = bench.spec("id -u; id -g; id -G; grep -E 'Cap(Prm|Eff|Bnd)' /proc/self/status; echo e >/dev/stdout; stat -c %u:%g:%a .; pwd");
    spec.user = Credentials { uid: 1000, gid: 50, groups: vec![50, 7] };
    spec.cwd = ImagePath::new("/made/for/me");
    expect![[r#"
        1000
        50
        50 7
        CapPrm:	0000000000000000
        CapEff:	0000000000000000
        CapBnd:	00000000a80405fb
        e
        1000:50:755
        /made/for/me
    "#]]
    .assert_eq(&says(&spec));
}

#[test]
fn output_streams_are_kept_apart_and_whole() {
    let bench = Bench::new();
    let ran = run(&bench.spec("echo e >&2; yes | head -c 3000000; echo f >&2; exit 7")).expect("runs");
    assert_eq!((ran.stdout.len(), ran.stderr.as_str(), ran.outcome.end), (3_000_000, "e\nf\n", End::Code(7)));
}

#[test]
fn a_program_is_found_in_path_and_its_absence_told() {
    let bench = Bench::new();
    let mut spec = bench.spec("");
    spec.argv = words(&["echo", "a b", ""]);
    assert_eq!(says(&spec), "a b \n");
    for (program, message) in [
        ("nothing", "cannot run `nothing`: no such file or directory"),
        ("/etc", "cannot run `/etc`: permission denied"),
    ] {
        let mut spec = bench.spec("");
        spec.argv = words(&[program]);
        let error = run(&spec).expect_err("no such program");
        let status = if program == "nothing" { 127 } else { 126 };
        assert_eq!((error.to_string().as_str(), error.exec_status()), (message, Some(status)));
    }
}

#[test]
fn limits_and_sizes_are_those_of_the_spec() {
    let bench = Bench::new();
    let mut spec =
        bench.spec("ulimit -Sn; ulimit -Hn; df -k /dev/shm /t | tail -2 | tr -s ' ' | cut -d' ' -f2; stat -c %a /t");
    spec.limits = vec!["nofile=123:456".parse().expect("a limit")];
    spec.shm_size = 16 << 20;
    spec.mounts = vec![mount("/t", Source::Tmpfs { size: Some(8 << 20), mode: 0o750 })];
    assert_eq!(says(&spec), "123\n456\n16384\n8192\n750\n");
}

#[test]
fn mounts_show_files_secrets_and_other_trees() {
    let bench = Bench::new();
    let folder = bench.folder("host");
    fs::write(folder.join("file"), "from the host\n").expect("written");
    let (one, two) = (bench.folder("one"), bench.folder("two"));
    fs::create_dir(one.join("d")).expect("made");
    fs::write(one.join("d/x"), "one\n").expect("written");
    std::os::unix::fs::symlink("/d", two.join("link")).expect("linked");
    let tree = |writes| Source::Tree { lowers: vec![one.clone(), two.clone()], inside: ImagePath::new("link"), writes };
    let writes = Writes { upper: bench.folder("tree-upper"), work: bench.folder("tree-work") };
    let mut spec = bench.spec(
        "cat /a/file /s /ro/x /rw/x; stat -c %a:%u:%g /s; echo 2 >/rw/x; cat /rw/x; \
         touch /a/new; for f in /ro/y /one/y /r/y; do touch $f 2>&1; done; true",
    );
    spec.mounts = vec![
        mount("/a", host(&folder)),
        mount("/s", Source::Content { bytes: b"secret\n".to_vec(), mode: 0o400, uid: 5, gid: 6 }),
        mount("/ro", tree(None)),
        mount("/rw", tree(Some(writes))),
        mount("/one", Source::Tree { lowers: vec![one.clone()], inside: ImagePath::new("d"), writes: None }),
        mount("/r", host(&folder)),
    ];
    for read_only in [2, 4, 5] {
        spec.mounts[read_only].access = Access::ReadOnly;
    }
    expect![[r#"
        from the host
        secret
        one
        one
        400:5:6
        2
        touch: /ro/y: Read-only file system
        touch: /one/y: Read-only file system
        touch: /r/y: Read-only file system
    "#]]
    .assert_eq(&says(&spec));
    assert!(folder.join("new").exists());
    assert_eq!(fs::read_to_string(one.join("d/x")).expect("still there"), "one\n");
    assert_eq!(bench.changes(), Vec::<String>::new());
}

#[test]
fn a_stack_of_300_layers_is_one_tree() {
    let mut bench = Bench::new();
    for number in 0..299 {
        let layer = bench.folder(&format!("layer-{number}"));
        fs::write(layer.join(format!("f{}", number % 150)), number.to_string()).expect("written");
        bench.lowers.push(layer);
    }
    assert_eq!(bench.says("ls / | grep -c ^f; cat /f0 /f149"), "150\n150149");
}

#[test]
fn usage_is_counted() {
    let bench = Bench::new();
    let ran = run(&bench.spec("yes | head -c 50000000 | wc -c")).expect("runs");
    let outcome = ran.outcome;
    assert!(outcome.max_rss > 100 << 10, "{outcome:?}");
    assert!(!(outcome.user_time + outcome.system_time).is_zero() && !outcome.out_of_memory, "{outcome:?}");
}

#[test]
fn a_missing_layer_is_named() {
    let mut bench = Bench::new();
    bench.lowers.push(bench.dir.path().join("gone"));
    let Err(Error::Setup { action, .. }) = run(&bench.spec("true")) else { panic!("a layer is missing") };
    assert_eq!(action, format!("open `{}`", bench.lowers[1].display()));
}

#[test]
fn the_program_of_the_helper_is_out_of_reach() {
    let bench = Bench::new();
    let before = fs::metadata(env!("CARGO_BIN_EXE_rbuild")).expect("the program");
    fs::write(bench.base().join("x"), "#!/proc/self/exe\n").expect("written");
    fs::set_permissions(bench.base().join("x"), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .expect("executable");
    let ran = run(&bench.spec(
        "cat /proc/1/exe /proc/1/environ /proc/1/fd/* /proc/1/mem /proc/1/root/etc/hosts; ls /proc/1/cwd/; /x; true",
    ))
    .expect("runs");
    assert_eq!(ran.stdout, "");
    let mut spec = bench.spec("");
    spec.argv = words(&["/x"]);
    // The program's loader is not in this root filesystem; all that matters is that nothing was harmed.
    let _refused = run(&spec);
    let after = fs::metadata(env!("CARGO_BIN_EXE_rbuild")).expect("the program");
    assert_eq!(
        (before.ino(), before.mtime_nsec(), before.ctime_nsec()),
        (after.ino(), after.mtime_nsec(), after.ctime_nsec())
    );
}

#[test]
fn a_good_machine_has_no_problem() {
    let bench = Bench::new();
    assert_eq!(super::bench::sandbox().probe(bench.dir.path()), []);
    assert!(
        !bench
            .dir
            .path()
            .read_dir()
            .expect("listed")
            .any(|entry| { entry.expect("an entry").file_name().to_string_lossy().starts_with("probe") })
    );
}

#[test]
fn a_store_in_memory_or_on_an_overlay_is_tried() {
    let problems = super::bench::sandbox().probe(std::path::Path::new("/proc"));
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].what.starts_with("cannot create a folder in `/proc`"), "{problems:?}");
}
