//! The subscription of a mailbox: the next single change, and what its outcome means.
//!
//! Keeping a subscription alive depends on the token, a permitted reference, `suspend` and the spec only, never on
//! a check. Creating the first one needs the mailbox's other blocking conditions to be False.

pub mod outcome;
pub mod plan;
pub mod verdict;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::look::Look;
use crate::api::v1alpha1::condition::ConditionStatus;
use crate::api::v1alpha1::mailbox::{Subscription, WorkspaceMailboxStatus};
use crate::api::vocabulary::{ConditionType, Reason};
use crate::domain::conditions::{find, with_request_id};
use crate::domain::reading::Outage;
use crate::domain::records::{MailboxRecord, Memory};
use crate::ids::{KeyId, MailboxId, SubscriptionId};

/// Where notifications are to go, and with which keys they are signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Hash of the URL's base and of this installation.
    pub hash: Arc<str>,
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
    /// There is a new one.
    Created {
        /// Its id.
        id: SubscriptionId,
        /// The key that signed its `clientState`.
        key_id: KeyId,
        /// How long it lives.
        granted: Granted,
    },
    /// It lives on.
    Renewed(Granted),
    /// Deleted, or not there any more.
    Gone,
    /// Graph has one for the same mailbox already.
    Duplicate {
        /// The one it names, when it is this installation's and no other object has a claim to it.
        ours: Option<SubscriptionId>,
    },
    /// Not carried out.
    Failed(Failure),
}

/// A life that Graph granted, on Graph's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    /// When.
    pub at: Timestamp,
    /// Until when.
    pub until: Timestamp,
}

/// Why a change was not carried out. `request_id` is Graph's id of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nothing was learned; again later.
    Unavailable(Outage),
    /// Graph could not validate our URL.
    EndpointInvalid {
        /// See [`Failure`].
        request_id: Option<String>,
    },
    /// The application may not subscribe.
    Refused {
        /// Because of an access policy.
        by_access_policy: bool,
        /// See [`Failure`].
        request_id: Option<String>,
    },
    /// Exchange has no mailbox to subscribe to.
    NoMailbox {
        /// See [`Failure`].
        request_id: Option<String>,
    },
    /// Quota.
    QuotaExceeded {
        /// See [`Failure`].
        request_id: Option<String>,
    },
    /// A subscription is in the way that is not ours to remove.
    HeldByAnother,
    /// Graph grants only so much.
    LifetimeTooLong {
        /// The longest life it names.
        longest: Option<Duration>,
        /// See [`Failure`].
        request_id: Option<String>,
    },
    /// Any other refusal.
    Rejected {
        /// What Graph said, shortened.
        detail: String,
        /// See [`Failure`].
        request_id: Option<String>,
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
    /// Whether its life was extended in this pass.
    pub renewed: bool,
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
    /// What a later pass goes on with when the status of this one could not be written.
    #[must_use]
    pub fn unshown(&self) -> Self {
        Self {
            renewed: false,
            deleted: Vec::new(),
            failure: None,
            longest: None,
            changed: false,
            ..self.clone()
        }
    }

    /// Before the first change of a pass. Since when there is none is remembered, and survives in the status.
    ///
    /// A subscription that was made for another object, of which this one is a copy, is none of ours: it is neither
    /// kept nor touched.
    #[must_use]
    pub fn starting(record: &MailboxRecord, memory: &Memory) -> Self {
        if let Some(unshown) = newer(record, memory) {
            return unshown.clone();
        }
        let current = kept(record, memory).cloned();
        let lost = match current {
            Some(_) => None,
            None => memory
                .lost
                .as_deref()
                .cloned()
                .or_else(|| shown_as_lost(&record.status)),
        };
        Self {
            current,
            lost,
            ..Self::default()
        }
    }
}

/// The subscription that an object has: its status names it, unless this process made another one and could not say so yet.
/// One that was made for another object, of which this one is a copy, is not its own.
#[must_use]
pub fn kept<'a>(record: &'a MailboxRecord, memory: &'a Memory) -> Option<&'a Subscription> {
    let Some(unshown) = newer(record, memory) else {
        let named = record.status.subscription.as_ref();
        return named.filter(|named| named.owner_uid == record.uid);
    };
    unshown.current.as_ref()
}

/// What became of the subscription in a pass whose status was not written, unless it has been shown since.
fn newer<'a>(record: &MailboxRecord, memory: &'a Memory) -> Option<&'a Progress> {
    let named = record.status.subscription.as_ref();
    let grant = |one: &Subscription| (one.id.clone(), one.granted_at);
    memory
        .unshown
        .as_deref()
        .filter(|unshown| unshown.current.as_ref().map(grant) != named.map(grant))
}

/// Since when a status shows that a subscription is missing which was there.
fn shown_as_lost(status: &WorkspaceMailboxStatus) -> Option<(Timestamp, Reason)> {
    status.activated_at?;
    let shown = find(&status.conditions, &ConditionType::SubscriptionInactive)
        .filter(|c| c.status == ConditionStatus::True)?;
    let refused = [
        Reason::Removed,
        Reason::CreateFailed,
        Reason::QuotaExceeded,
        Reason::HeldByAnother,
    ];
    let reason = if shown.reason == Reason::Lapsed {
        Reason::Lapsed
    } else if refused.contains(&shown.reason) {
        Reason::Removed
    } else {
        return None;
    };
    Some((shown.last_transition_time.timestamp(), reason))
}

impl Failure {
    /// In a sentence, the same from one attempt to the next but for the id of the request.
    #[must_use]
    pub fn sentence(&self) -> String {
        let text = match self {
            Self::Unavailable(outage) => outage.kind.sentence().to_owned(),
            Self::EndpointInvalid { .. } => {
                "Graph could not validate the operator's notification URL; the CalendarTenant's EndpointRejected says more.".to_owned()
            }
            Self::Refused { .. } => "Graph refuses the subscription.".to_owned(),
            Self::NoMailbox { .. } => "Exchange Online has no mailbox to subscribe to.".to_owned(),
            Self::QuotaExceeded { .. } => "Graph's quota of subscriptions is used up.".to_owned(),
            Self::HeldByAnother => "Another installation or object holds a subscription for this mailbox.".to_owned(),
            Self::LifetimeTooLong { .. } => "Graph does not grant so long a life. Shorten spec.subscription.lifetime.".to_owned(),
            Self::Rejected { detail, .. } => format!("Graph refuses the subscription: {detail}."),
        };
        with_request_id(text, self.request_id())
    }

    /// Graph's id of the request.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        match self {
            Self::Unavailable(outage) => outage.request_id.as_deref(),
            Self::EndpointInvalid { request_id }
            | Self::Refused { request_id, .. }
            | Self::NoMailbox { request_id }
            | Self::QuotaExceeded { request_id }
            | Self::LifetimeTooLong { request_id, .. }
            | Self::Rejected { request_id, .. } => request_id.as_deref(),
            Self::HeldByAnother => None,
        }
    }
}
