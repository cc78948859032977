//! What many seeds came to: one table.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::play::Outcome;

/// Rows whose number is the greatest of all seeds, not the sum.
const GREATEST: &[&str] = &[
    "longest convergence, seconds",
    "longest surplus, seconds",
    "longest without what was removed, seconds",
    "most writes of one object in an hour",
];

/// The table, and for each seed that failed what it was and how to repeat it.
#[must_use]
pub fn text(outcomes: &[Outcome], wall_seconds: u64, repeat: impl Fn(u64) -> String) -> String {
    let mut rows: Vec<(String, u64)> = vec![
        ("seeds".to_owned(), outcomes.len() as u64),
        (
            "days".to_owned(),
            outcomes.iter().map(|one| one.seconds).sum::<u64>() / 86_400,
        ),
        (
            "mailboxes in each".to_owned(),
            outcomes
                .iter()
                .map(|one| one.mailboxes as u64)
                .max()
                .unwrap_or_default(),
        ),
    ];
    let mut sums: BTreeMap<&str, u64> = BTreeMap::from([("lapses", 0), ("crashes", 0)]);
    for (what, count) in outcomes.iter().flat_map(|one| &one.tally) {
        let sum = sums.entry(what).or_default();
        *sum = if GREATEST.contains(&what.as_str()) {
            (*sum).max(*count)
        } else {
            *sum + count
        };
    }
    rows.extend(
        sums.into_iter()
            .map(|(what, count)| (what.to_owned(), count)),
    );
    let broken = outcomes
        .iter()
        .filter(|one| one.violation.is_some())
        .count();
    rows.push(("seeds that broke an invariant".to_owned(), broken as u64));
    rows.push(("wall time, seconds".to_owned(), wall_seconds));
    let mut table = String::new();
    for (what, count) in rows {
        // Writing to a String cannot fail.
        let _ = writeln!(table, "{what:<42} {count:>14}");
    }
    for one in outcomes {
        if let Some(violation) = &one.violation {
            let _ = writeln!(
                table,
                "\nseed {}: {:?} after {} s: {}\nwhat happened before:",
                one.seed, violation.invariant, violation.at, violation.detail
            );
            for line in &violation.last {
                let _ = writeln!(table, "  {line}");
            }
            let _ = writeln!(table, "repeat with: {}", repeat(one.seed));
        }
    }
    table
}
