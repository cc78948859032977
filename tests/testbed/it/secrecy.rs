//! What operators said in the whole test run, searched for what they must not say.
//!
//! Looks at their logs, at Events and at scraped metrics; not at statuses, which RBAC guards and which may hold addresses.

use std::collections::BTreeSet;

use testbed::{archive, sensitive};

/// How every JSON Web Token begins: `{"alg":` or `{"typ":`.
const TOKENS: [&str; 2] = ["eyJhbGciOi", "eyJ0eXAiOi"];

fn lines(name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(archive::path(name).unwrap()).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[test]
#[ignore = "run by make test after all others"]
fn no_secret_token_or_address_was_said() {
    let words: BTreeSet<String> = lines(sensitive::ARCHIVE).into_iter().collect();
    let mut said = Vec::new();
    for name in [archive::LOGS, archive::EVENTS, archive::METRICS] {
        for (number, line) in lines(name).iter().enumerate() {
            let words = words.iter().map(String::as_str).chain(TOKENS);
            for word in words.filter(|word| line.contains(word)) {
                said.push(format!("{name}:{}: {word}\n    {line}", number + 1));
            }
        }
    }
    assert!(
        said.is_empty(),
        "{} times:\n{}",
        said.len(),
        said.join("\n")
    );
}
