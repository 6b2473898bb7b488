//! Finds the image that a case's tree is compared with.

use super::case::Case;

/// The image that the last stage starts from, or the one of `--target`: what `case.json` says, or else the Dockerfile.
pub fn base(case: &Case) -> String {
    let target = case.options.args.iter().skip_while(|arg| *arg != "--target").nth(1);
    match &case.options.base {
        Some(base) => base.clone(),
        None => of_dockerfile(&case.dockerfile(), target.map(String::as_str)),
    }
}

/// A stage's `FROM IMAGE AS NAME`.
struct Stage {
    image: String,
    name: Option<String>,
}

fn of_dockerfile(text: &str, target: Option<&str>) -> String {
    let stages = stages(text);
    let is_called = |stage: &Stage, name: &str| stage.name.as_ref().is_some_and(|own| own.eq_ignore_ascii_case(name));
    let is_target = |target: &str| stages.iter().rposition(|stage| is_called(stage, target));
    let mut index = target.and_then(is_target).unwrap_or(stages.len().saturating_sub(1));
    loop {
        let image = &stages.get(index).expect("a Dockerfile that builds has a stage").image;
        match stages[..index].iter().rposition(|stage| is_called(stage, image)) {
            Some(earlier) => index = earlier,
            None => return image.clone(),
        }
    }
}

/// The stages, by a simple reading that the cases are written for: no variables, no FROM in a heredoc.
fn stages(text: &str) -> Vec<Stage> {
    let text = text.trim_start_matches('\u{feff}');
    let lines = text.split_inclusive('\n').filter(|line| !line.trim_start().starts_with('#'));
    let joined = lines.collect::<String>().replace("\r\n", "\n").replace("\\\n", " ").replace("`\n", " ");
    joined.lines().filter_map(stage).collect()
}

fn stage(line: &str) -> Option<Stage> {
    let mut words = line.split_whitespace();
    words.next().filter(|word| word.eq_ignore_ascii_case("from"))?;
    let mut words = words.skip_while(|word| word.starts_with("--"));
    let image = words.next()?.to_owned();
    let has_name = words.next().is_some_and(|word| word.eq_ignore_ascii_case("as"));
    Some(Stage { image, name: words.next().filter(|_| has_name).map(str::to_owned) })
}

#[test]
fn the_base_is_the_image_that_the_target_stands_on() {
    let text = "FROM busybox AS one\n# FROM x\nfrom --platform=a/b \\\n  ONE as two\nFROM scratch\nRUN from a\n";
    assert_eq!(of_dockerfile(text, None), "scratch");
    assert_eq!(of_dockerfile(text, Some("Two")), "busybox");
}
