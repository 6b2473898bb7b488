//! Tables of what was measured: raw numbers as CSV, and a summary.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::fs;
use std::path::PathBuf;

use crate::builder::Builder;
use crate::cases::{Case, SCENARIOS, Scenario};
use crate::content::{self, Scale};
use crate::measure::{Cost, median};
use crate::options::Options;
use crate::run::Parts;

/// One timed build.
pub struct Row {
    pub case: &'static str,
    pub builder: String,
    pub round: usize,
    pub cost: Cost,
    /// The tarball's; zero if there is none.
    pub bytes: u64,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { case, builder, round, cost: Cost { wall, cpu, peak_kib }, bytes } = self;
        let (wall, cpu) = (wall.as_secs_f64(), cpu.as_secs_f64());
        write!(f, "{case},{builder},{round},{wall:.4},{cpu:.4},{peak_kib},{bytes}")
    }
}

/// All that a run has measured.
pub struct Report {
    scale: Scale,
    out: Option<PathBuf>,
    builders: Vec<(String, String, bool)>,
    rows: Vec<Row>,
    floors: BTreeMap<&'static str, (f64, String)>,
    /// Bytes of a tarball's content by zlib at level 6, as `gzip` makes it.
    zlib: BTreeMap<&'static str, u64>,
    growth: String,
    failures: Vec<String>,
    machine: String,
}

impl Report {
    pub fn new(options: &Options, builders: &[Box<dyn Builder>]) -> Self {
        let builders = builders.iter().map(|b| (b.name().to_owned(), b.version(), b.tells_all())).collect();
        let (scale, out, machine) = (options.scale, options.out.clone(), machine());
        let (rows, floors, zlib, growth) = (Vec::new(), BTreeMap::new(), BTreeMap::new(), String::new());
        Self { scale, out, builders, rows, floors, zlib, growth, failures: Vec::new(), machine }
    }

    pub fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Notes that a builder failed, and has no time of that round.
    pub fn failed(&mut self, case: &Case, builder: &str, round: usize) {
        self.failures.push(format!("{builder} in round {round} of {}", case.name));
    }

    /// Works out each case's floor from its parts. Parts that can go on at once count as the longest of them.
    pub fn floor(&mut self, scenario: &Scenario, parts: &Parts) {
        let get = |name: &str| parts.get(name).map_or(f64::NAN, |part| part.0);
        let words: Vec<String> = parts.iter().map(|(name, (seconds, _))| format!("{name} {seconds:.3}")).collect();
        let words = words.join(", ");
        for case in scenario.cases {
            let seconds = match case.name {
                "app-cold-tarball" => get("exec") + 2.0 * get("step"),
                "app-edited" => get("exec") + get("step"),
                "runs-cold" => get("exec") + self.scale.runs as f64 * get("step"),
                "files-cold" | "files-edited" => get("tar").max(get("sha256")),
                "files-unchanged" => get("walk"),
                "large-tarball" => get("copy").max(get("sha256")).max(get("deflate-4")),
                "large-tarball-level-1" => get("copy").max(get("sha256")).max(get("deflate-1")),
                "stages-cold" => 1.0 + get("step"),
                "usr-tarball" => get("cp") + get("tar").max(get("sha256")).max(get("deflate-4")),
                "pull-and-unpack" => get("transfer").max(get("gunzip")).max(get("untar")),
                _ => get("exec"),
            };
            self.floors.insert(case.name, (seconds, words.clone()));
            if let Some((_, bytes)) = parts.get("zlib-6") {
                self.zlib.insert(case.name, *bytes);
            }
        }
    }

    /// Notes what ten times as much costs: the least CPU time of all rounds, which a slow minute of the machine does not
    /// change, and the highest peak.
    pub fn growth(&mut self, case: &Case, tenth: &[Cost], whole: &[Cost]) {
        let cpu = |costs: &[Cost]| costs.iter().map(|cost| cost.cpu.as_secs_f64()).fold(f64::INFINITY, f64::min);
        let peak = |costs: &[Cost]| costs.iter().map(|cost| cost.peak_kib as f64 / 1024.0).fold(0.0, f64::max);
        let (small, large) = (cpu(tenth), cpu(whole));
        let (little, much) = (peak(tenth), peak(whole));
        writeln!(
            self.growth,
            "| {} | {small:.3} s | {large:.3} s | {:.1} | {little:.0} MiB | {much:.0} MiB | {:.1} |",
            case.name,
            large / small,
            much / little,
        )
        .expect("memory is writable");
    }

    /// Prints the summary, and writes it and the raw numbers where the options say.
    pub fn finish(self) {
        let summary = self.summary();
        println!("{summary}");
        let Some(out) = &self.out else { return };
        fs::create_dir_all(out).expect("the folder for the results is writable");
        let rows: String = self.rows.iter().map(|row| format!("{row}\n")).collect();
        let csv = format!("case,builder,round,wall_s,cpu_s,peak_kib,tarball_bytes\n{rows}");
        content::write(&out.join("raw.csv"), csv.as_bytes());
        content::write(&out.join("summary.md"), summary.as_bytes());
    }

    fn summary(&self) -> String {
        let mut text = format!("# Whole builds, size {}\n\n{}\n\n", self.scale.name, self.machine);
        for (name, version, _) in &self.builders {
            writeln!(text, "- {name}: {version}").expect("memory is writable");
        }
        text.push_str(
            "\nMedians in seconds (fastest to slowest); CPU is user and system time of all processes; the rivals' wall \
             time is a ratio to rbuild's.\nImages were compared file by file before these times counted.\n\n\
             | case | target | rbuild | CPU | peak MiB | floor | × floor |",
        );
        for (name, ..) in &self.builders[1..] {
            write!(text, " {name} | × |").expect("memory is writable");
        }
        text.push_str("\n|---|---|---|---|---|---|---|");
        text.push_str(&"---|---|".repeat(self.builders.len() - 1));
        text.push('\n');
        for case in SCENARIOS.iter().flat_map(|scenario| scenario.cases) {
            self.line(case, &mut text);
        }
        if !self.failures.is_empty() {
            let failures = self.failures.join(", ");
            writeln!(text, "\nFailed, built once more, and not counted: {failures}.").expect("memory is writable");
        }
        self.sizes(&mut text);
        if !self.growth.is_empty() {
            text.push_str(
                "\n## Ten times as much\n\nThe least CPU time and the highest peak of all rounds.\n\n| case | CPU of a tenth | CPU | × | peak of a tenth | peak | × |\n|---|---|---|---|---|---|---|\n",
            );
            text.push_str(&self.growth);
        }
        text.push_str("\n## What the floors are made of\n\nSeconds; see `benches/README.md`.\n\n");
        for scenario in &SCENARIOS {
            if let Some((_, words)) = self.floors.get(scenario.cases[0].name) {
                writeln!(text, "- {}: {words}", scenario.name).expect("memory is writable");
            }
        }
        text
    }

    fn costs(&self, case: &Case, builder: &str) -> Vec<&Row> {
        self.rows.iter().filter(|row| row.case == case.name && row.builder == builder).collect()
    }

    fn line(&self, case: &Case, text: &mut String) {
        let ours = self.costs(case, &self.builders[0].0);
        if ours.is_empty() {
            return;
        }
        let wall = |rows: &[&Row]| rows.iter().map(|row| row.cost.wall.as_secs_f64()).collect::<Vec<_>>();
        let spread = |rows: &[&Row]| {
            let all = wall(rows);
            let (low, high) = all.iter().fold((f64::MAX, 0.0_f64), |(low, high), t| (low.min(*t), high.max(*t)));
            format!("{:.3} ({low:.3}–{high:.3})", median(all))
        };
        let own = median(wall(&ours));
        let cpu = median(ours.iter().map(|row| row.cost.cpu.as_secs_f64()).collect());
        let peak = ours.iter().map(|row| row.cost.peak_kib).max().unwrap_or(0) as f64 / 1024.0;
        let floor = self.floors.get(case.name).map_or(f64::NAN, |floor| floor.0);
        let target = if self.scale.name == "full" {
            format!("≤ {} {}", case.target, if own <= case.target { "met" } else { "**missed**" })
        } else {
            "–".to_owned()
        };
        let (name, spread_of_ours) = (case.name, spread(&ours));
        write!(
            text,
            "| {name} | {target} | {spread_of_ours} | {cpu:.3} | {peak:.0} | {floor:.3} | {:.1} |",
            own / floor
        )
        .expect("memory is writable");
        for (builder, ..) in &self.builders[1..] {
            let theirs = self.costs(case, builder);
            let cell = match theirs.is_empty() {
                true => " – | – |".to_owned(),
                false => format!(" {} | {:.1} |", spread(&theirs), median(wall(&theirs)) / own),
            };
            text.push_str(&cell);
        }
        text.push('\n');
    }

    /// The tarballs' sizes.
    fn sizes(&self, text: &mut String) {
        let mut lines = String::new();
        for case in SCENARIOS.iter().flat_map(|scenario| scenario.cases).filter(|case| case.output.is_tarball()) {
            let size = |builder: &str| self.costs(case, builder).first().map(|row| row.bytes);
            let Some(ours) = size(&self.builders[0].0) else { continue };
            let ratio = |theirs: u64| format!("{theirs} ({:.3})", ours as f64 / theirs as f64);
            let mut cells = vec![case.name.to_owned(), ours.to_string()];
            cells.push(self.zlib.get(case.name).map_or("–".to_owned(), |bytes| ratio(*bytes)));
            cells.extend(self.builders[1..].iter().map(|(name, ..)| size(name).map_or("–".to_owned(), ratio)));
            writeln!(lines, "| {} |", cells.join(" | ")).expect("memory is writable");
        }
        if lines.is_empty() {
            return;
        }
        let names: String = self.builders[1..].iter().map(|(name, ..)| format!(" {name} |")).collect();
        let rule = "---|".repeat(self.builders.len() + 2);
        write!(
            text,
            "\n## Tarballs\n\nBytes, and rbuild's as a ratio to each. `zlib -6` is the new layer alone, as `gzip` makes it. \
             docker's tarball is not compressed.\n\n| case | rbuild | zlib -6 |{names}\n|{rule}\n{lines}"
        )
        .expect("memory is writable");
    }
}

/// The processor, its number, the kernel, and how busy it is.
fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("an unknown processor");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or("?");
    let model = model.trim_start_matches([' ', '\t', ':']);
    format!("{cores} × {model}, Linux {}, load {load} at the start.", kernel.trim())
}
