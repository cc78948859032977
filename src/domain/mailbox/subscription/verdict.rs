//! What `SubscriptionInactive` and `Unauthorized` say about a subscription.

use super::super::checks;
use super::super::snapshot::Snapshot;
use super::super::tenant_view::{EndpointState, TenantView};
use super::plan::watches_another;
use super::{Change, Failure};
use crate::api::v1alpha1::condition::ConditionStatus;
use crate::api::v1alpha1::mailbox::Subscription;
use crate::api::vocabulary::{ConditionType, MAILBOX, Reason};
use crate::domain::conditions::{Verdict, find, with_request_id};

/// A renewal that still fails in this last share of the life is a problem of its own.
const LAST_SHARE: i32 = 20;

/// What `SubscriptionInactive` says.
pub(in crate::domain::mailbox) fn inactive(s: &Snapshot<'_>) -> Verdict {
    let Ok(desired) = s.desired else {
        return Verdict::Keep;
    };
    let current = s.progress.current.as_ref();
    if !desired.subscribed && current.is_none() {
        return Verdict::pass(Reason::NotApplicable);
    }
    if let Some(current) = current {
        return alive_verdict(s, current);
    }
    if matches!(s.tenant, TenantView::Suspended(_)) {
        return Verdict::Keep;
    }
    what_comes_first(s).unwrap_or_else(|| missing_verdict(s))
}

/// What an earlier condition makes of a subscription that is missing: blocked by a problem, or not yet known.
fn what_comes_first(s: &Snapshot<'_>) -> Option<Verdict> {
    let earlier = MAILBOX
        .iter()
        .filter(|meta| meta.blocks_ready && *meta.type_ != ConditionType::SubscriptionInactive);
    let mut unknown = None;
    for meta in earlier {
        let previous = || find(s.previous(), meta.type_).map(|c| (c.status, c.reason.clone()));
        let (status, reason) = match checks::verdict(s, meta.type_) {
            Verdict::Problem(reason, _) => (ConditionStatus::True, reason),
            Verdict::Pass(reason, _) => (ConditionStatus::False, reason),
            Verdict::Unknown(reason, _) => (ConditionStatus::Unknown, reason),
            Verdict::Keep => previous().unwrap_or((ConditionStatus::Unknown, Reason::NotYetKnown)),
        };
        match status {
            ConditionStatus::True => return Some(Verdict::blocked(meta.type_)),
            ConditionStatus::Unknown if reason == Reason::NotYetKnown => {
                unknown = Some(Verdict::Keep);
            }
            ConditionStatus::Unknown | ConditionStatus::False => {}
        }
    }
    unknown
}

fn alive_verdict(s: &Snapshot<'_>, current: &Subscription) -> Verdict {
    if watches_another(s, current) {
        return of_the_mailbox_before(s);
    }
    let ends = current.expires_at.timestamp();
    let why = match &s.progress.failure {
        Some((Change::Renew { .. } | Change::Create { .. }, failure)) => Some(failure.sentence()),
        Some((Change::Delete { .. }, _)) | None => None,
    };
    if s.graph_now < ends {
        let life = ends.duration_since(current.granted_at.timestamp());
        let left = ends.duration_since(s.graph_now);
        return match why {
            Some(why) if left < life / LAST_SHARE => Verdict::Problem(
                Reason::RenewFailed,
                format!(
                    "The subscription ends at {} and could not be renewed. {why}",
                    current.expires_at
                ),
            ),
            None if was_called(s, current, &Reason::RenewFailed) => Verdict::Keep,
            // That it is for the mailbox before is known again when somebody asks who has the address.
            None if was_called(s, current, &Reason::Pending) && !has_looked(s) => Verdict::Keep,
            Some(_) | None => Verdict::pass(Reason::SubscriptionActive),
        };
    }
    let why = why.map(|why| format!(" {why}")).unwrap_or_default();
    let message = format!(
        "The subscription ended at {} before it could be renewed.{why} It is created again as soon as Graph answers.",
        current.expires_at
    );
    Verdict::Problem(Reason::Lapsed, message)
}

/// It is for another mailbox than the object is by now. The next one waits for its end, lest one of them is forgotten.
fn of_the_mailbox_before(s: &Snapshot<'_>) -> Verdict {
    let why = match &s.progress.failure {
        Some((_, failure)) => format!(" {}", failure.sentence()),
        None => String::new(),
    };
    let message = format!(
        "The subscription of the mailbox before is about to be removed.{why} The one of this mailbox is created then."
    );
    Verdict::Problem(Reason::Pending, message)
}

/// Whether the status calls this very life inactive for this reason, and nobody extended it since.
fn was_called(s: &Snapshot<'_>, current: &Subscription, reason: &Reason) -> bool {
    let named = s.record.status.subscription.as_ref();
    let same =
        named.is_some_and(|named| named.id == current.id && named.granted_at == current.granted_at);
    same && find(s.previous(), &ConditionType::SubscriptionInactive)
        .is_some_and(|c| c.status == ConditionStatus::True && c.reason == *reason)
}

/// Whether this pass has seen who has the address.
fn has_looked(s: &Snapshot<'_>) -> bool {
    let desired = s.desired.as_ref().ok();
    desired.is_some_and(|desired| s.observed.person(&desired.address).is_some())
}

fn missing_verdict(s: &Snapshot<'_>) -> Verdict {
    let (reason, message) = match &s.progress.failure {
        None | Some((_, Failure::Unavailable(_) | Failure::EndpointInvalid { .. })) => {
            return waiting(s);
        }
        Some((_, failure @ Failure::QuotaExceeded { .. })) => {
            let message = "Graph's quota of subscriptions for this mailbox is used up. Remove subscriptions of other applications.".to_owned();
            (Reason::QuotaExceeded, with_request_id(message, failure.request_id()))
        }
        Some((_, Failure::HeldByAnother)) => (
            Reason::HeldByAnother,
            "Another installation or object holds a subscription for this mailbox with the same application. Use one app registration for each installation, and one WorkspaceMailbox for each mailbox.".to_owned(),
        ),
        Some((_, failure)) => (Reason::CreateFailed, failure.sentence()),
    };
    Verdict::Problem(reason, message)
}

/// Whether a subscription is missing because Graph refused this one, which is tried again by the ladder only.
#[must_use]
pub const fn was_refused(reason: &Reason) -> bool {
    matches!(
        reason,
        Reason::CreateFailed | Reason::QuotaExceeded | Reason::HeldByAnother
    )
}

/// There is none, and Graph has not refused one in this pass: what it said before stands, else it is waited for.
fn waiting(s: &Snapshot<'_>) -> Verdict {
    let refused_before = find(s.previous(), &ConditionType::SubscriptionInactive)
        .filter(|c| c.status == ConditionStatus::True)
        .is_some_and(|c| was_refused(&c.reason));
    if refused_before {
        return Verdict::Keep;
    }
    let endpoint = s.tenant.known().map(|tenant| tenant.endpoint);
    let message = match (&s.progress.failure, endpoint) {
        (Some((_, failure @ Failure::EndpointInvalid { .. })), _) => failure.sentence(),
        (_, Some(EndpointState::LeftToAnother { until: _ })) => {
            "Graph does not accept the notification URL; another mailbox is trying it again."
                .to_owned()
        }
        (_, Some(EndpointState::NotListening)) => {
            "The notification receiver does not listen yet.".to_owned()
        }
        (_, Some(EndpointState::Usable) | None) if s.progress.lost.is_some() => {
            "The subscription is gone; a new one is being created.".to_owned()
        }
        (_, Some(EndpointState::Usable) | None) => {
            "The subscription is about to be created.".to_owned()
        }
    };
    let reason = match &s.progress.lost {
        Some((_, reason)) => reason.clone(),
        None => Reason::Pending,
    };
    Verdict::Problem(reason, message)
}

/// What a refused subscription says about authorization.
pub(in crate::domain::mailbox) fn authorization(s: &Snapshot<'_>) -> Option<Verdict> {
    let Some((
        Change::Create { .. },
        Failure::Refused {
            by_access_policy,
            request_id,
        },
    )) = &s.progress.failure
    else {
        return None;
    };
    let (reason, message) = if *by_access_policy {
        (
            Reason::AccessPolicyDenied,
            "An access policy of Exchange Online keeps the application from subscribing to this mailbox. Add it to the policy's group, and allow two hours.",
        )
    } else {
        (
            Reason::SubscribeDenied,
            "Graph refuses the subscription although the mailbox is readable. Grant Calendars.Read as an application permission, also beside Calendars.ReadWrite.",
        )
    };
    Some(Verdict::Problem(
        reason,
        with_request_id(message.to_owned(), request_id.as_deref()),
    ))
}
