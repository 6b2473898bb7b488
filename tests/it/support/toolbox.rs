//! A base image with this machine's own compilers: cargo, cc and ninja over busybox, without a network.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::json;

use crate::support::archive::sha256;
use crate::support::base::{append, fill_busybox, header, kept, path_variable};
use crate::support::{layout, tools};

/// Programs that compilers start, as the C compiler tells where they are.
const PARTS_OF_CC: [&str; 5] = ["cc1", "collect2", "as", "ld", "lto-wrapper"];
/// What programs are linked with, likewise.
const LINKED: [&str; 20] = [
    "crt1.o",
    "Scrt1.o",
    "crti.o",
    "crtn.o",
    "crtbegin.o",
    "crtbeginS.o",
    "crtend.o",
    "crtendS.o",
    "libc.so",
    "libc_nonshared.a",
    "libdl.a",
    "libgcc.a",
    "libgcc_s.so",
    "libgcc_s.so.1",
    "libm.so",
    "liblto_plugin.so",
    "libmvec.so.1",
    "libpthread.a",
    "librt.a",
    "libutil.a",
];

/// An OCI layout (tag `latest`) with cargo, rustc, cc, ninja and busybox.
pub fn toolbox() -> &'static Path {
    static LAYOUT: OnceLock<PathBuf> = OnceLock::new();
    LAYOUT.get_or_init(|| {
        let files = files();
        // Another version of a file has another size or time.
        let meta = |file: &PathBuf| fs::metadata(file).and_then(|meta| Ok((meta.len(), meta.modified()?))).ok();
        let described: Vec<_> = files.iter().map(|file| (file, meta(file))).collect();
        let key = sha256(format!("{described:?}").as_bytes());
        kept("toolbox", &key, |dir| {
            let config = json!({"Cmd": ["sh"], "Env": [format!("{}:/rust/bin", path_variable())]});
            layout::write(&dir.join("layout"), &rootfs(&files), &config);
        })
    })
}

/// Every file, by the path at which programs look for it.
fn files() -> BTreeSet<PathBuf> {
    let told = |flag: &str, name: &str| said("cc", &[&format!("{flag}={name}")]).trim().to_owned();
    let parts = PARTS_OF_CC.iter().map(|name| told("-print-prog-name", name));
    let linked = LINKED.iter().map(|name| told("-print-file-name", name));
    let of_cc = parts.chain(linked).chain(["cc", "ninja"].map(str::to_owned));
    let mut files: BTreeSet<PathBuf> = of_cc.filter_map(|file| place_of(Path::new(&file))).chain(rust()).collect();
    let libraries: Vec<PathBuf> = files.iter().flat_map(|file| libraries_of(file)).collect();
    files.extend(libraries);
    files
}

/// A path without detours; a bare name is that of a program, or of something that this compiler does without.
fn place_of(file: &Path) -> Option<PathBuf> {
    let file = if file.is_absolute() { file.to_path_buf() } else { Path::new("/usr/bin").join(file) };
    let folder = file.parent()?.canonicalize().ok()?;
    Some(folder.join(file.file_name()?)).filter(|file| file.is_file())
}

/// The toolchain that builds rbuild, without documentation and lints.
fn rust() -> Vec<PathBuf> {
    let sysroot = sysroot();
    let libraries = said("rustc", &["--print", "target-libdir"]);
    // Beside the libraries lie the linkers.
    let target = Path::new(libraries.trim()).parent().expect("it is the folder `lib` of a target").to_path_buf();
    let mut files = vec![sysroot.join("bin/cargo"), sysroot.join("bin/rustc")];
    for (folder, depth) in [(sysroot.join("lib"), 1), (target, 4)] {
        let entries = walkdir::WalkDir::new(&folder).max_depth(depth).into_iter().map(|entry| entry.expect("readable"));
        files.extend(entries.map(walkdir::DirEntry::into_path).filter(|path| path.is_file()));
    }
    files
}

fn sysroot() -> PathBuf {
    PathBuf::from(said("rustc", &["--print", "sysroot"]).trim())
}

/// The shared libraries of a program, the loader among them; none if it is none.
fn libraries_of(file: &Path) -> Vec<PathBuf> {
    let output = Command::new("ldd").arg(file).output().expect("ldd is part of Debian's libc-bin");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let paths = text.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
    // The loader looks for a library where its name says, whatever links lead there on this machine.
    let paths = paths.map(|path| PathBuf::from(path.trim_end_matches(':'))).filter(|path| path.is_file());
    paths.map(|path| if path.starts_with(sysroot()) { place_of(&path).unwrap_or(path) } else { path }).collect()
}

fn said(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    let output = output.unwrap_or_else(|error| panic!("cannot start `{program}` ({error}): run .ci/test"));
    tools::text_of(program, output)
}

/// busybox, and the files at their paths; those of the Rust toolchain in `/rust`.
fn rootfs(files: &BTreeSet<PathBuf>) -> Vec<u8> {
    let sysroot = sysroot();
    // As in Debian, `/lib` is a link to `/usr/lib`: linkers look in both.
    let place = |file: &Path| match (file.strip_prefix(&sysroot), file.strip_prefix("/usr"), file.strip_prefix("/")) {
        (Ok(rest), ..) => Path::new("rust").join(rest),
        (_, Ok(rest), _) | (_, _, Ok(rest)) => Path::new("usr").join(rest),
        _ => panic!("`{}` is not absolute", file.display()),
    };
    let placed: BTreeMap<PathBuf, &PathBuf> = files.iter().map(|file| (place(file), file)).collect();
    let mut tar = tar::Builder::new(Vec::new());
    fill_busybox(&mut tar);
    let folders: BTreeSet<&Path> = placed.keys().flat_map(|path| path.ancestors().skip(1)).collect();
    for folder in folders.into_iter().filter(|folder| !["", "usr", "usr/bin"].contains(&folder.to_str().unwrap_or("")))
    {
        append(&mut tar, &folder.display().to_string(), tar::EntryType::Directory, 0o755, &[]);
    }
    for name in ["lib", "lib64"] {
        let mut header = header(tar::EntryType::Symlink, 0o777, 0);
        tar.append_link(&mut header, name, format!("usr/{name}")).expect("memory is writable");
    }
    for (place, file) in &placed {
        let content = fs::read(file).unwrap_or_else(|error| panic!("cannot read `{}`: {error}", file.display()));
        append(&mut tar, &place.display().to_string(), tar::EntryType::Regular, 0o755, &content);
    }
    tar.into_inner().expect("memory is writable")
}
