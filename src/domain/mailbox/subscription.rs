//! The subscription of a mailbox: the next single change, and what its outcome means.
//!
//! Keeping a subscription alive depends on the token, a permitted reference, `suspend` and the spec only, never on
//! a check. Creating one needs the mailbox's other blocking conditions to be False.

use std::time::Duration;

use jiff::Timestamp;

use super::checks;
use super::desired::MailboxDesired;
use super::look::Look;
use super::snapshot::Snapshot;
use super::tenant_view::{EndpointState, KnownTenant, TenantView, TokenState};
use crate::api::v1alpha1::condition::ConditionStatus;
use crate::api::v1alpha1::mailbox::{Subscription, WorkspaceMailboxStatus};
use crate::api::vocabulary::{ConditionType, MAILBOX, Reason};
use crate::domain::conditions::{STALL_PATIENCE, Verdict, find, with_request_id};
use crate::domain::reading::{Outage, Reading};
use crate::domain::schedule::{later, renewal, smear};
use crate::ids::{KeyId, MailboxId, SubscriptionId};

/// Where notifications are to go, and with which keys they are signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Hash of the URL's base and of this installation.
    pub hash: String,
    /// Keys that we hold, ascending; the last signs.
    pub keys: Vec<KeyId>,
    /// When this endpoint or these keys came into force: replacements are spread from here on.
    pub since: Timestamp,
    /// How long replacements are spread.
    pub replace_within: Duration,
}

/// One idempotent write to Graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Create one for this object.
    Create {
        /// Whose events.
        mailbox: MailboxId,
        /// How long it is to live.
        life: Duration,
    },
    /// Extend its life.
    Renew {
        /// Which.
        id: SubscriptionId,
        /// How long it is to live from now.
        life: Duration,
    },
    /// Remove one that is ours.
    Delete {
        /// Which.
        id: SubscriptionId,
    },
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Look first.
    Look(Look),
    /// Write.
    Change(Change),
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Created or renewed.
    Granted {
        /// Its id.
        id: SubscriptionId,
        /// When, on Graph's clock.
        granted_at: Timestamp,
        /// Until when, on Graph's clock.
        expires_at: Timestamp,
    },
    /// Deleted, or not there any more.
    Gone,
    /// Graph has one for the same mailbox already.
    Duplicate {
        /// The one it names, when it is ours for this very object.
        ours: Option<SubscriptionId>,
    },
    /// Not carried out.
    Failed(Failure),
}

/// Why a change was not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nothing was learned; again later.
    Unavailable(Outage),
    /// Graph could not validate our URL.
    EndpointInvalid,
    /// The application may not subscribe.
    Refused {
        /// Because of an access policy.
        by_access_policy: bool,
        /// Graph's id of the request.
        request_id: Option<String>,
    },
    /// Exchange has no mailbox to subscribe to.
    NoMailbox,
    /// Quota.
    QuotaExceeded {
        /// Graph's id of the request.
        request_id: Option<String>,
    },
    /// Somebody else's subscription is in the way.
    HeldByAnother,
    /// Graph grants only so much.
    LifetimeTooLong {
        /// The longest life it names.
        longest: Option<Duration>,
    },
    /// Any other refusal.
    Rejected {
        /// What Graph said, shortened.
        detail: String,
    },
}

/// A time without a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// From.
    pub from: Timestamp,
    /// Until.
    pub until: Timestamp,
}

/// What happened to the subscription during a pass.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Progress {
    /// The subscription as it stands.
    pub current: Option<Subscription>,
    /// A replaced one that may have to be deleted.
    pub replaced: Option<SubscriptionId>,
    /// Since when there is none, and why.
    pub lost: Option<(Timestamp, Reason)>,
    /// The gap, once it is closed; `None` inside for a replacement without one.
    pub closed: Option<Option<Gap>>,
    /// Removed in this pass.
    pub deleted: Vec<SubscriptionId>,
    /// What failed; ends the pass.
    pub failure: Option<(Change, Failure)>,
    /// Graph's limit, learned in this pass.
    pub longest: Option<Duration>,
    /// Whether anything was written.
    pub changed: bool,
}

impl Progress {
    /// Before the first change of a pass. Since when there is none survives in the status.
    #[must_use]
    pub fn starting(status: &WorkspaceMailboxStatus) -> Self {
        let current = status.subscription.clone();
        let inactive = find(&status.conditions, &ConditionType::SubscriptionInactive)
            .filter(|c| c.status == ConditionStatus::True)
            .filter(|c| matches!(c.reason, Reason::Removed | Reason::Lapsed));
        let lost = match (&current, inactive) {
            (None, Some(c)) => Some((c.last_transition_time.timestamp(), c.reason.clone())),
            (Some(_), _) | (None, None) => None,
        };
        Self {
            current,
            lost,
            ..Self::default()
        }
    }
}

/// What a look at the subscription itself showed: one that is not there any more is lost from now on.
#[must_use]
pub fn noticed(s: &Snapshot<'_>) -> Progress {
    let mut progress = s.progress.clone();
    if progress.current.is_some() && matches!(s.observed.subscription, Reading::Absent(_)) {
        progress.lost = Some((loss_instant(s), Reason::Removed));
        progress.current = None;
        progress.changed = true;
    }
    progress
}

/// The next step, or none when there is nothing to do or nothing may be done.
#[must_use]
pub fn next(s: &Snapshot<'_>) -> Option<Step> {
    let desired = s.desired.as_ref().ok()?;
    if desired.suspended || s.progress.failure.is_some() {
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
    find(s.previous(), &ConditionType::TenantNotReady)
        .filter(|c| c.reason == Reason::ReferenceNotPermitted)
        .is_some_and(|c| {
            s.now
                >= later(
                    c.last_transition_time.timestamp(),
                    s.pace.of(STALL_PATIENCE),
                )
        })
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
    let moved = s
        .record
        .status
        .mailbox
        .as_ref()
        .is_some_and(|known| !known.primary_address.eq_ignore_ascii_case(&desired.address));
    if moved && is_inherited(s, current) && current.owner_uid == s.record.uid {
        return Some(delete(&current.id));
    }
    if must_replace(s, current) {
        return create(s, desired, tenant);
    }
    if s.work.renew || s.graph_now >= current.renew_at.timestamp() && s.work.renewal_due {
        let life = life(s, desired, tenant);
        return Some(Step::Change(Change::Renew {
            id: current.id.clone(),
            life,
        }));
    }
    None
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
    replacement_turn(s, current).is_some_and(|turn| s.now >= turn) || old_key && s.work.renewal_due
}

/// When it is this subscription's turn to be replaced, if it no longer answers to this object, installation or
/// one of our keys.
pub(super) fn replacement_turn(s: &Snapshot<'_>, current: &Subscription) -> Option<Timestamp> {
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
    if s.endpoint.keys.is_empty() || tenant.endpoint != EndpointState::Usable || !may_create(s) {
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

/// Whether every other blocking condition is known to be False, as far as this pass and the status say.
pub(super) fn may_create(s: &Snapshot<'_>) -> bool {
    if s.conflict.is_some() {
        return false;
    }
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

/// The progress after a change and its outcome.
#[must_use]
pub fn after(s: &Snapshot<'_>, change: Change, outcome: Outcome) -> Progress {
    let mut progress = s.progress.clone();
    match (change, outcome) {
        (
            Change::Create { .. },
            Outcome::Granted {
                id,
                granted_at,
                expires_at,
            },
        ) => {
            created(s, &mut progress, id, granted_at, expires_at);
        }
        (
            Change::Renew { .. },
            Outcome::Granted {
                id: _,
                granted_at,
                expires_at,
            },
        ) => {
            if let Some(current) = &mut progress.current {
                current.granted_at = granted_at.into();
                current.expires_at = expires_at.into();
                current.renew_at = renewal::due(granted_at, expires_at, s.record.uid).into();
            }
            progress.changed = true;
        }
        (Change::Renew { .. }, Outcome::Gone | Outcome::Duplicate { .. }) => {
            progress.lost = Some((loss_instant(s), Reason::Removed));
            progress.current = None;
            progress.changed = true;
        }
        (
            Change::Delete { id },
            Outcome::Gone | Outcome::Granted { .. } | Outcome::Duplicate { .. },
        ) => {
            deleted(s, &mut progress, id);
        }
        (Change::Create { .. }, Outcome::Duplicate { ours: Some(id) })
            if !progress.deleted.contains(&id) =>
        {
            // Our own is in the way: make room, then create at once.
            progress.replaced = Some(id);
        }
        (change @ Change::Create { .. }, Outcome::Duplicate { .. }) => {
            progress.failure = Some((change, Failure::HeldByAnother));
        }
        (
            Change::Create { .. } | Change::Renew { .. },
            Outcome::Failed(Failure::LifetimeTooLong {
                longest: Some(longest),
            }),
        ) if progress.longest.is_none() && !longest.is_zero() => {
            progress.longest = Some(longest);
        }
        (change @ Change::Create { .. }, Outcome::Gone) => {
            progress.failure = Some((change, Failure::NoMailbox));
        }
        (change, Outcome::Failed(failure)) => progress.failure = Some((change, failure)),
    }
    progress
}

fn loss_instant(s: &Snapshot<'_>) -> Timestamp {
    match &s.progress.current {
        Some(current) => s.graph_now.min(current.expires_at.timestamp()),
        None => s.graph_now,
    }
}

fn created(
    s: &Snapshot<'_>,
    progress: &mut Progress,
    id: SubscriptionId,
    granted_at: Timestamp,
    expires_at: Timestamp,
) {
    let key_id = s.endpoint.keys.last().copied().unwrap_or(KeyId(0));
    let before = progress.current.replace(Subscription {
        id,
        owner_uid: s.record.uid,
        endpoint_hash: s.endpoint.hash.clone(),
        key_id,
        granted_at: granted_at.into(),
        expires_at: expires_at.into(),
        renew_at: renewal::due(granted_at, expires_at, s.record.uid).into(),
    });
    if let Some((from, _)) = progress.lost.take() {
        progress.closed = Some(Some(Gap {
            from,
            until: granted_at.max(from),
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

/// A renewal that still fails in this last share of the life is a problem of its own.
const LAST_SHARE: i32 = 20;

/// What `SubscriptionInactive` says.
pub(super) fn verdict(s: &Snapshot<'_>) -> Verdict {
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
    let earlier = MAILBOX
        .iter()
        .filter(|meta| meta.blocks_ready && *meta.type_ != ConditionType::SubscriptionInactive);
    for meta in earlier {
        match checks::verdict(s, meta.type_) {
            Verdict::Problem(..) => return Verdict::blocked(meta.type_),
            Verdict::Keep
                if find(s.previous(), meta.type_)
                    .is_some_and(|c| c.status == ConditionStatus::True) =>
            {
                return Verdict::blocked(meta.type_);
            }
            Verdict::Keep | Verdict::Pass(..) | Verdict::Unknown(..) => {}
        }
    }
    missing_verdict(s)
}

fn alive_verdict(s: &Snapshot<'_>, current: &Subscription) -> Verdict {
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

fn missing_verdict(s: &Snapshot<'_>) -> Verdict {
    let lost = s.progress.lost.as_ref().map(|(_, reason)| reason.clone());
    match &s.progress.failure {
        Some((_, Failure::Unavailable(_))) | None => match lost {
            Some(reason) => Verdict::Problem(reason, "The subscription is gone; a new one is being created.".to_owned()),
            None => pending(s),
        },
        Some((_, Failure::QuotaExceeded { request_id })) => {
            let message = "Graph's quota of subscriptions for this mailbox is used up. Remove subscriptions of other applications.".to_owned();
            Verdict::Problem(Reason::QuotaExceeded, with_request_id(message, request_id.as_deref()))
        }
        Some((_, Failure::HeldByAnother)) => Verdict::Problem(
            Reason::HeldByAnother,
            "Another installation holds a subscription for this mailbox with the same application. Use one app registration for each installation.".to_owned(),
        ),
        Some((_, failure)) => Verdict::Problem(Reason::CreateFailed, failure.sentence()),
    }
}

/// Nothing failed and nothing exists: it waits for something.
fn pending(s: &Snapshot<'_>) -> Verdict {
    let previous = find(s.previous(), &ConditionType::SubscriptionInactive);
    let message = match s.tenant.known().map(|tenant| tenant.endpoint) {
        Some(EndpointState::LeftToAnother) => {
            "Graph does not accept the notification URL; another mailbox is trying it again."
        }
        Some(EndpointState::NotListening) => "The notification receiver does not listen yet.",
        Some(EndpointState::Usable) | None => "The subscription is about to be created.",
    };
    match previous {
        Some(c) if c.status == ConditionStatus::True && c.reason != Reason::Pending => {
            Verdict::Keep
        }
        Some(_) | None => Verdict::Problem(Reason::Pending, message.to_owned()),
    }
}

impl Failure {
    /// In a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::Unavailable(outage) => outage.detail.clone(),
            Self::EndpointInvalid => {
                "Graph could not validate the operator's notification URL; the CalendarTenant's EndpointRejected says more.".to_owned()
            }
            Self::Refused { .. } => "Graph refuses the subscription.".to_owned(),
            Self::NoMailbox => "Exchange Online has no mailbox to subscribe to.".to_owned(),
            Self::QuotaExceeded { .. } => "Graph's quota of subscriptions is used up.".to_owned(),
            Self::HeldByAnother => "Another installation holds a subscription for this mailbox.".to_owned(),
            Self::LifetimeTooLong { .. } => "Graph does not grant so long a life. Shorten spec.subscription.lifetime.".to_owned(),
            Self::Rejected { detail } => format!("Graph refuses the subscription: {detail}."),
        }
    }
}

/// What a refused subscription says about authorization.
pub(super) fn authorization(s: &Snapshot<'_>) -> Option<Verdict> {
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
