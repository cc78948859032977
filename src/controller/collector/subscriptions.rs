//! What the metrics say of subscriptions: how many are alive, when the first ends, how much time renewals have.

use std::time::Duration;

use jiff::Timestamp;

use super::super::world::World;
use super::{Series, seconds};
use crate::api::v1alpha1::condition::ConditionStatus;
use crate::api::v1alpha1::mailbox::Subscription;
use crate::api::vocabulary::{ConditionType, Reason};
use crate::domain::conditions::find;
use crate::domain::schedule::{between, renewal};
use crate::domain::store::MailboxEntry;
use crate::ids::ObjectKey;
use crate::metrics::described::{EARLIEST_EXPIRY, RENEWAL_MARGIN, RENEWAL_SLACK, SUBSCRIPTIONS};

/// How long renewing one subscription takes while others wait: Graph answers a write in about a tenth of a second
/// to each of several that are asked at once.
const RENEWAL_TIME: Duration = Duration::from_millis(100);

/// One mailbox's subscription. What rests keeps the one it has as long as that lives, and wants no other.
pub(super) fn describe(
    entry: &MailboxEntry,
    (tenant, resting): (&str, bool),
    now: Timestamp,
    series: &mut Series,
) {
    let Ok(desired) = entry.desired.as_ref() else {
        return;
    };
    let status = &entry.record.status;
    let inactive = find(&status.conditions, &ConditionType::SubscriptionInactive);
    let waiting = inactive
        .is_none_or(|c| c.status == ConditionStatus::Unknown || c.reason == Reason::Pending);
    let state = match &status.subscription {
        Some(current) if current.expires_at.timestamp() > now => {
            let ends = seconds(current.expires_at.timestamp());
            series.least(&EARLIEST_EXPIRY, &[tenant], ends);
            "active"
        }
        Some(_) | None if resting => return,
        None if !desired.subscribed => return,
        None if waiting => "pending",
        Some(_) | None => "inactive",
    };
    series.add(&SUBSCRIPTIONS, &[tenant, state], 1.0);
}

/// How much time a tenant's subscriptions have to be renewed; those that nobody renews have no say, nor have those that
/// Graph refuses for a reason of the mailbox's own, which has a condition for that.
pub(super) fn describe_renewals(
    world: &World,
    key: &ObjectKey,
    now: Timestamp,
    series: &mut Series,
) {
    let tenant = key.to_string();
    let renewed: Vec<&Subscription> = world
        .store
        .mailboxes_of(key)
        .filter(|entry| !super::rests(world, entry, key) && !is_refused(entry))
        .filter_map(|entry| entry.record.status.subscription.as_ref())
        .collect();
    for current in &renewed {
        series.least(&RENEWAL_MARGIN, &[&tenant], margin(current, now));
    }
    let instants = |s: &&Subscription| (s.renew_at.timestamp(), s.expires_at.timestamp());
    let instants = renewed.iter().map(instants).collect();
    if let Some(slack) = renewal::slack(now, instants, RENEWAL_TIME) {
        series.set(&RENEWAL_SLACK, &[&tenant], slack.as_secs_f64());
    }
}

/// Whether a problem of the mailbox itself keeps its subscription from being renewed.
fn is_refused(entry: &MailboxEntry) -> bool {
    let conditions = &entry.record.status.conditions;
    [ConditionType::MailboxNotFound, ConditionType::Unauthorized]
        .iter()
        .filter_map(|type_| find(conditions, type_))
        .any(|condition| condition.status == ConditionStatus::True)
}

/// The time left as a share of the life that was granted.
fn margin(subscription: &Subscription, now: Timestamp) -> f64 {
    let ends = subscription.expires_at.timestamp();
    let life = between(subscription.granted_at.timestamp(), ends).as_secs_f64();
    if life > 0.0 {
        between(now, ends).as_secs_f64() / life
    } else {
        0.0
    }
}
