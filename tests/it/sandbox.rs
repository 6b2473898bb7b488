//! Steps in real namespaces over a real overlay. Needs root and busybox.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rbuild::path::ImagePath;
use rbuild::sandbox::{
    Access, Cancel, Credentials, End, Error, Mount, Network, Outcome, ProcessOne, Sandbox, Source, Spec, Stream,
};

/// A root filesystem with busybox, and the folders of one run.
struct Bench {
    dir: tempfile::TempDir,
    lowers: Vec<PathBuf>,
}

/// What a run said and did.
#[derive(Debug)]
struct Ran {
    outcome: Outcome,
    stdout: String,
    stderr: String,
}

const APPLETS: [&str; 40] = [
    "sh", "true", "false", "cat", "echo", "ls", "id", "mknod", "mkdir", "rm", "rmdir", "ln", "touch", "sleep", "kill",
    "hostname", "ip", "grep", "sed", "sort", "stat", "env", "umask", "mount", "mkfifo", "dd", "head", "cp", "mv",
    "chmod", "readlink", "setsid", "nohup", "awk", "wc", "ps", "find", "pwd", "yes", "tr",
];

impl Bench {
    fn new() -> Self {
        assert!(Path::new("/bin/busybox").exists(), "these tests need a static /bin/busybox (Debian: busybox-static)");
        let dir = tempfile::tempdir().expect("a temporary folder");
        let base = dir.path().join("base");
        for folder in ["bin", "etc", "tmp", "root", "proc", "sys", "dev"] {
            fs::create_dir_all(base.join(folder)).expect("a folder of the base");
        }
        fs::copy("/bin/busybox", base.join("bin/busybox")).expect("busybox copied");
        for applet in APPLETS {
            symlink("busybox", base.join("bin").join(applet)).expect("an applet");
        }
        Self { lowers: vec![base], dir }
    }

    fn base(&self) -> &Path {
        &self.lowers[0]
    }

    fn upper(&self) -> PathBuf {
        self.dir.path().join("upper")
    }

    /// A spec for a shell command, with fresh folders for its changes.
    fn spec(&self, script: &str) -> Spec {
        let [upper, work] = ["upper", "work"].map(|name| self.dir.path().join(name));
        for folder in [&upper, &work] {
            if folder.exists() {
                fs::remove_dir_all(folder).expect("the last run's folder removed");
            }
            fs::create_dir(folder).expect("a fresh folder");
        }
        let argv = ["/bin/sh", "-c", script].map(|word| word.as_bytes().to_vec()).to_vec();
        let mut spec = Spec::new(self.lowers.clone(), upper, work, argv);
        spec.env = vec![b"PATH=/usr/bin:/bin".to_vec()];
        spec.hosts = Some(b"127.0.0.1 localhost\n".to_vec());
        spec.resolv_conf = Some(b"nameserver 10.0.0.1\n".to_vec());
        spec
    }

    /// Runs a shell command and returns its output, which must be all it says.
    fn says(&self, script: &str) -> String {
        let ran = run(&self.spec(script)).expect("the step runs");
        assert_eq!(ran.outcome.end, End::Code(0), "{script}: {ran:?}");
        assert_eq!(ran.stderr, "", "{script}");
        ran.stdout
    }

    /// The paths below the upper folder, sorted.
    fn changes(&self) -> Vec<String> {
        let mut paths = Vec::new();
        list(&self.upper(), "", &mut paths);
        paths.sort();
        paths
    }
}

fn list(folder: &Path, prefix: &str, into: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a folder that can be listed") {
        let entry = entry.expect("an entry");
        let path = format!("{prefix}/{}", entry.file_name().to_string_lossy());
        if entry.file_type().expect("a type").is_dir() {
            list(&entry.path(), &path, into);
        }
        into.push(path);
    }
}

fn sandbox() -> Sandbox {
    Sandbox::with_program(Path::new(env!("CARGO_BIN_EXE_rbuild"))).expect("the program opens")
}

fn run(spec: &Spec) -> Result<Ran, Error> {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let outcome = sandbox().run(spec, &Cancel::new()?, &mut |stream, bytes| match stream {
        Stream::Stdout => stdout.extend_from_slice(bytes),
        Stream::Stderr => stderr.extend_from_slice(bytes),
    })?;
    let text = |bytes| String::from_utf8(bytes).expect("output that is text");
    Ok(Ran { outcome, stdout: text(stdout), stderr: text(stderr) })
}

#[test]
fn a_step_sees_only_what_its_spec_names() {
    let bench = Bench::new();
    let script = "exec 2>&1; grep -E '^(Groups|Sig(Blk|Ign|Cgt)|Cap|NoNewPrivs|Seccomp:)' /proc/self/status; ls /proc/self/fd | wc -l; \
        env; umask; hostname; pwd; cat /proc/sys/kernel/domainname; readlink /proc/self/fd/0; ls /dev; grep -v ' 0 *$' /proc/self/limits | \
        grep -E 'core|open|stack'; cat /etc/hosts /etc/resolv.conf; ls /";
    println!("{}", bench.says(script));
    println!("{}", bench.says("cat /proc/self/mountinfo"));
    println!("{:?}", bench.changes());
}

#[test]
fn bench_true() {
    let bench = Bench::new();
    let sandbox = sandbox();
    let cancel = Cancel::new().expect("a cancel");
    for mode in [ProcessOne::Init, ProcessOne::Step] {
        let mut best = Duration::MAX;
        let start = Instant::now();
        for _ in 0..50 {
            let mut spec = bench.spec("");
            spec.argv = vec![b"/bin/true".to_vec()];
            spec.process_one = mode;
            let t = Instant::now();
            sandbox.run(&spec, &cancel, &mut |_, _| {}).expect("runs");
            best = best.min(t.elapsed());
        }
        println!("{mode:?}: best {best:?}, mean {:?}", start.elapsed() / 50);
    }
}
