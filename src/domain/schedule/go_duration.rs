//! Durations as Kubernetes users write them: Go's syntax, such as `90s`, `1h30m` or `1.5h`.
//!
//! Unlike Go's own, negative ones are refused: nothing here lasts less than no time.

use std::time::Duration;

/// Longest text that is looked at, in bytes.
const LENGTH_LIMIT: usize = 64;

/// Longest duration, as in Go: the nanoseconds fit a signed 64-bit integer, about 292 years.
const LONGEST: u128 = i64::MAX as u128;

/// Units and their nanoseconds; those that begin like another come first.
const UNITS: [(&str, u128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Why a text is no duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GoDurationError {
    /// Not Go's syntax.
    #[error("it is no duration such as 90s, 90m or 1h30m")]
    Syntax,
    /// More than a number can hold.
    #[error("it is too long: at most 292 years, written in at most 64 characters")]
    TooLong,
}

/// Reads a duration. Digits beyond a nanosecond are cut off.
pub fn parse(text: &str) -> Result<Duration, GoDurationError> {
    if text.len() > LENGTH_LIMIT {
        return Err(GoDurationError::TooLong);
    }
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    if text.is_empty() {
        return Err(GoDurationError::Syntax);
    }
    let mut rest = text;
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let (part, after) = first_part(rest)?;
        total = total
            .checked_add(part)
            .filter(|sum| *sum <= LONGEST)
            .ok_or(GoDurationError::TooLong)?;
        rest = after;
    }
    u64::try_from(total)
        .map(Duration::from_nanos)
        .map_err(|_| GoDurationError::TooLong)
}

/// Nanoseconds of the first number and unit, and what follows.
fn first_part(text: &str) -> Result<(u128, &str), GoDurationError> {
    let (whole, rest) = digits(text);
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => digits(rest),
        None => ("", rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return Err(GoDurationError::Syntax);
    }
    let (unit, rest) = UNITS
        .iter()
        .find_map(|(name, unit)| rest.strip_prefix(name).map(|rest| (*unit, rest)))
        .ok_or(GoDurationError::Syntax)?;
    let whole = match whole {
        "" => 0,
        digits => digits
            .parse::<u128>()
            .map_err(|_| GoDurationError::TooLong)?,
    };
    let whole = whole.checked_mul(unit).ok_or(GoDurationError::TooLong)?;
    let (fraction, _) = fraction.bytes().fold((0, unit), |(sum, place), digit| {
        let place = place / 10;
        (sum + u128::from(digit - b'0') * place, place)
    });
    Ok((whole.saturating_add(fraction), rest))
}

fn digits(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at(end)
}

/// Writes a duration in whole units, leaving out those that are zero: `1h30m`, `90s` as `1m30s`.
#[must_use]
pub fn print(duration: Duration) -> String {
    let mut rest = duration.as_nanos();
    let mut text = String::new();
    for (unit, nanoseconds) in UNITS.iter().rev().filter(|(unit, _)| unit.is_ascii()) {
        let count = rest / nanoseconds;
        rest %= nanoseconds;
        if count > 0 {
            text.push_str(&count.to_string());
            text.push_str(unit);
        }
    }
    if text.is_empty() {
        "0s".to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_go_reads() {
        for (text, milliseconds) in [
            ("0", 0),
            ("0s", 0),
            ("90s", 90_000),
            ("1h30m", 5_400_000),
            ("1.5h", 5_400_000),
            (".5s", 500),
            ("1.s", 1_000),
            ("160h", 576_000_000),
            ("10070m", 604_200_000),
            ("1h0.5m250ms", 3_630_250),
            ("1500us", 1),
            ("1m1m", 120_000),
        ] {
            assert_eq!(
                parse(text).map(|d| d.as_millis()),
                Ok(milliseconds),
                "{text}"
            );
        }
        assert_eq!(parse("3µs"), Ok(Duration::from_micros(3)));
        assert_eq!(parse("0.123456789s"), Ok(Duration::from_nanos(123_456_789)));
    }

    #[test]
    fn refuses_what_go_refuses_and_the_negative() {
        for text in [
            "", "h", "1", "1x", "-1s", "+1s", " 1s", "1 s", ".s", "1.5.5s", "1h30", "1d", "٣s",
        ] {
            assert_eq!(parse(text), Err(GoDurationError::Syntax), "{text}");
        }
        for text in [
            "2562048h",
            "99999999999999999999999999999999999999999h",
            &"1s".repeat(40),
        ] {
            assert_eq!(parse(text), Err(GoDurationError::TooLong), "{text}");
        }
    }

    #[test]
    fn prints_only_the_units_that_count() {
        assert_eq!(print(Duration::ZERO), "0s");
        assert_eq!(print(Duration::from_hours(160)), "160h");
        assert_eq!(print(Duration::from_secs(5_430)), "1h30m30s");
        assert_eq!(print(Duration::from_micros(1_500_250)), "1s500ms250us");
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(nanoseconds in 0..=u64::try_from(i64::MAX).unwrap()) {
            let duration = Duration::from_nanos(nanoseconds);
            prop_assert_eq!(parse(&print(duration)), Ok(duration));
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,80}") {
            let _ = parse(&text);
        }

        #[test]
        fn nothing_that_looks_like_a_duration_makes_it_panic(text in "([0-9]{0,30}[.]?[0-9]{0,30}(h|m|s|ms|us|ns|µs)){0,4}") {
            let _ = parse(&text);
        }
    }
}
