//! `deny.toml` holds, also where cargo-deny is not installed: licences, bans, duplicates, sources. Not vulnerabilities.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;
use std::process::Command;
use std::str::SplitWhitespace;

use toml::Table;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(ROOT)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// A library that is compiled on this platform.
struct Package {
    name: String,
    version: String,
    /// Where it is from unless that is the default registry.
    origin: Option<String>,
    licence: String,
}

fn packages() -> Vec<Package> {
    let arguments = ["tree", "--locked", "--workspace", "--prefix=none"];
    let format = ["--edges=normal,build,dev", "--format={p}|{l}|"];
    let tree = output(env!("CARGO"), &[&arguments[..], &format].concat());
    let lines: BTreeSet<&str> = tree.lines().collect();
    lines
        .iter()
        .filter(|line| !line.is_empty() && !line.ends_with("(*)"))
        .map(|line| {
            let mut columns = line.split('|');
            let mut words = columns.next().unwrap().splitn(3, ' ');
            Package {
                name: words.next().unwrap().to_owned(),
                version: words.next().unwrap().trim_start_matches('v').to_owned(),
                origin: words
                    .next()
                    .map(str::to_owned)
                    .filter(|o| o != "(proc-macro)"),
                licence: columns.next().unwrap().to_owned(),
            }
        })
        .collect()
}

fn policy() -> Table {
    let text = std::fs::read_to_string(format!("{ROOT}/deny.toml")).unwrap();
    text.parse().unwrap()
}

/// The `crate` entries of a list of `[bans]`.
fn listed<'a>(policy: &'a Table, list: &str) -> Vec<&'a str> {
    policy["bans"][list]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["crate"].as_str().unwrap())
        .collect()
}

/// Whether an SPDX expression can be satisfied with what is allowed.
fn allowed(expression: &str, licences: &[&str]) -> bool {
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace(" WITH ", "+");
    let mut words = spaced.split_whitespace().peekable();
    any_of(&mut words, licences)
}

/// Alternatives of conjunctions of licences and expressions in parentheses.
fn any_of(words: &mut Peekable<SplitWhitespace<'_>>, licences: &[&str]) -> bool {
    let mut any = all_of(words, licences);
    while words.next_if_eq(&"OR").is_some() {
        any |= all_of(words, licences);
    }
    any
}

fn all_of(words: &mut Peekable<SplitWhitespace<'_>>, licences: &[&str]) -> bool {
    let mut all = one(words, licences);
    while words.next_if_eq(&"AND").is_some() {
        all &= one(words, licences);
    }
    all
}

fn one(words: &mut Peekable<SplitWhitespace<'_>>, licences: &[&str]) -> bool {
    match words.next() {
        Some("(") => {
            let inner = any_of(words, licences);
            let closed = words.next() == Some(")");
            inner && closed
        }
        Some(licence) => licences.contains(&licence.replace('+', " WITH ").as_str()),
        None => false,
    }
}

#[test]
fn every_licence_is_one_that_was_agreed_to() {
    let policy = policy();
    let licences: Vec<&str> = policy["licenses"]["allow"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(toml::Value::as_str)
        .collect();
    assert!(allowed("(MIT OR GPL-3.0) AND ISC", &licences));
    assert!(!allowed("GPL-3.0 OR (MIT AND AGPL-3.0)", &licences));
    let refused: Vec<String> = packages()
        .iter()
        .filter(|package| !allowed(&package.licence, &licences))
        .map(|package| format!("{}: {}", package.name, package.licence))
        .collect();
    assert!(refused.is_empty(), "{refused:#?}");
}

#[test]
fn nothing_banned_and_nothing_from_elsewhere_is_compiled() {
    let policy = policy();
    let banned = listed(&policy, "deny");
    let folder = std::fs::canonicalize(ROOT).unwrap();
    for Package { name, origin, .. } in packages() {
        assert!(!banned.contains(&name.as_str()), "{name} is banned");
        // Our own members say in which folder they are.
        let ours = |origin: &String| origin.contains(folder.to_str().unwrap());
        assert!(
            origin.as_ref().is_none_or(ours),
            "{name} is from {origin:?}"
        );
    }
}

#[test]
fn only_one_version_of_each_library_is_compiled_but_for_those_listed() {
    let policy = policy();
    let skipped = listed(&policy, "skip");
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut unused: Vec<&str> = skipped.clone();
    for Package { name, version, .. } in packages() {
        let skip = skipped.iter().find(|skip| {
            let (skipped_name, requirement) = skip.split_once('@').unwrap();
            skipped_name == name.as_str()
                && format!("{version}.").starts_with(&format!("{requirement}."))
        });
        match skip {
            Some(skip) => unused.retain(|other| other != skip),
            None => versions.entry(name).or_default().push(version),
        }
    }
    versions.retain(|_, versions| versions.len() > 1);
    assert!(versions.is_empty(), "{versions:#?}");
    assert!(
        unused.is_empty(),
        "no longer needed in deny.toml: {unused:#?}"
    );
}
