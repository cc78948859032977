//! What a tenant's list of subscriptions shows: strays of ours that nobody names, and subscriptions that
//! vanished without a word.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::identity::{Target, namespace_hash};
use super::schedule::{Pace, later};
use crate::ids::{InstanceId, SubscriptionId, Uid};

/// How often a tenant's subscriptions are listed, at least.
pub const INTERVAL: Duration = Duration::from_mins(15);

/// By how much less than that a sweep may follow another.
const EARLIER: Duration = Duration::from_mins(2);

/// A stray must have been seen for so long before it is removed.
pub const STRAY_AGE: Duration = Duration::from_mins(10);

/// How long after one sweep the next follows: each time something else. What a mailbox has too many is left alone while it is
/// worked on, and at even intervals the sweeps of a tenant could meet a mailbox at each of its checks.
#[must_use]
pub fn wait(now: Timestamp) -> Duration {
    // Multiples of the golden ratio lie as far apart from each other as can be.
    const GOLDEN: f64 = 0.618_033_988_749_895;
    let second = u32::try_from(now.as_second().rem_euclid(86_400)).unwrap_or_default();
    INTERVAL.saturating_sub(EARLIER.mul_f64((f64::from(second) * GOLDEN).fract()))
}

/// One subscription in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its id.
    pub id: SubscriptionId,
    /// Where it sends notifications.
    pub notification_url: String,
}

/// Who we are, and whose subscriptions we may touch.
#[derive(Clone, Debug)]
pub struct Ours {
    /// This installation.
    pub instance: InstanceId,
    /// A lost installation whose subscriptions are to be treated as our own strays.
    pub taken_over: Option<InstanceId>,
    /// Hashes of the namespaces in scope; `None` for all.
    pub scope: Option<BTreeSet<String>>,
}

impl Ours {
    /// In scope: these namespaces only, or all when there are none.
    #[must_use]
    pub fn new(
        instance: InstanceId,
        taken_over: Option<InstanceId>,
        namespaces: &[String],
    ) -> Self {
        let scope = (!namespaces.is_empty())
            .then(|| namespaces.iter().map(|ns| namespace_hash(ns)).collect());
        Self {
            instance,
            taken_over,
            scope,
        }
    }

    /// The object that a subscription of ours was made for.
    #[must_use]
    pub fn target(&self, url: &str) -> Option<Target> {
        let target = Target::parse_url(url)?;
        let ours =
            target.instance == self.instance || Some(&target.instance) == self.taken_over.as_ref();
        let in_scope = self
            .scope
            .as_ref()
            .is_none_or(|scope| scope.contains(&target.namespace_hash));
        (ours && in_scope).then_some(target)
    }
}

/// What the cluster says about the object that a subscription was made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// There is none with this UID.
    Gone,
    /// A pass over it is under way and may be creating or replacing.
    Busy,
    /// It has this subscription, or none: its status names it, or will as soon as it can be written.
    Names(Option<SubscriptionId>),
    /// The same, but the mailbox is not its any more: its reference is not permitted, an older object has it, or it is for
    /// another one by now. Its own pass gives the subscription up, unless it rests.
    Lost {
        /// The one that it has.
        named: Option<SubscriptionId>,
        /// The generation of which this is known.
        generation: i64,
    },
}

/// The subscriptions that statuses name, each with the generation of its object.
pub type Named = BTreeMap<SubscriptionId, i64>;

/// How much an object still wants a subscription that is in another object's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Not at all: it is gone, or has no right to the mailbox.
    None,
    /// It is being worked on, or does not name the subscription any more: soon it may be out of the way.
    Unsettled,
    /// It has the subscription.
    Firm,
}

impl Owner {
    /// How much the owner wants this subscription.
    #[must_use]
    pub fn claim(&self, id: &SubscriptionId) -> Claim {
        match self {
            Self::Gone | Self::Lost { .. } => Claim::None,
            Self::Names(Some(named)) if named == id => Claim::Firm,
            Self::Names(_) | Self::Busy => Claim::Unsettled,
        }
    }

    /// Whether this subscription is left over, as far as this process has seen.
    fn leaves(&self, id: &SubscriptionId) -> bool {
        match self {
            Self::Gone | Self::Lost { .. } => true,
            Self::Busy => false,
            Self::Names(named) => named.as_ref() != Some(id),
        }
    }

    /// Whether this subscription, which was seen to be left over for long, is to be removed, now that every status has been
    /// read once more. The object may have got it since they were read.
    #[must_use]
    pub fn gives_up(&self, id: &SubscriptionId, statuses: &Named) -> bool {
        match self {
            // Whoever rests still names it; a spec that this process has not seen yet may be for its mailbox again.
            Self::Lost { named, generation } if named.as_ref() == Some(id) => {
                statuses.get(id).is_none_or(|seen| seen == generation)
            }
            Self::Gone | Self::Busy | Self::Names(_) | Self::Lost { .. } => {
                self.leaves(id) && !statuses.contains_key(id)
            }
        }
    }
}

/// Strays seen in earlier listings of one tenant, and when first.
pub type Strays = BTreeMap<SubscriptionId, Timestamp>;

/// Subscriptions of ours in a listing that nobody names, or only who may not have the mailbox, noted in `strays`. Returned
/// are those that have been so for long enough to be removed.
pub fn strays(
    listing: &[Listed],
    ours: &Ours,
    owner: impl Fn(Uid) -> Owner,
    strays: &mut Strays,
    (now, pace): (Timestamp, Pace),
) -> Vec<SubscriptionId> {
    let left_over = |listed: &&Listed| {
        ours.target(&listed.notification_url)
            .is_some_and(|target| owner(target.uid).leaves(&listed.id))
    };
    let seen: BTreeMap<SubscriptionId, Timestamp> = listing
        .iter()
        .filter(left_over)
        .map(|listed| {
            (
                listed.id.clone(),
                strays.get(&listed.id).copied().unwrap_or(now),
            )
        })
        .collect();
    *strays = seen;
    let old = |first: &Timestamp| now >= later(*first, pace.of(STRAY_AGE));
    strays
        .iter()
        .filter(|(_, first)| old(first))
        .map(|(id, _)| id.clone())
        .collect()
}

/// Which of these subscriptions are not in the listing although they should still live.
#[must_use]
pub fn vanished<'a>(
    listing: &[Listed],
    kept: impl Iterator<Item = (Uid, &'a SubscriptionId, Timestamp)>,
    graph_now: Timestamp,
) -> Vec<Uid> {
    let ids: BTreeSet<&SubscriptionId> = listing.iter().map(|listed| &listed.id).collect();
    kept.filter(|(_, id, expires)| *expires > graph_now && !ids.contains(id))
        .map(|(uid, _, _)| uid)
        .collect()
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;
    use crate::domain::identity::NotificationUrls;

    fn uid(n: u8) -> Uid {
        Uid::from_bytes([n; 16])
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn listed(id: &str, instance: &str, namespace: &str, uid: Uid) -> Listed {
        let urls = NotificationUrls::new(
            Url::parse("https://old.example/base").unwrap(),
            InstanceId::new(instance),
        );
        Listed {
            id: SubscriptionId::new(id),
            notification_url: urls.change(namespace, &uid).to_string(),
        }
    }

    fn ours() -> Ours {
        Ours::new(InstanceId::new("00aa"), None, &["rooms".to_owned()])
    }

    #[test]
    fn sweeps_do_not_keep_meeting_a_mailbox_at_its_checks() {
        let mut at: Timestamp = "2026-11-24T08:00:00Z".parse().unwrap();
        let mut met = 0;
        for _ in 0..1000 {
            let wait = wait(at);
            assert!(wait >= INTERVAL.saturating_sub(EARLIER) && wait <= INTERVAL);
            at = later(at, wait);
            // It is checked every five minutes, and that takes some seconds.
            let into = at.as_second().rem_euclid(300);
            met = if into < 5 { met + 1 } else { 0 };
            assert!(met < 3, "{at}");
        }
    }

    #[test]
    fn a_stray_is_removed_when_a_second_listing_ten_minutes_later_still_shows_it() {
        let listing = [listed("s1", "00aa", "rooms", uid(1))];
        let mut seen = Strays::new();
        let first = strays(
            &listing,
            &ours(),
            |_| Owner::Gone,
            &mut seen,
            (at("2026-11-25T08:00:00Z"), Pace::REAL),
        );
        assert_eq!(first, []);
        let soon = strays(
            &listing,
            &ours(),
            |_| Owner::Gone,
            &mut seen,
            (at("2026-11-25T08:09:59Z"), Pace::REAL),
        );
        assert_eq!(soon, []);
        let late = strays(
            &listing,
            &ours(),
            |_| Owner::Gone,
            &mut seen,
            (at("2026-11-25T08:10:00Z"), Pace::REAL),
        );
        assert_eq!(late, [SubscriptionId::new("s1")]);
    }

    #[test]
    fn what_a_deleted_object_left_is_claimed_by_nobody() {
        let (this, other) = (SubscriptionId::new("this"), SubscriptionId::new("other"));
        for (owner, claim) in [
            (Owner::Gone, Claim::None),
            (Owner::Busy, Claim::Unsettled),
            (Owner::Names(None), Claim::Unsettled),
            (Owner::Names(Some(other)), Claim::Unsettled),
            (Owner::Names(Some(this.clone())), Claim::Firm),
            (lost(&this), Claim::None),
        ] {
            assert_eq!(owner.claim(&this), claim, "{owner:?}");
        }
    }

    fn lost(named: &SubscriptionId) -> Owner {
        Owner::Lost {
            named: Some(named.clone()),
            generation: 3,
        }
    }

    #[test]
    fn what_an_object_may_not_have_is_a_stray_although_its_status_names_it() {
        let (id, other) = (SubscriptionId::new("s1"), SubscriptionId::new("s2"));
        let listing = [listed("s1", "00aa", "rooms", uid(1))];
        let removed = |owner: Owner, generation: i64| {
            let mut seen = Strays::new();
            let sweep = |minute: &str, seen: &mut Strays| {
                let now = at(&format!("2026-11-25T{minute}:00Z"));
                let pace = (now, Pace::REAL);
                strays(&listing, &ours(), |_| owner.clone(), seen, pace)
            };
            assert_eq!(sweep("08:00", &mut seen), []);
            let old = sweep("08:15", &mut seen);
            let named = Named::from([(id.clone(), generation)]);
            old.contains(&id) && owner.gives_up(&id, &named)
        };
        assert!(removed(lost(&id), 3));
        assert!(!removed(Owner::Names(Some(id.clone())), 3));
        // The spec was changed since, although this process has not seen that yet: it may be for the mailbox again.
        assert!(!removed(lost(&id), 4));
        // The object got it after the statuses were read.
        assert!(!Owner::Names(Some(id.clone())).gives_up(&id, &Named::new()));
        // A status names it by now.
        assert!(!removed(lost(&other), 3));
        assert!(!removed(Owner::Names(None), 3));
        assert!(!removed(Owner::Gone, 3));
        assert!(!removed(Owner::Busy, 3));
    }

    #[test]
    fn a_stray_that_was_claimed_in_between_starts_anew() {
        let listing = [listed("s1", "00aa", "rooms", uid(1))];
        let mut seen = Strays::new();
        strays(
            &listing,
            &ours(),
            |_| Owner::Gone,
            &mut seen,
            (at("2026-11-25T08:00:00Z"), Pace::REAL),
        );
        strays(
            &listing,
            &ours(),
            |_| Owner::Busy,
            &mut seen,
            (at("2026-11-25T08:15:00Z"), Pace::REAL),
        );
        let again = strays(
            &listing,
            &ours(),
            |_| Owner::Gone,
            &mut seen,
            (at("2026-11-25T08:30:00Z"), Pace::REAL),
        );
        assert_eq!(again, []);
    }

    #[test]
    fn what_is_named_foreign_or_out_of_scope_is_never_a_stray() {
        let listing = [
            listed("named", "00aa", "rooms", uid(1)),
            listed("foreign", "00bb", "rooms", uid(2)),
            listed("elsewhere", "00aa", "other", uid(3)),
            Listed {
                id: SubscriptionId::new("odd"),
                notification_url: "not a url".to_owned(),
            },
        ];
        let mut seen = Strays::new();
        let owner = |uid_: Uid| {
            if uid_ == uid(1) {
                Owner::Names(Some(SubscriptionId::new("named")))
            } else {
                Owner::Gone
            }
        };
        for minute in ["08:00", "08:30"] {
            let now = at(&format!("2026-11-25T{minute}:00Z"));
            assert_eq!(
                strays(&listing, &ours(), owner, &mut seen, (now, Pace::REAL)),
                []
            );
        }
        assert!(seen.is_empty());
    }

    #[test]
    fn a_lost_installation_that_is_taken_over_counts_as_our_own() {
        let taking_over = Ours::new(InstanceId::new("00aa"), Some(InstanceId::new("00bb")), &[]);
        assert!(
            taking_over
                .target(&listed("x", "00bb", "any", uid(1)).notification_url)
                .is_some()
        );
        assert!(
            taking_over
                .target(&listed("x", "00cc", "any", uid(1)).notification_url)
                .is_none()
        );
    }

    #[test]
    fn a_living_subscription_that_the_listing_lacks_has_vanished() {
        let (kept, gone, ended) = (
            SubscriptionId::new("kept"),
            SubscriptionId::new("gone"),
            SubscriptionId::new("ended"),
        );
        let listing = [listed("kept", "00aa", "rooms", uid(1))];
        let now = at("2026-11-25T08:00:00Z");
        let later = at("2026-11-26T08:00:00Z");
        let earlier = at("2026-11-24T08:00:00Z");
        let all = [
            (uid(1), &kept, later),
            (uid(2), &gone, later),
            (uid(3), &ended, earlier),
        ];
        assert_eq!(vanished(&listing, all.into_iter(), now), [uid(2)]);
    }
}
