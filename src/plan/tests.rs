use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::dockerfile::{Diagnostic, parse};
use crate::image::ImageConfig;
use crate::platform::Platform;

pub(super) fn inputs() -> Inputs {
    let platform = Platform::new("linux", "amd64", None);
    Inputs {
        build_args: BTreeMap::new(),
        target: None,
        labels: BTreeMap::new(),
        platform: platform.clone(),
        build_platform: platform,
        network: Network::Host,
        insecure: Insecure::Refused,
        named_contexts: BTreeMap::new(),
        secret_files: BTreeMap::new(),
        scope: Scope::Target,
        unknown_bases: BTreeSet::new(),
    }
}

pub(super) fn run_plan(text: &str, inputs: &Inputs, bases: &[(&str, ImageConfig)]) -> Result<Outcome, Vec<Diagnostic>> {
    let (dockerfile, problems) = parse("Dockerfile", text.as_bytes());
    assert_eq!(problems.iter().filter(|p| p.severity == crate::dockerfile::Severity::Error).count(), 0, "{problems:?}");
    let bases: BTreeMap<ImageNeed, ImageConfig> = bases
        .iter()
        .map(|(name, config)| {
            let reference = name.parse().expect("reference");
            (ImageNeed { reference, platform: inputs.platform.clone(), layout: None }, config.clone())
        })
        .collect();
    plan(&dockerfile, inputs, &bases)
}

#[track_caller]
pub(super) fn ready(text: &str, inputs: &Inputs, bases: &[(&str, ImageConfig)]) -> Plan {
    match run_plan(text, inputs, bases) {
        Ok(Outcome::Ready(plan, _)) => *plan,
        other => panic!("{other:?}"),
    }
}

pub(super) fn problem(text: &str, inputs: &Inputs) -> String {
    match run_plan(text, inputs, &[]) {
        Err(problems) => problems.iter().map(|p| p.message.clone()).collect::<Vec<_>>().join("\n"),
        other => panic!("{other:?}"),
    }
}

fn history(stage: &Stage) -> Vec<String> {
    stage.steps.iter().filter_map(|step| step.history.as_ref()).map(|line| line.created_by()).collect()
}

pub(super) fn target(plan: &Plan) -> &Stage {
    &plan.stages[plan.target.0]
}

#[test]
fn what_is_lacking_is_asked_for_with_its_place() {
    let text = "FROM a AS x\nFROM b\nCOPY --from=c / /\nCOPY --from=x / /\n";
    let Ok(Outcome::Needs { images, has_run }) = run_plan(text, &inputs(), &[]) else { panic!("needs") };
    assert!(!has_run);
    let names: Vec<String> = images.iter().map(|need| need.image.reference.familiar()).collect();
    assert_eq!(names, ["a:latest", "b:latest", "c:latest"]);
}

#[test]
fn a_run_is_told_of_before_its_base_is_known() {
    for (text, expected) in [("FROM a\nRUN x\n", true), ("FROM a AS unused\nRUN x\nFROM b\nCOPY x /\n", false)] {
        let Ok(Outcome::Needs { has_run, .. }) = run_plan(text, &inputs(), &[]) else { panic!("needs") };
        assert_eq!(has_run, expected, "{text}");
    }
}

#[test]
fn stages_that_the_target_does_not_need_are_not_planned() {
    let plan =
        ready("FROM missing AS unused\nFROM scratch AS a\nCOPY x /\nFROM a\nCOPY --from=a x y\n", &inputs(), &[]);
    let labels: Vec<&str> = plan.stages.iter().map(|stage| stage.label.as_str()).collect();
    assert_eq!(labels, ["a", "stage-2"]);
    assert_eq!(target(&plan).base, Base::Stage(StageId(0)));
}

#[test]
fn every_setting_lands_in_the_config_and_the_history() {
    let text = "FROM scratch\nENV a=1 b=\"x y\"\nENV c=$a\nLABEL l=${b:-z}\nEXPOSE 80 53/udp\nVOLUME /v\nUSER u\n\
                WORKDIR /w\nWORKDIR sub\nSTOPSIGNAL SIGINT\nHEALTHCHECK --interval=5s CMD x\nSHELL [\"/s\", \"-c\"]\n\
                ENTRYPOINT [\"e\"]\nCMD run it\n";
    let plan = ready(text, &inputs(), &[]);
    let stage = target(&plan);
    let config = &stage.config.config;
    assert_eq!(config.env[1..], ["a=1", "b=x y", "c=1"]);
    assert_eq!(config.labels["l"], "x y");
    assert_eq!(config.exposed_ports.keys().collect::<Vec<_>>(), ["53/udp", "80/tcp"]);
    assert_eq!((config.working_dir.as_str(), config.user.as_str()), ("/w/sub", "u"));
    assert_eq!(config.cmd.as_deref(), Some(&["/s".to_owned(), "-c".into(), "run it".into()][..]));
    let told = history(stage);
    assert_eq!(told[0], "ENV a=1 b=x y");
    assert_eq!(told[3], "EXPOSE [53/udp 80/tcp]");
    assert_eq!(told[6], "WORKDIR /w");
    let check = "HEALTHCHECK {Test:[CMD-SHELL x] Interval:5s Timeout:0s StartPeriod:0s StartInterval:0s Retries:0}";
    assert_eq!(told[9], check);
    assert_eq!(told[12], r#"CMD ["/s" "-c" "run it"]"#);
    let positions: Vec<(usize, usize)> = stage.steps.iter().map(|s| s.position).filter(|p| p.0 > 0).collect();
    assert_eq!(positions, [(1, 2), (2, 2)]);
}

#[test]
fn an_entrypoint_resets_an_inherited_cmd_but_not_its_own() {
    let own = ready("FROM scratch\nCMD [\"c\"]\nENTRYPOINT [\"e\"]\n", &inputs(), &[]);
    assert!(target(&own).config.config.cmd.is_some());
    let inherited = ready("FROM scratch AS a\nCMD [\"c\"]\nFROM a\nENTRYPOINT [\"e\"]\n", &inputs(), &[]);
    assert!(target(&inherited).config.config.cmd.is_none());
}

#[test]
fn arguments_reach_from_run_and_history_as_docker_has_them() {
    let mut given = inputs();
    given.build_args =
        [("V", "2"), ("API_TOKEN", "canary"), ("http_proxy", "p")].map(|(k, v)| (k.into(), v.into())).into();
    let text = "ARG TAG=scratch\nARG V=1\nFROM ${TAG}\nARG V\nARG W=w$V\nARG API_TOKEN\nENV E=$V\nRUN x\n";
    let plan = ready(text, &given, &[]);
    let stage = target(&plan);
    let Action::Run(run) = &stage.steps.last().expect("a step").action else { panic!("run") };
    let value =
        |name: &str| run.env.iter().find(|variable| variable.name == name).map(|variable| variable.value.as_str());
    assert_eq!(
        (value("V"), value("W"), value("E"), value("API_TOKEN")),
        (Some("2"), Some("w2"), Some("2"), Some("canary"))
    );
    let arguments = run.env.iter().filter(|variable| variable.from == SetBy::Arg).map(|variable| &variable.name);
    assert_eq!(arguments.collect::<Vec<_>>(), ["V", "W", "API_TOKEN"]);
    assert_eq!(run.proxies.len(), 2);
    let told = history(stage);
    assert_eq!(told.last().map(String::as_str), Some("RUN |3 V=2 W=w2 API_TOKEN /bin/sh -c x # buildkit"));
    assert!(told.iter().all(|line| !line.contains("canary") && !line.contains("proxy")));
}

#[test]
fn triggers_of_a_base_run_before_the_stages_own_instructions() {
    let mut base = ImageConfig::scratch(&inputs().platform);
    base.config.on_build = vec!["ENV t=1".into(), "COPY a /a".into()];
    let plan = ready("FROM base\nENV u=$t\n", &inputs(), &[("base", base)]);
    let stage = target(&plan);
    assert_eq!(history(stage), ["ENV t=1", "COPY a /a # buildkit", "ENV u=1"]);
    assert!(stage.config.config.on_build.is_empty());
    assert_eq!(stage.steps[1].text, "ONBUILD COPY a /a");
}

#[test]
fn copies_say_where_from_and_where_to() {
    let text = "FROM scratch AS one\nFROM scratch\nWORKDIR /w\nCOPY --from=ONE --chown=1:2 --chmod=600 a b/ sub/\nCOPY <<F x\nhi\nF\n";
    let plan = ready(text, &inputs(), &[]);
    let actions: Vec<&Action> = target(&plan).steps.iter().map(|step| &step.action).collect();
    let Action::Copy(copy) = actions[1] else { panic!("copy") };
    assert_eq!((copy.from.clone(), copy.destination.as_str()), (Origin::Stage(StageId(0)), "/w/sub/"));
    assert_eq!((copy.chown.as_deref(), copy.chmod.as_deref()), (Some("1:2"), Some("600")));
    let Action::Copy(inline) = actions[2] else { panic!("copy") };
    assert_eq!(inline.inline, [InlineFile { name: "F".into(), content: b"hi\n".to_vec() }]);
}

#[test]
fn what_cannot_be_planned_says_why() {
    let mut targeted = inputs();
    targeted.target = Some("tset".into());
    for (text, inputs, said) in [
        ("FROM scratch AS a\nCOPY --from=b x /\nFROM scratch AS b\n", &inputs(), "no error: a is not needed"),
        ("FROM scratch\nCOPY --from=0 x /\n", &inputs(), "stage `0` cannot copy from itself"),
        ("FROM scratch\nCOPY --from=7 x /\n", &inputs(), "there is no stage number 7"),
        ("FROM UPPER\n", &inputs(), "lower case"),
        ("ARG x\nFROM $x\n", &inputs(), "is empty once its variables are replaced"),
        ("FROM scratch\nEXPOSE 99999\n", &inputs(), "`99999` is not a port"),
        ("FROM scratch\nSTOPSIGNAL NOPE\n", &inputs(), "`NOPE` is no signal"),
        ("FROM scratch AS test\n", &targeted, "there is no stage called `tset`"),
        ("FROM scratch\nRUN --device=required true\n", &inputs(), "the device has no name"),
        ("FROM scratch\nRUN --mount=target=. true\n", &inputs(), "cannot take the place of the root folder"),
        ("FROM scratch\nRUN --mount=type=cache,id=x true\n", &inputs(), "a mount needs a target"),
        ("FROM scratch\nRUN --mount=type=ssh,src=x true\n", &inputs(), "an ssh mount has no option `source`"),
        ("FROM scratch AS a\nFROM scratch\nRUN --mount=from=0,target=/x true\n", &inputs(), "not its number `0`"),
        ("FROM scratch AS a\nRUN --mount=from=a,target=/x true\n", &inputs(), "cannot copy from itself"),
        ("FROM scratch\nRUN --security=insecure true\n", &inputs(), "which is not allowed"),
    ] {
        if said.starts_with("no error") {
            ready(text, inputs, &[]);
        } else {
            let message = problem(text, inputs);
            assert!(message.contains(said), "{message}");
        }
    }
}

#[test]
fn a_named_context_stands_in_for_stages_and_images() {
    let mut given = inputs();
    let context = |name: &str| context_name(name).expect("a name");
    given.named_contexts = [
        (context("stage"), NamedContext::Files),
        (context("docker.io/library/image:latest"), NamedContext::Files),
        (context("other"), NamedContext::Image("real:1".parse().expect("a reference"))),
        (context("none"), NamedContext::Scratch),
    ]
    .into();
    let text = "FROM missing AS stage\nRUN exit 1\nFROM image AS two\nCOPY --from=stage a b\nCOPY --from=image c d\n";
    let plan = ready(text, &given, &[]);
    assert_eq!(plan.stages[0].base, Base::Scratch);
    assert_eq!(plan.stages[0].steps.len(), 1);
    let origins: Vec<Origin> = target(&plan)
        .steps
        .iter()
        .filter_map(|step| match &step.action {
            Action::Copy(copy) => Some(copy.from.clone()),
            _ => None,
        })
        .collect();
    let named = |name: &str| Origin::Named(name.to_owned());
    assert_eq!(origins, [named("image"), Origin::Stage(StageId(0)), named("image")]);
    assert_eq!(target(&plan).config.config.working_dir, "/");
    let needs = |text: &str| match run_plan(text, &given, &[]) {
        Ok(Outcome::Needs { images, .. }) => images[0].image.reference.familiar(),
        other => panic!("{other:?}"),
    };
    assert_eq!(needs("FROM other\n"), "real:1");
    assert_eq!(needs("FROM scratch\nCOPY --from=other a b\n"), "real:1");
    assert_eq!(target(&ready("FROM none\nCOPY a b\n", &given, &[])).base, Base::Scratch);
}

#[test]
fn add_tells_paths_urls_and_repositories_apart() {
    let sum = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
    let text = format!(
        "FROM scratch\nARG H=http://u:CANARY@h\nADD --checksum=sha256:{sum} $H/f /x\n\
         ADD --keep-git-dir=true --unpack a https://h/r.git#v /y\n"
    );
    let plan = ready(&text, &inputs(), &[]);
    let copies: Vec<&Copy> = target(&plan)
        .steps
        .iter()
        .filter_map(|step| match &step.action {
            Action::Copy(copy) => Some(copy),
            _ => None,
        })
        .collect();
    assert!(
        matches!(&copies[0].sources[..], [CopySource::Http { checksum: Some(sum), .. }] if sum.hex().starts_with("5891"))
    );
    let [CopySource::Path { pattern, .. }, CopySource::Git { source, .. }] = &copies[1].sources[..] else {
        panic!("{:?}", copies[1].sources)
    };
    assert_eq!((pattern.as_str(), source.shown().as_str()), ("a", "https://h/r.git#v"));
    assert!(source.keeps_git_dir() && copies[1].unpack == Unpack::All && copies[0].unpack == Unpack::Paths);
    let told = history(target(&plan));
    assert_eq!(told[1..], ["ADD http://h/f /x # buildkit", "ADD a https://h/r.git#v /y # buildkit"]);
    assert!(!format!("{:?}", target(&plan).steps).replace(&told[0], "").contains("CANARY"));
}

#[test]
fn remotes_that_cannot_be_are_refused_at_their_place() {
    for (text, said) in [
        ("FROM scratch\nCOPY http://h/f /\n", "COPY does not fetch"),
        ("FROM scratch\nADD --checksum=sha256:00 http://h/f /\n", "sha256:00"),
        ("FROM scratch\nADD --checksum=sha256:00 f /\n", "`--checksum` is for URLs and git repositories"),
        ("FROM scratch\nADD --checksum=abcdef0 https://h/r.git f /\n", "there are several"),
        ("FROM scratch\nADD https://h/r.git#-x /\n", "begins with a dash"),
        ("FROM scratch\nADD --keep-git-dir=false https://h/r.git?keep-git-dir /\n", "two different things"),
    ] {
        let message = problem(text, &inputs());
        assert!(message.contains(said), "{text}: {message}");
    }
}

fn mounts(text: &str, inputs: &Inputs) -> Vec<Mount> {
    let plan = ready(text, inputs, &[]);
    let run = target(&plan).steps.iter().find_map(|step| match &step.action {
        Action::Run(run) => Some(run.mounts.clone()),
        _ => None,
    });
    run.expect("a RUN")
}

#[test]
fn mounts_have_absolute_targets_and_a_folder_stands_before_what_is_mounted_in_it() {
    let text = "FROM scratch AS one\nFROM scratch\nENV D=deep\nWORKDIR /w\n\
                RUN --mount=from=ONE,source=x/../y,target=/m-x --mount=target=/m/$D/.. --mount=type=tmpfs,dst=rel \
                --mount=type=tmpfs,target=/m x\n";
    let mounts = mounts(text, &inputs());
    let targets: Vec<&str> = mounts.iter().map(|mount| mount.target.as_str()).collect();
    assert_eq!(targets, ["/m", "/m", "/m-x", "/w/rel"]);
    let Mounted::Bind { from, source, writing } = &mounts[2].what else { panic!("bind") };
    assert_eq!((from, source.as_str(), *writing), (&Some(Origin::Stage(StageId(0))), "/y", Writing::Refused));
    let Mounted::Bind { from, source, .. } = &mounts[0].what else { panic!("the first in the file is the lower") };
    assert_eq!((from, source.as_str()), (&Some(Origin::Context), "/"));
}

#[test]
fn a_cache_is_known_by_its_id_or_the_target_as_written_and_the_namespace() {
    let text =
        "FROM scratch\nWORKDIR /w\nRUN --mount=type=cache,target=c/ --mount=type=cache,id=own,target=/x,uid=5,ro x\n";
    let caches = |inputs: &Inputs| {
        let caches = mounts(text, inputs).into_iter().map(|mount| match mount.what {
            Mounted::Cache(cache) => cache,
            other => panic!("{other:?}"),
        });
        caches.collect::<Vec<_>>()
    };
    let found = caches(&inputs());
    assert_eq!((found[0].id.as_str(), found[0].owner, found[0].writing), ("/c", None, Writing::Possible));
    let owner = Some(FileOwner { mode: 0o755, uid: 5, gid: 0 });
    assert_eq!((found[1].id.as_str(), found[1].owner, found[1].writing), ("/own", owner, Writing::Refused));
    let mut named = inputs();
    named.build_args.insert("BUILDKIT_CACHE_MOUNT_NS".into(), "ns".into());
    assert_eq!(caches(&named)[1].id, "ns/own");
}

#[test]
fn a_secret_has_an_id_and_a_place_even_if_only_one_is_written() {
    let secret = |options: &str| {
        let found = mounts(&format!("FROM scratch\nWORKDIR /w\nRUN --mount=type=secret,{options} x\n"), &inputs());
        let Mounted::Secret { id, env, .. } = found[0].what.clone() else { panic!("secret") };
        (id, env.unwrap_or_default(), found[0].target.clone())
    };
    let row = |id: &str, env: &str, target: &str| (id.to_owned(), env.to_owned(), target.to_owned());
    assert_eq!(secret("id=a/b"), row("a/b", "", "/run/secrets/b"));
    assert_eq!(secret("target=/etc/key"), row("key", "", "/etc/key"));
    assert_eq!(secret("id=a,target=key"), row("a", "", "/w/key"));
    assert_eq!(secret("id=a,env=E"), row("a", "E", ""));
    assert_eq!(secret("id=a,env="), row("a", "a", ""));
    assert_eq!(secret("id=a,env=E,target=/k"), row("a", "E", "/k"));
}

#[test]
fn sockets_of_agents_are_numbered() {
    let found =
        mounts("FROM scratch\nRUN --mount=type=ssh --mount=type=ssh,id=two --mount=type=ssh,target=/s x\n", &inputs());
    let targets: Vec<&str> = found.iter().map(|mount| mount.target.as_str()).collect();
    assert_eq!(targets, ["/run/buildkit/ssh_agent.0", "/run/buildkit/ssh_agent.1", "/s"]);
}

#[test]
fn stages_and_images_of_mounts_are_needed() {
    let text = "FROM scratch AS unused\nFROM scratch AS one\nENV a=1\nFROM scratch\n\
                RUN --mount=from=one,target=/x --mount=type=cache,from=other,target=/c x\n";
    let Ok(Outcome::Needs { images: needs, .. }) = run_plan(text, &inputs(), &[]) else {
        panic!("an image is missing")
    };
    assert_eq!(needs.iter().map(|need| need.image.reference.familiar()).collect::<Vec<_>>(), ["other:latest"]);
    let other = ImageConfig::scratch(&inputs().platform);
    let plan = ready(text, &inputs(), &[("other", other)]);
    assert_eq!(plan.stages.len(), 2);
}
