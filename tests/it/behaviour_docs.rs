//! `docs/behaviour.md` names real tests, and says what is not proved yet.

use std::collections::BTreeSet;

use crate::repository::{files, read};

/// Rows, by the beginning of their situation, that no test proves on the real API server yet.
const STILL_TO_PROVE: &[&str] = &[];

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

/// Names of all functions under a test attribute.
fn test_functions() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for path in [files("src", &[".rs"]), files("tests", &[".rs"])].concat() {
        let mut marked = false;
        for line in read(&path).lines().map(str::trim) {
            let function = line
                .split("fn ")
                .nth(1)
                .and_then(|rest| rest.split('(').next());
            match function {
                Some(name) if marked && !line.starts_with("//") => {
                    names.insert(name.to_owned());
                    marked = false;
                }
                Some(_) | None => {
                    marked |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
                }
            }
        }
    }
    names
}

#[test]
fn every_test_that_the_behaviour_table_names_exists() {
    let known = test_functions();
    for row in rows() {
        for name in &row.tests {
            assert!(
                known.contains(name),
                "{}: there is no test {name}",
                row.situation
            );
        }
    }
}

#[test]
fn every_row_of_the_behaviour_table_is_proved_or_listed_as_open() {
    let rows = rows();
    assert!(rows.len() >= 22, "{} rows", rows.len());
    for row in &rows {
        let open = STILL_TO_PROVE
            .iter()
            .any(|start| row.situation.starts_with(start));
        assert!(open || !row.tests.is_empty(), "{}: no test", row.situation);
    }
    for start in STILL_TO_PROVE {
        let found = rows.iter().any(|row| row.situation.starts_with(start));
        assert!(found, "{start}: there is no such row");
    }
}
