//! Builds the cases and says which of them come out as they must.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::json;

use super::base::base;
use super::case::{self, Case};
use super::compare::{Listing, first_difference, outcome};
use super::lists::Lists;
use crate::support::http::FileServer;
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::run::{Project, Ran};
use crate::support::validate::{Rules, judge};
use crate::support::{self, leaks};

/// So many builds at a time: they share a store, and must not influence each other.
const BUILDERS: usize = 2;

/// How the build of a case came out.
enum Verdict {
    /// As expected.
    Agrees,
    /// Otherwise, and the program did nothing that it must never do.
    Differs(String),
    /// The program broke down or made something that is no image: wrong for every case.
    Broken(String),
}

/// What all builds share: a store, a home, and a registry that knows `busybox`.
struct Bench {
    project: Project,
    _registry: Registry,
    busybox: Image,
    busybox_tree: Listing,
}

#[test]
fn every_case_comes_out_as_in_buildkit_or_is_listed() {
    let wanted = std::env::var("RBUILD_CASES").unwrap_or_default();
    let cases: Vec<Case> = case::all().into_iter().filter(|case| case.name.contains(&wanted)).collect();
    assert!(!cases.is_empty(), "no case has `{wanted}` in its name");
    let (bench, lists) = (Bench::new(), Lists::read());
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..BUILDERS {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let judged = catch_unwind(AssertUnwindSafe(|| bench.judge(case)));
                    let verdict = judged.unwrap_or_else(|_| Verdict::Broken("the judge panicked".to_owned()));
                    found.lock().unwrap().extend(complaint(case, verdict, &lists));
                }
            });
        }
    });
    let mut found = found.into_inner().unwrap();
    found.sort();
    assert!(found.is_empty(), "{} of {} cases:\n{}", found.len(), cases.len(), found.join("\n"));
    leaks::assert_none(&bench.project);
}

/// What is wrong about a verdict, given the lists.
fn complaint(case: &Case, verdict: Verdict, lists: &Lists) -> Option<String> {
    let name = &case.name;
    let (intended, waiting) = (lists.intended.contains(name), lists.waiting.contains(name));
    match verdict {
        Verdict::Broken(why) => Some(format!("{name}: {why}")),
        Verdict::Differs(_) if intended || waiting => None,
        Verdict::Differs(why) => Some(format!("{name}: {why}")),
        Verdict::Agrees if intended => Some(format!("{name}: agrees now: delete its row in DIFFERENCES.md")),
        Verdict::Agrees if waiting => Some(format!("{name}: agrees now: delete its line in not-yet.txt")),
        Verdict::Agrees => None,
    }
}

impl Bench {
    fn new() -> Self {
        let registry = Registry::start();
        support::base::push(support::base::busybox(), &registry.name("library/busybox:latest"));
        let project = Project::new();
        project.write_registries_conf(&registry.mirror_of_docker_hub());
        let busybox = Image::open(support::base::busybox()).unwrap();
        let busybox_tree = busybox.rootfs().unwrap().listing();
        Self { project, _registry: registry, busybox, busybox_tree }
    }

    /// Builds one case in a folder of its own and compares what comes out.
    fn judge(&self, case: &Case) -> Verdict {
        let top = tempfile::tempdir_in(self.project.root()).unwrap();
        let archive = top.path().join("out.tar");
        let ran = self.build(case, top.path());
        let must_build = case.expected["ok"] == json!(true);
        if let Some(why) = breakdown(&ran) {
            return Verdict::Broken(why);
        }
        if !ran.status.success() {
            return match (archive.exists(), must_build) {
                (true, _) => Verdict::Broken("it failed and left an archive".to_owned()),
                (false, true) => Verdict::Differs(format!("it failed:\n{}", indented(&ran.stderr))),
                (false, false) => Verdict::Agrees,
            };
        }
        match self.compare(case, &archive) {
            Err(why) => Verdict::Broken(why),
            Ok(_) if !must_build => {
                Verdict::Differs(format!("it built, but BuildKit said: {}", case.expected["error"]))
            }
            Ok(Some(why)) => Verdict::Differs(why),
            Ok(None) => Verdict::Agrees,
        }
    }

    fn build(&self, case: &Case, top: &Path) -> Ran {
        case.write(top);
        let options = &case.options;
        let server = options.uses.http.as_ref().map(|folder| FileServer::start(&top.join(folder)));
        let address = server.as_ref().map(FileServer::url).unwrap_or_default();
        let context = top.join("ctx");
        let expand = |text: &str| expand(text, top, &address);
        let mut args: Vec<String> = options.args.iter().map(|arg| expand(arg)).collect();
        if let Some(file) = &options.dockerfile {
            args.extend(["-f".to_owned(), context.join(file).display().to_string()]);
        }
        args.extend(["-o".to_owned(), format!("type=oci,dest={}", top.join("out.tar").display())]);
        args.push(expand(options.context.as_deref().unwrap_or("{ctx}")));
        let mut call = self.project.rbuild(args).current_dir(&context);
        for (name, value) in &options.env {
            call = call.env(name, expand(value));
        }
        if let Some(section) = &options.stdin {
            call = call.stdin(case.section(section));
        }
        call.run()
    }

    /// The first difference between an archive and the expectation.
    fn compare(&self, case: &Case, archive: &Path) -> Result<Option<String>, String> {
        let lower = |image: &Image| {
            let pairs = image.layers.iter().zip(&self.busybox.layers);
            pairs.take_while(|(own, base)| own.diff_id == base.diff_id).count()
        };
        let rules = Rules { base_layers: lower(&Image::open(archive)?), ..Rules::default() };
        let (image, problems) = judge(archive, rules)?;
        if !problems.is_empty() {
            return Err(problems.join("; "));
        }
        if case.expected["ok"] != json!(true) {
            return Ok(None);
        }
        let nothing = Listing::new();
        let tree = match base(case).as_str() {
            "busybox" => &self.busybox_tree,
            "scratch" => &nothing,
            other => return Err(format!("the case stands on `{other}`, which is no base image of the cases")),
        };
        Ok(first_difference(&case.expected, &outcome(&image, tree)?))
    }
}

/// What the program must never do, whatever the case is.
fn breakdown(ran: &Ran) -> Option<String> {
    let killed = ran.status.code().is_none();
    (killed || ran.stderr.contains("panicked at"))
        .then(|| format!("it broke down ({}):\n{}", ran.status, indented(&ran.stderr)))
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

/// Puts in the server's address for `{http}`, the context for `{ctx}`, and the path of an extra folder for `@NAME`.
pub fn expand(text: &str, top: &Path, address: &str) -> String {
    let text = text.replace("{http}", address).replace("{ctx}", &top.join("ctx").display().to_string());
    let mut parts = text.split('@');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(part.len());
        let folder = top.join(format!("@{}", &part[..end]));
        match end > 0 && folder.exists() {
            true => out.push_str(&folder.display().to_string()),
            false => out.push_str(&format!("@{}", &part[..end])),
        }
        out.push_str(&part[end..]);
    }
    out
}

#[test]
fn words_of_a_case_become_paths_and_addresses() {
    let dir = tempfile::tempdir().unwrap();
    let top = dir.path();
    std::fs::create_dir(top.join("@one")).unwrap();
    let check = |text: &str| expand(text, top, "http://h").replace(&top.display().to_string(), "TOP");
    assert_eq!(check("a=@one/x,{ctx}/y"), "a=TOP/@one/x,TOP/ctx/y");
    assert_eq!(check("@ @two@one u=a@one_ {http}/f"), "@ @twoTOP/@one u=a@one_ http://h/f");
}

#[test]
fn a_listed_case_must_differ_and_another_must_not() {
    let case = Case::parse("a/b", "# A rule.\n", json!({"ok": true}));
    let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let check = |intended: &[&str], waiting: &[&str], verdict: Verdict| {
        let lists = Lists { intended: list(intended), waiting: list(waiting) };
        complaint(&case, verdict, &lists).unwrap_or_default()
    };
    let differs = || Verdict::Differs("why".to_owned());
    let broken = || Verdict::Broken("how".to_owned());
    assert_eq!(check(&[], &[], Verdict::Agrees), "");
    assert_eq!(check(&[], &[], differs()), "a/b: why");
    assert_eq!(check(&["a/b"], &[], differs()), "");
    assert_eq!(check(&[], &["a/b"], differs()), "");
    assert_eq!(check(&["a/b"], &[], broken()), "a/b: how");
    assert_eq!(check(&["a/b"], &[], Verdict::Agrees), "a/b: agrees now: delete its row in DIFFERENCES.md");
    assert_eq!(check(&[], &["a/b"], Verdict::Agrees), "a/b: agrees now: delete its line in not-yet.txt");
}
