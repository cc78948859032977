//! Text from elsewhere, such as names in a tenant's directory or files of somebody else, made harmless for whoever
//! reads it; and errors with all that led to them.

use std::error::Error;
use std::fmt;

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

/// An error and everything that led to it, in one line; some errors name their causes themselves. That a certificate ran
/// out is often at the very end.
#[derive(Debug)]
pub struct Causes<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.0.to_string();
        for cause in std::iter::successors(self.0.source(), |&cause| cause.source()) {
            let cause = cause.to_string();
            if !text.contains(&cause) {
                text = format!("{text}: {cause}");
            }
        }
        f.write_str(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Broken {
        #[error("the certificate expired")]
        Certificate,
        #[error("cannot connect")]
        Connect(#[source] Box<Broken>),
        #[error("cannot read: {0}")]
        Read(#[source] Box<Broken>),
    }

    #[test]
    fn an_error_is_told_with_all_that_led_to_it_each_once() {
        let error = Broken::Read(Box::new(Broken::Connect(Box::new(Broken::Certificate))));
        let told = Causes(&error).to_string();
        assert_eq!(told, "cannot read: cannot connect: the certificate expired");
    }

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
