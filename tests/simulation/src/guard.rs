//! Looks at Graph every minute: whether something ended or was removed that should live, and whether something lives
//! twice.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use graph_emulator::{Control, SubscriptionView};

use crate::town::{MailboxModel, Town, client_id, lifetime};
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

/// A copy that removed the only one of a mailbox that works tries to make another in this time while it leads, whatever the
/// weather: what is replaced is removed first where Graph refuses doubles, and then calls may fail.
const LONGEST_WITHOUT: Duration = Duration::from_mins(30);

/// What was seen before.
#[derive(Debug, Default)]
pub(crate) struct Guard {
    /// Since when each mailbox's subscription can be kept alive, by UID.
    kept: BTreeMap<String, Duration>,
    /// The same of those that may get a new one.
    working: BTreeMap<String, Duration>,
    /// Since when they have none because a copy removed it.
    bereft: BTreeMap<String, Duration>,
    /// For which object each subscription was made, when they were listed last.
    owners: BTreeMap<String, String>,
    looked: Option<Duration>,
    /// Since when each object has had more than one, or one without being declared, by UID; and each mailbox at Graph.
    surplus: BTreeMap<String, Duration>,
    /// Since when nothing goes wrong.
    calm: Option<Duration>,
    /// How many subscriptions were made, and removed by who may.
    turnover: (u64, u64),
    /// Whether somebody edited something since.
    edited: bool,
}

impl Guard {
    /// Somebody edited something.
    pub(crate) fn changed(&mut self, town: &Town, graph: &Control, witness: &Witness) {
        let now = witness.elapsed();
        let truth = Truth::now(town, graph);
        go_on(&mut self.kept, truth.kept(), now);
        go_on(&mut self.working, truth.healthy(), now);
        let working = &self.working;
        self.bereft
            .retain(|uid, since| working.get(uid).is_some_and(|began| began <= since));
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
        let counts = graph.counts();
        let turnover = (
            counts.with_status("createSubscription", 201),
            counts.with_status("deleteSubscription", 204),
        );
        let unsettled = !self.surplus.is_empty() || !self.bereft.is_empty();
        if turnover != self.turnover || unsettled || self.edited {
            (self.turnover, self.edited) = (turnover, false);
            let living = ours(graph, witness);
            self.look_for_surplus((town, &living), graph, witness);
            self.look_for_bereft((town, &living), witness);
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

    /// No copy removes what a mailbox needs.
    fn look_for_bereft(&mut self, (town, living): (&Town, &[SubscriptionView]), witness: &Witness) {
        let now = witness.elapsed();
        for id in witness.take_removed() {
            let owner = self.owners.get(&id);
            if let Some(uid) = owner.filter(|uid| self.working.contains_key(*uid)) {
                self.bereft.entry(uid.clone()).or_insert(now);
            }
        }
        for tried in witness.take_tried() {
            let concerns = |uid: &str| tried.as_deref().is_none_or(|one| one == uid);
            let waiting = self.bereft.iter_mut();
            for (_, since) in waiting.filter(|(uid, _)| concerns(uid)) {
                *since = now;
            }
        }
        let have: BTreeSet<&str> = living.iter().map(owner).collect();
        self.bereft.retain(|uid, _| !have.contains(uid.as_str()));
        for (uid, since) in &self.bereft {
            let lasted = now.saturating_sub(*since);
            witness.raise(
                "longest without what was removed, seconds",
                lasted.as_secs(),
            );
            if lasted > LONGEST_WITHOUT {
                let what = format!(
                    "the one of {} was removed, and for {lasted:?} nobody tried to make another",
                    name_of(town, uid)
                );
                witness.violate(Invariant::NoLapse, what);
            }
        }
        let each = living.iter();
        self.owners = each
            .map(|one| (one.id.clone(), owner(one).to_owned()))
            .collect();
    }

    fn look_for_surplus(
        &mut self,
        (town, all): (&Town, &[SubscriptionView]),
        graph: &Control,
        witness: &Witness,
    ) {
        let now = witness.elapsed();
        let truth = Truth::now(town, graph);
        let declared: BTreeSet<&str> = town.mailboxes.values().map(|one| &*one.uid).collect();
        let mut living: BTreeMap<&str, Vec<&SubscriptionView>> = BTreeMap::new();
        for one in all {
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

/// Those to which something applies now, and since when without interruption.
fn go_on<'a>(
    since: &mut BTreeMap<String, Duration>,
    models: impl Iterator<Item = &'a MailboxModel>,
    now: Duration,
) {
    let mut before = std::mem::take(since);
    *since = models
        .map(|model| {
            let began = before.remove(&model.uid).unwrap_or(now);
            (model.uid.clone(), began)
        })
        .collect();
}

/// Name of the object that a subscription was made for, or its UID when there is none any more.
fn made_for<'a>(town: &'a Town, subscription: &'a SubscriptionView) -> &'a str {
    name_of(town, owner(subscription))
}

fn name_of<'a>(town: &'a Town, uid: &'a str) -> &'a str {
    let mut mailboxes = town.mailboxes.iter();
    mailboxes
        .find(|(_, model)| model.uid == uid)
        .map_or(uid, |(name, _)| name)
}
