//! What may be shown to people and written into logs. Says nothing about how that is achieved: it must not agree with
//! a mistake in the code that takes out the rest.

use std::sync::LazyLock;

use regex::Regex;

/// Addresses, ids, tokens, paths of URLs.
static PERSONAL: LazyLock<Vec<(&str, Regex)>> = LazyLock::new(|| {
    [
        ("an address", r"@|%40"),
        (
            "an id",
            r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}",
        ),
        ("a token", r"eyJ|[A-Za-z0-9_+/=-]{49}"),
        ("the path of a URL", r"(?i)https?://[^\s/?#…]*[/?#]."),
    ]
    .map(|(what, pattern)| (what, Regex::new(pattern).expect("the patterns are valid")))
    .into()
});

/// # Panics
/// When the text shows something personal or secret.
pub fn nothing_personal(text: &str) {
    for (what, pattern) in PERSONAL.iter() {
        assert!(!pattern.is_match(text), "{what} is shown: {text:?}");
    }
}

/// # Panics
/// When the text has something that steers a terminal or turns the direction of writing.
pub fn nothing_steers(text: &str) {
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    assert!(!text.contains(steers), "something steers: {text:?}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_personal_is_noticed() {
        for text in [
            "a@contoso.example",
            "5f1d7a9c-1111-4000-8000-000000000001",
            "x eyJ",
            &"a".repeat(49),
            "https://graph.example/users/1",
        ] {
            assert!(
                std::panic::catch_unwind(|| nothing_personal(text)).is_err(),
                "{text}"
            );
        }
        nothing_personal("HTTP 404 ErrorItemNotFound: no [id] at https://graph.example");
        assert!(std::panic::catch_unwind(|| nothing_steers("a\u{202e}b")).is_err());
    }
}
