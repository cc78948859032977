//! What a person needs to find a failure again.

use std::fmt::Write as _;
use std::path::PathBuf;

use crate::change::Recipe;

/// Longest input that is shown whole.
const SHOWN: usize = 4_096;

pub(crate) fn known(target: &str, name: &str, input: &[u8], why: &str) -> String {
    format!(
        "{target}: the property does not hold for {name} of the corpus: {why}\n{}",
        shown(input)
    )
}

pub(crate) fn found(
    target: &str,
    (seed, recipe): (u64, &Recipe),
    input: &[u8],
    (why, kept): (&str, Option<PathBuf>),
) -> String {
    let kept = kept.map_or_else(
        || format!("put it into tests/fuzz/corpus/{target} to keep it"),
        |path| format!("kept in {}", path.display()),
    );
    format!(
        "{target}: the property does not hold: {why}\n{}\n{kept}\n\
         HYBRID_CALENDAR_FUZZ_SEED={seed} makes it again; it was made by {recipe:?}",
        shown(input)
    )
}

fn shown(input: &[u8]) -> String {
    let text = String::from_utf8_lossy(&input[..input.len().min(SHOWN)]);
    format!("as text: {text:?}\nin hexadecimal: {}", hexadecimal(input))
}

pub(crate) fn hexadecimal(input: &[u8]) -> String {
    let digits = input
        .iter()
        .take(SHOWN)
        .fold(String::new(), |mut all, byte| {
            // Writing into a text does not fail.
            let _ = write!(all, "{byte:02x}");
            all
        });
    match input.len().checked_sub(SHOWN) {
        Some(more) if more > 0 => format!("{digits} and {more} bytes more"),
        _ => digits,
    }
}
