//! What operators said in the whole test run, searched for what they must not say.
//!
//! Addresses are looked for in logs, Events and metrics only: statuses are guarded by RBAC and may hold them. Secrets and
//! tokens are allowed nowhere.

use std::collections::BTreeSet;

use testbed::{archive, sensitive};

fn lines(name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(archive::path(name).unwrap()).unwrap_or_default();
    assert!(!text.is_empty(), "{name}: nothing was written down");
    text.lines().map(str::to_owned).collect()
}

/// What a line must not contain, and does.
fn said<'a>(line: &str, secrets: &'a BTreeSet<String>) -> Option<&'a str> {
    let words = secrets.iter().map(String::as_str);
    words
        .chain(sensitive::TOKENS)
        .find(|word| line.contains(word))
}

#[test]
#[ignore = "run by make test after all others"]
fn no_secret_token_or_address_was_said() {
    let secrets: BTreeSet<String> = lines(sensitive::SECRETS).into_iter().collect();
    let guarded = [archive::STATUSES];
    let open = [archive::LOGS, archive::EVENTS, archive::METRICS];
    let mut found = Vec::new();
    for name in open.into_iter().chain(guarded) {
        for (number, line) in lines(name).iter().enumerate() {
            let mut note = |what: &str| {
                found.push(format!("{name}:{}: {what}\n    {line}", number + 1));
            };
            if let Some(word) = said(line, &secrets) {
                note(word);
            }
            if open.contains(&name) && sensitive::names_an_address(line) {
                note("an address");
            }
        }
    }
    assert!(
        found.is_empty(),
        "{} times:\n{}",
        found.len(),
        found.join("\n")
    );
}

#[test]
fn what_must_not_be_said_is_found_where_it_is_said() {
    let secrets = BTreeSet::from(["MIIEfirstlineofakey".to_owned()]);
    for (line, expected) in [
        (
            r#"{"message": "key MIIEfirstlineofakey\\nmore"}"#,
            Some("MIIEfirstlineofakey"),
        ),
        (
            "Authorization: Bearer eyJhbGciOiJSUzI1NiJ9.e30.x",
            Some("eyJhbGciOi"),
        ),
        (
            "client_assertion=eyJ0eXAiOiJKV1QifQ.e30.x",
            Some("eyJ0eXAiOi"),
        ),
        ("all is well", None),
    ] {
        assert_eq!(said(line, &secrets), expected, "{line}");
    }
}
