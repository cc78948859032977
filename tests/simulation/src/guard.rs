//! Looks at Graph every minute: whether something ended that should live, and whether something lives twice.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use graph_emulator::{Control, SubscriptionView};

use crate::town::{Town, client_id, lifetime};
use crate::truth::{Truth, ours, owner};
use crate::witness::{Invariant, Witness};

/// How often.
pub(crate) const EVERY: Duration = Duration::from_mins(1);

/// How often it is told anew who is healthy, without an edit.
const ANEW: Duration = Duration::from_mins(15);

/// A double lives no longer than this, whatever the weather: sweeps need two looks, and a delete may fail for a while.
const LONGEST_DOUBLE: Duration = Duration::from_hours(3);

/// What was seen before.
#[derive(Debug, Default)]
pub(crate) struct Guard {
    /// Since when each mailbox has been healthy, by UID.
    healthy: BTreeMap<String, Duration>,
    looked: Option<Duration>,
    /// Since when each mailbox has had more than one, by UID.
    doubles: BTreeMap<String, Duration>,
    created: u64,
}

impl Guard {
    /// Somebody edited something.
    pub(crate) fn changed(&mut self, town: &Town, graph: &Control, witness: &Witness) {
        let now = witness.elapsed();
        let truth = Truth::now(town, graph);
        let mut before = std::mem::take(&mut self.healthy);
        self.healthy = truth
            .healthy()
            .map(|model| {
                let since = before.remove(&model.uid).unwrap_or(now);
                (model.uid.clone(), since)
            })
            .collect();
        self.looked = Some(now);
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
        if created != self.created || !self.doubles.is_empty() {
            self.created = created;
            self.double(town, graph, witness);
        }
    }

    fn lapses(&self, expired: &[SubscriptionView], graph: &Control, witness: &Witness) {
        let living = ours(graph, witness);
        let living: BTreeSet<&str> = living.iter().map(owner).collect();
        for one in expired {
            witness.count("subscriptions that ended");
            let tenant = (0..64).find(|tenant| client_id(*tenant) == one.client_id);
            let needed = lifetime(tenant.unwrap_or_default()) / 2;
            let since = self.healthy.get(owner(one));
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

    fn double(&mut self, town: &Town, graph: &Control, witness: &Witness) {
        let now = witness.elapsed();
        let truth = Truth::now(town, graph);
        let all = ours(graph, witness);
        let mut living: BTreeMap<&str, Vec<&SubscriptionView>> = BTreeMap::new();
        for one in &all {
            living.entry(owner(one)).or_default().push(one);
        }
        let before = std::mem::take(&mut self.doubles);
        for (uid, several) in living.into_iter().filter(|(_, living)| living.len() > 1) {
            let tenant =
                (0..town.tenants.len()).find(|one| client_id(*one) == several[0].client_id);
            if !tenant.is_some_and(|tenant| truth.is_reachable(tenant)) {
                continue;
            }
            let since = before.get(uid).copied().unwrap_or_else(|| {
                witness.count("doubles for a while");
                now
            });
            witness.raise(
                "longest double, seconds",
                now.saturating_sub(since).as_secs(),
            );
            if now > since + LONGEST_DOUBLE {
                let ids: Vec<&str> = several.iter().map(|one| one.id.as_str()).collect();
                witness.violate(
                    Invariant::OneSubscription,
                    format!("{} has {ids:?} since {since:?}", several[0].mailbox),
                );
            }
            self.doubles.insert(uid.to_owned(), since);
        }
    }
}
