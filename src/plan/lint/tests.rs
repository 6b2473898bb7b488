//! `testdata/lint/rules.txt`: what is reported of each file, where, and in which words.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use expect_test::expect_file;

use crate::dockerfile::{Check, Diagnostic, Dockerfile, parse_checked};
use crate::image::ImageConfig;
use crate::plan::{ImageNeed, Inputs, Insecure, Network, Outcome, Scope, plan};
use crate::platform::Platform;

/// One case, as it is written.
struct Case<'a> {
    options: Vec<&'a str>,
    text: String,
}

impl<'a> Case<'a> {
    fn read(body: &'a str) -> Self {
        let mut lines = body.lines();
        let options: Vec<&str> = lines.by_ref().take_while(|line| line.starts_with('@')).collect();
        let text = body.lines().skip(options.len()).take_while(|line| *line != "--");
        Self { options, text: text.map(|line| format!("{line}\n")).collect() }
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &'a str> {
        let start = format!("@{name} ");
        self.options.iter().filter_map(move |option| option.strip_prefix(&start)).collect::<Vec<_>>().into_iter()
    }

    fn inputs(&self) -> Inputs {
        let platform = Platform::new("linux", "amd64", None);
        let target = self.values("target").next().map(str::to_owned);
        let pairs = self.values("arg").filter_map(|arg| arg.split_once('='));
        Inputs {
            build_args: pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            scope: if target.is_some() { Scope::Target } else { Scope::EveryStage },
            target,
            labels: BTreeMap::new(),
            platform: platform.clone(),
            build_platform: platform,
            network: Network::Host,
            insecure: Insecure::Refused,
            named_contexts: BTreeMap::new(),
            secret_files: BTreeMap::new(),
            unknown_bases: BTreeSet::new(),
        }
    }

    /// The answer: a line for each problem.
    fn answer(&self) -> String {
        let check = self.values("check").next().map(|check| Check::parse(check).expect("a choice"));
        let (dockerfile, mut problems) = parse_checked("Dockerfile", self.text.as_bytes(), check.as_ref());
        problems.extend(planned(&dockerfile, &self.inputs()));
        problems.sort_by_key(|problem| problem.span.start());
        problems.iter().map(|problem| told(&dockerfile, problem)).collect()
    }
}

fn planned(dockerfile: &Dockerfile, inputs: &Inputs) -> Vec<Diagnostic> {
    let mut bases = BTreeMap::new();
    loop {
        match plan(dockerfile, inputs, &bases) {
            Ok(Outcome::Ready(_, problems)) | Err(problems) => return problems,
            Ok(Outcome::Needs { images, .. }) => {
                for need in images {
                    bases.insert(need.image.clone(), base(&need.image));
                }
            }
        }
    }
}

fn base(need: &ImageNeed) -> ImageConfig {
    let name = need.reference.familiar();
    let architecture = if name.starts_with("arm64/") { "arm64" } else { "amd64" };
    let mut image = ImageConfig::scratch(&Platform::new("linux", architecture, None));
    image.rootfs.diff_ids.push(crate::digest::DiffId::of(b"a layer"));
    image.config.set_variable("PATH", "/bin");
    match name.as_str() {
        "shelled:latest" => image.config.shell = Some(vec!["/bin/bash".to_owned(), "-c".to_owned()]),
        "relative:latest" => image.config.working_dir = "/srv".to_owned(),
        "triggers:latest" => image.config.on_build = vec!["CMD a".to_owned(), "ENV x=$y".to_owned()],
        _ => {}
    }
    image
}

fn told(dockerfile: &Dockerfile, problem: &Diagnostic) -> String {
    let span = dockerfile.head_at(problem.span).map_or(problem.span, |head| head.span);
    let line = |at| dockerfile.source.position(at).line;
    let (first, last) = (line(span.start()), line(span.end().saturating_sub(1)));
    let place = if first == last { first.to_string() } else { format!("{first}-{last}") };
    let kind = if problem.is_error() { "error" } else { problem.code };
    let help: Vec<&str> = problem.help.iter().map(|help| help.message.as_str()).collect();
    format!("{place} {kind}: {}{}\n", problem.message, help.iter().map(|h| format!(" => {h}")).collect::<String>())
}

#[test]
fn every_case_of_the_table_has_its_answer() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/lint/rules.txt");
    let table = fs::read_to_string(&path).expect("the table can be read");
    let (head, cases) = table.split_once("\n== ").expect("the table has cases");
    let mut answered = head.to_owned();
    let mut count = 0;
    for case in cases.split("\n== ") {
        let (name, body) = case.split_once('\n').expect("a case has a name and a body");
        let (question, _) = body.split_once("--\n").unwrap_or((body, ""));
        answered.push_str(&format!("\n== {name}\n{question}--\n{}", Case::read(body).answer()));
        count += 1;
    }
    assert!(count >= 60, "cases are missing");
    expect_file![path].assert_eq(&answered);
}
