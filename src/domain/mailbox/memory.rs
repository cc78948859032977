//! What a pass leaves in this process's memory: what was served, and when what failed is tried again.
//!
//! Looks at Microsoft 365, changes of the subscription and writes of the status fail apart from each other, and each
//! has a backoff of its own: a renewal that fails says nothing about a check, and the other way round.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::checks;
use super::snapshot::Snapshot;
use super::subscription::{Change, Failure};
use super::tenant_view::TenantView;
use super::work::Work;
use crate::api::vocabulary::{ConditionType, Reason};
use crate::domain::conditions::Verdict;
use crate::domain::reading::{Outage, OutageKind};
use crate::domain::records::{Failures, Memory};
use crate::domain::schedule::{backoff, later, renewal};

/// A pass with this work begins. What was asked for and is done now stays pending until the pass has ended.
pub fn begin(memory: &mut Memory, work: Work) {
    let now_done = memory.wanted & work;
    memory.pending = memory.pending | now_done;
    memory.wanted = memory.wanted.without(now_done);
}

/// The memory after a pass whose status was written.
#[must_use]
pub fn written(s: &Snapshot<'_>) -> Memory {
    Memory {
        writes: Failures::default(),
        ..after(s)
    }
}

/// The memory after a pass that had nothing to write, which does not show that the API server takes statuses again.
#[must_use]
pub fn after(s: &Snapshot<'_>) -> Memory {
    let usable = s.tenant.usable().is_some();
    let (looks, unlooked) = looks_after(s);
    let (changes, unchanged) = changes_after(s);
    let served = s.work.without(unlooked | unchanged);
    let pending = (s.memory.pending | unlooked | unchanged).without(served);
    Memory {
        checked_at: if s.work.check && usable {
            s.now
        } else {
            s.memory.checked_at
        },
        pending,
        looks,
        changes,
        lost: lost_after(s).map(Box::new),
        unshown: None,
        not_permitted_since: match s.tenant {
            TenantView::NotPermitted(_) => s.memory.not_permitted_since.or(Some(s.now)),
            TenantView::Missing(_) | TenantView::Suspended(_) | TenantView::Known(_) => None,
        },
        ..s.memory.clone()
    }
}

/// The memory after a pass whose status could not be written: what was done is not known to the cluster.
#[must_use]
pub fn unwritten(s: &Snapshot<'_>) -> Memory {
    let wait = backoff::transient(s.memory.writes.next_try(), s.record.uid, s.pace);
    let after = after(s);
    Memory {
        checked_at: s.memory.checked_at,
        pending: after.pending | s.work & Work::REPEATED,
        writes: s.memory.writes.and_another(s.now, not_too_late(s, wait)),
        unshown: Some(Box::new(s.progress.unshown())),
        ..after
    }
}

/// Since when a subscription is missing that is still wanted for the same mailbox.
fn lost_after(s: &Snapshot<'_>) -> Option<(Timestamp, Reason)> {
    let desired = s.desired.as_ref().ok()?;
    let known = s.record.status.mailbox.as_ref()?;
    let same = known.primary_address.eq_ignore_ascii_case(&desired.address);
    let missing = s.progress.current.is_none() && desired.subscribed && same;
    s.progress.lost.clone().filter(|_| missing)
}

/// Failures of looks, and the looks that have to be repeated.
fn looks_after(s: &Snapshot<'_>) -> (Failures, Work) {
    let before = &s.memory.looks;
    let looking = s.work & Work::LOOKS;
    if read_outages(s).next().is_some() {
        let wait = backoff::transient(before.next_try(), s.record.uid, s.pace);
        let again = later(s.now, wait).max(asked_to_wait(s.now, read_outages(s)));
        return (before.and_another(s.now, again), looking);
    }
    if looking == Work::NONE {
        return (before.clone(), Work::NONE);
    }
    (Failures::default(), Work::NONE)
}

/// Failures of changes, and those that Graph asked for and that have to be repeated. All others follow from the status.
fn changes_after(s: &Snapshot<'_>) -> (Failures, Work) {
    let before = &s.memory.changes;
    let asked = s.work & Work::RENEW;
    if failed(s) {
        let wait = backoff::transient(before.next_try(), s.record.uid, s.pace);
        // A list that has to wait holds no renewal back: the gateway lets nobody list before its time.
        let again = not_too_late(s, wait).max(asked_to_wait(s.now, write_outage(s).into_iter()));
        return (before.and_another(s.now, again), asked);
    }
    if before.held_until() > s.now {
        // Nothing was tried.
        return (before.clone(), asked);
    }
    (Failures::default(), Work::NONE)
}

/// After a wait, but early enough for a subscription that is to be kept.
fn not_too_late(s: &Snapshot<'_>, wait: Duration) -> Timestamp {
    match &s.progress.current {
        Some(current) => {
            let ahead: SignedDuration = s.graph_now.duration_since(s.now);
            let ends = current.expires_at.timestamp();
            renewal::retry(s.now, ends.saturating_sub(ahead).unwrap_or(ends), wait)
        }
        None => later(s.now, wait),
    }
}

/// Whether a change has to be tried again that no ladder of a found problem repeats.
fn failed(s: &Snapshot<'_>) -> bool {
    match &s.progress.failure {
        Some(
            (Change::Renew { .. } | Change::Delete { .. }, _)
            | (Change::Create { .. }, Failure::Unavailable(_) | Failure::EndpointInvalid { .. }),
        ) => true,
        // A replacement that failed: what is there still lives, so that no problem shows.
        Some((Change::Create { .. }, _)) => s.progress.current.is_some(),
        None => s.observed.listing.outage().is_some(),
    }
}

/// Until when Microsoft asked us to wait.
fn asked_to_wait<'a>(now: Timestamp, outages: impl Iterator<Item = &'a Outage>) -> Timestamp {
    let longest = outages.filter_map(|outage| outage.retry_after).max();
    later(now, longest.unwrap_or_default())
}

/// Everything in this pass that Microsoft did not answer.
fn outages<'a>(s: &Snapshot<'a>) -> impl Iterator<Item = &'a Outage> {
    let changes = [s.observed.listing.outage(), write_outage(s)];
    read_outages(s).chain(changes.into_iter().flatten())
}

fn read_outages<'a>(s: &Snapshot<'a>) -> impl Iterator<Item = &'a Outage> {
    let observed = s.observed;
    let reads = [
        observed.directory.outage(),
        observed.sign_in.outage(),
        observed.calendar.outage(),
        observed.place.outage(),
        observed.subscription.outage(),
    ];
    reads.into_iter().flatten()
}

fn write_outage<'a>(s: &Snapshot<'a>) -> Option<&'a Outage> {
    match &s.progress.failure {
        Some((_, Failure::Unavailable(outage))) => Some(outage),
        Some(_) | None => None,
    }
}

/// Whether this pass met something that only the tenant can explain: no token, no answer, or a domain that it did
/// not have when it was last looked at.
#[must_use]
pub fn is_tenants_affair(s: &Snapshot<'_>) -> bool {
    let unanswered =
        |outage: &Outage| outage.kind == OutageKind::NoToken || outage.kind.is_microsoft();
    let unknown_domain = || {
        matches!(
            checks::verdict(s, &ConditionType::DomainMismatch),
            Verdict::Problem(Reason::DomainNotInTenant, _)
        )
    };
    outages(s).any(unanswered) || s.work.check && unknown_domain()
}
