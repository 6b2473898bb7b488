//! Every case of testdata/compose/ok against its plan, and against Debian's docker-compose where that knows its keys.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use expect_test::expect_file;
use serde_json::{Map, Value, json};

use super::case::Case;
use crate::support::run::Project;
use crate::support::tools;

#[test]
fn every_case_has_the_plan_that_is_written_down() {
    let cases = Case::all("ok");
    assert!(cases.len() >= 40, "{} cases", cases.len());
    for case in cases {
        let project = case.project();
        let ran = case.call(&project, &["--print"]).run().success();
        let shown = if ran.stderr.is_empty() { ran.stdout } else { format!("{}{}", ran.stderr, ran.stdout) };
        expect_file![case.folder.join("plan.json")].assert_eq(&shown);
        assert!(!project.store().exists(), "{}: a store was made", case.name());
    }
}

/// Calls docker-compose's own entry point for each case, since starting it takes longer than what it does.
const DOCKER_COMPOSE: &str = r#"
import contextlib, io, json, os, sys
import yaml
from compose.cli.main import main
found = []
for call in json.load(sys.stdin):
    os.chdir(call["folder"])
    os.environ.clear()
    os.environ.update(call["env"])
    sys.argv = ["docker-compose", *call["args"]]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        try:
            main()
        except SystemExit as end:
            assert not end.code, call
    found.append(yaml.safe_load(printed.getvalue()))
print(json.dumps(found))
"#;

#[test]
fn docker_compose_says_the_same_where_it_knows_the_keys() {
    tools::require("/usr/bin/docker-compose");
    let cases: Vec<Case> = Case::all("ok").into_iter().filter(|case| case.apart.is_none()).collect();
    assert!(cases.len() >= 20, "{} cases", cases.len());
    let (mut ours, mut calls, mut projects) = (Vec::new(), Vec::new(), Vec::new());
    for case in &cases {
        let project = case.project();
        let ran = case.call(&project, &["--print"]).run().success();
        let plan: Value = serde_json::from_str(&ran.raw_stdout).unwrap();
        make_contexts(&plan);
        calls.push(call_of(case, &project));
        ours.push(of_rbuild(&plan));
        projects.push(project);
    }
    let python = projects[0].program("/usr/bin/python3", ["-c", DOCKER_COMPOSE]);
    let ran = python.stdin(serde_json::to_vec(&calls).unwrap()).run().success();
    let theirs: Vec<Value> = serde_json::from_str(&ran.raw_stdout).unwrap();
    assert_eq!(theirs.len(), ours.len());
    for ((case, ours), theirs) in cases.iter().zip(ours).zip(theirs) {
        let theirs = of_docker_compose(&theirs);
        assert_eq!(pretty(&ours), pretty(&theirs), "{} (rbuild left, docker-compose right)", case.name());
    }
}

fn call_of(case: &Case, project: &Project) -> Value {
    // It does not look for compose.yaml by itself.
    let has_usual_name = project.context().join("compose.yaml").exists() && !case.args.iter().any(|arg| arg == "-f");
    let mut args: Vec<&str> = if has_usual_name { vec!["-f", "compose.yaml"] } else { Vec::new() };
    args.extend(case.args.iter().map(String::as_str));
    args.push("config");
    let mut env: BTreeMap<&str, String> = case.env.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    env.insert("HOME", project.home().display().to_string());
    json!({"folder": project.context(), "args": args, "env": env})
}

fn pretty(value: &BTreeMap<String, Value>) -> String {
    serde_json::to_string_pretty(value).unwrap()
}

/// docker-compose wants every context to be there.
fn make_contexts(plan: &Value) {
    for service in plan["services"].as_object().unwrap().values() {
        if let Some(context) = service["build"]["context"].as_str().filter(|context| context.starts_with('/')) {
            fs::create_dir_all(Path::new(context)).unwrap();
        }
    }
}

/// Each service's image, and the keys of its build that both know, in one form.
fn of_rbuild(plan: &Value) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    for (name, service) in plan["services"].as_object().unwrap() {
        let project = plan["name"].as_str().unwrap();
        let names: Vec<&str> = service["names"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        let default = format!("{project}-{name}:latest");
        let image = if names[0] == default { Value::Null } else { json!(names[0]) };
        found.insert(name.clone(), json!({"build": service.get("build"), "image": image}));
    }
    found
}

fn of_docker_compose(config: &Value) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    for (name, service) in config["services"].as_object().unwrap() {
        let mut build = service.get("build").map(|build| {
            let mut build: Map<String, Value> = build.as_object().unwrap().clone();
            if let Some(size) = build.get_mut("shm_size") {
                *size = json!(size.as_str().unwrap().strip_suffix('m').unwrap().parse::<u64>().unwrap() << 20);
            }
            if let Some(hosts) = build.get_mut("extra_hosts").and_then(Value::as_array_mut) {
                for host in hosts {
                    *host = json!(host.as_str().unwrap().replacen(':', "=", 1));
                }
            }
            build
        });
        let tagged = |image: &str| if image.contains(':') { image.to_owned() } else { format!("{image}:latest") };
        if let Some(Value::Object(args)) = build.as_mut().and_then(|build| build.get_mut("args")) {
            // It prints what could be read again.
            args.values_mut().for_each(|value| *value = json!(value.as_str().unwrap().replace("$$", "$")));
        }
        let image = service.get("image").and_then(Value::as_str).map(tagged);
        found.insert(name.clone(), json!({"build": build, "image": image}));
    }
    found
}
