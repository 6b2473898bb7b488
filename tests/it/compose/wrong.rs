//! Every case of testdata/compose/err against the whole of what is said of it.

use expect_test::expect_file;

use super::case::Case;

#[test]
fn every_wrong_project_is_reported_whole() {
    let cases = Case::all("err");
    assert!(cases.len() >= 25, "{} cases", cases.len());
    for case in cases {
        let project = case.project();
        let ran = case.call(&project, &["--print"]).run().failure(1);
        assert_eq!(ran.stdout, "", "{}", case.name());
        expect_file![case.folder.join("errors.txt")].assert_eq(&ran.stderr);
        assert!(!project.store().exists(), "{}: a store was made", case.name());
    }
}
