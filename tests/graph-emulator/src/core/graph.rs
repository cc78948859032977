//! A call to Graph, from the token to the answer: token, quota, faults, execution, notifications.

use std::sync::Arc;

use futures::future::join_all;
use serde_json::json;
use tokio::sync::Semaphore;

use super::{Core, Outcome, Trace};
use crate::call::{Answer, Call, ConnectionCut};
use crate::entra::bearer;
use crate::fault::Fired;
use crate::graph::access::Caller;
use crate::graph::batch::{Item, items};
use crate::graph::error::{Refusal, error, not_imitated, unauthenticated};
use crate::graph::query::check_preferences;
use crate::graph::subscriptions::{Creation, Update};
use crate::graph::validation::{VALIDATION_TIMEOUT, Validation};
use crate::graph::{self, Reading, events, mailbox_concerned, subscriptions};
use crate::operation::{Operation, Workload};
use crate::quota::{Account, resource_units};
use crate::route::{Route, Target};
use crate::state::Data;
use crate::world::Quotas;

/// Outlook items of one batch that are dispatched at a time.
const BATCH_WIDTH: usize = 4;

/// A place at a mailbox, given back when the call ends.
struct Seat<'a> {
    core: &'a Core,
    application: String,
    mailbox: String,
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut state = self.core.state();
        state.quotas.leave(&self.application, &self.mailbox);
    }
}

struct Admitted<'a> {
    caller: Caller,
    fired: Option<Fired>,
    _seat: Option<Seat<'a>>,
}

impl Core {
    pub(super) async fn graph(&self, route: &Route, call: &Call, trace: &mut Trace) -> Outcome {
        let admitted = match self.admit(route, call, trace) {
            Ok(admitted) => admitted,
            Err(refusal) => return Ok(refusal.into_answer(&trace.inner())),
        };
        let caller = &admitted.caller;
        let trace = &*trace;
        self.with_fault((&call.base, trace), admitted.fired, async |stale| {
            let executed = self.execute(route, call, caller, stale).await;
            executed.unwrap_or_else(|refusal| refusal.into_answer(&trace.inner()))
        })
        .await
    }

    fn admit(&self, route: &Route, call: &Call, trace: &mut Trace) -> graph::Result<Admitted<'_>> {
        let now = self.clock.now();
        let caller = bearer::caller(call, now)?;
        trace.tenant = Some(caller.tenant.clone());
        trace.client_id = Some(caller.client_id.clone());
        let mut guard = self.state();
        let state = &mut *guard;
        let directory = Arc::clone(&state.data.directory);
        let tenant = directory
            .tenant(&caller.tenant)
            .ok_or_else(|| unauthenticated("The tenant of the token is unknown."))?;
        trace.mailbox = mailbox_concerned(&route.target, call, &state.data, tenant);
        let mut seat = None;
        let mailbox = trace.mailbox.as_deref();
        if directory.world.quotas == Quotas::Documented {
            let account = Account {
                application: &caller.client_id,
                tenant: &caller.tenant,
                mailbox,
                users: tenant.mailboxes.len(),
            };
            let cost = resource_units(route.operation, call.query.as_deref().unwrap_or_default());
            trace.limit_share = state.quotas.count(route.operation, cost, account, now)?;
            if let (Workload::Outlook, Some(mailbox)) = (route.operation.workload(), mailbox) {
                state.quotas.enter(&caller.client_id, mailbox)?;
                seat = Some(Seat {
                    core: self,
                    application: caller.client_id.clone(),
                    mailbox: mailbox.to_owned(),
                });
            }
        }
        let share = || self.ids.share();
        let tenant = Some(caller.tenant.as_str());
        let fired = state.faults.fire(route.operation, tenant, mailbox, share);
        // A seat that is dropped on the way out takes the lock.
        drop(guard);
        let random = directory.world.behaviour.random_faults;
        if random > 0.0 && self.ids.share() < random {
            let status = if self.ids.share() < 0.5 { 503 } else { 504 };
            return Err(error(status, "UnknownError", "").into());
        }
        Ok(Admitted {
            caller,
            fired,
            _seat: seat,
        })
    }

    async fn execute(
        &self,
        route: &Route,
        call: &Call,
        caller: &Caller,
        stale: Option<Arc<Data>>,
    ) -> graph::Result {
        let Route { operation, target } = route;
        check_preferences(call)?;
        match (operation, target) {
            (Operation::CreateSubscription, _) => self.create_subscription(call, caller).await,
            (Operation::RenewSubscription, Target::Subscription { id }) => {
                self.update_subscription(call, caller, id).await
            }
            (Operation::ReauthorizeSubscription, Target::Reauthorize { id }) => {
                subscriptions::reauthorize(&self.state().data, caller, call, id)
            }
            (Operation::DeleteSubscription, Target::Subscription { id }) => {
                subscriptions::delete(&mut self.state().data, caller, call, id)
            }
            (Operation::CreateEvent | Operation::UpdateEvent | Operation::DeleteEvent, _) => {
                self.write_event(route, call, caller)
            }
            _ => match stale {
                Some(stale) => read(&stale, target, call, caller),
                None => read(&self.state().data, target, call, caller),
            },
        }
    }

    async fn create_subscription(&self, call: &Call, caller: &Caller) -> graph::Result {
        let mut creation = Creation::read(call, caller, self.clock.now())?;
        let directory = {
            let mut state = self.state();
            if let Some(client_state) = creation.client_state() {
                state.client_states.saw(client_state);
            }
            creation.check(&state.data, caller, self.clock.now())?;
            Arc::clone(&state.data.directory)
        };
        self.validate(&directory.world, &creation.urls()).await?;
        let now = self.clock.now();
        let mut state = self.state();
        creation.check(&state.data, caller, now)?;
        Ok(creation.store(&mut state.data, &self.ids, call, now))
    }

    async fn update_subscription(&self, call: &Call, caller: &Caller, id: &str) -> graph::Result {
        let update = Update::read(call, id)?;
        let (directory, urls) = {
            let state = self.state();
            update.check(&state.data, caller, self.clock.now())?;
            (Arc::clone(&state.data.directory), update.urls(&state.data))
        };
        self.validate(&directory.world, &urls).await?;
        let now = self.clock.now();
        update.store(&mut self.state().data, caller, call, now)
    }

    async fn validate(&self, world: &crate::world::World, urls: &[String]) -> graph::Result<()> {
        let validation = Validation {
            outgoing: &self.outgoing,
            timeout: world
                .limits
                .validation_timeout
                .unwrap_or(VALIDATION_TIMEOUT),
            behaviour: &world.behaviour,
        };
        let request_id = || self.ids.fresh("validation").to_string();
        Ok(validation.all(urls, request_id).await?)
    }

    fn write_event(&self, route: &Route, call: &Call, caller: &Caller) -> graph::Result {
        let Route { operation, target } = route;
        let now = self.clock.now();
        let written = {
            let data = &mut self.state().data;
            match (operation, target) {
                (Operation::CreateEvent, Target::Events { user }) => {
                    events::create(data, caller, call, user, (&self.ids, now))?
                }
                (Operation::UpdateEvent, Target::Event { user, id }) => {
                    events::update(data, caller, call, (user, id), (&self.ids, now))?
                }
                (Operation::DeleteEvent, Target::Event { user, id }) => {
                    events::delete(data, caller, call, (user, id))?
                }
                _ => return Err(not_imitated("a write of this")),
            }
        };
        self.notify_change(&written.change);
        Ok(written.answer)
    }

    /// Executes every item of a batch as a call of its own.
    pub(super) async fn batch(self: &Arc<Self>, call: &Call, trace: &mut Trace) -> Outcome {
        let caller = match bearer::caller(call, self.clock.now()) {
            Ok(caller) => caller,
            Err(refused) => return Ok(refused.into_answer(&trace.inner())),
        };
        trace.tenant = Some(caller.tenant.clone());
        trace.client_id = Some(caller.client_id);
        let fired = {
            let share = || self.ids.share();
            let tenant = trace.tenant.as_deref();
            self.state()
                .faults
                .fire(Operation::Batch, tenant, None, share)
        };
        let trace = &*trace;
        self.with_fault((&call.base, trace), fired, async |_| match items(call) {
            Err(refused) => refused.into_answer(&trace.inner()),
            Ok(items) => {
                Answer::ok(json!({"responses": self.responses(&items, call, trace).await}))
            }
        })
        .await
    }

    async fn responses(
        self: &Arc<Self>,
        items: &[Item],
        call: &Call,
        trace: &Trace,
    ) -> Vec<serde_json::Value> {
        if items.iter().all(|item| item.depends_on.is_empty()) {
            let width = Semaphore::new(BATCH_WIDTH);
            let width = &width;
            let answers = items.iter().map(|item| async move {
                let _turn = match item.operation() {
                    Some(operation) if operation.workload() == Workload::Outlook => {
                        width.acquire().await.ok()
                    }
                    Some(_) | None => None,
                };
                item.response(self.item(item, call, trace).await)
            });
            return join_all(answers).await;
        }
        let mut failed: Vec<&str> = Vec::new();
        let mut responses = Vec::new();
        for item in items {
            let blocked = item
                .depends_on
                .iter()
                .any(|id| failed.contains(&id.as_str()));
            let answer = if blocked {
                let message = "The request depends on another one that failed.";
                error(424, "FailedDependency", message).into_answer(&trace.inner())
            } else {
                self.item(item, call, trace).await
            };
            if answer.status.as_u16() >= 400 {
                failed.push(&item.id);
            }
            responses.push(item.response(answer));
        }
        responses
    }

    async fn item(self: &Arc<Self>, item: &Item, call: &Call, trace: &Trace) -> Answer {
        let call = match item.call(call) {
            Ok(call) => call,
            Err(refused) => return refused.into_answer(&trace.inner()),
        };
        match Box::pin(Arc::clone(self).finish(call)).await {
            Ok(answer) => answer,
            // Behind the front door a cut connection is an answer that never came.
            Err(ConnectionCut) => error(504, "UnknownError", "").into_answer(&trace.inner()),
        }
    }
}

fn read(data: &Data, target: &Target, call: &Call, caller: &Caller) -> graph::Result {
    let tenant = data
        .directory
        .tenant(&caller.tenant)
        .ok_or_else(|| Refusal::from(unauthenticated("The tenant of the token is unknown.")))?;
    let reading = Reading {
        call,
        caller,
        data,
        tenant,
    };
    graph::read(&reading, target)
}
