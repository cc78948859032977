//! The subscription of a mailbox: the next single change, and what its outcome means.
//!
//! Keeping a subscription alive depends on the token, a permitted reference, `suspend` and the spec only, never on
//! a check. Creating one needs the mailbox's other blocking conditions to be False.

pub mod outcome;
pub mod plan;
pub mod verdict;

use std::time::Duration;

use jiff::Timestamp;

use super::look::Look;
use crate::api::v1alpha1::condition::ConditionStatus;
use crate::api::v1alpha1::mailbox::{Subscription, WorkspaceMailboxStatus};
use crate::api::vocabulary::{ConditionType, Reason};
use crate::domain::conditions::find;
use crate::domain::reading::Outage;
use crate::ids::{KeyId, MailboxId, SubscriptionId, Uid};

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
        /// The one it names, when it is ours for this very object or for one that is gone.
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
    /// Whether its life was extended in this pass.
    pub renewed: bool,
    /// Graph's limit, learned in this pass.
    pub longest: Option<Duration>,
    /// Whether anything was written.
    pub changed: bool,
}

impl Progress {
    /// Before the first change of a pass. Since when there is none survives in the status.
    ///
    /// A subscription that was made for another object, of which this one is a copy, is none of ours: it is neither
    /// kept nor touched.
    #[must_use]
    pub fn starting(uid: Uid, status: &WorkspaceMailboxStatus) -> Self {
        let current = status
            .subscription
            .clone()
            .filter(|current| current.owner_uid == uid);
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
