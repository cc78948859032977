//! Looks at Graph every minute: whether something ended that should live, and whether something lives twice.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use graph_emulator::{Control, SubscriptionView};

use crate::town::{Town, client_id, lifetime};
use crate::truth::{Truth, ours, owner};
use crate::witness::{Invariant, Witness};

/// How often.
pub(crate) const EVERY: Duration = Duration::from_mins(1);

/// How often it is told anew what can be kept alive, without an edit.
const ANEW: Duration = Duration::from_mins(15);

/// One too many lives no longer than this, whatever the weather: sweeps need two looks, and a delete may fail for a while.
const LONGEST: Duration = Duration::from_hours(3);

/// The same while nothing goes wrong: two sweeps, fifteen minutes apart.
const LONGEST_IN_CALM: Duration = Duration::from_hours(1);

/// What was seen before.
#[derive(Debug, Default)]
pub(crate) struct Guard {
    /// Since when each mailbox's subscription can be kept alive, by UID.
    kept: BTreeMap<String, Duration>,
    looked: Option<Duration>,
    /// Since when each object has had more than one, or one without being declared, by UID; and each mailbox at Graph.
    surplus: BTreeMap<String, Duration>,
    /// Since when nothing goes wrong.
    calm: Option<Duration>,
    created: u64,
    /// Whether somebody edited something since.
    edited: bool,
}

impl Guard {
    /// Somebody edited something.
    pub(crate) fn changed(&mut self, town: &Town, graph: &Control, witness: &Witness) {
        let now = witness.elapsed();
        let truth = Truth::now(town, graph);
        let mut before = std::mem::take(&mut self.kept);
        self.kept = truth
            .kept()
            .map(|model| {
                let since = before.remove(&model.uid).unwrap_or(now);
                (model.uid.clone(), since)
            })
            .collect();
        self.looked = Some(now);
        self.edited = true;
    }

    /// A minute later.
    pub(crate) fn look(&mut self, town: &Town, graph: &Control, witness: &Witness) {
        let now = witness.elapsed();
        if self.looked.is_none_or(|looked| now >= looked + ANEW) {
            self.changed(town, graph, witness);
        }
        let expired = graph.take_expired();
        if !expired.is_empty() {
            self.lapses(&expired, graph, witness);
        }
        let created = graph.counts().with_status("createSubscription", 201);
        if created != self.created || !self.surplus.is_empty() || self.edited {
            (self.created, self.edited) = (created, false);
            self.look_for_surplus(town, graph, witness);
        }
    }

    /// Nothing goes wrong from now on, or everything may.
    pub(crate) fn weather(&mut self, calm: bool, witness: &Witness) {
        self.calm = calm.then(|| witness.elapsed());
    }

    /// Whether there is a subscription too many.
    pub(crate) fn has_surplus(&self) -> bool {
        !self.surplus.is_empty()
    }

    fn lapses(&self, expired: &[SubscriptionView], graph: &Control, witness: &Witness) {
        let living = ours(graph, witness);
        let living: BTreeSet<&str> = living.iter().map(owner).collect();
        for one in expired {
            witness.count("subscriptions that ended");
            let tenant = (0..64).find(|tenant| client_id(*tenant) == one.client_id);
            let needed = lifetime(tenant.unwrap_or_default()) / 2;
            let since = self.kept.get(owner(one));
            let long = since.is_some_and(|since| witness.elapsed() >= *since + needed);
            if long && !living.contains(owner(one)) && !witness.is_foreign(&one.id) {
                witness.count("lapses");
                witness.violate(
                    Invariant::NoLapse,
                    format!(
                        "{} of {} ended at {}",
                        one.id, one.mailbox, one.expiration_date_time
                    ),
                );
            }
        }
    }

    fn look_for_surplus(&mut self, town: &Town, graph: &Control, witness: &Witness) {
        let now = witness.elapsed();
        let truth = Truth::now(town, graph);
        let declared: BTreeSet<&str> = town.mailboxes.values().map(|one| &*one.uid).collect();
        let all = ours(graph, witness);
        let mut living: BTreeMap<&str, Vec<&SubscriptionView>> = BTreeMap::new();
        for one in &all {
            living.entry(owner(one)).or_default().push(one);
            living.entry(&one.mailbox_id).or_default().push(one);
        }
        let before = std::mem::take(&mut self.surplus);
        for (of, several) in living {
            let is_mailbox = several[0].mailbox_id == of;
            if several.len() <= usize::from(is_mailbox || declared.contains(of)) {
                continue;
            }
            let tenant =
                (0..town.tenants.len()).find(|one| client_id(*one) == several[0].client_id);
            if !tenant.is_some_and(|tenant| truth.is_reachable(tenant)) {
                continue;
            }
            let since = before.get(of).copied().unwrap_or_else(|| {
                witness.count("subscriptions too many for a while");
                now
            });
            let lasted = now.saturating_sub(since);
            witness.raise("longest surplus, seconds", lasted.as_secs());
            let calm = self
                .calm
                .is_some_and(|calm| now > calm.max(since) + LONGEST_IN_CALM);
            if calm || lasted > LONGEST {
                let each: Vec<(&str, &str)> = several
                    .iter()
                    .map(|one| (one.id.as_str(), made_for(town, one)))
                    .collect();
                witness.violate(
                    Invariant::OneSubscription,
                    format!("{} of {of} has {each:?} for {lasted:?}", several[0].mailbox),
                );
            }
            self.surplus.insert(of.to_owned(), since);
        }
    }
}

/// Name of the object that a subscription was made for, or its UID when there is none any more.
fn made_for<'a>(town: &'a Town, subscription: &'a SubscriptionView) -> &'a str {
    let uid = owner(subscription);
    let mut mailboxes = town.mailboxes.iter();
    mailboxes
        .find(|(_, model)| model.uid == uid)
        .map_or(uid, |(name, _)| name)
}
