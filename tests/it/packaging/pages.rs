//! What pages tell people to type is what a shell, YAML and our own kinds accept.

use std::io::Write as _;
use std::process::{Command, Stdio};

use hybrid_calendar_operator::api::v1alpha1::mailbox::WorkspaceMailbox;
use hybrid_calendar_operator::api::v1alpha1::tenant::CalendarTenant;
use serde::Deserialize as _;
use serde_json::Value;

use crate::markdown::blocks;
use crate::repository::{files, read};

fn all_blocks(language: &str) -> Vec<(String, String)> {
    files("docs", &[".md"])
        .into_iter()
        .flat_map(|page| {
            let blocks = blocks(&read(&page)).into_iter();
            let of_this = blocks.filter(|block| block.language == language);
            let named = of_this.map(|block| (page.clone(), block.text));
            named.collect::<Vec<_>>()
        })
        .collect()
}

/// What a shell says about the syntax of a script; nothing is run.
fn shell_complains(script: &str) -> Option<String> {
    let mut shell = Command::new("sh")
        .arg("-n")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = shell.stdin.take().unwrap();
    input.write_all(script.as_bytes()).unwrap();
    drop(input);
    let output = shell.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (!output.status.success()).then_some(said)
}

fn assert_none(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn every_command_on_a_page_is_one_that_a_shell_understands() {
    let blocks = all_blocks("sh");
    assert!(blocks.len() > 100, "{} blocks", blocks.len());
    let problems: Vec<String> = blocks
        .iter()
        .filter_map(|(page, text)| {
            let problem = shell_complains(text)?;
            Some(format!("{page}: {problem}{text}"))
        })
        .collect();
    assert_none(&problems);
}

/// Why a document of our kinds cannot be one.
fn wrong(document: &Value) -> Option<String> {
    // An excerpt has no kind.
    if document["apiVersion"] != "hybridcalendar.dev/v1alpha1" {
        return None;
    }
    let read = match document["kind"].as_str() {
        Some("CalendarTenant") => CalendarTenant::deserialize(document).map(drop),
        Some("WorkspaceMailbox") => WorkspaceMailbox::deserialize(document).map(drop),
        kind => return Some(format!("unknown kind {kind:?}")),
    };
    read.err().map(|error| error.to_string())
}

#[test]
fn every_manifest_on_a_page_is_yaml_and_ours_are_of_our_kinds() {
    let blocks = all_blocks("yaml");
    assert!(blocks.len() > 20, "{} blocks", blocks.len());
    let mut problems = Vec::new();
    for (page, text) in blocks {
        for document in serde_yaml_ng::Deserializer::from_str(&text) {
            match Value::deserialize(document) {
                Ok(document) => {
                    problems.extend(wrong(&document).map(|why| format!("{page}: {why}\n{text}")));
                }
                Err(error) => problems.push(format!("{page}: {error}\n{text}")),
            }
        }
    }
    assert_none(&problems);
}

#[test]
fn the_walkthrough_shows_outputs_only_after_commands() {
    let blocks = blocks(&read("docs/guides/walkthrough.md"));
    let languages: Vec<&str> = blocks.iter().map(|block| block.language.as_str()).collect();
    assert!(languages.iter().filter(|l| **l == "sh").count() > 10);
    for pair in languages.windows(2) {
        let follows = pair[1] != "text" || pair[0] == "sh";
        assert!(follows, "{pair:?}");
    }
    // In one shell, from the first command to the last.
    let script: String = blocks
        .iter()
        .filter(|block| block.language == "sh")
        .map(|block| block.text.as_str())
        .collect();
    assert_eq!(shell_complains(&script), None);
}
