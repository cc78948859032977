//! The bill of materials in an image, held against what cargo and `Cargo.lock` say by other ways.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use serde_json::Value;

use super::layout::Image;
use super::{emulator, operator};
use crate::repository::{cargo_tree, read};

fn bill(image: &Image, program: &str) -> Value {
    let text = image.text(&format!("usr/share/doc/{program}/sbom.cdx.json"));
    serde_json::from_str(&text).unwrap()
}

fn components(bill: &Value) -> &[Value] {
    bill["components"].as_array().unwrap()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

/// Crates as `name version`, by what cargo shows of the dependency graph without what runs only while building. As in the
/// build both programs are named, since each gets the features that the other asks for; cargo shows one after the other.
fn tree(package: &str) -> BTreeSet<String> {
    let trees = cargo_tree(&[
        "--format={p}",
        "--edges=normal,no-proc-macro",
        "--package=hybrid-calendar-operator",
        "--package=graph-emulator",
    ]);
    let root = format!("{package} v");
    let tree = trees.split("\n\n").find(|tree| tree.starts_with(&root));
    let crates = tree.unwrap().lines().map(|line| {
        let mut words = line.split(' ');
        let name = words.next().unwrap();
        format!("{name} {}", words.next().unwrap().trim_start_matches('v'))
    });
    crates.collect()
}

/// Checksums of `Cargo.lock` by `name version`.
fn checksums() -> BTreeMap<String, String> {
    let lock = read("Cargo.lock");
    let packages = lock.split("[[package]]").skip(1).filter_map(|package| {
        let field = |name: &str| {
            let start = format!("{name} = \"");
            let line = package.lines().find_map(|line| line.strip_prefix(&start))?;
            Some(line.trim_end_matches('"').to_owned())
        };
        let key = format!("{} {}", field("name")?, field("version")?);
        Some((key, field("checksum")?))
    });
    packages.collect()
}

#[test]
fn the_bill_lists_every_crate_in_the_program_and_no_other() {
    for (image, program) in [
        (operator(), "hybrid-calendar-operator"),
        (emulator(), "graph-emulator"),
    ] {
        let bill = bill(image, program);
        let itself = &bill["metadata"]["component"];
        assert_eq!(text(itself, "name"), program);
        let listed: BTreeSet<String> = components(&bill)
            .iter()
            .filter(|component| text(component, "purl").starts_with("pkg:cargo/"))
            .chain([itself])
            .map(|component| format!("{} {}", text(component, "name"), text(component, "version")))
            .collect();
        assert_eq!(listed, tree(program));
        for tool in ["syn", "proptest", "testbed", "sbom"] {
            assert!(
                !listed
                    .iter()
                    .any(|name| name.split(' ').next() == Some(tool))
            );
        }
    }
}

#[test]
fn every_crate_of_the_bill_has_a_licence_and_the_checksum_of_its_archive() {
    let bill = bill(operator(), "hybrid-calendar-operator");
    let checksums = checksums();
    for component in components(&bill) {
        if text(component, "type") == "operating-system" {
            continue;
        }
        let licence = text(&component["licenses"][0], "expression");
        assert!(!licence.is_empty() && !licence.contains('/'), "{component}");
        if text(component, "purl").starts_with("pkg:cargo/") {
            let key = format!("{} {}", text(component, "name"), text(component, "version"));
            let hash = &component["hashes"][0];
            assert_eq!(text(hash, "alg"), "SHA-256");
            assert_eq!(text(hash, "content"), checksums[&key], "{key}");
        }
    }
}

#[test]
fn the_bill_names_what_is_no_crate_and_the_program_by_its_hash() {
    let bill = bill(operator(), "hybrid-calendar-operator");
    let others: BTreeSet<&str> = components(&bill)
        .iter()
        .filter(|component| !text(component, "purl").starts_with("pkg:cargo/"))
        .map(|component| text(component, "name"))
        .collect();
    for name in ["ca-certificates", "libc6-dev", "rust-std"] {
        assert!(others.contains(name), "{others:?}");
    }
    assert!(others.iter().any(|name| name.starts_with("libgcc-")));
    let program = operator()
        .unpack("hashed")
        .join("usr/bin/hybrid-calendar-operator");
    let output = Command::new("sha256sum").arg(program).output().unwrap();
    let hash = text(&bill["metadata"]["component"]["hashes"][0], "content");
    assert!(String::from_utf8(output.stdout).unwrap().starts_with(hash));
}

/// Advisories are about a release of a distribution and its source packages.
#[test]
fn scanners_can_match_debians_packages_with_its_advisories() {
    let bill = bill(operator(), "hybrid-calendar-operator");
    let systems: Vec<&Value> = components(&bill)
        .iter()
        .filter(|component| text(component, "type") == "operating-system")
        .collect();
    let [system] = systems[..] else {
        panic!("one operating system was expected: {systems:#?}");
    };
    let release = fs::read_to_string("/etc/os-release").unwrap();
    let said = |name: &str| {
        let line = release.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().trim_matches('"').to_owned()
    };
    assert_eq!(text(system, "name"), said("ID="));
    assert_eq!(text(system, "version"), said("VERSION_ID="));
    let distribution = format!("{}-{}", said("ID="), said("VERSION_ID="));

    let packages: Vec<&Value> = components(&bill)
        .iter()
        .filter(|component| text(component, "purl").starts_with("pkg:deb/"))
        .collect();
    assert_eq!(packages.len(), 3);
    for package in packages {
        let purl = text(package, "purl");
        assert!(purl.ends_with(&format!("&distro={distribution}")), "{purl}");
        let upstream = dpkg_source(text(package, "name"));
        let property = &package["properties"][0];
        assert_eq!(text(property, "name"), "aquasecurity:trivy:SrcName");
        assert_eq!(text(property, "value"), upstream, "{purl}");
        assert!(purl.contains(&format!("&upstream={upstream}%40")), "{purl}");
    }
}

fn dpkg_source(package: &str) -> String {
    let output = Command::new("dpkg-query")
        .args(["--show", "--showformat=${source:Package}\n", package])
        .output()
        .unwrap();
    let sources = String::from_utf8(output.stdout).unwrap();
    sources.lines().next().unwrap().to_owned()
}

#[test]
fn the_bill_is_whole_so_that_tools_can_walk_it() {
    for (image, program) in [
        (operator(), "hybrid-calendar-operator"),
        (emulator(), "graph-emulator"),
    ] {
        let bill = bill(image, program);
        assert_eq!(text(&bill, "bomFormat"), "CycloneDX");
        let itself = &bill["metadata"]["component"];
        let all = components(&bill).iter().chain([itself]);
        let mut known = BTreeSet::new();
        for component in all {
            assert!(
                known.insert(text(component, "bom-ref")),
                "{component} is twice in it"
            );
        }
        let mut reached = BTreeSet::from([text(itself, "bom-ref")]);
        for dependency in bill["dependencies"].as_array().unwrap() {
            assert!(known.contains(text(dependency, "ref")), "{dependency}");
            let used = dependency["dependsOn"].as_array().into_iter().flatten();
            reached.extend(used.map(|used| used.as_str().unwrap()));
        }
        assert_eq!(reached, known, "something in it is used by nobody");
    }
}
