//! Contexts from seeds: the same on every machine.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;

/// How much there is of everything.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    pub name: &'static str,
    /// Files of 1.5 kB.
    pub files: usize,
    /// MiB of the one large file.
    pub mebibytes: usize,
    /// RUN steps.
    pub runs: usize,
    /// Copies of Debian's folders.
    pub copies: usize,
}

impl Scale {
    /// The sizes that the targets are about.
    pub fn full() -> Self {
        Self { name: "full", files: 20_000, mebibytes: 512, runs: 50, copies: 6 }
    }

    pub fn named(name: &str) -> Self {
        match name {
            "full" => Self::full(),
            "small" => Self { name: "small", files: 2_000, mebibytes: 51, runs: 5, copies: 1 },
            other => panic!("`{other}` is no size: small, full"),
        }
    }
}

/// A generator that is as good as contents need (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Words of small letters, as well compressible as source code.
    fn text(&mut self, length: usize) -> Vec<u8> {
        let mut text = Vec::with_capacity(length + 16);
        while text.len() < length {
            // 4096 words of 2 to 9 letters.
            let mut word = Random(self.next() % 4096);
            let letters = 2 + word.next() % 8;
            text.extend((0..letters).map(|_| b'a' + u8::try_from(word.next() % 26).expect("it is below 26")));
            text.push(if text.len() % 60 < 8 { b'\n' } else { b' ' });
        }
        text.truncate(length);
        text
    }
}

pub fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap_or_else(|error| panic!("cannot write `{}`: {error}", path.display()));
}

fn folder(path: &Path) {
    fs::create_dir_all(path).unwrap_or_else(|error| panic!("cannot make `{}`: {error}", path.display()));
}

/// A small program: a list of packages and thirty sources.
pub fn app(context: &Path) {
    folder(&context.join("src"));
    let mut random = Random(1);
    write(&context.join("packages.txt"), &random.text(400));
    for number in 0..30 {
        write(&context.join(format!("src/{number:02}.c")), &random.text(4000));
    }
}

/// Files of 1500 bytes, a hundred to a folder.
pub fn many_files(context: &Path, files: usize) {
    let mut random = Random(2);
    for number in 0..files {
        let dir = context.join(format!("src/d{:03}", number / 100));
        if number % 100 == 0 {
            folder(&dir);
        }
        write(&dir.join(format!("f{number:05}.js")), &random.text(1500));
    }
}

/// One file: of each MiB half is random and half is text.
pub fn large_file(path: &Path, mebibytes: usize) {
    let mut random = Random(3);
    let mut file = BufWriter::new(File::create(path).expect("the context is writable"));
    let mut put = |bytes: &[u8]| file.write_all(bytes).expect("the context has room");
    for _ in 0..mebibytes {
        for _ in 0..(512 << 10) / 8 {
            put(&random.next().to_le_bytes());
        }
        put(&random.text(512 << 10));
    }
    file.flush().expect("the context has room");
}

/// Changes one file so that its length and content differ in each round.
pub fn edit(path: &Path, round: usize) {
    write(path, &Random(100 + round as u64).text(1400 + round));
}
