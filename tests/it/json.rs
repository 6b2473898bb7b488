//! `--progress=rawjson`: every line that a program reads is an object.

use serde_json::Value;

use crate::support::base;
use crate::support::run::{Project, Ran};

#[track_caller]
fn lines(ran: &Ran) -> Vec<Value> {
    let object = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    ran.stderr.lines().map(object).collect()
}

#[test]
fn a_build_tells_its_steps_their_output_and_its_warnings() {
    let project = base::project("//- Dockerfile\nFROM busybox\nRUN echo hello\nMAINTAINER me\n");
    let ran = project.rbuild(["--progress=rawjson", "-o", "type=cacheonly", "."]).run().success();
    let lines = lines(&ran);
    let of = |key: &str| lines.iter().filter(|line| !line[key].is_null()).cloned().collect::<Vec<Value>>();
    assert!(of("vertexes").iter().any(|line| line["vertexes"][0]["name"] == "[2/2] RUN echo hello"), "{}", ran.stderr);
    assert_eq!(of("logs")[0]["logs"][0]["data"], "aGVsbG8K");
    let warned = &of("diagnostics")[0];
    assert_eq!(
        (&warned["diagnostics"][0]["code"], &warned["diagnostics"][0]["line"]),
        (&"MaintainerDeprecated".into(), &3.into())
    );
    assert_eq!(warned["warnings"][0]["range"][0]["start"]["line"], 3);
    assert!(warned["status"].is_null());
}

#[test]
fn errors_have_their_place_the_advice_and_the_exit_status() {
    let project = base::project("//- Dockerfile\nFROM busybox\nCPOY a /\n");
    let ran = project.rbuild(["."]).env("BUILDKIT_PROGRESS", "rawjson").run().failure(1);
    let line = lines(&ran).pop().unwrap();
    let problem = &line["diagnostics"][0];
    assert_eq!((&problem["severity"], &problem["code"]), (&"error".into(), &"unknown-instruction".into()));
    let place = ["file", "line", "column", "endLine", "endColumn"].map(|key| problem[key].to_string());
    assert_eq!(place, ["\"Dockerfile\"", "2", "1", "2", "5"]);
    assert_eq!((&problem["help"][0]["edit"]["text"], &line["status"]), (&"COPY".into(), &1.into()));
    project.write("//- Dockerfile\nFROM busybox\nRUN exit 7\n");
    let ran = project.rbuild(["--progress", "rawjson", "."]).run().failure(7);
    let line = lines(&ran).pop().unwrap();
    assert_eq!((&line["diagnostics"][0]["code"], &line["status"]), (&"command-failed".into(), &7.into()));
    for args in [vec!["--progress=rawjson", "--nope", "."], vec!["--progress", "rawjson", "--network=nope", "."]] {
        let line = lines(&Project::new().rbuild(args).run().failure(2)).pop().unwrap();
        assert_eq!(line["status"], 2);
    }
}

#[test]
fn a_copy_whose_file_is_missing_is_a_vertex_with_its_error() {
    let project = base::project("//- Dockerfile\nFROM busybox\nRUN true\nCOPY gone /\n//- gome\nx\n");
    let ran = project.rbuild(["--progress=rawjson", "."]).run().failure(1);
    let lines = lines(&ran);
    let failed: Vec<&Value> =
        lines.iter().map(|line| &line["vertexes"][0]).filter(|vertex| !vertex["error"].is_null()).collect();
    assert_eq!(failed.len(), 1, "{}", ran.stderr);
    assert_eq!(failed[0]["name"], "[3/3] COPY gone /");
    let error = failed[0]["error"].as_str().unwrap();
    assert!(error.contains("cannot find `gone`") && !failed[0]["completed"].is_null(), "{error}");
    assert_eq!(lines.last().unwrap()["status"], 1);
    // Lines for people tell it once.
    let ran = project.rbuild(["--progress=plain", "."]).run().failure(1);
    assert_eq!(ran.stderr.matches("cannot find `gone`").count(), 1, "{}", ran.stderr);
}
