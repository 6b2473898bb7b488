//! What the hardware and the kernel need for the parts of a build, done the shortest way, with nothing around them.
//!
//! Each part runs in a process of its own and prints `NAME SECONDS BYTES` lines.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::time::Instant;

use sha2::{Digest as _, Sha256};

/// Steps that one measurement of a step takes the mean of.
const STEPS: u32 = 20;

/// Measures one part in a folder that may be written to.
pub fn part(name: &str, folder: &Path) {
    match name {
        "exec" => say("exec", || {
            run(Command::new("/bin/busybox").arg("true"));
            0
        }),
        "steps" => steps(folder),
        "step" => step(folder),
        "tree" => tree(folder),
        "file" => file(folder),
        "usr" => usr(folder),
        "pull" => pull(folder),
        other => panic!("there is no part `{other}`"),
    }
}

/// Prints how long it took, and the number that came out.
fn say(name: &str, work: impl FnOnce() -> u64) {
    let start = Instant::now();
    let bytes = work();
    let mut out = io::stdout();
    writeln!(out, "{name} {:.6} {bytes}", start.elapsed().as_secs_f64()).expect("standard output is open");
}

fn run(command: &mut Command) {
    let status = command.status().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    assert!(status.success(), "{command:?}: {status}");
}

/// fork, namespaces, overlay, exec of a static program, and all of it away again.
fn steps(folder: &Path) {
    for dir in ["lower/bin", "upper", "work", "merged"] {
        fs::create_dir_all(folder.join(dir)).expect("the folder is writable");
    }
    fs::copy("/bin/busybox", folder.join("lower/bin/busybox")).expect("busybox is static and there");
    let program = std::env::current_exe().expect("this program has a path");
    let start = Instant::now();
    for _ in 0..STEPS {
        run(Command::new(&program).args(["part", "floor", "step"]).arg(folder));
    }
    let mean = start.elapsed().as_secs_f64() / f64::from(STEPS);
    writeln!(io::stdout(), "step {mean:.6} 0").expect("standard output is open");
}

#[expect(unsafe_code, reason = "new namespaces: nothing else of this process relies on the old ones")]
fn step(folder: &Path) {
    use rustix::mount::{MountFlags, MountPropagationFlags};
    use rustix::thread::UnshareFlags;
    let spaces = UnshareFlags::NEWNS | UnshareFlags::NEWPID | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS;
    // SAFETY: the file descriptor table stays shared; this process has one thread.
    unsafe { rustix::thread::unshare_unsafe(spaces) }.expect("this needs root");
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).expect("a namespace");
    let at = |name: &str| folder.join(name).display().to_string();
    let options = format!("lowerdir={},upperdir={},workdir={}", at("lower"), at("upper"), at("work"));
    let options = std::ffi::CString::new(options).expect("a path has no NUL");
    let merged = folder.join("merged");
    rustix::mount::mount("overlay", &merged, "overlay", MountFlags::empty(), options.as_c_str()).expect("an overlay");
    rustix::process::chroot(&merged).expect("this needs root");
    run(Command::new("/bin/busybox").arg("true"));
}

/// A context: a `statx` for each path; all of it into a tar; the same with a hash.
fn tree(folder: &Path) {
    let context = folder.join("context");
    say("walk", || walk(&context, &mut |_, metadata| metadata.len()));
    say("tar", || tar(&context, &mut File::create(folder.join("tar")).expect("the folder is writable")));
    say("sha256", || hash(&folder.join("tar")));
}

/// The sum of what `visit` gives for each file.
fn walk(folder: &Path, visit: &mut dyn FnMut(&Path, &fs::Metadata) -> u64) -> u64 {
    let mut sum = 0;
    for entry in fs::read_dir(folder).expect("the folder can be listed") {
        let path = entry.expect("the folder can be listed").path();
        let metadata = fs::symlink_metadata(&path).expect("it is there");
        sum += if metadata.is_dir() { walk(&path, visit) } else { visit(&path, &metadata) };
    }
    sum
}

/// A header's block and the bytes of each file, padded: what any tar has to write.
fn tar(folder: &Path, out: &mut dyn Write) -> u64 {
    let mut out = io::BufWriter::with_capacity(1 << 18, out);
    let mut put = |bytes: &[u8]| out.write_all(bytes).expect("the disk has room");
    walk(folder, &mut |path, metadata| {
        let content = if metadata.is_file() { fs::read(path).expect("it can be read") } else { Vec::new() };
        put(&[1; 512]);
        put(&content);
        put(&[0; 512][..(512 - content.len() % 512) % 512]);
        content.len() as u64
    })
}

fn hash(path: &Path) -> u64 {
    let mut hasher = Sha256::new();
    pieces(path, 1 << 18, |piece| hasher.update(piece));
    u64::from(hasher.finalize()[0])
}

fn pieces(path: &Path, size: usize, mut each: impl FnMut(&[u8])) {
    let mut file = File::open(path).unwrap_or_else(|error| panic!("cannot open `{}`: {error}", path.display()));
    let mut buffer = vec![0; size];
    loop {
        let count = file.read(&mut buffer).expect("the file can be read");
        if count == 0 {
            return;
        }
        each(&buffer[..count]);
    }
}

/// One large file: copied, hashed, deflated.
fn file(folder: &Path) {
    let data = folder.join("context/data.bin");
    say("copy", || {
        let mut copy = File::create(folder.join("copy")).expect("the folder is writable");
        pieces(&data, 1 << 18, |piece| copy.write_all(piece).expect("the disk has room"));
        0
    });
    compression(&data);
}

fn compression(data: &Path) {
    say("sha256", || hash(data));
    say("deflate-4", || deflate(data, 4));
    say("deflate-1", || deflate(data, 1));
    say("zlib-6", || {
        let mut encoder = flate2::write::GzEncoder::new(Count(0), flate2::Compression::new(6));
        pieces(data, 1 << 18, |piece| encoder.write_all(piece).expect("memory is writable"));
        encoder.finish().expect("memory is writable").0
    });
}

/// On all cores, a MiB at a time; the bytes that come out are counted and dropped.
fn deflate(path: &Path, level: i32) -> u64 {
    let file = Mutex::new(File::open(path).expect("the file is there"));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let work = || {
        let level = libdeflater::CompressionLvl::new(level).expect("1 to 12 are levels");
        let mut compressor = libdeflater::Compressor::new(level);
        let (mut chunk, mut total) = (Vec::new(), 0);
        let mut member = vec![0; compressor.gzip_compress_bound(1 << 20)];
        loop {
            chunk.clear();
            let mut file = file.lock().expect("no thread panics");
            Read::by_ref(&mut *file).take(1 << 20).read_to_end(&mut chunk).expect("the file can be read");
            drop(file);
            if chunk.is_empty() {
                return total;
            }
            total += compressor.gzip_compress(&chunk, &mut member).expect("there is room") as u64;
        }
    };
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        running.into_iter().map(|thread| thread.join().expect("no thread panics")).sum()
    })
}

struct Count(u64);

impl Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Debian's folders, copied as the step does; the copies into a tar; that hashed and deflated.
fn usr(folder: &Path) {
    let rootfs = folder.join("rootfs");
    fs::create_dir(&rootfs).expect("the folder is writable");
    run(Command::new("tar").arg("-xf").arg(folder.join("base.tar")).arg("-C").arg(&rootfs));
    let copies = fs::read_to_string(folder.join("copies")).expect("the caller has written it");
    let script = r#"for i in $(seq "$2"); do mkdir -p "$1/o/$i"; cp -a "$1/usr/share" "$1/usr/lib" "$1/o/$i/"; done"#;
    say("cp", || {
        run(Command::new("sh").args(["-c", script, "sh"]).arg(&rootfs).arg(copies.trim()));
        0
    });
    let tarball = folder.join("tar");
    say("tar", || tar(&rootfs.join("o"), &mut File::create(&tarball).expect("the folder is writable")));
    compression(&tarball);
}

/// The base: its blob over a socket, unpacked in memory, and its tar unpacked on disk.
fn pull(folder: &Path) {
    let blob = folder.join("blob");
    say("transfer", || transfer(&blob, &folder.join("received")));
    say("gunzip", || {
        let file = io::BufReader::with_capacity(1 << 18, File::open(&blob).expect("the caller has linked it"));
        let mut plain = flate2::bufread::MultiGzDecoder::new(file);
        io::copy(&mut plain, &mut io::sink()).expect("it is gzip")
    });
    say("sha256", || hash(&folder.join("base.tar")));
    fs::create_dir(folder.join("unpacked")).expect("the folder is writable");
    say("untar", || {
        run(Command::new("tar").arg("-xf").arg(folder.join("base.tar")).arg("-C").arg(folder.join("unpacked")));
        0
    });
}

/// Sends a file through the loopback interface into another file.
fn transfer(from: &Path, to: &Path) -> u64 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("the loopback interface has a free port");
    let address = listener.local_addr().expect("it is bound");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut stream, _) = listener.accept().expect("the other end connects");
            io::copy(&mut File::open(from).expect("it is there"), &mut stream).expect("the other end reads")
        });
        let mut stream = TcpStream::connect(address).expect("this end listens");
        let mut file = File::create(to).expect("the folder is writable");
        let mut buffer = vec![0; 1 << 18];
        let mut total = 0;
        loop {
            let count = stream.read(&mut buffer).expect("the other end sends");
            if count == 0 {
                return total;
            }
            file.write_all(&buffer[..count]).expect("the disk has room");
            total += count as u64;
        }
    })
}
