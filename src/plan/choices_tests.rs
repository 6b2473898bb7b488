//! Variables in `--from` of COPY and `from=` of mounts.

use super::tests::{inputs, problem, ready, run_plan, target};
use super::{Action, Mount, Mounted, Origin, Outcome, Plan, StageId};

/// Where the files of a COPY or of a mount of the target come from.
fn origins(plan: &Plan) -> Vec<Origin> {
    let actions = target(plan).steps.iter().flat_map(|step| match &step.action {
        Action::Copy(copy) => vec![copy.from.clone()],
        Action::Run(run) => run.mounts.iter().filter_map(bound).collect(),
        _ => Vec::new(),
    });
    actions.collect()
}

fn bound(mount: &Mount) -> Option<Origin> {
    match &mount.what {
        Mounted::Bind { from, .. } => from.clone(),
        _ => None,
    }
}

#[test]
fn global_arguments_that_a_stage_declares_choose_what_from_names() {
    let head = "ARG which=b\nFROM scratch AS a\nFROM scratch AS b\nFROM scratch AS linux-amd64\nFROM scratch\n";
    let mut given = inputs();
    for (build_arg, stage) in [(None, 1), (Some("a"), 0), (Some("0"), 0)] {
        given.build_args = build_arg.map(|value| ("which".to_owned(), value.to_owned())).into_iter().collect();
        let plan = ready(&format!("{head}ARG which\nCOPY --from=${{which}} x /\n"), &given, &[]);
        assert_eq!(plan.stages[0].label, ["a", "b"][stage], "{build_arg:?}");
        assert_eq!(origins(&plan), [Origin::Stage(StageId(0))]);
    }
    let text = format!("{head}ARG TARGETOS TARGETARCH\nRUN --mount=from=$TARGETOS-$TARGETARCH,target=/m x\n");
    let plan = ready(&text, &inputs(), &[]);
    assert_eq!((plan.stages[0].label.as_str(), origins(&plan)), ("linux-amd64", vec![Origin::Stage(StageId(0))]));
    let inherited =
        "ARG which=a\nFROM scratch AS a\nFROM scratch AS mid\nARG which\nFROM mid\nCOPY --from=$which x /\n";
    assert_eq!(ready(inherited, &inputs(), &[]).stages.len(), 3);
}

#[test]
fn a_variable_that_chooses_an_image_asks_for_that_image() {
    let text = "ARG tool=img:1\nFROM scratch\nARG tool\nCOPY --from=$tool x /\n";
    let Ok(Outcome::Needs { images, .. }) = run_plan(text, &inputs(), &[]) else { panic!("needs") };
    assert_eq!(images[0].image.reference.familiar(), "img:1");
}

#[test]
fn from_takes_no_variable_that_a_stage_sets_itself() {
    let stages = "ARG g=a\nARG empty\nFROM scratch AS a\nFROM scratch AS here\n";
    for (lines, said) in [
        ("ARG x=a\nCOPY --from=$x y /\n", "`--from` cannot use `x`: only arguments from before the first FROM"),
        ("COPY --from=$g y /\n", "`--from` cannot use `g` here: this stage does not declare it"),
        ("ARG g=b\nCOPY --from=$g y /\n", "or gives it a value of its own"),
        ("ARG g\nENV g=b\nCOPY --from=${g:-a} y /\n", "`--from` cannot use `g` here"),
        ("ARG g\nENV $g=b\nCOPY --from=$g y /\n", "`--from` cannot use `g` here"),
        ("ARG empty\nCOPY --from=$empty y /\n", "`--from` is empty once its variables are replaced"),
        ("RUN --mount=from=$x,target=/m y\n", "`from` cannot use `x`"),
        ("ARG g\nCOPY --from=${g}x y /\nFROM scratch AS ax\nCOPY --from=here y /\n", "stands below this one"),
        ("ARG TARGETSTAGE\nCOPY --from=$TARGETSTAGE y /\n", "stage `here` cannot copy from itself"),
    ] {
        let found = problem(&format!("{stages}{lines}"), &inputs());
        assert!(found.contains(said), "{lines}: {found}");
    }
}
