//! What a cold run compiles: nothing twice because somebody asked for it with other features.

use std::collections::BTreeMap;

use crate::repository::cargo_tree;

/// Features of every crate, by `name version`, of a build for this machine.
fn features(arguments: &[&str]) -> BTreeMap<String, String> {
    let lines = cargo_tree(&[&["--format={p}|{f}"], arguments].concat());
    let crates = lines.lines().filter_map(|line| line.split_once('|'));
    crates
        .map(|(name, features)| (name.to_owned(), features.to_owned()))
        .collect()
}

#[test]
fn tests_use_the_crates_that_were_compiled_for_the_programs() {
    let programs = features(&["--workspace", "--edges=normal,no-proc-macro"]);
    let tests = features(&["--workspace", "--edges=normal,dev,no-proc-macro"]);
    assert!(programs.len() > 200);
    for (name, asked) in programs {
        assert_eq!(
            tests[&name], asked,
            "{name}: `cargo test` compiles it again, and all that uses it. Let tests/testbed/Cargo.toml ask for what it lacks"
        );
    }
}
