//! What a pass leaves in this process's memory: what was served, and when what failed is tried again.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::checks;
use super::snapshot::Snapshot;
use super::subscription::{Change, Failure};
use super::work::Work;
use crate::api::vocabulary::{ConditionType, Reason};
use crate::domain::conditions::Verdict;
use crate::domain::reading::{Outage, OutageKind};
use crate::domain::records::{Failures, Memory};
use crate::domain::schedule::{backoff, later, renewal};

/// The memory after a pass. Wishes that came in during the pass are the caller's to keep.
#[must_use]
pub fn after(s: &Snapshot<'_>, stalls_at: Option<Timestamp>) -> Memory {
    let checked_at = if s.work.check && s.tenant.usable().is_some() {
        s.now
    } else {
        s.memory.checked_at
    };
    let base = Memory {
        checked_at,
        stalls_at,
        failures: Failures::default(),
        retry: Work::default(),
        ..s.memory.clone()
    };
    if !failed(s) {
        return base;
    }
    let tries = s.memory.failures.tries.saturating_add(1);
    let wait = backoff::transient(tries, s.record.uid, s.pace);
    let asked = asked_to_wait(s).map_or(s.now, |wait| later(s.now, wait));
    let renewing = match &s.progress.failure {
        Some((Change::Renew { .. }, _)) => true,
        // The place of the renewal was taken by a replacement.
        Some((Change::Create { .. }, _)) => s.work.renewal_due && s.progress.current.is_some(),
        Some((Change::Delete { .. }, _)) | None => false,
    };
    let again = match (&s.progress.current, renewing) {
        (Some(current), true) => {
            let ahead: SignedDuration = s.graph_now.duration_since(s.now);
            let ends = current.expires_at.timestamp();
            renewal::retry(s.now, ends.saturating_sub(ahead).unwrap_or(ends), wait)
        }
        (Some(_) | None, _) => later(s.now, wait),
    };
    Memory {
        failures: Failures {
            tries,
            since: s.memory.failures.since.or(Some(s.now)),
            not_before: Some(again.max(asked)),
        },
        retry: Work {
            renewal_due: renewing,
            renew: renewing && s.work.renew,
            ..s.work
        },
        ..base
    }
}

/// Whether something has to be done again that no ladder of a found problem repeats.
fn failed(s: &Snapshot<'_>) -> bool {
    match &s.progress.failure {
        Some(
            (Change::Renew { .. } | Change::Delete { .. }, _)
            | (Change::Create { .. }, Failure::Unavailable(_)),
        ) => true,
        // A replacement that failed: what is there still lives, so that no problem shows.
        Some((Change::Create { .. }, _)) => s.progress.current.is_some() || s.observed.any_outage(),
        None => s.observed.any_outage(),
    }
}

/// The longest wait that Microsoft asked for in this pass.
fn asked_to_wait(s: &Snapshot<'_>) -> Option<Duration> {
    outages(s).filter_map(|outage| outage.retry_after).max()
}

/// Everything in this pass that Microsoft did not answer.
pub fn outages<'a>(s: &Snapshot<'a>) -> impl Iterator<Item = &'a Outage> {
    let observed = s.observed;
    let write = match &s.progress.failure {
        Some((_, Failure::Unavailable(outage))) => Some(outage),
        Some(_) | None => None,
    };
    let reads = [
        observed.directory.outage(),
        observed.sign_in.outage(),
        observed.calendar.outage(),
        observed.place.outage(),
        observed.subscription.outage(),
        observed.listing.outage(),
    ];
    reads.into_iter().chain([write]).flatten()
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
