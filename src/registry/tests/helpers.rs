use std::process::Command;
use std::time::{Duration, Instant};

use super::super::Error;
use super::super::credentials::Credentials;
use super::super::helper::{self, Answer};

fn shown(answer: Answer) -> String {
    match answer {
        Answer::Credentials(Credentials::Password { user, password }) => format!("{user}:{password}"),
        Answer::Credentials(Credentials::Identity(token)) => format!("identity {token}"),
        Answer::Credentials(Credentials::Bearer(token)) => format!("bearer {token}"),
        Answer::Nothing => "nothing".to_owned(),
        Answer::NotInstalled => "not installed".to_owned(),
    }
}

/// What comes of a helper that is this shell script.
fn run(script: &str, timeout: Duration) -> Result<String, String> {
    helper::run(Command::new("sh").args(["-c", script]), "https://index.docker.io/v1/", timeout).map(shown)
}

#[test]
fn a_helper_s_name_is_a_plain_word() {
    let ask = |name: &str, server: &str| helper::ask(name, server, Duration::from_secs(1)).map(shown);
    for name in ["", "a/b", "../x", "$(x)", "a b", "A", "x\n"] {
        assert!(matches!(ask(name, "r.io"), Err(Error::Helper { .. })), "{name}");
    }
    assert!(matches!(ask("x", "r.io\nother.io"), Err(Error::Helper { .. })));
    assert_eq!(ask("does-not-exist-anywhere", "r.io").ok().as_deref(), Some("not installed"));
}

#[test]
fn a_helper_is_told_the_server_and_its_answer_is_read() {
    let long = Duration::from_secs(20);
    let answer = r#"read -r server; printf '{"ServerURL":"x","Username":"me","Secret":"%s"}' "$server""#;
    assert_eq!(run(answer, long).as_deref(), Ok("me:https://index.docker.io/v1/"));
    let answer = r#"echo '{"ServerURL":"x","Username":"<token>","Secret":"t"}'"#;
    assert_eq!(run(answer, long).as_deref(), Ok("identity t"));
    let nothing = "echo 'credentials not found in native keychain'; exit 1";
    assert_eq!(run(nothing, long).as_deref(), Ok("nothing"));
}

#[test]
fn a_helper_that_fails_says_why_and_leaks_nothing() {
    let long = Duration::from_secs(20);
    assert_eq!(run("echo locked; exit 1", long), Err("locked".to_owned()));
    assert_eq!(run("exit 3", long), Err("it exited with an error".to_owned()));
    let junk = run(r#"echo '{"Username":["secret"]}'"#, long);
    assert_eq!(junk, Err("its answer is no JSON object".to_owned()));
    assert_eq!(run("yes", long), Err("it printed more than 1048576 bytes".to_owned()));
}

#[test]
fn a_helper_that_hangs_is_ended() {
    let started = Instant::now();
    let late = run("sleep 30", Duration::from_millis(300));
    assert!(late.is_err_and(|e| e.contains("did not answer")));
    let closed = run("exec >&-; sleep 30", Duration::from_millis(300));
    assert!(closed.is_err_and(|e| e.contains("did not answer")));
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn what_a_helper_left_behind_is_not_waited_for() {
    let started = Instant::now();
    let answer = run(r#"sleep 15 & echo '{"Username":"u","Secret":"p"}'"#, Duration::from_secs(60));
    assert_eq!(answer.as_deref(), Ok("u:p"));
    assert!(started.elapsed() < Duration::from_secs(10));
}
