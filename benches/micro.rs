//! The parts of a build, one by one: parse, ignore match, walk and hash, key, layer write, compression, layer apply.
//!
//! `cargo bench --bench micro -- [--rounds N] [--out FOLDER]` prints the fastest of N rounds, and the middle one as a
//! measure of how much the machine was disturbed; the times include no process start. It needs root, as layers with
//! owners do.

#![expect(clippy::print_stdout, reason = "it reports to whoever runs it")]

use std::fs;
use std::hint::black_box;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rbuild::cache::{Ingredient, Ingredients};
use rbuild::context::{self, DirectorySource, Ignore, SelectOptions, Selection, Source as _, StatCache};
use rbuild::digest::{ChainId, ContentDigest, HashingWriter};
use rbuild::dockerfile;
use rbuild::layer::{self, Compression, Content, Layer, Lower, TimePolicy, Unpack};
use rbuild::path::{ContextPath, ImagePath};
use rbuild::store::Store;
use rbuild::tree::{Attributes, Entry, Kind, Stack};

/// Files of the context, a hundred to a folder.
const FILES: usize = 5_000;

/// Bytes of each.
const SIZE: usize = 1_500;

fn main() {
    let mut rounds = 7;
    let mut out = None;
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().unwrap_or_else(|| panic!("`{arg}` needs a value"));
        match arg.as_str() {
            "--bench" => {}
            "--rounds" => rounds = value().parse().expect("--rounds takes a number"),
            "--out" => out = Some(PathBuf::from(value())),
            other => panic!("`{other}` is no option: --rounds, --out"),
        }
    }
    let dir = tempfile::tempdir().expect("a folder");
    let mut table = Table { rounds, text: String::new() };
    pure(&mut table);
    let context = dir.path().join("context");
    write_context(&context);
    let (selection, known) = read(&mut table, &context);
    write(&mut table, &context, &selection, &known, dir.path());
    let heading = "| part | fastest | middle | rate |\n|---|---|---|---|\n";
    println!("{heading}{}", table.text);
    if let Some(out) = out {
        fs::create_dir_all(&out).expect("the folder for the results is writable");
        fs::write(out.join("micro.md"), format!("# Parts of a build\n\n{heading}{}", table.text)).expect("writable");
    }
}

/// What is measured, a line each.
struct Table {
    rounds: usize,
    text: String,
}

/// What one round has handled, for the rate.
#[derive(Clone, Copy)]
enum Amount {
    Bytes(u64),
    Items(usize),
}

impl Table {
    /// Measures `work` after an unmeasured `prepare` in each round.
    fn add<T, R>(&mut self, name: &str, amount: Amount, prepare: impl Fn() -> T, work: impl Fn(T) -> R) {
        let mut times: Vec<Duration> = Vec::new();
        for _ in 0..self.rounds {
            let input = prepare();
            let start = Instant::now();
            let output = black_box(work(input));
            times.push(start.elapsed());
            drop(output);
        }
        times.sort();
        let (fastest, middle) = (times[0].as_secs_f64(), times[times.len() / 2].as_secs_f64());
        let rate = match amount {
            Amount::Bytes(bytes) => format!("{:.0} MiB/s", bytes as f64 / fastest / f64::from(1 << 20)),
            Amount::Items(items) => format!("{:.0} ns each", fastest * 1e9 / items as f64),
        };
        let line = format!("| {name} | {:.2} ms | {:.2} ms | {rate} |\n", fastest * 1e3, middle * 1e3);
        self.text.push_str(&line);
    }
}

/// What does no input or output.
fn pure(table: &mut Table) {
    let stage = "FROM busybox AS s\nARG V=1\nENV A=${V:-2} B=$A\nWORKDIR /app/$A\nCOPY --chown=1:2 a b* [c] /d/\n\
                 RUN --mount=type=cache,target=/c set -e; \\\n    echo $A; \\\n    # comment\n    make -j2\nEXPOSE 80/tcp\n";
    let text = stage.repeat(200);
    let parse = |()| dockerfile::parse("Dockerfile", text.as_bytes());
    table.add("parse a Dockerfile", Amount::Bytes(text.len() as u64), || (), parse);

    let rules =
        "# comment\n*.log\n**/node_modules\n!keep/**/node_modules\ntarget/\n**/.git\nbuild/**/out-?[0-9]\n!build/x\n";
    let ignore = Ignore::parse(".dockerignore", rules.as_bytes()).expect("the rules are right");
    let paths: Vec<ContextPath> = (0..10_000)
        .map(|n| ContextPath::new(format!("src/d{}/node_modules/p{n}/out-{}.js", n / 100, n % 10)))
        .collect();
    let matched = |()| paths.iter().filter(|path| ignore.verdict(path) == context::Verdict::Included).count();
    table.add("match a path with 7 ignore rules", Amount::Items(paths.len()), || (), matched);

    let digest = ContentDigest::of(b"x");
    let mut ingredients = Ingredients::new("copy");
    for number in 0..FILES {
        ingredients.push(Ingredient::File { path: format!("src/d{}/f{number}.js", number / 100), digest, look: None });
    }
    table.add("key of a COPY, for each file", Amount::Items(FILES), || (), |()| ingredients.key());
}

fn text(seed: usize, length: usize) -> Vec<u8> {
    let mut state = seed as u64 + 1;
    let mut text = Vec::with_capacity(length + 8);
    while text.len() < length {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.extend_from_slice(format!("{:x} ", (state >> 33) % 5000).as_bytes());
    }
    text.truncate(length);
    text
}

fn write_context(context: &Path) {
    for number in 0..FILES {
        let folder = context.join(format!("src/d{:03}", number / 100));
        fs::create_dir_all(&folder).expect("the folder is writable");
        fs::write(folder.join(format!("f{number:05}.js")), text(number, SIZE)).expect("the folder is writable");
    }
}

fn open(context: &Path, cache: StatCache) -> DirectorySource {
    DirectorySource::open(context, Ignore::nothing(), &[], cache).expect("the context opens")
}

fn selected(source: &DirectorySource) -> Selection {
    context::select(source, &[b"src"], &SelectOptions::default()).expect("there is a `src`")
}

/// Walks and hashes the context, for the first time and again.
fn read(table: &mut Table, context: &Path) -> (Selection, StatCache) {
    let walk_and_hash = |cache: StatCache| {
        let source = open(context, cache);
        let selection = selected(&source);
        let contents = context::contents(&source, &selection).expect("the files can be read");
        assert_eq!(contents.len(), FILES);
        (selection, source.into_stat_cache())
    };
    let walk = |cache| selected(&open(context, cache));
    table.add("walk and stat a file", Amount::Items(FILES), StatCache::default, walk);
    table.add("walk, stat, read and hash a file", Amount::Items(FILES), StatCache::default, walk_and_hash);
    // The stat cache keeps nothing that was changed in the clock tick before it was read.
    let (selection, known) = walk_and_hash(StatCache::default());
    let bytes = known.to_bytes();
    table.add("read the stat cache, for each file", Amount::Items(FILES), || (), |()| StatCache::from_bytes(&bytes));
    let again = || StatCache::from_bytes(&bytes).expect("it was written just now");
    table.add("walk an unchanged file", Amount::Items(FILES), again, walk_and_hash);
    (selection, known)
}

fn entries(source: &DirectorySource, selection: &Selection) -> Vec<(Entry, Content)> {
    let contents = context::contents(source, selection).expect("the files can be read");
    let selected = selection.selected().map(|selected| {
        let path = ImagePath::new(selected.relative.as_bytes());
        let attributes = Attributes::of_root(0o644);
        let Some(content) = contents.get(&selected.from).copied() else {
            return (Entry::directory(path, Attributes::of_root(0o755)), Content::None);
        };
        let reader = source.open(&selected.from).expect("the file is there");
        let kind = Kind::File { size: content.size, digest: content.digest };
        (Entry { path, kind, attributes }, Content::Open(Box::new(move || Ok(reader as Box<dyn io::Read>))))
    });
    selected.collect()
}

/// Writes, compresses and unpacks the context as a layer.
fn write(table: &mut Table, context: &Path, selection: &Selection, known: &StatCache, dir: &Path) {
    let known = known.to_bytes();
    let source = || open(context, StatCache::from_bytes(&known).expect("it was written just now"));
    let stores = std::cell::Cell::new(0);
    let store = || {
        stores.set(stores.get() + 1);
        Store::open(&dir.join(format!("store-{}", stores.get()))).expect("a store")
    };
    // With their files open the entries would need thousands of descriptors: each round takes a folder's worth.
    let few = || {
        let mut entries = entries(&source(), selection);
        entries.truncate(800);
        (store(), entries)
    };
    let write_few = |(store, entries)| {
        layer::write_layer(&store, entries, TimePolicy::Fixed, layer::Form::Working).expect("a layer")
    };
    table.add("write a file into a layer", Amount::Items(800), few, write_few);

    let large = || {
        let entry = |number: usize| {
            let bytes = text(number, 1 << 20);
            let kind = Kind::File { size: bytes.len() as u64, digest: ContentDigest::of(&bytes) };
            let path = ImagePath::new(format!("f{number:02}"));
            (Entry { path, kind, attributes: Attributes::of_root(0o644) }, Content::Bytes(bytes))
        };
        (store(), (0..32).map(entry).collect::<Vec<_>>())
    };
    let bytes = Amount::Bytes(32 << 20);
    table.add("write a layer of 32 files of 1 MiB", bytes, large, |(store, entries)| {
        layer::write_layer(&store, entries, TimePolicy::Fixed, layer::Form::Working).expect("a layer")
    });
    let written = || {
        let (store, entries) = large();
        let layer = layer::write_layer(&store, entries, TimePolicy::Fixed, layer::Form::Working).expect("a layer");
        (store, layer)
    };
    for level in [1, 4, 6] {
        let compression = Compression::Gzip { level, single_member: false };
        let name = format!("compress it, gzip at level {level}, on all cores");
        table.add(&name, bytes, written, |(store, layer)| layer::compressed(&store, &layer, compression));
    }
    let zstd = Compression::Zstd { level: 3 };
    table.add("compress it, zstd at level 3, on all cores", bytes, written, |(store, layer)| {
        layer::compressed(&store, &layer, zstd)
    });
    let nothing = Stack::default();
    let lower = Lower { layers: &[], stack: &nothing };
    table.add("unpack it", bytes, written, |(store, layer)| layer::ensure_tree(&store, &layer, lower));
    let pulled = || pulled(&written(), &store());
    table.add("read and unpack its gzip, as a pull does", bytes, pulled, |(store, blob, layer)| {
        let Layer { diff_id, .. } = layer;
        layer::import(&store, &blob.digest, &blob.media_type, Some(&diff_id), lower, &ChainId::empty(), Unpack::Tree)
    });
    let hash = |bytes: Vec<u8>| {
        let mut writer = HashingWriter::new(io::sink());
        io::copy(&mut bytes.as_slice(), &mut writer).expect("memory can be read");
        writer.finish::<ContentDigest>()
    };
    table.add("sha256", bytes, || vec![7; 32 << 20], hash);
}

/// The layer's gzip in a store that knows nothing of it.
fn pulled((from, layer): &(Store, Layer), to: &Store) -> (Store, layer::Blob, Layer) {
    let blob = layer::compressed(from, layer, Compression::DEFAULT).expect("a blob");
    let bytes = from.read_blob(&blob.digest, 64 << 20).expect("it was written just now");
    to.put_blob(&bytes).expect("the store has room");
    (to.clone(), blob, layer.clone())
}
