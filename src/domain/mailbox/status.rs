//! The status of a mailbox after a pass: conditions, what was found, the subscription, history, and the Events
//! that tell of it.

use jiff::Timestamp;

use super::checks;
use super::snapshot::Snapshot;
use super::subscription::Gap;
use super::subscription::plan::watches_another;
use crate::api::v1alpha1::condition::{Condition, ConditionStatus};
use crate::api::v1alpha1::mailbox::{HistoryEntry, Mailbox, WorkspaceMailboxStatus};
use crate::api::v1alpha1::time::Time;
use crate::api::vocabulary::{ConditionType, Reason};
use crate::domain::conditions::{Assessment, Subject, Verdict, assess, find};
use crate::ids::Kind;

/// Most entries that `status.history` keeps.
pub const HISTORY_LIMIT: usize = 20;

/// What the status says after this pass.
#[must_use]
pub fn status(s: &Snapshot<'_>) -> WorkspaceMailboxStatus {
    judged(s, |type_| checks::verdict(s, type_))
}

/// The same by the verdicts of somebody who looks at less than the rules need, such as who must not write.
#[must_use]
pub fn judged(
    s: &Snapshot<'_>,
    verdict: impl Fn(&ConditionType) -> Verdict,
) -> WorkspaceMailboxStatus {
    let before = &s.record.status;
    let subject = Subject {
        kind: Kind::WorkspaceMailbox,
        generation: s.record.generation,
        previous: &before.conditions,
        suspended: s.desired.as_ref().is_ok_and(|desired| desired.suspended),
        now: s.now,
        pace: s.pace,
    };
    let spec_problem = match s.desired {
        Ok(_) => None,
        Err(message) => Some((Reason::InvalidSpec, message.clone())),
    };
    let assessment = assess(&subject, verdict, spec_problem);
    let mailbox = found_mailbox(s, &assessment.conditions);
    let observed_generation = if assessment.settled {
        Some(s.record.generation)
    } else {
        before.observed_generation
    };
    WorkspaceMailboxStatus {
        observed_generation,
        activated_at: activated_at(s, &assessment, mailbox.as_ref()),
        mailbox,
        subscription: s.progress.current.clone(),
        history: history(s, &assessment),
        last_handled_reconcile_at: s
            .record
            .requested_at
            .clone()
            .or_else(|| before.last_handled_reconcile_at.clone()),
        conditions: assessment.conditions.into(),
    }
}

/// What the status says in the middle of a pass: the same, but nobody is told that the pass has ended.
#[must_use]
pub fn interim(s: &Snapshot<'_>) -> WorkspaceMailboxStatus {
    WorkspaceMailboxStatus {
        last_handled_reconcile_at: s.record.status.last_handled_reconcile_at.clone(),
        ..status(s)
    }
}

/// The mailbox as it was identified. Kept while the address is wrong, and while its subscription is there, so that this can
/// be removed.
fn found_mailbox(s: &Snapshot<'_>, conditions: &[Condition]) -> Option<Mailbox> {
    let before = s.record.status.mailbox.clone();
    let passed = |type_| find(conditions, type_).is_some_and(|c| c.status != ConditionStatus::True);
    let looked = s.observed.calendar.present().is_some();
    let sound = passed(&ConditionType::MailboxNotFound) && passed(&ConditionType::AddressMismatch);
    let current = s.progress.current.as_ref();
    let is_watched = current.is_some_and(|current| watches_another(s, current));
    match s.identity() {
        Some(identity) if looked && sound && !is_watched => Some(Mailbox {
            id: identity.id,
            primary_address: identity.primary_address,
            display_name: identity.display_name,
        }),
        Some(_) | None => before,
    }
}

/// Since when this very mailbox works.
fn activated_at(
    s: &Snapshot<'_>,
    assessment: &Assessment,
    mailbox: Option<&Mailbox>,
) -> Option<Time> {
    let before = &s.record.status;
    let same = before.mailbox.as_ref().map(|m| &m.id) == mailbox.map(|m| &m.id);
    let ready = assessment
        .ready()
        .is_some_and(|c| c.status == ConditionStatus::True);
    match before.activated_at {
        Some(since) if same => Some(since),
        Some(_) | None => ready.then(|| s.now.into()),
    }
}

fn history(s: &Snapshot<'_>, assessment: &Assessment) -> Vec<HistoryEntry> {
    let before = &s.record.status;
    let was = find(&before.conditions, &ConditionType::Ready);
    let Some(is) = assessment.ready() else {
        return before.history.clone();
    };
    let mut entries = Vec::new();
    if was.is_none_or(|was| was.reason != is.reason) {
        entries.push(HistoryEntry {
            time: s.now.into(),
            from: was.map(|was| was.reason.as_str().into()),
            to: is.reason.as_str().into(),
            reason: detail_reason(is).into(),
            message: is.message.clone(),
        });
    }
    // A write whose answer was lost may have told of it already.
    let told = before.subscription == s.progress.current;
    if let Some(gap) = s.progress.closed.filter(|_| !told) {
        entries.push(replaced_entry(s.now, is, gap));
    }
    entries.extend(before.history.iter().cloned());
    entries.truncate(HISTORY_LIMIT);
    entries
}

/// The failing condition's own reason, with which `Ready`'s message starts; else `Ready`'s reason.
fn detail_reason(ready: &Condition) -> &str {
    let stem = ready.message.split_once(": ").map(|(stem, _)| stem);
    match stem {
        Some(stem) if ready.status != ConditionStatus::True && !stem.contains(' ') => stem,
        Some(_) | None => ready.reason.as_str(),
    }
}

fn replaced_entry(now: Timestamp, ready: &Condition, gap: Option<Gap>) -> HistoryEntry {
    let message = match gap {
        None => "The subscription was replaced without a gap.".to_owned(),
        Some(gap) => format!(
            "The subscription was replaced. No notifications were sent from {} to {}.",
            Time::from(gap.from),
            Time::from(gap.until)
        ),
    };
    HistoryEntry {
        time: now.into(),
        from: Some(ready.reason.as_str().into()),
        to: ready.reason.as_str().into(),
        reason: Reason::SubscriptionReplaced.as_str().into(),
        message: message.into(),
    }
}
