//! What is in the images, and what is said about them.

use serde_json::{Value, json};

use super::layout::{Entry, Image};
use super::{REVISION, emulator, operator, pack};
use crate::repository::read;

/// Files that both images have, beside the program and its documents.
const COMMON: &[&str] = &[
    "etc/group",
    "etc/nsswitch.conf",
    "etc/passwd",
    "etc/ssl/certs/ca-certificates.crt",
];

fn files(entries: &[Entry]) -> Vec<&str> {
    let files = entries.iter().filter(|entry| !entry.mode.starts_with('d'));
    files.map(|entry| entry.path.as_str()).collect()
}

fn expected(program: &str, more: &[&str]) -> Vec<String> {
    let mut paths: Vec<String> = COMMON.iter().chain(more).map(|p| (*p).to_owned()).collect();
    paths.push(format!("usr/bin/{program}"));
    for document in ["LICENSE", "THIRD-PARTY-NOTICES", "sbom.cdx.json"] {
        paths.push(format!("usr/share/doc/{program}/{document}"));
    }
    paths.sort();
    paths
}

#[test]
fn an_image_holds_its_program_and_nothing_else_that_could_be_started() {
    let entries = operator().entries();
    assert_eq!(files(&entries), expected("hybrid-calendar-operator", &[]));
    let entries = emulator().entries();
    let world = "etc/graph-emulator/world.yaml";
    assert_eq!(files(&entries), expected("graph-emulator", &[world]));
}

#[test]
fn nobody_may_write_in_an_image_and_no_time_is_that_of_a_build() {
    for entry in operator().entries().into_iter().chain(emulator().entries()) {
        let mode = match entry.path.as_str() {
            path if path.starts_with("usr/bin/") => "-rwxr-xr-x",
            _ if entry.mode.starts_with('d') => "drwxr-xr-x",
            _ => "-rw-r--r--",
        };
        let is = (entry.mode.as_str(), entry.owner.as_str(), &*entry.modified);
        assert_eq!(is, (mode, "0/0", "1970-01-01 00:00:00"), "{}", entry.path);
    }
}

#[test]
fn an_image_says_what_it_is_and_runs_as_nobody_special() {
    let version = env!("CARGO_PKG_VERSION");
    for (image, program, command) in [
        (operator(), "hybrid-calendar-operator", json!(["run"])),
        (emulator(), "graph-emulator", Value::Null),
    ] {
        let config = &image.config["config"];
        let label =
            |name: &str| config["Labels"][format!("org.opencontainers.image.{name}")].clone();
        assert_eq!(label("title"), program);
        assert_eq!(label("version"), version);
        assert_eq!(label("revision"), REVISION);
        assert_eq!(label("licenses"), "Apache-2.0");
        assert_eq!(label("source"), env!("CARGO_PKG_REPOSITORY"));
        assert_eq!(config["User"], "65532:65532");
        assert_eq!(config["StopSignal"], "SIGTERM");
        assert_eq!(config["Entrypoint"], json!([format!("/usr/bin/{program}")]));
        assert_eq!(config["Cmd"], command);
        assert_eq!(image.config["created"], "1970-01-01T00:00:00Z");
        assert_eq!(image.config["os"], "linux");
    }
}

#[test]
fn the_same_program_gives_the_same_image() {
    assert_eq!(pack("operator").digest, operator().digest);
}

#[test]
fn the_user_of_the_image_has_a_name_and_certificates_are_there() {
    let passwd = operator().text("etc/passwd");
    assert!(passwd.contains("\nnonroot:x:65532:65532:"), "{passwd}");
    let authorities = operator().text("etc/ssl/certs/ca-certificates.crt");
    assert!(authorities.matches("BEGIN CERTIFICATE").count() > 100);
    let notices = operator().text("usr/share/doc/hybrid-calendar-operator/THIRD-PARTY-NOTICES");
    for part in [
        "tokio 1.",
        "aws-lc-sys 0.",
        "libc6-dev 2.",
        "GNU",
        "rust-std 1.",
        // Whole texts that Debian's own notices only refer to.
        "GNU LESSER GENERAL PUBLIC LICENSE\n                       Version 2.1, February 1999",
        "GNU GENERAL PUBLIC LICENSE\n                       Version 3, 29 June 2007",
        "GCC RUNTIME LIBRARY EXCEPTION",
        "Mozilla Public License Version 2.0",
    ] {
        assert!(notices.contains(part), "{part}");
    }
}

fn size(image: &Image) -> u64 {
    image.entries().iter().map(|entry| entry.size).sum()
}

/// Numbers in `text` before ` MB`.
fn megabytes(text: &str) -> Vec<f64> {
    let before = text
        .split(" MB")
        .map(|part| part.rsplit(' ').next().unwrap());
    before.filter_map(|number| number.parse().ok()).collect()
}

#[test]
#[expect(clippy::cast_precision_loss, reason = "a few million bytes")]
fn the_readme_tells_the_size_of_the_image() {
    let readme = read("README.md");
    let line = readme.lines().find(|line| line.contains("MB to pull"));
    let [pulled, unpacked] = megabytes(line.unwrap())[..] else {
        panic!("two sizes in {line:?}");
    };
    for (said, bytes) in [
        (pulled, operator().compressed),
        (unpacked, size(operator())),
    ] {
        let is = bytes as f64 / 1e6;
        assert!(
            (is - said).abs() < said / 10.0,
            "README.md says {said} MB where the image has {is:.1} MB"
        );
    }
}
