//! Takes addresses, ids, tokens and paths out of what Microsoft says, so that it may be shown.
//!
//! Errs on the side of hiding: a whole word goes when part of it looks personal.

use uuid::Uuid;

use crate::plain::harmless;

/// Longest text that is passed on, in characters.
const MAX_CHARS: usize = 300;

/// Longest run of token characters that is still taken for a word.
const LONGEST_WORD: usize = 48;

/// The first line of `text`, shortened, without addresses, GUIDs, tokens and URL paths.
pub(super) fn redact(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let words: Vec<String> = line
        .split_whitespace()
        .map(|part| word(&harmless(part)))
        .collect();
    let joined = words.join(" ");
    match joined.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", &joined[..end]),
        None => joined,
    }
}

fn word(word: &str) -> String {
    let lower = word.to_ascii_lowercase();
    if word.contains('@') || lower.contains("%40") || lower.contains("smtp:") {
        return "[address]".to_owned();
    }
    // What is left of a URL may be no host at all.
    let shown = match lower.find("https://").or_else(|| lower.find("http://")) {
        Some(start) => url(&word[start..]),
        None => word.to_owned(),
    };
    if contains_guid(&shown) {
        return "[id]".to_owned();
    }
    if has_long_run(&shown) || shown.contains("eyJ") {
        return "[token]".to_owned();
    }
    shown
}

/// Scheme and host only: paths and queries carry ids and tokens.
fn url(text: &str) -> String {
    let after_scheme = text.find("://").map_or(0, |at| at + 3);
    let rest = &text[after_scheme..];
    let end = rest
        .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']')))
        .unwrap_or(rest.len());
    format!("{}{}", &text[..after_scheme], &rest[..end])
}

fn has_long_run(word: &str) -> bool {
    word.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '+' | '/' | '=')))
        .any(|run| run.len() > LONGEST_WORD)
}

fn contains_guid(word: &str) -> bool {
    first_guid(word).is_some()
}

/// The first GUID in `text`, in its usual form with hyphens.
pub(super) fn first_guid(text: &str) -> Option<&str> {
    const LENGTH: usize = 36;
    (0..text.len().saturating_sub(LENGTH - 1)).find_map(|start| {
        let candidate = text.get(start..start + LENGTH)?;
        (candidate.as_bytes()[8] == b'-' && Uuid::try_parse(candidate).is_ok()).then_some(candidate)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_personal_gets_through() {
        for (said, shown) in [
            (
                "The requested user 'room-a@contoso.example' is invalid.",
                "The requested user [address] is invalid.",
            ),
            (
                "smtp:o'brien@contoso.example is taken",
                "[address] is taken",
            ),
            (
                "Resource '5f1d7a9c-1111-4000-8000-000000000001' does not exist",
                "Resource [id] does not exist",
            ),
            (
                "GET /users/5f1d7a9c-1111-4000-8000-000000000001/events failed",
                "GET [id] failed",
            ),
            (
                "call https://hook.example/v1/x?validationToken=abc now",
                "call https://hook.example now",
            ),
            ("see https://user:pw@hook.example/", "see [address]"),
            ("see https://eyJ0eXAi.eyJhdWQi/ now", "see [token] now"),
            (
                "see https://5f1d7a9c-1111-4000-8000-000000000001.hook.example/",
                "see [id]",
            ),
            (
                "token eyJ0eXAi.eyJhdWQi.c2ln rejected",
                "token [token] rejected",
            ),
            (
                "thumbprint 0123456789012345678901234567890123456789012345678901234567890123",
                "thumbprint [token]",
            ),
            (
                "AADSTS7000215: Invalid client secret.\r\nTrace ID: 1",
                "AADSTS7000215: Invalid client secret.",
            ),
            (
                "audience 'api://AzureADTokenExchange' of system:serviceaccount:calendars:operator",
                "audience 'api://AzureADTokenExchange' of system:serviceaccount:calendars:operator",
            ),
            (
                "turned \u{202e}and \u{1b}[2J",
                "turned \u{fffd}and \u{fffd}[2J",
            ),
            ("", ""),
        ] {
            assert_eq!(redact(said), shown, "{said}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_address_and_no_id_survives_any_text(
            before in ".{0,40}",
            local in "[a-z][a-z'.+-]{0,20}",
            id in proptest::prelude::any::<u128>(),
            after in ".{0,40}",
        ) {
            let id = Uuid::from_u128(id).to_string();
            let said = format!("{before}{local}@contoso.example{after} {before}{id}{after}");
            let shown = redact(&said);
            proptest::prop_assert!(!shown.contains('@'), "{shown}");
            proptest::prop_assert!(!shown.contains(&id), "{shown}");
        }
    }

    #[test]
    fn long_texts_are_cut_at_a_character() {
        let shown = redact(&"ä ".repeat(1000));
        assert_eq!(shown.chars().count(), MAX_CHARS + 1);
    }

    #[test]
    fn the_first_guid_is_found_between_other_text() {
        let guid = "5f1d7a9c-1111-4000-8000-000000000001";
        assert_eq!(first_guid(&format!("Id {guid} already")), Some(guid));
        assert_eq!(first_guid(&format!("ü{guid}")), Some(guid));
        assert_eq!(
            first_guid("no guid here, however long the text may be"),
            None
        );
    }
}
