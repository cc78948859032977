//! The next single step for a subscription: look, create, renew or delete.

use std::time::Duration;

use jiff::Timestamp;

use super::super::checks;
use super::super::desired::MailboxDesired;
use super::super::look::Look;
use super::super::snapshot::Snapshot;
use super::super::tenant_view::{EndpointState, KnownTenant, TenantView, TokenState};
use super::{Change, Step};
use crate::api::v1alpha1::condition::ConditionStatus;
use crate::api::v1alpha1::mailbox::Subscription;
use crate::api::vocabulary::{ConditionType, MAILBOX, Reason};
use crate::domain::conditions::{STALL_PATIENCE, Verdict, find};
use crate::domain::reading::Reading;
use crate::domain::schedule::{later, smear};
use crate::ids::SubscriptionId;

/// The next step, or none when there is nothing to do or nothing may be done.
#[must_use]
pub fn next(s: &Snapshot<'_>) -> Option<Step> {
    let desired = s.desired.as_ref().ok()?;
    let held = s.memory.changes.held_until() > s.now;
    if desired.suspended || held || s.progress.failure.is_some() {
        return None;
    }
    let current = s.progress.current.as_ref();
    let tenant = match s.tenant {
        TenantView::NotPermitted(_) => {
            return current
                .filter(|_| reference_refused_for_long(s))
                .map(|c| delete(&c.id));
        }
        TenantView::Known(tenant) if tenant.token == TokenState::Issued => tenant,
        TenantView::Missing(_) | TenantView::Suspended(_) | TenantView::Known(_) => return None,
    };
    if s.conflict.is_some() {
        // Graph keeps one subscription for a mailbox: the older object needs the place.
        return current.map(|c| delete(&c.id));
    }
    if let Some(id) = s.progress.replaced.clone().or_else(|| stray(s)) {
        return Some(delete(&id));
    }
    if !desired.subscribed {
        return current.map(|c| delete(&c.id));
    }
    match current {
        Some(current) => keep(s, desired, tenant, current),
        None => create(s, desired, tenant),
    }
}

fn delete(id: &SubscriptionId) -> Step {
    Step::Change(Change::Delete { id: id.clone() })
}

fn reference_refused_for_long(s: &Snapshot<'_>) -> bool {
    reference_is_given_up_from(s).is_some_and(|at| s.now >= at)
}

/// From when on a subscription is removed because its tenant does not permit the reference: ten minutes after both the
/// status and this process have seen it. The status alone does not tell, since only its reason may have changed.
pub(in crate::domain::mailbox) fn reference_is_given_up_from(
    s: &Snapshot<'_>,
) -> Option<Timestamp> {
    let shown = find(s.previous(), &ConditionType::TenantNotReady)
        .filter(|c| c.reason == Reason::ReferenceNotPermitted)?;
    let since = s
        .memory
        .not_permitted_since?
        .max(shown.last_transition_time.timestamp());
    Some(later(since, s.pace.of(STALL_PATIENCE)))
}

/// One of ours for this object that the status does not name: its `clientState` cannot be read back, so it is
/// replaced, never adopted.
fn stray(s: &Snapshot<'_>) -> Option<SubscriptionId> {
    let kept = s.progress.current.as_ref().map(|c| &c.id);
    let ours = s.observed.listing.present()?;
    ours.iter()
        .find(|id| Some(*id) != kept && !s.progress.deleted.contains(id))
        .cloned()
}

fn keep(
    s: &Snapshot<'_>,
    desired: &MailboxDesired,
    tenant: &KnownTenant,
    current: &Subscription,
) -> Option<Step> {
    if watches_another(s, current) {
        return Some(delete(&current.id));
    }
    let due = s.work.renewal_due && s.graph_now >= current.renew_at.timestamp();
    let renewal = (due || s.work.renew) && !s.progress.renewed;
    // Neither a check nor a replacement that failed stands between a subscription and its renewal.
    let failed_before = s.memory.changes.tries() > 0;
    if must_replace(s, current)
        && !(renewal && failed_before)
        && let Some(step) = create(s, desired, tenant)
    {
        return Some(step);
    }
    renewal.then(|| {
        Step::Change(Change::Renew {
            id: current.id.clone(),
            life: life(s, desired, tenant),
        })
    })
}

/// Whether the subscription is for the mailbox that the status names, and this object is for another one: the spec has
/// another address, or the address belongs to another mailbox, which can be read.
pub(in crate::domain::mailbox) fn watches_another(
    s: &Snapshot<'_>,
    current: &Subscription,
) -> bool {
    let (Ok(desired), Some(known)) = (s.desired, &s.record.status.mailbox) else {
        return false;
    };
    let elsewhere = !desired.is_at(known);
    // Without the right to read the directory the address stands for the id.
    let has_id = !known
        .id
        .as_str()
        .eq_ignore_ascii_case(&known.primary_address);
    let seen = s.observed.person(&desired.address);
    let another = has_id
        && s.observed.calendar.present().is_some()
        && seen.is_some_and(|person| person.id != known.id);
    (elsewhere || another) && is_inherited(s, current) && current.owner_uid == s.record.uid
}

/// Whether the subscription was there before this pass.
fn is_inherited(s: &Snapshot<'_>, current: &Subscription) -> bool {
    s.record
        .status
        .subscription
        .as_ref()
        .is_some_and(|before| before.id == current.id)
}

/// Whether the subscription answers to somebody or something that is no longer ours.
fn must_replace(s: &Snapshot<'_>, current: &Subscription) -> bool {
    if !is_inherited(s, current) {
        return false;
    }
    let old_key = s
        .endpoint
        .keys
        .last()
        .is_some_and(|signing| *signing != current.key_id);
    replacement_turn(s, current).is_some_and(|turn| s.now >= turn)
        || old_key && s.work.renewal_due && !s.progress.renewed
}

/// When it is this subscription's turn to be replaced, if it no longer answers to this object, installation or
/// one of our keys.
pub(in crate::domain::mailbox) fn replacement_turn(
    s: &Snapshot<'_>,
    current: &Subscription,
) -> Option<Timestamp> {
    if s.endpoint.keys.is_empty() {
        return None;
    }
    let foreign = current.owner_uid != s.record.uid
        || current.endpoint_hash != s.endpoint.hash
        || !s.endpoint.keys.contains(&current.key_id);
    foreign.then(|| {
        later(
            s.endpoint.since,
            smear::delay(s.record.uid, s.endpoint.replace_within),
        )
    })
}

fn create(s: &Snapshot<'_>, desired: &MailboxDesired, tenant: &KnownTenant) -> Option<Step> {
    if tenant.endpoint != EndpointState::Usable || !could_create(s) {
        return None;
    }
    let mailbox = s.identity()?.id;
    if s.observed.listing == Reading::NotLooked {
        return Some(Step::Look(Look::Listing));
    }
    s.observed.listing.present()?;
    let life = life(s, desired, tenant);
    Some(Step::Change(Change::Create { mailbox, life }))
}

/// Whether a subscription may be created as soon as the notification URL is usable.
///
/// Only the first one of a mailbox waits for the checks: one that is replaced, or comes after one that was lost, keeps
/// alive what was there.
pub(in crate::domain::mailbox) fn could_create(s: &Snapshot<'_>) -> bool {
    let possible = !s.endpoint.keys.is_empty() && s.conflict.is_none() && s.identity().is_some();
    possible && (!is_first(s) || checks_passed(s))
}

fn is_first(s: &Snapshot<'_>) -> bool {
    let had_one = s.progress.current.is_some() || s.progress.lost.is_some();
    let known = s.record.status.mailbox.as_ref().map(|known| &known.id);
    let same = s.identity().as_ref().map(|identity| &identity.id) == known;
    !(had_one && same)
}

/// Whether every other blocking condition is known to be False, as far as this pass and the status say.
fn checks_passed(s: &Snapshot<'_>) -> bool {
    MAILBOX
        .iter()
        .filter(|meta| meta.blocks_ready && *meta.type_ != ConditionType::SubscriptionInactive)
        .all(|meta| match checks::verdict(s, meta.type_) {
            Verdict::Pass(..) => true,
            Verdict::Problem(..) => false,
            Verdict::Unknown(reason, _) => address_may_stay_unknown(meta.type_, &reason),
            Verdict::Keep => find(s.previous(), meta.type_).is_some_and(|c| {
                let same_spec = c.observed_generation == Some(s.record.generation);
                same_spec
                    && (c.status == ConditionStatus::False
                        || c.status == ConditionStatus::Unknown
                            && address_may_stay_unknown(meta.type_, &c.reason))
            }),
        })
}

fn address_may_stay_unknown(type_: &ConditionType, reason: &Reason) -> bool {
    *type_ == ConditionType::AddressMismatch && *reason == Reason::PermissionMissing
}

fn life(s: &Snapshot<'_>, desired: &MailboxDesired, tenant: &KnownTenant) -> Duration {
    let wanted = desired.lifetime.unwrap_or(tenant.lifetime);
    s.progress
        .longest
        .map_or(wanted, |longest| wanted.min(longest))
}
