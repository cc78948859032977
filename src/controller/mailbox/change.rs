//! Carrying out one change at Graph, and putting its outcome into the plan's words.

use std::time::Duration;

use super::Pass;
use crate::controller::removal::Owned;
use crate::controller::translate;
use crate::domain::mailbox::subscription::{Change, Failure, Granted, Outcome, outcome};
use crate::domain::notification_url::EndpointProblem as UrlProblem;
use crate::domain::reading::{Outage, OutageKind};
use crate::domain::schedule::later;
use crate::domain::sweep::Claim;
use crate::graph::error::{EndpointProblem, ErrorClass, Forbidden, GraphError, NotFound, Withheld};
use crate::graph::gateway::TenantGateway;
use crate::graph::model::{self as graph, NewSubscription};
use crate::ids::{MailboxId, SubscriptionId, Uid};
use crate::metrics::VANISHED;

/// After this long a subscription in the way that this object's status names is believed to be nobody else's.
const SETTLED: Duration = Duration::from_mins(15);

impl Pass<'_> {
    /// One idempotent write to Graph.
    pub(super) async fn apply(&mut self, change: &Change) -> Outcome {
        let Some(gateway) = self.start.gateway.clone() else {
            return Outcome::Failed(Failure::Unavailable(Outage::of(OutageKind::NoToken)));
        };
        let outcome = match change {
            Change::Create { mailbox, life } => self.create(&gateway, mailbox, *life).await,
            Change::Renew { id, life } => self.renew(&gateway, id, *life).await,
            Change::Delete { id } => self.delete(&gateway, id).await,
        };
        self.count(change, &outcome);
        outcome
    }

    async fn create(
        &mut self,
        gateway: &TenantGateway,
        mailbox: &MailboxId,
        life: Duration,
    ) -> Outcome {
        let record = &self.start.entry.record;
        let identity = self.context.world().identity.clone();
        let (Some(known), Some(identity)) = (self.start.tenant.known(), identity) else {
            // A plan creates nothing without a usable tenant and a key; both may have gone in between.
            return Outcome::Failed(Failure::Unavailable(Outage::of(OutageKind::Withheld)));
        };
        let urls = &self.context.settings.urls;
        let (client_state, key_id) = identity.keys.client_state(record.uid, &known.app.tenant_id);
        let new = NewSubscription {
            mailbox: mailbox.clone(),
            notification_url: urls.change(&record.key.namespace, &record.uid),
            lifecycle_url: urls.lifecycle(&record.key.namespace, &record.uid),
            client_state,
            expires_at: later(self.snapshot().graph_now, life),
        };
        let result = gateway.create_subscription(&new).await;
        self.note_endpoint(result.as_ref().err());
        match result {
            Ok(made) => Outcome::Created {
                id: made.id.clone(),
                key_id,
                granted: granted(&made),
            },
            Err(error) => {
                if let ErrorClass::Duplicate { existing } = error.class() {
                    return self.duplicate(gateway, existing.clone()).await;
                }
                if let ErrorClass::Unavailable(_) = error.class() {
                    self.distrust_listing();
                }
                failure(error)
            }
        }
    }

    /// Graph has one for this mailbox already: whose is it?
    async fn duplicate(
        &self,
        gateway: &TenantGateway,
        existing: Option<SubscriptionId>,
    ) -> Outcome {
        let uid = self.start.entry.record.uid;
        if let Some(id) = existing.as_ref().filter(|id| self.is_named_by_status(id)) {
            return Outcome::Duplicate {
                ours: Some(id.clone()),
            };
        }
        let owned = match existing {
            Some(id) => self.context.owner_of(gateway, &id).await,
            None => self.context.find_owned(gateway, uid).await,
        };
        match owned {
            Ok(Owned::Ours { id, uid: of }) if of == uid => Outcome::Duplicate { ours: Some(id) },
            Ok(Owned::Ours { id, uid: of }) => self.held_by(of, id),
            Ok(Owned::Foreign) => Outcome::Duplicate { ours: None },
            // It ended in between.
            Ok(Owned::Gone) => {
                Outcome::Failed(Failure::Unavailable(Outage::of(OutageKind::ServerErrors)))
            }
            Err(error) => failure(error),
        }
    }

    /// The subscription in the way is this object's own, whatever its URL says: the installation has another name since
    /// the key Secret was named anew. Not soon after it was made or renewed: two installations that look after the same
    /// object, by mistake, must not take turns all day.
    fn is_named_by_status(&self, id: &SubscriptionId) -> bool {
        let s = self.snapshot();
        self.progress.current.as_ref().is_some_and(|current| {
            let settled = later(current.granted_at.timestamp(), s.pace.of(SETTLED));
            current.id == *id && current.owner_uid == s.record.uid && s.graph_now >= settled
        })
    }

    /// The subscription in the way was made for another object of this installation.
    fn held_by(&self, other: Uid, id: SubscriptionId) -> Outcome {
        match self.context.world().owner(other).claim(&id) {
            Claim::None => Outcome::Duplicate { ours: Some(id) },
            Claim::Firm => Outcome::Duplicate { ours: None },
            Claim::Unsettled => {
                Outcome::Failed(Failure::Unavailable(Outage::of(OutageKind::Withheld)))
            }
        }
    }

    async fn renew(&self, gateway: &TenantGateway, id: &SubscriptionId, life: Duration) -> Outcome {
        let until = later(self.snapshot().graph_now, life);
        match gateway.renew_subscription(id, until).await {
            Ok(renewed) => Outcome::Renewed(granted(&renewed)),
            Err(error) if matches!(error.class(), ErrorClass::NotFound(_)) => Outcome::Gone,
            Err(error) => failure(error),
        }
    }

    async fn delete(&self, gateway: &TenantGateway, id: &SubscriptionId) -> Outcome {
        match gateway.delete_subscription(id).await {
            Ok(()) => Outcome::Gone,
            Err(error) if matches!(error.class(), ErrorClass::NotFound(_)) => Outcome::Gone,
            Err(error) => failure(error),
        }
    }

    fn count(&self, change: &Change, outcome: &Outcome) {
        let operation = match (change, outcome) {
            (_, Outcome::Failed(_) | Outcome::Duplicate { .. }) => return,
            (Change::Renew { .. }, Outcome::Gone) => return self.count_if_vanished(),
            (Change::Create { .. }, _) => "createSubscription",
            (Change::Renew { .. }, _) => "renewSubscription",
            (Change::Delete { .. }, _) => "deleteSubscription",
        };
        self.count_operation(operation);
    }

    /// A subscription of ours was found gone, which says nothing of anybody else when its life was over.
    pub(super) fn count_if_vanished(&self) {
        if outcome::was_removed(&self.snapshot()) {
            self.count_operation(VANISHED);
        }
    }

    /// Something became of a subscription.
    fn count_operation(&self, operation: &str) {
        if let Some(known) = self.start.tenant.known() {
            let tenant = known.key.to_string();
            self.context
                .metrics
                .count_subscription_operation(operation, &tenant);
        }
    }

    /// What creating a subscription says about our notification URL.
    fn note_endpoint(&self, error: Option<&GraphError>) {
        let Some(known) = self.start.tenant.known() else {
            return;
        };
        let uid = self.start.entry.record.uid;
        let problem = match error.map(GraphError::class) {
            None => None,
            Some(ErrorClass::EndpointInvalid(EndpointProblem::Failed)) => Some(UrlProblem::Failed),
            Some(ErrorClass::EndpointInvalid(EndpointProblem::TimedOut)) => {
                Some(UrlProblem::TimedOut)
            }
            Some(
                ErrorClass::Forbidden(_)
                | ErrorClass::NotFound(_)
                | ErrorClass::Duplicate { .. }
                | ErrorClass::QuotaExceeded
                | ErrorClass::LifetimeTooLong { .. }
                | ErrorClass::Rejected,
            ) => return self.context.leave_endpoint(uid),
            Some(
                ErrorClass::Token(_)
                | ErrorClass::Unauthenticated
                | ErrorClass::Throttled { .. }
                | ErrorClass::Unavailable(_)
                | ErrorClass::Withheld(_),
            ) => return,
        };
        self.context.note_endpoint(&known.app.cloud, uid, problem);
    }

    /// The request may have been carried out: only a list that is newer than this tells.
    fn distrust_listing(&mut self) {
        let now = self.context.clock.now();
        let key = &self.start.entry.record.key;
        self.start.entry.memory.listing_after = Some(now);
        let uid = self.start.entry.record.uid;
        let mut world = self.context.world();
        if let Some(entry) = world.store.mailbox_mut(key).filter(|e| e.record.uid == uid) {
            entry.memory.listing_after = Some(now);
        }
    }
}

fn granted(grant: &graph::Granted) -> Granted {
    Granted {
        at: grant.granted_at,
        until: grant.expires_at,
    }
}

fn failure(error: GraphError) -> Outcome {
    let request_id = error.request_id.clone();
    let failure = match error.class {
        ErrorClass::Token(_)
        | ErrorClass::Unauthenticated
        | ErrorClass::Throttled { .. }
        | ErrorClass::Unavailable(_)
        | ErrorClass::Withheld(
            Withheld::Fenced | Withheld::ObserveOnly | Withheld::RetryLater { .. },
        ) => Failure::Unavailable(translate::outage(error)),
        ErrorClass::Forbidden(Forbidden::AccessPolicy) => Failure::Refused {
            by_access_policy: true,
            request_id,
        },
        ErrorClass::Forbidden(Forbidden::Denied) => Failure::Refused {
            by_access_policy: false,
            request_id,
        },
        ErrorClass::NotFound(NotFound::Unknown | NotFound::NotEnabledForRest) => {
            Failure::NoMailbox { request_id }
        }
        ErrorClass::EndpointInvalid(EndpointProblem::Failed | EndpointProblem::TimedOut) => {
            Failure::EndpointInvalid { request_id }
        }
        ErrorClass::QuotaExceeded => Failure::QuotaExceeded { request_id },
        ErrorClass::LifetimeTooLong { longest } => Failure::LifetimeTooLong {
            longest,
            request_id,
        },
        ErrorClass::Duplicate { .. } => Failure::HeldByAnother,
        ErrorClass::Rejected => Failure::Rejected {
            detail: error.detail,
            request_id,
        },
    };
    Outcome::Failed(failure)
}
