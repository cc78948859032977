//! What operators said in the whole test run, searched for what they must not say.
//!
//! Addresses are looked for in logs, Events and metrics only: statuses are guarded by RBAC and may hold them. Secrets and
//! tokens are allowed nowhere.

use std::collections::{BTreeSet, HashMap};

use testbed::{archive, sensitive};

fn lines(name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(archive::path(name).unwrap()).unwrap_or_default();
    assert!(!text.is_empty(), "{name}: nothing was written down");
    text.lines().map(str::to_owned).collect()
}

/// What no line may contain, by how it begins: there are too many to look for each in every line.
struct Secrets {
    beginning: usize,
    words: HashMap<Vec<u8>, Vec<String>>,
}

impl Secrets {
    fn new(words: impl IntoIterator<Item = String>) -> Self {
        let tokens = sensitive::TOKENS.map(str::to_owned);
        let all: BTreeSet<String> = words.into_iter().chain(tokens).collect();
        let beginning = all.iter().map(String::len).min().unwrap();
        assert!(beginning > 0, "an empty secret is in every line");
        let mut words: HashMap<Vec<u8>, Vec<String>> = HashMap::new();
        for word in all {
            let begins = word.as_bytes()[..beginning].to_vec();
            words.entry(begins).or_default().push(word);
        }
        Self { beginning, words }
    }

    /// What a line must not contain, and does.
    fn said_in(&self, line: &str) -> Option<&str> {
        let line = line.as_bytes();
        line.windows(self.beginning)
            .enumerate()
            .find_map(|(at, begins)| {
                let mut words = self.words.get(begins)?.iter();
                words.find(|word| line[at..].starts_with(word.as_bytes()))
            })
            .map(String::as_str)
    }
}

#[test]
#[ignore = "run by make test after all others"]
fn no_secret_token_or_address_was_said() {
    let secrets = Secrets::new(lines(sensitive::SECRETS));
    let guarded = [archive::STATUSES];
    let open = [archive::LOGS, archive::EVENTS, archive::METRICS];
    let mut found = Vec::new();
    for name in open.into_iter().chain(guarded) {
        for (number, line) in lines(name).iter().enumerate() {
            let mut note = |what: &str| {
                found.push(format!("{name}:{}: {what}\n    {line}", number + 1));
            };
            if let Some(word) = secrets.said_in(line) {
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
    let secrets = Secrets::new(["MIIEfirstlineofakey", "MIIEsecond"].map(str::to_owned));
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
        ("it ends with MIIEsecond", Some("MIIEsecond")),
        ("MIIEfirstline", None),
        ("", None),
        ("all is well", None),
    ] {
        assert_eq!(secrets.said_in(line), expected, "{line}");
    }
}
