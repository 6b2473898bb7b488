//! Single rules of the language that whole files show badly.

use std::collections::BTreeMap;

use crate::dockerfile::healthcheck::parse_duration;
use crate::dockerfile::{
    Check, CommandLine, Diagnostic, Dockerfile, Escape, Heredoc, InstructionKind, MountKind, MountSpec, NoEnv,
    Position, Script, Sharing, expand_heredoc, nearest, parse, parse_checked, parse_onbuild,
};

#[track_caller]
fn check_parse(text: &str) -> Dockerfile {
    let (dockerfile, diagnostics) = parse("Dockerfile", text.as_bytes());
    let errors: Vec<&Diagnostic> = diagnostics.iter().filter(|one| one.is_error()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    dockerfile
}

#[track_caller]
fn check_codes(text: &str, expected: &[&str]) {
    let (_, diagnostics) = parse("Dockerfile", text.as_bytes());
    let codes: Vec<&str> = diagnostics.iter().map(|one| one.code).collect();
    assert_eq!(codes, expected, "{text}");
}

/// The text after the first advice with an edit was followed.
#[track_caller]
fn check_fix(text: &str, fixed: &str) {
    let (dockerfile, diagnostics) = parse("Dockerfile", text.as_bytes());
    let fixes = diagnostics.iter().flat_map(|one| &one.help).find_map(|help| help.replacement.clone());
    let (span, replacement) = fixes.expect("an advice with an edit");
    let mut result = dockerfile.source.text().to_owned();
    result.replace_range(span.range(), &replacement);
    assert_eq!(result, fixed);
}

fn kinds(dockerfile: &Dockerfile) -> Vec<&InstructionKind> {
    dockerfile.stages.iter().flat_map(|stage| stage.instructions.iter().map(|one| &one.kind)).collect()
}

fn script(text: &str) -> Script {
    let dockerfile = check_parse(&format!("FROM a\n{text}"));
    match kinds(&dockerfile).as_slice() {
        [InstructionKind::Run(run)] => run.command.script().expect("a shell form"),
        other => panic!("one RUN expected, not {other:?}"),
    }
}

fn heredoc(text: &str) -> Heredoc {
    let dockerfile = check_parse(&format!("FROM a\n{text}"));
    match kinds(&dockerfile).as_slice() {
        [InstructionKind::Copy(copy)] => copy.transfer.heredocs.first().expect("a heredoc").clone(),
        other => panic!("one COPY expected, not {other:?}"),
    }
}

fn mount(options: &str) -> Result<MountSpec, String> {
    let text = format!("FROM a\nRUN --mount={options} true\n");
    let (dockerfile, diagnostics) = parse("Dockerfile", text.as_bytes());
    if let Some(error) = diagnostics.iter().find(|one| one.is_error()) {
        return Err(error.message.clone());
    }
    match kinds(&dockerfile).as_slice() {
        [InstructionKind::Run(run)] => {
            let env = BTreeMap::from([("t".to_owned(), "cache".to_owned()), ("d".to_owned(), "/d".to_owned())]);
            run.mounts[0].resolve(Escape::Backslash, &env).map(|(spec, _)| spec).map_err(|problem| problem.message)
        }
        other => panic!("one RUN expected, not {other:?}"),
    }
}

#[test]
fn a_dot_glued_to_the_only_argument_of_copy_is_split_off() {
    check_codes("FROM a\nCOPY requirements.txt.\n", &["missing-destination"]);
    check_fix("FROM a\nCOPY requirements.txt.\n", "FROM a\nCOPY requirements.txt .\n");
    check_fix("FROM a\nADD --chown=1 x.\n", "FROM a\nADD --chown=1 x .\n");
}

#[test]
fn an_instruction_glued_to_its_arguments_is_recognised() {
    check_fix("FROM a\nCOPY..\n", "FROM a\nCOPY . .\n");
    check_fix("FROM a\nCOPY. .\n", "FROM a\nCOPY . .\n");
    check_fix("FROM a\nCOPY.\n", "FROM a\nCOPY . .\n");
    check_fix("FROM a\nADD..\n", "FROM a\nADD . .\n");
    check_fix("FROM a\ncopy..\n", "FROM a\ncopy . .\n");
    check_fix("FROM a\nCMD[\"x\"]\n", "FROM a\nCMD [\"x\"]\n");
    check_fix("FROM a\nWORKDIR/app\n", "FROM a\nWORKDIR /app\n");
    check_fix("FROMalpine\nRUN x\n", "FROM alpine\nRUN x\n");
    check_fix("FROM a\nRNU x\n", "FROM a\nRUN x\n");
    check_fix("FROM a\nentrypont x\n", "FROM a\nentrypoint x\n");
}

#[test]
fn other_mistakes_have_edits_too() {
    check_fix("FROM a b\n", "FROM a AS b\n");
    check_fix("FROM a\nENV x=1 2\n", "FROM a\nENV x=\"1 2\"\n");
    check_fix("FROM a\nENV x\n", "FROM a\nENV x=\n");
    check_fix("FROM a\nCOPY --form=b c d\n", "FROM a\nCOPY --from=b c d\n");
    check_fix("FROM a\nSHELL bash -c\n", "FROM a\nSHELL [\"bash\", \"-c\"]\n");
    check_fix("FROM a\nCOPY <<EOF /x\nb\nEOF \n", "FROM a\nCOPY <<EOF /x\nb\nEOF\n");
}

#[test]
fn all_errors_of_a_file_are_reported_in_order() {
    check_codes("FROM a\nNOPE\nCOPY x\nCMD [1]\n", &["unknown-instruction", "missing-destination", "json-not-strings"]);
}

#[test]
fn errors_do_not_cause_others() {
    check_codes("FORM a\nRUN x\nCOPY a b\n", &["unknown-instruction"]);
    check_codes("FROM a AS 1\nRUN x\n", &["bad-stage-name"]);
    check_codes("FROM a\nRUNN <<EOF\nwhatever it is\nEOF\n", &["unknown-instruction"]);
    check_codes("RUN x\nCOPY a b\n", &["before-from"]);
}

#[test]
fn a_line_has_at_most_65535_bytes() {
    check_parse(&format!("FROM a\n#{}\nENV a={}\n", "x".repeat(65_534), "x".repeat(65_529)));
    check_codes(&format!("FROM a\nENV a={}\n", "x".repeat(65_530)), &["line-too-long"]);
    check_codes(&format!("FROM a\n#{}\n", "x".repeat(65_535)), &["line-too-long"]);
    check_codes(&format!("FROM a\nCOPY <<E /x\n{}\nE\n", "x".repeat(65_536)), &["line-too-long"]);
}

#[test]
fn bytes_that_are_no_text_matter_only_outside_comments() {
    let (_, diagnostics) = parse("Dockerfile", b"# caf\xe9\nFROM a\nRUN x \\\n# \xff\n y\n");
    assert_eq!(diagnostics, []);
    let (_, diagnostics) = parse("Dockerfile", b"FROM a\nRUN caf\xe9\nNOPE\n");
    assert_eq!(diagnostics.iter().map(|one| one.code).collect::<Vec<_>>(), ["not-text"]);
}

#[test]
fn a_shell_form_without_heredocs_is_its_own_script() {
    assert_eq!(script("RUN a \\\n  b\n"), Script::Shell("a   b".to_owned()));
    assert_eq!(script("RUN\n"), Script::Shell(String::new()));
}

#[test]
fn a_lone_heredoc_is_the_script() {
    assert_eq!(script("RUN <<-EOF\n\ta\n\tb\nEOF\n"), Script::Shell("a\nb\n".to_owned()));
    let program = Script::Program { name: "EOF".to_owned(), content: "#!/bin/awk\nx\n".to_owned() };
    assert_eq!(script("RUN <<EOF\n#!/bin/awk\nx\nEOF\n"), program);
}

#[test]
fn heredocs_beside_other_text_are_left_to_the_shell() {
    assert_eq!(script("RUN cat <<A 3<<-B\n1\nA\n\t2\n\tB\n"), Script::Shell("cat <<A 3<<-B\n1\nA\n\t2\nB".to_owned()));
}

#[test]
fn quotes_around_any_part_of_the_word_keep_a_heredoc_as_it_is() {
    let env = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
    let value = |text: &str| expand_heredoc(&heredoc(text), &env).expect("a value").value;
    assert_eq!(value("COPY <<E\"O\"F /x\n$a \\$a\nEOF\n"), "$a \\$a\n");
    assert_eq!(value("COPY <<EOF /x\n$a \\$a '$a' \"q\"\nEOF\n"), "1 $a '1' \"q\"\n");
    assert_eq!(value("COPY <<-EOF /x\n\t\t$a\n \tb\nEOF\n"), "1\n \tb\n");
}

#[test]
fn carriage_returns_stay_in_heredocs_and_vanish_elsewhere() {
    assert_eq!(heredoc("COPY <<EOF /x\r\na\r\nEOF\r\n").content, "a\r\n");
    assert_eq!(script("RUN a \\\r\n b\r\n"), Script::Shell("a  b".to_owned()));
}

#[test]
fn mount_options_become_values() {
    let spec = mount("type=$t,target=$d/x,sharing=locked,uid=7,mode=0750,id=a").expect("a mount");
    let expected = MountSpec {
        kind: MountKind::Cache,
        from: None,
        source: None,
        target: Some("/d/x".to_owned()),
        read_only: false,
        size: 0,
        id: Some("a".to_owned()),
        sharing: Sharing::Locked,
        required: false,
        env: None,
        mode: Some(0o750),
        uid: Some(7),
        gid: None,
    };
    assert_eq!(spec, expected);
    assert!(mount("target=/x").expect("a mount").read_only);
    assert!(!mount("rw,target=/x").expect("a mount").read_only);
    assert_eq!(mount("type=tmpfs,target=/x,size=1.5k").expect("a mount").size, 1536);
    assert_eq!(mount("\\\"target=/a,b\\\",type=bind").expect("a mount").target.as_deref(), Some("/a,b"));
}

#[test]
fn mount_options_are_checked_as_early_as_they_can_be() {
    let problem = |options: &str| mount(options).expect_err("an error");
    assert_eq!(problem("type=nope,target=/x"), "`nope` is not a value of `type`");
    assert_eq!(problem("type=bind,target=/x,mode=1"), "a mount of type `bind` has no option `mode`");
    assert_eq!(problem("type=cache,target=/x,sharing=some"), "`some` is not a value of `sharing`");
    assert_eq!(problem("type=secret"), "a secret mount needs `id`, `source` or `target`");
    assert_eq!(problem("type=secret,id=a,src=b"), "a secret mount takes `source` or `id`, not both");
    assert_eq!(problem("type=cache,taget=/x"), "a mount has no option `taget`");
    assert_eq!(problem("type=cache,target"), "the mount option `target` has no value");
    assert_eq!(problem("type=cache,$TARGET"), "a variable cannot stand for a whole mount option");
    assert_eq!(problem("type=$t,target=/x,uid=-1"), "`-1` is not a value of `uid`");
    assert_eq!(problem("type=cache,required,target=/x"), "a mount of type `cache` has no option `required`");
}

#[test]
fn a_trigger_is_one_instruction() {
    let instruction = parse_onbuild("COPY <<EOF /x\na\nEOF").expect("a trigger");
    assert!(matches!(instruction.kind, InstructionKind::Copy(_)));
    let codes = |trigger: &str| -> Vec<&str> {
        parse_onbuild(trigger).expect_err("an error").iter().map(|one| one.code).collect()
    };
    assert_eq!(codes("FROM a"), ["bad-onbuild"]);
    assert_eq!(codes("RUN a\nRUN b"), ["bad-onbuild"]);
    assert_eq!(codes("FROM a\nRUN b"), ["bad-onbuild"]);
    assert_eq!(codes("# nothing"), ["no-instructions"]);
    assert_eq!(codes("COPY a"), ["missing-destination"]);
}

#[test]
fn onbuild_keeps_the_text_of_its_instruction() {
    let dockerfile = check_parse("FROM a\nONBUILD   run   echo  hi\nOnbuild RUN <<E\nx\nE\n");
    let triggers: Vec<&str> = kinds(&dockerfile)
        .into_iter()
        .map(|kind| match kind {
            InstructionKind::Onbuild(onbuild) => onbuild.trigger.as_str(),
            other => panic!("ONBUILD expected, not {other:?}"),
        })
        .collect();
    assert_eq!(triggers, ["run   echo  hi", "RUN <<E\nx\nE"]);
}

#[test]
fn json_strings_are_decoded() {
    let dockerfile = check_parse("FROM a\nCMD [\"a\\n\\\"\\u00e9\\ud83d\\ude00\\ud800x\", \"b\" , \"\"]\n");
    let [InstructionKind::Cmd(CommandLine::Exec(words))] = kinds(&dockerfile)[..] else { panic!("one CMD expected") };
    let words: Vec<&str> = words.iter().map(|word| word.value.as_str()).collect();
    assert_eq!(words, ["a\n\"é😀\u{fffd}x", "b", ""]);
}

#[test]
fn copy_from_is_a_name_or_holds_variables() {
    check_codes("FROM a\nCOPY --from=\\\\b c d\n", &["quotes-in-from"]);
    check_parse("FROM a\nCOPY --from=$b c d\n");
    check_parse("FROM a\nCOPY --from=b c d\n");
}

#[test]
fn durations_are_those_of_go() {
    let cases = [
        ("0", Some(0)),
        ("1h1m1.5s", Some(3_661_500_000_000)),
        ("500ms", Some(500_000_000)),
        ("-1s", Some(-1_000_000_000)),
        (".5s", Some(500_000_000)),
        ("1\u{b5}s", Some(1_000)),
        ("5", None),
        ("s", None),
        (".s", None),
        ("", None),
        ("1x", None),
        ("9999999999h", None),
    ];
    for (text, expected) in cases {
        assert_eq!(parse_duration(text), expected, "{text}");
    }
}

#[test]
fn warnings_can_be_skipped_for_the_file_or_one_instruction() {
    check_codes("FROM a\nMAINTAINER b\n", &["MaintainerDeprecated"]);
    check_codes("# check=skip=MaintainerDeprecated\nFROM a\nMAINTAINER b\n", &[]);
    check_codes("# check=skip=all;error=true\nFROM a\nMAINTAINER b\n", &[]);
    let twice = "FROM a\n# check=skip=MaintainerDeprecated because\nMAINTAINER b\nMAINTAINER c\n";
    check_codes(twice, &["MaintainerDeprecated"]);
    assert!(Check::parse("nope=true").is_err());
}

#[test]
fn a_choice_of_warnings_that_is_given_replaces_the_files_own() {
    let given = Check::parse("skip=FromAsCasing").expect("a choice");
    let text = "# check=skip=MaintainerDeprecated;nonsense\nFROM a as b\nMAINTAINER c\n";
    let (dockerfile, found) = parse_checked("Dockerfile", text.as_bytes(), Some(&given));
    assert_eq!(found.iter().map(|one| one.code).collect::<Vec<_>>(), ["MaintainerDeprecated"]);
    assert_eq!(dockerfile.directives.check, given);
}

#[test]
fn experimental_rules_are_reported_where_they_are_asked_for_and_cannot_be_skipped() {
    let text = "# what it is for\nARG a\nFROM b\n";
    check_codes(text, &[]);
    check_codes(&format!("# check=skip=all;experimental=all\n{text}"), &["InvalidDefinitionDescription"]);
    check_codes(&format!("# check=experimental=InvalidDefinitionDescription\n#\n# a is it\n{}", &text[17..]), &[]);
}

#[test]
fn directives_end_at_the_first_line_that_is_none() {
    let escape = |text: &str| parse("Dockerfile", text.as_bytes()).0.directives.escape;
    assert_eq!(escape("# escape=`\nFROM a\n"), Escape::Backtick);
    assert_eq!(escape("#ESCAPE = `\nFROM a\n"), Escape::Backtick);
    assert_eq!(escape("# x\n# escape=`\nFROM a\n"), Escape::Backslash);
    assert_eq!(escape("\n# escape=`\nFROM a\n"), Escape::Backslash);
    assert_eq!(escape("# other=1\n# escape=`\nFROM a\n"), Escape::Backslash);
    assert_eq!(escape("\u{feff}# escape=`\nFROM a\n"), Escape::Backtick);
    check_codes("# escape=x\nFROM a\n", &["bad-escape"]);
    check_codes("# escape=`\n# escape=`\nFROM a\n", &["duplicate-directive"]);
}

#[test]
fn the_syntax_is_read_in_each_of_its_forms() {
    let syntax = |text: &str| parse("Dockerfile", text.as_bytes()).0.directives.syntax.map(|text| text.value);
    assert_eq!(syntax("# syntax=docker/dockerfile:1\nFROM a\n").as_deref(), Some("docker/dockerfile:1"));
    assert_eq!(syntax("#!/usr/bin/x\n# syntax=a b\nFROM a\n").as_deref(), Some("a"));
    assert_eq!(syntax("// syntax=a\n").as_deref(), Some("a"));
    assert_eq!(syntax("{\"syntax\": \"a\"}\n").as_deref(), Some("a"));
    assert_eq!(syntax("FROM a\n# syntax=b\n"), None);
}

#[test]
fn positions_count_characters_from_one() {
    let dockerfile = check_parse("FROM a\nENV é=x\n");
    let at = dockerfile.source.text().find('x').expect("an x");
    assert_eq!(dockerfile.source.position(at), Position { line: 2, column: 7 });
    assert_eq!(dockerfile.source.position(usize::MAX).line, 3);
}

#[test]
fn the_text_of_an_instruction_joins_its_lines() {
    let dockerfile = check_parse("FROM a\n  run a \\\n# no\n\n   b   \n");
    assert_eq!(dockerfile.stages[0].instructions[0].text, "run a    b");
}

#[test]
fn only_near_words_are_suggested() {
    let names = || ["RUN", "COPY", "ENTRYPOINT"].into_iter();
    assert_eq!(nearest("CPOY", names()), Some("COPY"));
    assert_eq!(nearest("rum", names()), Some("RUN"));
    assert_eq!(nearest("ENTRPOITN", names()), Some("ENTRYPOINT"));
    assert_eq!(nearest("apk", names()), None);
    assert_eq!(nearest(&"x".repeat(100_000), names()), None);
}

#[test]
fn nothing_is_set_in_no_environment() {
    assert_eq!(expand_heredoc(&heredoc("COPY <<EOF /x\n[$a]\nEOF\n"), &NoEnv).expect("a value").value, "[]\n");
}
