//! `docs/behaviour.md` names real tests that are run.

use std::collections::BTreeSet;

use crate::repository::{files, read};

/// Tests that `cargo test` leaves out and `make test` runs by name.
const RUN_BY_NAME: &[&str] = &["no_secret_token_or_address_was_said"];

struct Row {
    situation: String,
    tests: Vec<String>,
}

fn rows() -> Vec<Row> {
    read("docs/behaviour.md")
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| ---"))
        .skip(1)
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split(" |").map(str::trim).collect();
            let names = cells[2].split('`').skip(1).step_by(2);
            Row {
                situation: cells[0].to_owned(),
                tests: names.map(str::to_owned).collect(),
            }
        })
        .collect()
}

/// Names of all functions under a test attribute that are run.
fn test_functions() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for path in [files("src", &[".rs"]), files("tests", &[".rs"])].concat() {
        names.extend(tests_in(&read(&path)));
    }
    names
}

fn tests_in(source: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let (mut marked, mut ignored) = (false, false);
    for line in source.lines().map(str::trim) {
        if line.starts_with("//") {
            continue;
        }
        let function = line.split("fn ").nth(1);
        let Some(name) = function.and_then(|rest| rest.split('(').next()) else {
            marked |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
            ignored |= line.starts_with("#[ignore");
            continue;
        };
        if marked && (!ignored || RUN_BY_NAME.contains(&name)) {
            names.insert(name.to_owned());
        }
        (marked, ignored) = (false, false);
    }
    names
}

#[test]
fn an_ignored_test_proves_nothing_unless_it_is_run_by_name() {
    let source = "\
        #[tokio::test(start_paused = true)]\nasync fn counts() {\n}\n\
        #[test]\n// why\n#[ignore = \"too slow\"]\nfn is_left_out() {\n}\n\
        #[ignore]\n#[test]\nfn is_left_out_too() {\n}\n\
        fn is_no_test() {\n}\n\
        #[test]\n#[ignore = \"by name\"]\nfn no_secret_token_or_address_was_said() {\n}\n";
    let expected = ["counts", "no_secret_token_or_address_was_said"];
    assert_eq!(tests_in(source), expected.map(str::to_owned).into());
}

#[test]
fn every_row_of_the_behaviour_table_is_proved_by_tests_that_exist() {
    let known = test_functions();
    let rows = rows();
    assert!(rows.len() >= 22, "{} rows", rows.len());
    for row in &rows {
        assert!(!row.tests.is_empty(), "{}: no test", row.situation);
        for name in &row.tests {
            let situation = &row.situation;
            assert!(known.contains(name), "{situation}: there is no test {name}");
        }
    }
}

#[test]
fn the_tests_that_are_run_by_name_are_in_the_recipe() {
    for name in RUN_BY_NAME {
        assert!(read("Makefile").contains(name), "{name}");
    }
}
