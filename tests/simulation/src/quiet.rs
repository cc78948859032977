//! What is written while nothing goes wrong: nothing without a cause.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::town::Seen;

/// What was done until a moment, and what the statuses say then.
#[derive(Debug)]
pub(crate) struct Count {
    /// When, on Graph's clock.
    pub(crate) at: Timestamp,
    /// How often the operator wrote to the API server, the Lease apart.
    pub(crate) written: u64,
    /// How often Graph granted a subscription, new or longer.
    pub(crate) granted: u64,
    /// The subscriptions that the mailboxes name.
    pub(crate) named: BTreeMap<String, Named>,
}

/// The subscription that a status names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Named {
    /// When it ends.
    ends: Timestamp,
    /// Whether the status says that it could not be renewed while little of its life is left.
    runs_out: bool,
}

/// The subscriptions that these mailboxes name, by the mailboxes' UIDs.
pub(crate) fn named(mailboxes: Vec<Seen>) -> BTreeMap<String, Named> {
    let named = mailboxes.into_iter().filter_map(|seen| {
        let (ends, runs_out) = (seen.expires?, seen.runs_out);
        Some((seen.uid, Named { ends, runs_out }))
    });
    named.collect()
}

/// What was written between two counts without a cause.
///
/// Each grant is written down once. What nobody could keep alive is told when little of its life is left, and when it
/// has ended: each time by the status and by an Event.
pub(crate) fn noise(before: &Count, after: &Count) -> Option<String> {
    let (written, granted) = (
        after.written - before.written,
        after.granted - before.granted,
    );
    let (mut ran_out, mut ended) = (0, 0);
    for (uid, named) in &before.named {
        let now = after.named.get(uid);
        let renewed = now.is_some_and(|now| now.ends > named.ends);
        let has_ended = !renewed && named.ends > before.at && named.ends <= after.at;
        let warned = now.is_some_and(|now| now.runs_out) || has_ended;
        ended += u64::from(has_ended);
        ran_out += u64::from(warned && !named.runs_out);
    }
    (written > granted + 2 * (ran_out + ended)).then(|| {
        format!("{written} writes while Graph granted {granted} subscriptions, {ran_out} ran out and {ended} ended")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A count at this minute, of one mailbox whose subscription ends at that one.
    fn count(at: i64, (written, granted): (u64, u64), named: Option<(i64, bool)>) -> Count {
        let minute = |minute: i64| Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_mins(minute);
        let named = named.map(|(ends, runs_out)| {
            let ends = minute(ends);
            ("uid".to_owned(), Named { ends, runs_out })
        });
        Count {
            at: minute(at),
            written,
            granted,
            named: named.into_iter().collect(),
        }
    }

    #[test]
    fn a_write_needs_a_grant_or_an_end() {
        let renewed = Some((300, false));
        let cases = [
            ("nothing", Some((200, false)), Some((200, false)), (0, 0), 0),
            ("a renewal", Some((200, false)), renewed, (1, 1), 1),
            (
                "little time left",
                Some((200, false)),
                Some((200, true)),
                (2, 0),
                2,
            ),
            (
                "an end that was told before",
                Some((90, true)),
                None,
                (2, 0),
                2,
            ),
            ("both", Some((90, false)), Some((90, false)), (4, 0), 4),
            (
                "an end that was told long ago",
                Some((20, true)),
                Some((20, true)),
                (0, 0),
                0,
            ),
        ];
        for (name, named_before, named_after, (written, granted), allowed) in cases {
            let before = count(60, (100, 50), named_before);
            let of = |written: u64| {
                let after = count(120, (100 + written, 50 + granted), named_after);
                noise(&before, &after)
            };
            assert_eq!(of(written), None, "{name}");
            assert!(of(allowed + 1).is_some(), "{name}");
        }
    }
}
