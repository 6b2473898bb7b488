//! What is wrong with the sources of stages, needed or not.

use super::tests::{inputs, problem, ready};

const NEEDED: &str = "FROM scratch\nCOPY a /\n";

#[test]
fn names_that_cannot_be_are_refused_in_every_stage() {
    let given = inputs();
    for (stage, said) in [
        ("FROM scratch AS x\nCOPY --from=9 a /\n", "there is no stage number 9"),
        ("FROM scratch AS x\nCOPY --from=No/Such a /\n", "`No/Such`"),
        ("FROM scratch AS x\nRUN --mount=from=No/Such,target=/x true\n", "`No/Such`"),
        ("FROM scratch AS x\nCOPY --from=$v a /\n", "`--from` cannot use `v`"),
    ] {
        let found = problem(&format!("{stage}{NEEDED}"), &given);
        assert!(found.contains(said), "{stage}: {found}");
    }
}

#[test]
fn stages_that_need_each_other_are_refused_and_mere_order_only_where_it_counts() {
    let given = inputs();
    let circle = "FROM scratch AS a\nCOPY --from=b x /\nFROM scratch AS b\nRUN --mount=from=a,target=/a true\n";
    assert_eq!(problem(&format!("{circle}{NEEDED}"), &given), "stage `b` stands below this one");
    let itself = "FROM scratch AS a\nCOPY --from=0 x /\n";
    assert_eq!(problem(&format!("{itself}{NEEDED}"), &given), "stage `0` cannot copy from itself");
    let on_itself = "FROM scratch AS a\nCOPY --from=b x /\nFROM a AS b\n";
    assert_eq!(problem(&format!("{on_itself}{NEEDED}"), &given), "stage `b` stands below this one");
    let order = "FROM scratch AS a\nCOPY --from=b x /\nFROM scratch AS b\n";
    assert_eq!(ready(&format!("{order}{NEEDED}"), &given, &[]).stages.len(), 1);
    assert_eq!(problem(&format!("{order}FROM a\n"), &given), "stage `b` stands below this one");
    // A mount's number is the name of an image, which is missed only where it is needed.
    let number = "FROM scratch AS a\nRUN --mount=from=0,target=/x true\n";
    assert_eq!(ready(&format!("{number}{NEEDED}"), &given, &[]).stages.len(), 1);
}

#[test]
fn values_that_nothing_makes_right_are_refused_where_the_stage_is_needed() {
    let given = inputs();
    for (line, said) in [
        ("COPY --chmod=89 a /", "`89` is not a mode"),
        ("COPY --chmod=17777 a /", "`17777` is not a mode"),
        ("ADD --chmod=u+q a /", "`u+q` is not a mode"),
        ("COPY --exclude=[a a /", "`[a` is not a pattern"),
        ("COPY --exclude=! a /", "`!` is not a pattern"),
        ("COPY a[ /", "`a[` is not a pattern"),
        ("ADD a*\\\\ /", "nothing follows the last backslash"),
        ("COPY --chown=99999999999 a /", "`99999999999` is not a user or group id"),
        ("COPY --chown=0:-5 a /", "`-5` is not a user or group id"),
        ("COPY --link --chown=app a /", "does not see the image's users"),
        ("USER a:b:c\nRUN true", "more than one `:`"),
        ("USER 4294967295\nRUN true", "`4294967295` is not a user or group id"),
    ] {
        let found = problem(&format!("FROM scratch\n{line}\n"), &given);
        assert!(found.contains(said), "{line}: {found}");
        assert_eq!(ready(&format!("FROM scratch\n{line}\n{NEEDED}"), &given, &[]).stages.len(), 1, "{line}");
    }
    let fine = "COPY --chmod=u+x,go=rX --chown=a:b:c --exclude=!x --exclude=**/[a-z]* a[b] \\\\* /\nUSER a:b:c\nUSER 0:0\nRUN true\n";
    ready(&format!("FROM scratch\n{fine}"), &given, &[]);
}
