//! What building an image takes from the machine it happens on: named where it is missing, kept out where it is too much.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::{emulator, operator};
use crate::repository::root;

#[test]
fn a_machine_that_cannot_compile_an_image_is_told_all_that_it_lacks_at_once() {
    let nothing = TempDir::new().unwrap();
    let output = Command::new(root().join("config/image/here"))
        .arg("hybrid-calendar-operator")
        .env("PATH", nothing.path())
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    for missing in [
        "dpkg",
        "dpkg-query",
        "flock",
        "gcc",
        "make",
        "cargo",
        "libc.a",
    ] {
        let named = said.split_whitespace().any(|word| word == missing);
        assert!(named, "{missing} is not named: {said}");
    }
    for remedy in ["apt-get install gcc make libc6-dev", "docker buildx build"] {
        assert!(said.contains(remedy), "{said}");
    }
    assert_eq!(said.lines().count(), 3, "{said}");
}

/// Puts a `cargo` into a folder that only tells the environment it gets.
fn telling_cargo(folder: &Path, told: &Path) {
    let cargo = folder.join("cargo");
    let script = format!("#!/bin/sh\nenv >'{}'\nexit 1\n", told.display());
    fs::write(&cargo, script).unwrap();
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn what_the_caller_sets_for_other_builds_does_not_reach_the_compiler() {
    let folder = TempDir::new().unwrap();
    let told = folder.path().join("told");
    telling_cargo(folder.path(), &told);
    let path = std::env::var("PATH").unwrap();
    let architecture = operator().config["architecture"].as_str().unwrap();
    let foreign = [
        "RUSTFLAGS",
        "CARGO_BUILD_RUSTFLAGS",
        "CARGO_PROFILE_RELEASE_OPT_LEVEL",
        "CARGO_INCREMENTAL",
        "RUSTC_WRAPPER",
        "CC",
        "TARGET_CFLAGS",
        "CFLAGS_x86_64_unknown_linux_gnu",
        "CPATH",
        "AWS_LC_SYS_CFLAGS",
    ];
    let output = Command::new(root().join("config/image/build"))
        .args(["graph-emulator", architecture])
        .arg(folder.path().join("files"))
        .current_dir(root())
        .env("PATH", format!("{}:{path}", folder.path().display()))
        .env("CFLAGS", "-DFOREIGN")
        .env("CARGO_NET_RETRY", "7")
        .envs(foreign.map(|name| (name, "foreign")))
        .output()
        .unwrap();
    let told = fs::read_to_string(&told)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let got: BTreeMap<&str, &str> = told.lines().filter_map(|l| l.split_once('=')).collect();
    for name in foreign {
        assert!(!got.contains_key(name), "{name} was let through");
    }
    assert!(!got["CFLAGS"].contains("FOREIGN"), "{}", got["CFLAGS"]);
    assert!(got["CARGO_ENCODED_RUSTFLAGS"].starts_with("-Ctarget-feature=+crt-static\u{1f}"));
    assert_eq!(got["CARGO_NET_RETRY"], "7", "how to get at the network is");
}

/// Compiling everything twice takes minutes and is left to `make image-twice`; paths are what differs between machines.
#[test]
fn no_path_of_the_machine_that_built_is_in_a_program() {
    let home = std::env::var("HOME").unwrap();
    let foreign = [
        home,
        "hybrid-calendar-operator/image".to_owned(),
        "registry/src/".to_owned(),
        ".rustup/".to_owned(),
    ];
    for (image, program) in [
        (operator(), "hybrid-calendar-operator"),
        (emulator(), "graph-emulator"),
    ] {
        let bytes = fs::read(image.unpack("paths").join("usr/bin").join(program)).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.contains("/registry/"), "no paths were looked at");
        for path in &foreign {
            let around = text
                .find(path.as_str())
                .map(|at| text[at..].chars().take(120).collect::<String>());
            assert_eq!(around, None, "{path} is in {program}");
        }
    }
}
