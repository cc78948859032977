//! Generated files are what the code generates, and handwritten pages keep up with it. `UPDATE=1` rewrites
//! the generated ones.

use std::process::Command;

use hybrid_calendar_operator::api::v1alpha1::crd;
use hybrid_calendar_operator::api::vocabulary::{MAILBOX, TENANT};
use hybrid_calendar_operator::reference::runbooks::runbooks;
use hybrid_calendar_operator::reference::{self, GeneratedFile};

use crate::repository::{assert_generated, files, read};

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
fn the_chart_carries_what_the_code_declares() {
    assert_folder(
        "charts/hybrid-calendar-operator/files/crds",
        &reference::chart().unwrap(),
    );
}

#[test]
fn the_reference_pages_are_what_the_code_says() {
    assert_folder("docs/reference", &reference::pages().unwrap());
}

#[test]
fn the_rules_are_what_the_code_says() {
    for file in reference::monitoring().unwrap() {
        assert_generated(&file.path, &file.content);
    }
}

/// What the program prints; it must succeed.
fn printed_by(arguments: &[&str]) -> String {
    let program = env!("CARGO_BIN_EXE_hybrid-calendar-operator");
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_program_writes_the_generated_files_into_a_checkout() {
    let folder = tempfile::tempdir().unwrap();
    let listed = printed_by(&["docs", "--root", folder.path().to_str().unwrap()]);
    let mut expected = reference::files().unwrap();
    expected.extend(runbooks().iter().map(|runbook| runbook.with_rest_of("")));
    assert_eq!(listed.lines().count(), expected.len(), "{listed}");
    for file in expected {
        let written = std::fs::read_to_string(folder.path().join(&file.path)).unwrap();
        assert!(written == file.content, "{} differs", file.path);
    }
}

#[test]
fn the_program_prints_the_crds_that_are_in_the_repository() {
    let printed = printed_by(&["crd"]);
    for file in reference::crds().unwrap() {
        let (_, definition) = file.content.split_once('\n').unwrap();
        assert!(printed.contains(definition), "{} is not printed", file.path);
    }
}

#[test]
fn the_picture_in_the_readme_has_the_columns_of_kubectl() {
    let mailboxes = &crd::all()[1].spec.versions[0];
    let columns = mailboxes.additional_printer_columns.clone().unwrap();
    let narrow = columns.iter().filter(|c| c.priority.unwrap_or(0) == 0);
    let header: Vec<String> = std::iter::once("NAME".to_owned())
        .chain(narrow.map(|c| c.name.to_uppercase()))
        .collect();
    let shown = read("README.md")
        .lines()
        .any(|line| line.split_whitespace().eq(&header));
    assert!(shown, "README.md shows no table with {header:?}");
}

#[test]
fn troubleshooting_names_every_condition_that_blocks() {
    let page = read("docs/troubleshooting.md");
    for meta in [TENANT, MAILBOX].concat().iter().filter(|m| m.blocks_ready) {
        let named = format!("`{}`", meta.type_);
        assert!(
            page.contains(&named),
            "{named} is not in docs/troubleshooting.md"
        );
    }
}
