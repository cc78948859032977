//! Decides when an attempt may begin: may we write, has the service asked us to wait, is there budget, is
//! there a place. And remembers what the answer says about waiting.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::time::timeout_at;
use tower::ServiceExt;

use crate::clock::sleep;
use crate::graph::call::{Answer, Call, Failure, Outcome, layer};
use crate::graph::classify;
use crate::graph::coalesced::Coalesced;
use crate::graph::envelope;
use crate::graph::error::Withheld;
use crate::graph::gateway::{Fence, Writes};
use crate::graph::holds::{Group, Throttler};
use crate::graph::lanes::Place;
use crate::metrics::Metrics;

/// What to advise when all places are taken: about the time that calls take.
const PLACES_TAKEN: Duration = Duration::from_secs(5);

/// Who may write.
#[derive(Clone)]
pub(super) struct Permission {
    pub(super) writes: Writes,
    pub(super) fence: Arc<dyn Fence>,
}

impl Permission {
    fn check(&self, call: &Call) -> Result<(), Failure> {
        if !call.operation.is_write() {
            return Ok(());
        }
        let may = || {
            if call.operation.creates() {
                self.fence.may_create()
            } else {
                self.fence.may_write()
            }
        };
        match self.writes {
            Writes::Refused => Err(Failure::Withheld(Withheld::ObserveOnly)),
            Writes::Allowed if may() => Ok(()),
            Writes::Allowed => Err(Failure::Withheld(Withheld::Fenced)),
        }
    }
}

/// Lets attempts through when their time has come.
#[derive(Clone)]
pub(super) struct Admission {
    inner: Coalesced,
    permission: Permission,
    metrics: Metrics,
}

impl Admission {
    pub(super) const fn new(inner: Coalesced, permission: Permission, metrics: Metrics) -> Self {
        Self {
            inner,
            permission,
            metrics,
        }
    }

    async fn send(self, call: Call) -> Outcome {
        self.permission.check(&call)?;
        self.reserve(&call).await?;
        let outcome = loop {
            let place = self.enter(&call).await?;
            // Once more: the wait may have been long.
            self.permission.check(&call)?;
            let outcome = self.inner.clone().oneshot(call.clone()).await;
            drop(place);
            // While this stood in line for a batch, somebody was asked to wait.
            let come_back = match &outcome {
                Err(Failure::Withheld(Withheld::RetryLater { after })) => Some(*after),
                _ => None,
            };
            if come_back.is_none_or(|after| after > call.patience_left()) {
                break outcome;
            }
        };
        if let Ok(answer) = &outcome
            && let Some((throttler, wait)) = hold(answer)
        {
            let grown = call.shared.holds.put(&call, throttler, wait);
            self.metrics
                .graph
                .throttled_seconds
                .with_label_values(&[&*call.label])
                .inc_by(grown.as_secs_f64());
        }
        outcome
    }

    /// Waits until the budgets allow this call.
    async fn reserve(&self, call: &Call) -> Result<(), Failure> {
        self.sit_out_holds(call).await?;
        let group = Group::of(call.operation);
        // Who waits for the tenant's sake takes nothing yet of what the application may do in others.
        for budget in [&call.shared.tenant, &*call.shared.application] {
            let wait = budget.reserve(group, call.patience_left()).map_err(later)?;
            if !wait.is_zero() {
                sleep(wait).await;
            }
        }
        Ok(())
    }

    /// Waits for a place, and until nobody asks to wait.
    async fn enter(&self, call: &Call) -> Result<Option<Place>, Failure> {
        if Group::of(call.operation) == Group::Login {
            return Ok(None);
        }
        let shared = &call.shared;
        loop {
            self.sit_out_holds(call).await?;
            let mailbox = call.mailbox.as_ref();
            let entering = async {
                if envelope::accepts(call) {
                    shared.lanes.enter_mailbox(mailbox).await
                } else {
                    shared.lanes.enter(mailbox).await
                }
            };
            let place = timeout_at(call.until, entering)
                .await
                .map_err(|_| later(PLACES_TAKEN))?;
            if shared.holds.wait(call).is_none() {
                return Ok(Some(place));
            }
            // Somebody was told to wait while we stood in line.
            drop(place);
        }
    }

    async fn sit_out_holds(&self, call: &Call) -> Result<(), Failure> {
        while let Some(wait) = call.shared.holds.wait(call) {
            if wait > call.patience_left() {
                return Err(later(wait));
            }
            sleep(wait).await;
        }
        Ok(())
    }
}

const fn later(after: Duration) -> Failure {
    Failure::Withheld(Withheld::RetryLater { after })
}

/// Who asks for which wait.
fn hold(answer: &Answer) -> Option<(Throttler, Duration)> {
    let status = answer.status;
    let waits = classify::throttles(status) || status == StatusCode::SERVICE_UNAVAILABLE;
    let asked = answer.retry_after().filter(|_| waits)?;
    Some((classify::throttler(answer), asked))
}

layer!(Admission);
