//! Every problem has a page that is complete, and every page belongs to a problem.
//!
//! What a page tells people to ask of Graph is asked of the emulator, which knows no call that Graph does not have.

use std::collections::BTreeSet;

use graph_emulator::{Emulator, Options, World};
use hybrid_calendar_operator::reference::runbooks::{MARK, Runbook, runbooks};

use super::installation::{Ground, NAME};
use crate::markdown::{Line, Place, blocks, lines};
use crate::repository::{assert_generated, files, read, root};

const WORLD: &str = include_str!("../../testbed/demo/world.yaml");
const TENANT: &str = "5f1d7a9c-1111-4000-8000-000000000001";
const CLIENT: &str = "5f1d7a9c-2222-4000-8000-000000000001";

fn assert_none(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

/// What people wrote on a page.
fn handwritten(page: &str) -> String {
    let text = read(page);
    let (_, rest) = text.split_once(MARK).expect(page);
    rest.to_owned()
}

/// Headings of one depth with the text under each, in order.
fn sections<'a>(text: &'a str, depth: &str) -> Vec<(&'a str, String)> {
    let mut found: Vec<(&str, String)> = Vec::new();
    for Line { text: line, place } in lines(text) {
        match line.strip_prefix(depth) {
            Some(title) if place == Place::Prose => found.push((title.trim(), String::new())),
            Some(_) | None => {
                if let Some((_, under)) = found.last_mut() {
                    under.push_str(line);
                    under.push('\n');
                }
            }
        }
    }
    found
}

#[test]
fn the_generated_head_of_every_runbook_is_current() {
    for runbook in runbooks() {
        let present = std::fs::read_to_string(root().join(&runbook.path)).unwrap_or_default();
        assert_generated(&runbook.path, &runbook.with_rest_of(&present).content);
    }
}

#[test]
fn every_alert_has_a_page_and_every_page_an_alert() {
    let wanted: BTreeSet<String> = runbooks().into_iter().map(|r| r.path).collect();
    let present: BTreeSet<String> = files("docs/runbooks", &[""])
        .into_iter()
        .filter(|path| path != "docs/runbooks/index.md")
        .collect();
    assert_eq!(present, wanted);
}

fn problems_of(runbook: &Runbook) -> Vec<String> {
    let text = handwritten(&runbook.path);
    let path = &runbook.path;
    let parts = sections(&text, "## ");
    let titles: Vec<&str> = parts.iter().map(|(title, _)| *title).collect();
    let mut problems = Vec::new();
    if titles != runbook.sections {
        let wanted = runbook.sections;
        problems.push(format!("{path}: headings {titles:?} instead of {wanted:?}"));
    }
    for (title, under) in &parts {
        if under.trim().len() < 20 {
            problems.push(format!("{path}: nothing under {title}"));
        }
    }
    let under = |title: &str| {
        let part = parts.iter().find(|(name, _)| *name == title);
        part.map(|(_, under)| under.as_str()).unwrap_or_default()
    };
    let remedies = sections(under("Remedy"), "### ");
    let named: Vec<&str> = remedies.iter().map(|(reason, _)| *reason).collect();
    if named != runbook.reasons {
        problems.push(format!(
            "{path}: remedies {named:?} of {:?}",
            runbook.reasons
        ));
    }
    for (reason, remedy) in &remedies {
        if remedy.split_whitespace().count() < 15 {
            problems.push(format!("{path}: too little about {reason}"));
        }
    }
    for (title, word) in [
        ("Confirm with kubectl", "kubectl "),
        ("Confirm with one Graph call", "https://"),
        ("Verify", "kubectl "),
    ] {
        if titles.contains(&"What you see") && !under(title).contains(word) {
            problems.push(format!("{path}: no {word:?} under {title}"));
        }
    }
    problems
}

#[test]
fn every_runbook_has_all_its_sections_and_a_remedy_for_every_reason() {
    let problems: Vec<String> = runbooks().iter().flat_map(problems_of).collect();
    assert_none(&problems);
}

#[test]
fn the_index_of_runbooks_names_every_page() {
    let index = read("docs/runbooks/index.md");
    let problems: Vec<String> = files("docs/runbooks", &[".md"])
        .into_iter()
        .filter(|page| page != "docs/runbooks/index.md")
        .filter(|page| {
            let link = page.trim_start_matches("docs/runbooks/");
            !index.contains(&format!("({link})"))
        })
        .map(|page| format!("{page} is not in docs/runbooks/index.md"))
        .collect();
    assert_none(&problems);
}

/// Names of our metrics in a text.
fn metrics(text: &str) -> BTreeSet<&str> {
    let of_a_name = |c: char| c.is_ascii_lowercase() || c == '_';
    text.match_indices("hybridcalendar_")
        .map(|(at, _)| {
            let rest = &text[at..];
            let end = rest.find(|c| !of_a_name(c)).unwrap_or(rest.len());
            rest[..end].trim_end_matches('_')
        })
        .filter(|name| *name != "hybridcalendar")
        .collect()
}

#[test]
fn every_metric_that_a_page_names_exists() {
    let reference = read("docs/reference/metrics.md");
    let known = metrics(&reference);
    let mut problems = Vec::new();
    for page in files("docs", &[".md"]) {
        for name in metrics(&read(&page)) {
            let of_a_histogram = ["_bucket", "_count", "_sum"]
                .iter()
                .find_map(|end| name.strip_suffix(end));
            // The beginning of some names stands for all of them in a search.
            let begins = known.iter().any(|metric| metric.starts_with(name));
            if !begins && !of_a_histogram.is_some_and(|name| known.contains(name)) {
                problems.push(format!("{page}: there is no metric {name}"));
            }
        }
    }
    assert_none(&problems);
}

/// Method and URL of every call on a page: in a block of its own, or as `GET /v1.0/…` in a sentence.
fn calls(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for Line { text: line, place } in lines(text) {
        if place == Place::Block("http")
            && let Some((method, url)) = line.trim().split_once(' ')
        {
            found.push((method.to_owned(), url.to_owned()));
        }
        for part in line.split("`GET /").skip(1) {
            let path = part.split('`').next().unwrap_or_default();
            let known = !path.contains('{');
            if known {
                found.push((
                    "GET".to_owned(),
                    format!("https://graph.microsoft.com/{path}"),
                ));
            }
        }
    }
    found
}

/// The emulator's answer, with a token of the demo's first tenant.
async fn ask(emulator: &Emulator, method: &str, url: &str) -> u16 {
    let client = reqwest::Client::new();
    let base = emulator.base_url();
    let base = base.trim_end_matches('/');
    let token: serde_json::Value = client
        .post(format!("{base}/{TENANT}/oauth2/v2.0/token"))
        .form(&[
            ("grant_type", "client_credentials"),
            ("client_id", CLIENT),
            ("client_secret", "contoso-demo-secret"),
            ("scope", "https://graph.microsoft.com/.default"),
        ])
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let path = [
        "https://graph.microsoft.com",
        "https://login.microsoftonline.com",
    ]
    .iter()
    .find_map(|host| url.strip_prefix(host))
    .expect(url);
    let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
    let request = client
        .request(method, format!("{base}{path}"))
        .bearer_auth(token["access_token"].as_str().unwrap());
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn every_call_that_a_runbook_names_is_one_that_graph_has() {
    let mut world = World::from_yaml(WORLD).unwrap();
    // Whoever looks at a registration is a person who may.
    let application = &mut world.tenants[0].applications[0];
    application.roles.push("Application.Read.All".to_owned());
    let emulator = Emulator::start(world, Options::default()).await.unwrap();
    let (mut asked, mut problems) = (BTreeSet::new(), Vec::new());
    for page in files("docs/runbooks", &[".md"]) {
        for (method, url) in calls(&read(&page)) {
            if !asked.insert((method.clone(), url.clone())) {
                continue;
            }
            let status = ask(&emulator, &method, &url.replace("CLIENT-ID", CLIENT)).await;
            let known = match method.as_str() {
                "GET" if url.contains("CLIENT-ID") => status == 200,
                "GET" => [200, 403, 404].contains(&status),
                _ => status != 501 && status != 404 && status != 405,
            };
            if !known {
                problems.push(format!("{page}: {method} {url} is answered with {status}"));
            }
        }
    }
    emulator.stop().await;
    assert_none(&problems);
    assert!(asked.len() >= 8, "{asked:?}");
    let registration = |(_, url): &(String, String)| url.contains("/applications(");
    assert!(asked.iter().any(registration), "{asked:?}");
}

/// Commands that a played node has no answer to, or that end when a person says so.
const NOT_HERE: [&str; 4] = [" logs ", " top ", " debug ", " port-forward "];

/// What runbooks tell people to ask about the operator's own namespace, with the page.
fn looks() -> Vec<(String, String)> {
    let begin = format!("kubectl -n {NAME} ");
    let mut found = Vec::new();
    for page in files("docs/runbooks", &[".md"]) {
        for block in blocks(&read(&page)) {
            let ours = block.text.lines().filter(|line| {
                line.starts_with(&begin) && !NOT_HERE.iter().any(|word| line.contains(word))
            });
            found.extend(ours.map(|line| (page.clone(), line.to_owned())));
        }
    }
    found
}

/// Asks it all where the operator is installed under its usual name; every question has an answer.
pub(super) async fn looks_have_answers(ground: &Ground, pod: &str) {
    let looks = looks();
    assert!(looks.len() >= 8, "{looks:?}");
    let mut problems = Vec::new();
    for (page, line) in looks {
        let here = line.replace(&format!("-n {NAME}"), &format!("-n {}", ground.namespace));
        let script = format!(
            "kubectl() {{ \"$KUBECTL\" \"$@\"; }}\n{}",
            here.replace("POD", pod)
        );
        let mut shell = tokio::process::Command::new("sh");
        shell
            .args(["-euc", &script])
            .env("KUBECTL", ground.cluster.kubectl_path())
            .env("KUBECONFIG", ground.cluster.kubeconfig())
            .kill_on_drop(true);
        let output = shell.output().await.unwrap();
        let complaints = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() || !complaints.is_empty() || output.stdout.is_empty() {
            problems.push(format!("{page}: {line}: {complaints}"));
        }
    }
    assert_none(&problems);
}
