//! Routine checks: due whenever the time, modulo the interval, equals a slot that the UIDs decide.
//!
//! Nothing is stored, so a restart changes nothing, and the load is even at every moment.

use std::time::Duration;

use jiff::Timestamp;

use crate::ids::Uid;

/// On average at least so many mailboxes of a tenant share a slot, and less than twice as many: about one batch of 20. All
/// of a smaller tenant do.
const SHARE_A_SLOT: usize = 14;

/// The slots of a tenant are at most 2 to the power of this.
const MOST_DOUBLINGS: u32 = 16;

/// The instants at which an object is checked, in nanoseconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    interval: i128,
    offset: i128,
}

impl Slot {
    /// The slot of an object with a check interval, in a tenant with so many mailboxes.
    ///
    /// The number of slots is a power of two, so that it seldom changes as a tenant grows, and then half of
    /// the mailboxes keep theirs.
    #[must_use]
    pub fn new(interval: Duration, tenant: Uid, object: Uid, mailboxes: usize) -> Self {
        let interval = interval.max(Duration::from_secs(1));
        let groups = (mailboxes / SHARE_A_SLOT)
            .max(1)
            .ilog2()
            .min(MOST_DOUBLINGS);
        let group = object.stable_hash().unbounded_shr(u64::BITS - groups);
        let within = (nanoseconds(interval) * i128::from(group)) >> groups;
        let of_tenant = nanoseconds(interval.mul_f64(tenant.fraction()));
        Self {
            interval: nanoseconds(interval),
            offset: (of_tenant + within) % nanoseconds(interval),
        }
    }

    /// The first instant after `after`.
    #[must_use]
    pub fn next(&self, after: Timestamp) -> Timestamp {
        let last = self.last_until(after.as_nanosecond());
        Timestamp::from_nanosecond(last + self.interval).unwrap_or(Timestamp::MAX)
    }

    /// The last instant in `(after, until]`.
    #[must_use]
    pub fn last_between(&self, after: Timestamp, until: Timestamp) -> Option<Timestamp> {
        let last = Timestamp::from_nanosecond(self.last_until(until.as_nanosecond())).ok()?;
        (after < last).then_some(last)
    }

    fn last_until(&self, until: i128) -> i128 {
        until - (until - self.offset).rem_euclid(self.interval)
    }
}

fn nanoseconds(duration: Duration) -> i128 {
    i128::try_from(duration.as_nanos()).unwrap_or(i128::from(i64::MAX))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::samples::{any_instant, any_uid, at, uid};
    use super::super::{between, later};
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn the_same_slot_comes_back_every_interval() {
        let slot = Slot::new(HOUR, uid(1), uid(2), 3);
        let first = slot.next(at("2026-11-24T08:00:00Z"));
        let second = slot.next(first);
        assert_eq!(between(first, second), HOUR);
        assert_eq!(slot.last_between(first, second), Some(second));
        assert_eq!(slot.last_between(second, later(second, HOUR / 2)), None);
    }

    #[test]
    fn about_twenty_mailboxes_of_a_tenant_share_a_slot_and_slots_spread() {
        for mailboxes in [1_u32, 20, 27, 28, 100, 1000, 10_000] {
            let mut slots: BTreeMap<i128, u32> = BTreeMap::new();
            for n in 0..mailboxes {
                let count = usize::try_from(mailboxes).unwrap();
                let slot = Slot::new(HOUR, uid(7), uid(u128::from(n) + 1000), count);
                *slots.entry(slot.offset).or_default() += 1;
            }
            let average = mailboxes / u32::try_from(slots.len()).unwrap();
            assert!(
                mailboxes < 14 || (14..28).contains(&average),
                "{mailboxes}: {average}"
            );
            assert!(slots.values().all(|n| *n < 56), "{mailboxes}: {slots:?}");
        }
    }

    #[test]
    fn tenants_have_slots_apart() {
        let slots: Vec<i128> = (0..100)
            .map(|n| Slot::new(HOUR, uid(n), uid(5), 1).offset)
            .collect();
        let early = slots
            .iter()
            .filter(|offset| **offset < nanoseconds(HOUR) / 2)
            .count();
        assert!(
            (30..70).contains(&early),
            "{early} of 100 in the first half hour"
        );
    }

    #[test]
    fn a_growing_tenant_lets_half_of_its_mailboxes_stay() {
        let stay = (0..1000)
            .filter(|n| {
                Slot::new(HOUR, uid(7), uid(*n), 500) == Slot::new(HOUR, uid(7), uid(*n), 1000)
            })
            .count();
        assert!((400..600).contains(&stay), "{stay} of 1000");
    }

    proptest! {
        #[test]
        fn next_and_last_agree(
            interval in 300_u64..86_400,
            uids in (any_uid(), any_uid()),
            mailboxes in 0_usize..100_000,
            now in any_instant(),
        ) {
            let interval = Duration::from_secs(interval);
            let slot = Slot::new(interval, uids.0, uids.1, mailboxes);
            let next = slot.next(now);
            prop_assert!(next > now && between(now, next) <= interval);
            prop_assert_eq!(slot.last_between(now, next), Some(next));
            let just_before = next.checked_sub(Duration::from_nanos(1)).unwrap();
            prop_assert_eq!(slot.last_between(now, just_before), None);
        }
    }
}
