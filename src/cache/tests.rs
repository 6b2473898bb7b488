use super::*;
use crate::digest::{ChainId, ContentDigest, DiffId};
use crate::path::ImagePath;
use crate::store::{Bucket, Store};
use crate::tree::{Fact, Seen};

fn run(parent: &str, command: &str, args: &[(&str, &str)], env: &[(&str, &str)]) -> Ingredients {
    let mut ingredients = Ingredients::new("run");
    ingredients.push(Ingredient::Parent(ChainId::of(parent.as_bytes())));
    ingredients.push(Ingredient::Command(vec![command.into()]));
    for (name, value) in args {
        ingredients.push(Ingredient::Argument { name: (*name).into(), value: (*value).into() });
    }
    for (name, value) in env {
        ingredients.push(Ingredient::Variable { name: (*name).into(), value: (*value).into() });
    }
    ingredients
}

fn copy(files: &[(&str, &str)], destination: &str) -> Ingredients {
    let mut ingredients = Ingredients::new("copy");
    ingredients.push(Ingredient::Command(vec![destination.into()]));
    for (path, content) in files {
        let digest = ContentDigest::of(content.as_bytes());
        let look = Look { kind: "file", mode: 0o644, owner: (0, 0), content: Some(digest) };
        ingredients.push(Ingredient::File { path: (*path).into(), digest, look: Some(look) });
    }
    ingredients
}

fn below() -> ChainId {
    ChainId::of(b"below")
}

fn output(name: &str) -> Output {
    Output { diff_id: DiffId::of(name.as_bytes()), size: 1 }
}

struct Fixture {
    _dir: tempfile::TempDir,
    store: Store,
    cache: Cache,
}

fn fixture() -> Fixture {
    let dir = tempfile::tempdir().expect("tempdir");
    let store = Store::open(&dir.path().join("store")).expect("store");
    Fixture { cache: Cache::new(&store, Hiding::new([7; 32], [])), store, _dir: dir }
}

impl Fixture {
    #[track_caller]
    fn check_miss(&self, earlier: &Ingredients, now: &Ingredients, reason: &MissReason) {
        let key = self.cache.keep(earlier, below(), vec![], output("x")).expect("keep");
        let answer = self
            .cache
            .look_up(now, &below(), Some(&key), &mut |_| true, &mut |_| true, &Imported::default())
            .expect("look up");
        assert_eq!(answer, Lookup::Miss(reason.clone()));
    }
}

#[test]
fn the_same_ingredients_hit_and_each_single_change_misses_with_its_reason() {
    let f = fixture();
    let base = run("p", "make", &[("V", "1")], &[("PATH", "/bin")]);
    f.cache.keep(&base, below(), vec![], output("layer")).expect("keep");
    let hit =
        f.cache.look_up(&base, &below(), None, &mut |_| true, &mut |_| true, &Imported::default()).expect("look up");
    assert_eq!(hit, Lookup::Hit(Hit { output: output("layer") }));
    let env = [("PATH", "/bin")];
    f.check_miss(&base, &run("q", "make", &[("V", "1")], &env), &MissReason::Parent);
    f.check_miss(&base, &run("p", "make -j", &[("V", "1")], &env), &MissReason::Command);
    f.check_miss(&base, &run("p", "make", &[("V", "2")], &env), &MissReason::Argument { name: "V".into() });
    f.check_miss(&base, &run("p", "make", &[], &env), &MissReason::Argument { name: "V".into() });
    f.check_miss(&base, &run("p", "make", &[("V", "1")], &[]), &MissReason::Variable { name: "PATH".into() });
}

#[test]
fn changed_files_are_named() {
    let f = fixture();
    let before = copy(&[("a", "1"), ("b", "1"), ("c", "1")], "/app/");
    let after = copy(&[("a", "2"), ("b", "1"), ("d", "1")], "/app/");
    let changes = FileChanges { modified: vec!["a".into()], added: vec!["d".into()], removed: vec!["c".into()] };
    assert_eq!(changes.to_string(), "3 files: a, +d, -c");
    f.check_miss(&before, &after, &MissReason::Files(changes));
}

#[test]
fn a_copy_hits_where_its_facts_hold_and_nowhere_else() {
    let f = fixture();
    let step = copy(&[("a", "1")], "/app/");
    let fact = |seen| Fact { path: ImagePath::new("/app").as_bytes().to_vec(), seen };
    let (absent, folder) = (fact(Seen::Absent), fact(Seen::Directory { mode: 0o755, uid: 0, gid: 0, xattrs: vec![] }));
    f.cache.keep(&step, below(), vec![absent.clone()], output("one")).expect("keep");
    f.cache.keep(&step, below(), vec![folder.clone()], output("two")).expect("keep");
    for (truth, expected) in [(&absent, "one"), (&folder, "two")] {
        let answer = f
            .cache
            .look_up(
                &step,
                &ChainId::of(b"moved"),
                None,
                &mut |fact| fact == truth,
                &mut |_| true,
                &Imported::default(),
            )
            .expect("look up");
        assert_eq!(answer, Lookup::Hit(Hit { output: output(expected) }));
    }
    let answer = f
        .cache
        .look_up(&step, &ChainId::of(b"moved"), None, &mut |_| false, &mut |_| true, &Imported::default())
        .expect("look up");
    assert_eq!(answer, Lookup::Miss(MissReason::Destination { path: "/app".into() }));
}

#[test]
fn on_the_root_filesystem_that_they_were_taken_from_facts_are_not_asked_about() {
    let f = fixture();
    let step = copy(&[("a", "1")], "/app/");
    f.cache.keep(&step, below(), vec![Fact { path: b"app".to_vec(), seen: Seen::Absent }], output("x")).expect("keep");
    let answer =
        f.cache.look_up(&step, &below(), None, &mut |fact| panic!("{fact:?}"), &mut |_| true, &Imported::default());
    assert_eq!(answer.expect("look up"), Lookup::Hit(Hit { output: output("x") }));
}

#[test]
fn a_record_whose_layer_is_gone_or_that_is_damaged_is_a_miss() {
    let f = fixture();
    let step = run("p", "x", &[], &[]);
    let key = f.cache.keep(&step, below(), vec![], output("gone")).expect("keep");
    let answer =
        f.cache.look_up(&step, &below(), None, &mut |_| true, &mut |_| false, &Imported::default()).expect("look up");
    assert_eq!(answer, Lookup::Miss(MissReason::Lost));
    f.store.write_record(Bucket::Steps, &key.hex(), b"{").expect("write");
    let answer = f
        .cache
        .look_up(&step, &below(), Some(&key), &mut |_| true, &mut |_| true, &Imported::default())
        .expect("look up");
    assert_eq!(answer, Lookup::Miss(MissReason::Lost));
}

#[test]
fn no_value_of_an_argument_or_variable_is_in_a_record() {
    let f = fixture();
    let step = run("p", "x", &[("TOKEN", "CANARY-1")], &[("SECRET", "CANARY-2")]);
    let key = f.cache.keep(&step, below(), vec![], output("x")).expect("keep");
    let stored = f.store.read_record(Bucket::Steps, &key.hex()).expect("read").expect("there");
    let text = String::from_utf8(stored).expect("utf-8");
    assert!(text.contains("TOKEN") && text.contains("SECRET") && !text.contains("CANARY"), "{text}");
}

fn journal_step(text: &str, name: &str) -> JournalStep {
    let key = run(name, name, &[], &[]).key();
    JournalStep { stage: "0".into(), text: text.into(), key, layer: output(name).diff_id }
}

#[test]
fn what_a_build_did_not_come_to_is_still_remembered() {
    let mut earlier = Journal::default();
    earlier.push(journal_step("COPY a .", "1"));
    earlier.push(journal_step("RUN make", "2"));
    earlier.push(JournalStep { stage: "other".into(), ..journal_step("RUN lint", "3") });
    let kept = |reached| {
        let mut now = Journal::default();
        now.push(journal_step("COPY a .", "4"));
        now.keep_rest(&earlier, reached);
        now.steps().iter().map(|step| step.text.clone()).collect::<Vec<_>>()
    };
    assert_eq!(kept(Reached::Failure), ["COPY a .", "RUN make", "RUN lint"]);
    assert_eq!(kept(Reached::Everything), ["COPY a .", "RUN lint"]);
}

#[test]
fn an_inserted_line_does_not_hide_the_step_below_it() {
    let mut journal = Journal::default();
    let key = |name: &str| run(name, name, &[], &[]).key();
    for (text, name) in [("COPY a .", "1"), ("RUN make", "2"), ("RUN test", "3")] {
        journal.push(journal_step(text, name));
    }
    let nearest = |stage: &str, at, text: &str| journal.nearest(stage, at, text).map(|step| step.key);
    assert_eq!(nearest("0", 2, "RUN make"), Some(key("2")));
    assert_eq!(nearest("0", 1, "RUN make -j"), Some(key("2")));
    assert_eq!(nearest("0", 1, "COPY x ."), None);
    assert_eq!(nearest("1", 1, "RUN make"), None);
}

#[test]
fn the_key_of_a_pinned_step_never_changes() {
    let step = run("p", "make", &[("V", "1")], &[("PATH", "/bin")]);
    expect_test::expect!["891d05db4db1e1a2b114db537f1fa4e496086665b78c558bd2dd2a588f82ac06"]
        .assert_eq(&step.key().hex());
}
