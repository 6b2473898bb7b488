//! Rules of the pure parts.

use std::io::Write as _;

use expect_test::{Expect, expect};

use super::error::Error;
use super::furnish;
use super::hosts::{hosts_file, resolv_conf};
use super::limits::Limit;
use super::mounts::{MountOp, plan};
use super::overlay::{self, Place, Writable};
use super::program;
use super::raw;
use super::seccomp::{Machine, evaluate, filter};
use super::spec::{Access, LOWER_LIMIT, Mount, Network, Source, Spec};
use super::step::candidates;
use super::user::resolve;
use crate::path::ImagePath;

const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/sh\n# no:x:9:9::/:\nbob:x:1234:55::/home/bob:/bin/sh\n\
    nohome:x:77:7:::\n4294967296:x:0:0::/:\nbad:x:99999999999:0::/:\n1000:x:0:0::/evil:\n";
const GROUP: &[u8] = b"root:x:0:\ng1:x:71:bob\ng2:x:72:al, bob\ng3:x:73:al\nprimary:x:55:bob\n";

#[track_caller]
fn check_user(spec: &str, expected: Expect) {
    let shown = match resolve(spec, PASSWD, GROUP) {
        Ok(identity) => {
            let credentials = &identity.credentials;
            let home = String::from_utf8_lossy(&identity.home).into_owned();
            format!("{}:{} {:?} {home}", credentials.uid, credentials.gid, credentials.groups)
        }
        Err(error) => error.to_string(),
    };
    expected.assert_eq(&shown);
}

#[test]
fn a_user_is_found_as_docker_finds_it() {
    check_user("", expect!["0:0 [0] /root"]);
    check_user("root", expect!["0:0 [0] /root"]);
    check_user("bob", expect!["1234:55 [71, 72, 55] /home/bob"]);
    check_user("1234", expect!["1234:55 [71, 72, 55] /home/bob"]);
    check_user("bob:g3", expect!["1234:73 [73] /home/bob"]);
    check_user("bob:7", expect!["1234:7 [7] /home/bob"]);
    check_user("9", expect!["9:0 [0] /"]);
    check_user("9:10", expect!["9:10 [10] /"]);
    check_user("nohome", expect!["77:7 [7] /"]);
    check_user(":g1", expect!["0:71 [71] /root"]);
    check_user("nobody", expect!["user `nobody` is not in the image's /etc/passwd"]);
    check_user("bob:nogroup", expect!["group `nogroup` is not in the image's /etc/group"]);
}

#[test]
fn a_number_is_never_a_name_and_always_an_id() {
    for text in ["4294967296", "4294967295", "-1", "99999999999", "-5", "18446744073709551616"] {
        assert!(matches!(resolve(text, PASSWD, GROUP), Err(Error::IdRange { .. })), "{text}");
        assert!(matches!(resolve(&format!("0:{text}"), PASSWD, GROUP), Err(Error::IdRange { .. })), "0:{text}");
    }
    check_user("0x0", expect!["user `0x0` is not in the image's /etc/passwd"]);
    check_user("00", expect!["0:0 [0] /root"]);
    check_user("1000", expect!["1000:0 [0] /"]);
    check_user("bad", expect!["user `bad` is not in the image's /etc/passwd"]);
    check_user("4294967294:4294967294", expect!["4294967294:4294967294 [4294967294] /"]);
}

#[test]
fn a_passwd_of_any_bytes_is_no_panic() {
    for bytes in [&b"\xff:\xff:\xff\n::::\n:\n\0"[..], &[b':'; 9000], b"root:x:0", &[]] {
        for spec in ["root", "x", "0", "5:root"] {
            // Only that it returns matters.
            let _any = resolve(spec, bytes, bytes);
        }
    }
    assert_eq!(resolve("root", &[], &[]).expect("root needs no file").credentials.gid, 0);
}

fn spec() -> Spec {
    Spec::new(vec!["/l".into()], "/u".into(), "/w".into(), vec![b"true".to_vec()])
}

#[test]
fn the_mounts_of_a_plain_step() {
    let mut spec = spec();
    spec.hosts = Some(b"h".to_vec());
    spec.mounts = vec![Mount {
        target: ImagePath::new("/cache"),
        source: Source::Host { path: "/store/cache".into(), inside: ImagePath::root() },
        access: Access::ReadWrite,
    }];
    let plan = plan(&spec);
    let line = |op: &MountOp| match op {
        MountOp::Filesystem { kind, options, target, attrs, point } => {
            let options: Vec<String> = options.iter().map(|(key, value)| format!("{key}={value}")).collect();
            format!("{kind} on {target} [{}] {} {point:?}", options.join(","), attributes(attrs.bits()))
        }
        MountOp::Device { name, numbers: (major, minor) } => format!("device {name} {major}:{minor}"),
        MountOp::Symlink { at, to } => format!("symlink {at} -> {to}"),
        MountOp::Show { target, attrs, .. } => format!("show on {target} {}", attributes(attrs.bits())),
        MountOp::Mask { path } => format!("mask {path}"),
        MountOp::Protect { path } => format!("protect {path}"),
    };
    let lines: Vec<String> = plan.outside.iter().chain(&plan.inside).map(line).collect();
    expect![[r#"
        sysfs on /sys [] ro nosuid nodev noexec Stays
        tmpfs on /dev [mode=755,size=65536k] nosuid nodev Stays
        device null 1:3
        device zero 1:5
        device full 1:7
        device random 1:8
        device urandom 1:9
        device tty 5:0
        symlink /dev/ptmx -> pts/ptmx
        symlink /dev/fd -> /proc/self/fd
        symlink /dev/stdin -> /proc/self/fd/0
        symlink /dev/stdout -> /proc/self/fd/1
        symlink /dev/stderr -> /proc/self/fd/2
        devpts on /dev/pts [mode=620,ptmxmode=666,gid=5] nosuid noexec Goes
        tmpfs on /dev/shm [mode=1777,size=67108864] nosuid nodev noexec Goes
        mqueue on /dev/mqueue [] nosuid nodev noexec Goes
        show on /etc/hosts ro nosuid nodev noexec
        show on /cache nodev
        proc on /proc [] nosuid nodev noexec Stays
        mask /proc/acpi
        mask /proc/asound
        mask /proc/interrupts
        mask /proc/kcore
        mask /proc/keys
        mask /proc/latency_stats
        mask /proc/sched_debug
        mask /proc/scsi
        mask /proc/timer_list
        mask /proc/timer_stats
        mask /proc/kallsyms
        mask /sys/devices/virtual/powercap
        mask /sys/firmware
        protect /proc/bus
        protect /proc/fs
        protect /proc/irq
        protect /proc/sys
        protect /proc/sysrq-trigger"#]]
    .assert_eq(&lines.join("\n"));
}

fn attributes(bits: u32) -> String {
    let names = ["ro", "nosuid", "nodev", "noexec"];
    let set: Vec<&str> =
        names.into_iter().enumerate().filter(|(bit, _)| bits & (1 << bit) != 0).map(|(_, name)| name).collect();
    set.join(" ")
}

#[test]
fn impossible_specs_are_refused() {
    let refused = |change: &dyn Fn(&mut Spec)| {
        let mut spec = spec();
        change(&mut spec);
        spec.check().expect_err("refused").to_string()
    };
    expect!["the step's command is empty"].assert_eq(&refused(&|spec| spec.argv.clear()));
    expect!["the step's command holds a NUL byte"].assert_eq(&refused(&|spec| spec.argv.push(vec![0])));
    expect!["the step's environment holds a NUL byte"].assert_eq(&refused(&|spec| spec.env.push(b"A=\0".to_vec())));
    expect!["a stack of 401 layers is more than the 400 that one mount takes"]
        .assert_eq(&refused(&|spec| spec.lowers = vec!["/l".into(); LOWER_LIMIT + 1]));
    for target in ["/", "/proc", "/proc/x", "/sys/fs"] {
        let mount = Mount {
            target: ImagePath::new(target),
            source: Source::Tmpfs { size: None, mode: 0o1777 },
            access: Access::ReadWrite,
        };
        let message = refused(&|spec| spec.mounts.push(mount.clone()));
        assert!(message.ends_with("which belongs to the sandbox"), "{message}");
    }
}

#[test]
fn a_spec_survives_its_way_to_the_helper() {
    let mut spec = spec();
    spec.env = vec![(0..=255).filter(|&b| b != 0).collect()];
    spec.resolv_conf = Some(vec![0, 10, 255]);
    let text = serde_json::to_string(&spec).expect("a spec is JSON");
    assert_eq!(serde_json::from_str::<Spec>(&text).expect("and back"), spec);
    assert_eq!(raw::decode("\u{100}"), None);
}

const X86_64: u32 = 0xc000_003e;
const I386: u32 = 0x4000_0003;
const ALLOW: u32 = 0x7fff_0000;
const EPERM: u32 = 0x0005_0001;
const ENOSYS: u32 = 0x0005_0026;

#[test]
fn system_calls_are_answered_as_by_dockers_profile() {
    let program = filter(Machine::X86_64);
    for (arch, number, argument, answer, what) in [
        (X86_64, 0, 0, ALLOW, "read"),
        (X86_64, 59, 0, ALLOW, "execve"),
        (X86_64, 133, 0, ALLOW, "mknod"),
        (X86_64, 161, 0, ALLOW, "chroot"),
        (X86_64, 101, 0, ALLOW, "ptrace"),
        (X86_64, 165, 0, EPERM, "mount"),
        (X86_64, 250, 0, EPERM, "keyctl"),
        (X86_64, 272, 0, EPERM, "unshare"),
        (X86_64, 321, 0, EPERM, "bpf"),
        (X86_64, 425, 0, EPERM, "io_uring_setup"),
        (X86_64, 435, 0, ENOSYS, "clone3"),
        (X86_64, 56, 0x0001_1200, ALLOW, "clone of a process"),
        (X86_64, 56, 0x1000_0000, EPERM, "clone of a user namespace"),
        (X86_64, 56, 0x0002_0000, EPERM, "clone of a mount namespace"),
        (X86_64, 41, 2, ALLOW, "socket of AF_INET"),
        (X86_64, 41, 38, EPERM, "socket of AF_ALG"),
        (X86_64, 41, 40, EPERM, "socket of AF_VSOCK"),
        (X86_64, 135, 0xffff_ffff, ALLOW, "personality asked for"),
        (X86_64, 135, 0x0004_0000, EPERM, "personality without randomisation"),
        (X86_64, 336, 0, ENOSYS, "a number nobody has"),
        (X86_64, 452, 0, ALLOW, "fchmodat2"),
        (X86_64, 467, 0, ENOSYS, "a call from the future"),
        (X86_64, 0x4000_0000, 0, ALLOW, "x32 read"),
        (X86_64, 0x4000_0000 | 165, 0, EPERM, "x32 mount"),
        (X86_64, 0x4000_0000 | 520, 0, ALLOW, "x32 execve"),
        (X86_64, 0x4000_0000 | 528, 0, EPERM, "x32 kexec_load"),
        (X86_64, 0x4000_0000 | 548, 0, ENOSYS, "x32, none"),
        (X86_64, 0xffff_ffff, 0, ENOSYS, "-1"),
        (I386, 11, 0, ALLOW, "i386 execve"),
        (I386, 21, 0, EPERM, "i386 mount"),
        (I386, 120, 0x1000_0000, EPERM, "i386 clone of a user namespace"),
        (I386, 359, 38, EPERM, "i386 socket of AF_ALG"),
        (0xc000_00b7, 0, 0, ENOSYS, "another architecture"),
    ] {
        assert_eq!(evaluate(&program, arch, number, argument), answer, "{what}");
    }
}

#[test]
fn every_number_has_an_answer_and_the_kernel_takes_the_length() {
    for machine in [Machine::X86_64, Machine::Aarch64] {
        let program = filter(machine);
        assert!(program.len() < 4096, "{}", program.len());
        for arch in [X86_64, I386, 0xc000_00b7, 0x4000_0028] {
            for number in (0..1024).chain(0x4000_0000..0x4000_0400).chain(0x000f_0000..0x000f_0008) {
                let answer = evaluate(&program, arch, number, 0);
                assert!([ALLOW, EPERM, ENOSYS].contains(&answer), "{arch:#x} {number}: {answer:#x}");
            }
        }
    }
}

#[test]
fn loopback_name_servers_go_where_the_network_is_not_the_hosts() {
    let host = b"# c\nnameserver 127.0.0.53\nnameserver ::1\nnameserver fe80::1%eth0\nnameserver 10.0.0.1\nsearch a\noptions edns0";
    assert_eq!(resolv_conf(host, Network::Host), host);
    expect!["# c\nnameserver fe80::1%eth0\nnameserver 10.0.0.1\nsearch a\noptions edns0"]
        .assert_eq(&String::from_utf8(resolv_conf(host, Network::None)).expect("text"));
}

#[test]
fn added_hosts_follow_buildkits_lines() {
    let extra = [("10.1.2.3".parse().expect("an address"), "my.host".to_owned())];
    expect!["127.0.0.1\tlocalhost h\n::1\tlocalhost ip6-localhost ip6-loopback\n10.1.2.3\tmy.host\n"]
        .assert_eq(&String::from_utf8(hosts_file("h", &extra)).expect("text"));
}

#[test]
fn limits_are_read_as_docker_reads_them() {
    let shown = |text: &str| match text.parse::<Limit>() {
        Ok(limit) => format!("{limit:?}"),
        Err(error) => error.to_string(),
    };
    expect!["Limit { resource: Nofile, soft: Some(123), hard: Some(456) }"].assert_eq(&shown("nofile=123:456"));
    expect!["Limit { resource: Core, soft: None, hard: None }"].assert_eq(&shown("core=-1"));
    expect!["the step's limit `nofile=9:1` has a soft limit above its hard limit"].assert_eq(&shown("nofile=9:1"));
    expect!["the step's limit `files=1` names no resource"].assert_eq(&shown("files=1"));
    expect!["the step's limit `nofile` is not of the form `name=soft[:hard]`"].assert_eq(&shown("nofile"));
}

#[test]
fn a_program_is_looked_for_in_path() {
    let env = [b"PATH=/a::/b".to_vec()];
    let shown = |program: &[u8], env: &[Vec<u8>]| {
        candidates(program, env)
            .iter()
            .map(|path| String::from_utf8_lossy(path).into_owned())
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(shown(b"x", &env), "/a/x ./x /b/x");
    assert_eq!(shown(b"./x", &env), "./x");
    assert_eq!(shown(b"x", &[]), "/bin/x /usr/bin/x");
}

#[test]
fn older_kernels_mount_the_same_tree() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    for name in ["bottom", "top", "upper", "work", "place"] {
        std::fs::create_dir(dir.path().join(name)).expect("a folder");
    }
    std::fs::write(dir.path().join("bottom/f"), "bottom").expect("written");
    std::fs::write(dir.path().join("bottom/g"), "bottom").expect("written");
    std::fs::write(dir.path().join("top/f"), "top").expect("written");
    // A thread may leave the mounts of the others.
    let in_a_thread = || {
        super::sys::unshare(rustix::thread::UnshareFlags::NEWNS).expect("these tests need root");
        let private = rustix::mount::MountPropagationFlags::REC | rustix::mount::MountPropagationFlags::PRIVATE;
        rustix::mount::mount_change(c"/", private).expect("private mounts");
        let open = |name: &str| furnish::open_folder(rustix::fs::CWD, &dir.path().join(name)).expect("an open folder");
        let (lowers, upper, work) = ([open("bottom"), open("top")], open("upper"), open("work"));
        let folder = open(".");
        let place = Place { folder: std::os::fd::AsFd::as_fd(&folder), name: "place" };
        let root = overlay::legacy(&lowers, Some(&Writable { upper: &upper, work: &work }), place).expect("mounted");
        let root = std::path::PathBuf::from(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&root)));
        std::fs::write(root.join("h"), "new").expect("written");
        ["f", "g"].map(|name| std::fs::read_to_string(root.join(name)).expect("read"))
    };
    let seen = std::thread::scope(|scope| scope.spawn(in_a_thread).join().expect("the thread ends"));
    assert_eq!(seen, ["top", "bottom"]);
    assert_eq!(std::fs::read_to_string(dir.path().join("upper/h")).expect("read"), "new");
}

#[test]
fn the_helpers_program_cannot_be_written_to() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), "program").expect("written");
    for (fd, refusal) in [
        (program::on_read_only_mount(file.path()).expect("these tests need root"), rustix::io::Errno::ROFS),
        (program::sealed_copy(file.path()).expect("copied"), rustix::io::Errno::PERM),
    ] {
        let name = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&fd));
        let written = std::fs::OpenOptions::new().write(true).open(&name).and_then(|mut file| file.write_all(b"x"));
        assert_eq!(written.expect_err("refused").raw_os_error(), Some(refusal.raw_os_error()));
        assert_eq!(std::fs::read_to_string(&name).expect("read"), "program");
    }
}
