//! What a change's outcome makes of a subscription: granted, gone, replaced, failed.

use jiff::Timestamp;

use super::super::snapshot::Snapshot;
use super::{Change, Failure, Gap, Granted, Outcome, Progress};
use crate::api::v1alpha1::mailbox::Subscription;
use crate::api::vocabulary::Reason;
use crate::domain::reading::Reading;
use crate::domain::schedule::renewal;
use crate::ids::{KeyId, SubscriptionId};

/// What a look at the subscription itself showed: one that is not there any more is lost from now on.
#[must_use]
pub fn noticed(s: &Snapshot<'_>) -> Progress {
    let mut progress = s.progress.clone();
    if progress.current.is_some() && matches!(s.observed.subscription, Reading::Absent(_)) {
        progress.lost = Some(loss(s));
        progress.current = None;
        progress.changed = true;
    }
    progress
}

/// The progress after a change and its outcome.
#[must_use]
pub fn after(s: &Snapshot<'_>, change: Change, outcome: Outcome) -> Progress {
    let mut progress = s.progress.clone();
    match (change, outcome) {
        (
            Change::Create { .. },
            Outcome::Created {
                id,
                key_id,
                granted,
            },
        ) => {
            created(s, &mut progress, (id, key_id), granted);
        }
        (Change::Renew { .. }, Outcome::Renewed(granted)) => {
            if let Some(current) = &mut progress.current {
                current.granted_at = granted.at.into();
                current.expires_at = granted.until.into();
                current.renew_at = renewal::due(granted.at, granted.until, s.record.uid).into();
            }
            progress.renewed = true;
            progress.changed = true;
        }
        (Change::Renew { .. }, Outcome::Gone) => {
            progress.lost = Some(loss(s));
            progress.current = None;
            progress.changed = true;
        }
        (Change::Delete { id }, Outcome::Gone) => deleted(s, &mut progress, id),
        (Change::Create { .. }, Outcome::Duplicate { ours: Some(id) })
            if !progress.deleted.contains(&id) =>
        {
            // Our own is in the way: make room, then create at once.
            progress.replaced = Some(id);
        }
        (change, Outcome::Duplicate { .. }) => {
            progress.failure = Some((change, Failure::HeldByAnother));
        }
        (
            Change::Create { .. } | Change::Renew { .. },
            Outcome::Failed(Failure::LifetimeTooLong {
                longest: Some(longest),
                ..
            }),
        ) if progress.longest.is_none() && !longest.is_zero() => {
            progress.longest = Some(longest);
        }
        (change, Outcome::Failed(failure)) => progress.failure = Some((change, failure)),
        (change, Outcome::Created { .. } | Outcome::Renewed(_) | Outcome::Gone) => {
            let detail = "Graph's answer does not fit what was asked".to_owned();
            let request_id = None;
            progress.failure = Some((change, Failure::Rejected { detail, request_id }));
        }
    }
    progress
}

/// Since when a subscription is missing that is not there any more, and why: somebody removed it, or its life was over.
fn loss(s: &Snapshot<'_>) -> (Timestamp, Reason) {
    match &s.progress.current {
        Some(current) if current.expires_at.timestamp() <= s.graph_now => {
            (current.expires_at.timestamp(), Reason::Lapsed)
        }
        Some(_) | None => (s.graph_now, Reason::Removed),
    }
}

/// Whether somebody else removed a subscription that is not there any more.
#[must_use]
pub fn was_removed(s: &Snapshot<'_>) -> bool {
    s.progress.current.is_some() && loss(s).1 == Reason::Removed
}

fn created(
    s: &Snapshot<'_>,
    progress: &mut Progress,
    (id, key_id): (SubscriptionId, KeyId),
    granted: Granted,
) {
    let before = progress.current.replace(Subscription {
        id,
        owner_uid: s.record.uid,
        endpoint_hash: s.endpoint.hash.clone(),
        key_id,
        granted_at: granted.at.into(),
        expires_at: granted.until.into(),
        renew_at: renewal::due(granted.at, granted.until, s.record.uid).into(),
    });
    if let Some((from, _)) = progress.lost.take() {
        progress.closed = Some(Some(Gap {
            from,
            until: granted.at.max(from),
        }));
    } else if let Some(before) = before {
        progress.closed = Some(None);
        progress.replaced = Some(before.id).filter(|_| before.owner_uid == s.record.uid);
    }
    progress.changed = true;
}

fn deleted(s: &Snapshot<'_>, progress: &mut Progress, id: SubscriptionId) {
    if progress
        .current
        .as_ref()
        .is_some_and(|current| current.id == id)
    {
        progress.current = None;
        let wanted = s.desired.as_ref().is_ok_and(|desired| desired.subscribed);
        let moved = s.identity().is_none_or(|identity| {
            s.record
                .status
                .mailbox
                .as_ref()
                .is_none_or(|known| known.id != identity.id)
        });
        if wanted && !moved {
            progress.lost = Some((s.graph_now, Reason::Removed));
        }
    }
    if progress.replaced.as_ref() == Some(&id) {
        progress.replaced = None;
    }
    progress.deleted.push(id);
    progress.changed = true;
}
