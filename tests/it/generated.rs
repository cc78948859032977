//! Generated files are what the code generates. `UPDATE=1` rewrites them.

use hybrid_calendar_operator::reference;

use crate::repository::{assert_generated, files};

#[test]
fn the_crds_are_what_the_code_declares() {
    let crds = reference::crds().unwrap();
    for file in &crds {
        assert_generated(&file.path, &file.content);
    }
    let expected: Vec<&str> = crds.iter().map(|f| f.path.as_str()).collect();
    assert_eq!(files("crds", &[""]), expected, "nothing else is in crds/");
}
