//! The Dockerfile's lines that no test carries out, because they need a base image, and what is written twice.

use std::collections::BTreeSet;

use crate::repository::{files, read, root};

/// Instructions of the Dockerfile, continued lines joined, by stage.
fn stages() -> Vec<(String, Vec<String>)> {
    let text = read("Dockerfile").replace("\\\n", " ");
    let mut stages = vec![("before".to_owned(), Vec::new())];
    for line in text
        .lines()
        .filter(|l| !l.is_empty() && !l.starts_with('#'))
    {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let ["FROM", .., "AS", name] = words[..] {
            stages.push((name.to_owned(), Vec::new()));
        }
        stages.last_mut().unwrap().1.push(words.join(" "));
    }
    stages
}

fn stage(name: &str) -> Vec<String> {
    let found = stages().into_iter().find(|(stage, _)| stage == name);
    found.unwrap_or_else(|| panic!("no stage {name}")).1
}

fn argument(instructions: &[String], name: &str) -> String {
    let start = format!("ARG {name}=");
    let mut values = instructions
        .iter()
        .filter_map(|line| line.strip_prefix(&start));
    values
        .next()
        .unwrap_or_else(|| panic!("no {start}"))
        .to_owned()
}

#[test]
fn the_build_stages_do_nothing_but_what_is_tried_here_and_get_a_toolchain() {
    assert_eq!(
        stage("toolchain"),
        [
            "FROM --platform=$BUILDPLATFORM ${RUST} AS toolchain",
            "ARG TARGETARCH",
            "WORKDIR /source",
            "COPY config/image/toolchain config/image/",
            r#"RUN config/image/toolchain "$TARGETARCH""#,
            "COPY . .",
            "ARG SOURCE_DATE_EPOCH=0",
            "ENV SOURCE_DATE_EPOCH=$SOURCE_DATE_EPOCH",
        ]
    );
    for (image, package) in [
        ("operator", "hybrid-calendar-operator"),
        ("graph-emulator", "graph-emulator"),
    ] {
        let files = format!("{image}-files");
        assert_eq!(
            stage(&files),
            [
                format!("FROM toolchain AS {files}"),
                "ARG TARGETARCH".to_owned(),
                format!(r#"RUN config/image/build {package} "$TARGETARCH" /files"#),
            ]
        );
        let last = stage(image);
        assert_eq!(last[0], format!("FROM scratch AS {image}"));
        assert!(last.contains(&format!("COPY --from={files} /files /")));
        assert!(!last.iter().any(|line| line.starts_with("RUN")));
    }
    assert_eq!(stages().last().unwrap().0, "operator", "the default image");
}

#[test]
fn the_compiler_is_the_one_that_cargo_toml_asks_for() {
    let image = argument(&stage("before"), "RUST");
    let asked = format!("rust:{}.", env!("CARGO_PKG_RUST_VERSION"));
    assert!(image.starts_with(&asked), "{image} is not {asked}");
}

#[test]
fn what_an_image_says_of_itself_is_what_cargo_toml_says() {
    for (image, manifest) in [
        ("operator", "Cargo.toml"),
        ("graph-emulator", "tests/graph-emulator/Cargo.toml"),
    ] {
        let instructions = stage(image);
        assert_eq!(
            argument(&instructions, "VERSION"),
            env!("CARGO_PKG_VERSION")
        );
        let manifest = read(manifest);
        let mut lines = manifest.lines();
        let description = lines
            .find_map(|line| line.strip_prefix("description = "))
            .unwrap();
        let label = format!("org.opencontainers.image.description={description}");
        assert!(
            instructions.iter().any(|line| line.contains(&label)),
            "{label}"
        );
    }
}

#[test]
fn the_ports_of_the_image_are_the_defaults_of_the_flags() {
    let flags = read("docs/reference/flags.md");
    let operator = stage("operator");
    assert!(operator.contains(&"EXPOSE 8443 9090".to_owned()));
    for port in ["8443", "9090"] {
        assert!(flags.contains(&format!(":{port}")), "no flag has {port}");
    }
    let emulator = read("tests/graph-emulator/README.md");
    assert!(stage("graph-emulator").contains(&"EXPOSE 8600 8601".to_owned()));
    for port in ["8600", "8601"] {
        assert!(emulator.contains(&format!("`127.0.0.1:{port}`")));
    }
}

/// `config/image/here` reads the list as plain paths, so it must be one.
#[test]
fn the_builder_gets_the_paths_that_are_listed_and_nothing_else() {
    let text = read(".dockerignore");
    let mut lines = text
        .lines()
        .filter(|l| !l.is_empty() && !l.starts_with('#'));
    assert_eq!(lines.next(), Some("*"));
    let listed: Vec<&str> = lines.map(|line| line.strip_prefix('!').unwrap()).collect();
    for path in &listed {
        assert!(root().join(path).exists(), "{path} does not exist");
        assert!(!path.contains(['*', '?', '[']), "{path} is a pattern");
    }
    let given: BTreeSet<String> = listed.iter().flat_map(|path| files(path, &[""])).collect();
    let tests = given.iter().filter(|path| path.starts_with("tests/it/"));
    assert_eq!(tests.count(), 0);
}
