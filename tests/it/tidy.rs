//! Rules about the files of this repository that no compiler checks: layers, purity, size, links.
//!
//! Reads text only. A rule that gets in the way of better code is changed here, with its reason.

use std::collections::{BTreeMap, BTreeSet};

use testbed::go_programs::required_modules;

use crate::layers::LAYERS;
use crate::markdown::prose;
use crate::repository::{files, read, root};

/// What a decision must not know, by the words that give it away.
const IMPURE: &[&str] = &[
    "async ",
    ".await",
    "tokio",
    "kube::",
    "reqwest",
    "axum",
    "crate::clock",
    "dyn Clock",
    "&Clock",
    "Clock::",
    "Timestamp::now",
    "SystemTime",
    "Instant",
    "std::thread",
    "std::fs",
    "std::net",
    "tracing::",
];

const LONGEST_FILE: usize = 500;

/// Files that may be longer than [`LONGEST_FILE`], and why.
const LONG_FILES: &[(&str, &str)] = &[];

/// Code without comments and without what follows `#[cfg(test)]`, line by line.
fn code_outside_tests(path: &str) -> Vec<(usize, String)> {
    let text = read(path);
    text.lines()
        .enumerate()
        .take_while(|(_, line)| line.trim() != "#[cfg(test)]" || text_is_attribute(line))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .map(|(number, line)| (number + 1, line.to_owned()))
        .collect()
}

/// An indented `#[cfg(test)]` marks one item; at the margin it opens the tests at the end of a file.
fn text_is_attribute(line: &str) -> bool {
    line.starts_with(' ')
}

fn is_test_file(path: &str) -> bool {
    let named = ["/tests.rs", "_tests.rs"];
    path.contains("/tests/")
        || named.iter().any(|end| path.ends_with(end))
        || is_declared_for_tests(path)
}

/// Whether the module above compiles this file for tests only.
fn is_declared_for_tests(path: &str) -> bool {
    let Some((folder, name)) = path.trim_end_matches(".rs").rsplit_once('/') else {
        return false;
    };
    let declaration = format!("#[cfg(test)]\nmod {name};");
    let above = [format!("{folder}/mod.rs"), format!("{folder}.rs")];
    operator_sources()
        .iter()
        .filter(|known| above.contains(known))
        .any(|known| read(known).contains(&declaration))
}

fn operator_sources() -> Vec<String> {
    files("src", &[".rs"])
}

fn assert_none(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

/// The top-level module that a file of `src` belongs to.
fn module_of(path: &str) -> &str {
    let inner = path.trim_start_matches("src/");
    inner.split(['/', '.']).next().unwrap_or(inner)
}

/// The modules that a line names after `crate::`.
fn named_modules(line: &str) -> Vec<&str> {
    line.split("crate::")
        .skip(1)
        .flat_map(|rest| match rest.strip_prefix('{') {
            Some(group) => group.split(['}', ',']).map(str::trim).collect::<Vec<_>>(),
            None => vec![rest],
        })
        .map(|name| {
            let end = name.find(|c: char| !c.is_alphanumeric() && c != '_');
            &name[..end.unwrap_or(name.len())]
        })
        .filter(|name| !name.is_empty())
        .collect()
}

#[test]
fn every_module_names_only_the_layers_below_it() {
    let mut problems = Vec::new();
    for path in operator_sources() {
        let module = module_of(&path);
        if ["lib", "main"].contains(&module) {
            continue;
        }
        let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == module) else {
            problems.push(format!("{path}: module {module} has no place in LAYERS"));
            continue;
        };
        for (number, line) in code_outside_tests(&path) {
            for named in named_modules(&line) {
                if named != module && !allowed.contains(&named) {
                    problems.push(format!("{path}:{number}: {module} must not know {named}"));
                }
            }
        }
    }
    assert_none(&problems);
}

#[test]
fn decisions_are_pure() {
    let mut problems = Vec::new();
    for path in files("src/domain", &[".rs"]) {
        for (number, line) in code_outside_tests(&path) {
            for word in IMPURE.iter().filter(|word| line.contains(**word)) {
                problems.push(format!(
                    "{path}:{number}: a decision must not know `{word}`"
                ));
            }
        }
    }
    assert_none(&problems);
}

#[test]
fn the_emulator_and_the_operator_do_not_know_each_other() {
    let mut problems = Vec::new();
    for path in files("tests/graph-emulator", &[".rs", ".toml"]) {
        if read(&path).contains("hybrid_calendar_operator") || read(&path).contains("testbed") {
            problems.push(format!("{path} names a crate of ours"));
        }
    }
    for path in operator_sources() {
        if read(&path).contains("graph_emulator") {
            problems.push(format!("{path} names the emulator"));
        }
    }
    assert_none(&problems);
}

#[test]
fn every_module_opens_with_what_it_is() {
    let problems: Vec<String> = [files("src", &[".rs"]), files("tests", &[".rs"])]
        .concat()
        .into_iter()
        .filter(|path| !read(path).starts_with("//!"))
        .map(|path| format!("{path} does not open with //!"))
        .collect();
    assert_none(&problems);
}

#[test]
fn no_file_is_longer_than_a_person_reads() {
    let mut problems = Vec::new();
    for path in [files("src", &[".rs"]), files("tests", &[".rs"])].concat() {
        let lines = read(&path).lines().count();
        let listed = LONG_FILES.iter().any(|(name, _)| *name == path);
        if lines > LONGEST_FILE && !listed {
            problems.push(format!("{path} has {lines} lines: split it by idea"));
        }
        if lines <= LONGEST_FILE && listed {
            problems.push(format!("{path} is short again: take it from LONG_FILES"));
        }
    }
    assert_none(&problems);
}

#[test]
fn nothing_unwraps_outside_tests() {
    let mut problems = Vec::new();
    for path in operator_sources().iter().filter(|path| !is_test_file(path)) {
        for (number, line) in code_outside_tests(path) {
            if line.contains(".unwrap()") {
                problems.push(format!("{path}:{number} unwraps"));
            }
        }
    }
    assert_none(&problems);
}

/// Whether an absolute path begins with this; `/v1.0/Users/` is none.
fn has_path(text: &str, start: &str) -> bool {
    text.match_indices(start)
        .any(|(at, _)| !text[..at].ends_with(|c: char| c.is_alphanumeric()))
}

#[test]
fn no_file_names_a_home_folder() {
    let homes = [["/ro", "ot/"], ["/ho", "me/"], ["/Us", "ers/"]].map(|parts| parts.concat());
    let endings = [
        ".rs",
        ".md",
        ".yaml",
        ".yml",
        ".toml",
        ".json",
        ".sh",
        "Makefile",
        "Dockerfile",
        "run",
    ];
    let problems: Vec<String> = files("", &endings)
        .into_iter()
        .filter(|path| {
            let text =
                String::from_utf8_lossy(&std::fs::read(root().join(path)).unwrap()).into_owned();
            homes.iter().any(|home| has_path(&text, home))
        })
        .map(|path| format!("{path} names somebody's home folder"))
        .collect();
    assert_none(&problems);
}

/// The domain parts of everything that looks like an e-mail address.
fn address_domains(text: &str) -> Vec<&str> {
    let of_a_name = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    text.match_indices('@')
        .filter(|(at, _)| text[..*at].ends_with(of_a_name))
        .map(|(at, _)| {
            let rest = &text[at + 1..];
            let end = rest.find(|c| !of_a_name(c)).unwrap_or(rest.len());
            rest[..end].trim_end_matches('.')
        })
        .filter(|domain| domain.contains('.') && !domain.starts_with(|c: char| c.is_ascii_digit()))
        .collect()
}

#[test]
fn every_address_belongs_to_nobody() {
    let mut problems = Vec::new();
    for path in files("", &[".rs", ".md", ".yaml"]) {
        for domain in address_domains(&read(&path)) {
            let reserved = [".example", "contoso.onmicrosoft.com"];
            if !reserved.iter().any(|end| domain.ends_with(end)) {
                problems.push(format!("{path}: somebody may own an address in {domain}"));
            }
        }
    }
    assert_none(&problems);
}

#[test]
fn the_changelog_has_a_place_for_what_comes_next() {
    assert!(read("CHANGELOG.md").contains("## [Unreleased]"));
}

/// Go compiles a library once only if all that it needs has the same version everywhere, too: with two versions of
/// Kubernetes' libraries a first `make test` takes minutes more.
#[test]
fn programs_in_go_are_compiled_from_the_same_versions() {
    let paths = files("", &["go.mod"]);
    let texts: Vec<(&str, String)> = paths
        .iter()
        .map(|path| (path.as_str(), read(path)))
        .collect();
    let mut seen: BTreeMap<&str, (&str, &str)> = BTreeMap::new();
    let mut problems = Vec::new();
    for (path, text) in &texts {
        for (module, version) in required_modules(text) {
            let (first, known) = *seen.entry(module).or_insert((path, version));
            if known != version {
                problems.push(format!(
                    "{module} is {known} in {first} and {version} in {path}: run `go get {module}@` with the newer one, then `go mod tidy`"
                ));
            }
        }
    }
    assert!(seen.contains_key("k8s.io/client-go"));
    assert_none(&problems);
}

/// Targets of `](…)` in Markdown, outside of fenced code.
fn links(text: &str) -> Vec<String> {
    prose(text)
        .flat_map(|line| line.split("](").skip(1))
        .filter_map(|rest| rest.split(')').next())
        .map(str::to_owned)
        .collect()
}

/// Anchors of a page's headings, as the usual renderers name them.
fn anchors(text: &str) -> BTreeSet<String> {
    let anchor = |heading: &str| {
        let title = heading.trim_start_matches('#').trim().to_lowercase();
        title
            .chars()
            .filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect()
    };
    prose(text)
        .filter(|line| line.starts_with('#'))
        .map(anchor)
        .collect()
}

#[test]
fn every_link_between_pages_leads_somewhere() {
    let mut problems = Vec::new();
    for path in files("", &[".md"]) {
        let folder = root().join(&path).parent().unwrap().to_owned();
        for link in links(&read(&path)) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = match file {
                "" => root().join(&path),
                file => folder.join(file),
            };
            if !target.exists() {
                problems.push(format!("{path}: {link} does not exist"));
            } else if !anchor.is_empty() {
                let text = std::fs::read_to_string(&target).unwrap_or_default();
                if !anchors(&text).contains(anchor) {
                    problems.push(format!("{path}: {link} names no heading"));
                }
            }
        }
    }
    assert_none(&problems);
}

/// Pages that can be reached from one by links, itself included.
fn reached_from(start: &str) -> BTreeSet<String> {
    let top = root().canonicalize().unwrap();
    let mut reached = BTreeSet::from([start.to_owned()]);
    let mut open = vec![start.to_owned()];
    while let Some(page) = open.pop() {
        let folder = root().join(&page).parent().unwrap().to_owned();
        for link in links(&read(&page)) {
            let file = folder.join(link.split('#').next().unwrap_or_default());
            let page = file.canonicalize().ok();
            let page = page.filter(|file| file.extension().is_some_and(|e| e == "md"));
            let path = page.as_ref().and_then(|file| file.strip_prefix(&top).ok());
            if let Some(path) = path.and_then(|path| path.to_str())
                && reached.insert(path.to_owned())
            {
                open.push(path.to_owned());
            }
        }
    }
    reached
}

#[test]
fn every_page_can_be_reached_from_the_index() {
    let reached = reached_from("docs/index.md");
    let problems: Vec<String> = files("docs", &[".md"])
        .into_iter()
        .filter(|path| !reached.contains(path) && path != "docs/SUMMARY.md")
        .map(|path| format!("{path} is not linked from docs/index.md or from a page behind it"))
        .collect();
    assert_none(&problems);
}

/// Numbers of a page's headings: `### 8.4 Refusals` is 8.4.
fn numbered_headings(text: &str) -> BTreeSet<&str> {
    text.lines()
        .filter(|line| line.starts_with('#'))
        .filter_map(|line| line.split_whitespace().nth(1))
        .map(|number| number.trim_end_matches('.'))
        .collect()
}

/// The sections that a reference names, as in `8.4, 9.2 and 12)`.
fn named_sections(rest: &str) -> Vec<&str> {
    let is_number = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit());
    rest.split_whitespace()
        .map(|word| word.trim_end_matches([',', '.', ';', ':', ')']))
        .take_while(|word| ["and", "to"].contains(word) || is_number(word))
        .filter(is_number)
        .collect()
}

#[test]
fn every_reference_to_what_graph_does_names_a_section() {
    let page = ["docs/gra", "ph.md"].concat();
    let text = read(&page);
    let known = numbered_headings(&text);
    let name = page.trim_start_matches("docs/");
    let mut problems = Vec::new();
    for path in [files("src", &[".rs"]), files("tests", &[".rs"])].concat() {
        for (number, line) in (1..).zip(read(&path).lines()) {
            for (at, _) in line.match_indices(name) {
                let sections = named_sections(&line[at + name.len()..]);
                if !line[..at].ends_with("docs/") || sections.is_empty() {
                    problems.push(format!("{path}:{number}: name {page} and a section"));
                }
                for section in sections.iter().filter(|section| !known.contains(*section)) {
                    problems.push(format!("{path}:{number}: {page} has no section {section}"));
                }
            }
        }
    }
    assert_none(&problems);
}

#[test]
fn references_and_headings_are_read_as_people_write_them() {
    assert_eq!(
        named_sections(" 8.4, 9.2 and 12). More"),
        ["8.4", "9.2", "12"]
    );
    assert_eq!(named_sections(": see there"), [] as [&str; 0]);
    let headings = numbered_headings("## 1. Tokens\n\n### 8.4 Refusals\ntext 9\n");
    assert_eq!(headings, BTreeSet::from(["1", "8.4"]));
}
