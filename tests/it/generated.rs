//! Generated files are what the code generates. `UPDATE=1` rewrites them.

use hybrid_calendar_operator::reference::{self, GeneratedFile};

use crate::repository::{assert_generated, files};

fn assert_folder(folder: &str, expected: &[GeneratedFile]) {
    for file in expected {
        assert_generated(&file.path, &file.content);
    }
    let paths: Vec<&str> = expected.iter().map(|f| f.path.as_str()).collect();
    assert_eq!(files(folder, &[""]), paths, "nothing else is in {folder}/");
}

#[test]
fn the_crds_are_what_the_code_declares() {
    assert_folder("crds", &reference::crds().unwrap());
}

#[test]
fn the_reference_pages_are_what_the_code_says() {
    assert_folder("docs/reference", &reference::pages().unwrap());
}
