//! Text from elsewhere, such as names in a tenant's directory or files of somebody else, made harmless for whoever
//! reads it.

/// The text with a replacement in place of everything that is not shown but steers what is: control characters of
/// terminals (C0 and C1), ends of lines, marks that turn the direction of writing, and hidden tags.
#[must_use]
pub fn harmless(text: &str) -> String {
    let shown = |c: char| if steers(c) { '\u{fffd}' } else { c };
    text.chars().map(shown).collect()
}

/// The marks of direction are those of Unicode's annex 9 (<https://www.unicode.org/reports/tr9/#Directional_Formatting_Characters>).
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_is_replaced_and_all_writing_stays() {
        for c in [
            '\0',
            '\t',
            '\n',
            '\u{1b}',
            '\u{7f}',
            '\u{85}',
            '\u{9b}',
            '\u{61c}',
            '\u{200e}',
            '\u{200f}',
            '\u{2028}',
            '\u{2029}',
            '\u{202a}',
            '\u{202e}',
            '\u{2066}',
            '\u{2069}',
            '\u{e0041}',
        ] {
            assert_eq!(harmless(&format!("a{c}b")), "a\u{fffd}b", "{c:?}");
        }
        for text in ["Raum Ä-1, 会議室", "חדר ישיבות", "غرفة", "👩‍💻 x", "✓ – … $5"]
        {
            assert_eq!(harmless(text), text);
        }
    }
}
