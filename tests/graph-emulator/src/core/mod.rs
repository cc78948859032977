//! The emulator without sockets: every call goes through [`Core::answer`].

mod fault;
mod graph;
mod token;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::call::{Answer, Call, ConnectionCut};
use crate::clock::{Clock, http_date};
use crate::fault::FaultState;
use crate::graph::error::{Inner, bad_request, error, not_imitated};
use crate::ids::Ids;
use crate::journal::{Journal, JournalEntry};
use crate::notify::reception::Receivers;
use crate::operation::{Operation, Workload};
use crate::outgoing::Outgoing;
use crate::quota::{QuotaState, resource_units};
use crate::route::{Route, Target, has_empty_segment, route};
use crate::state::directory::Directory;
use crate::state::{ClientStates, Data, Expired, State};
use crate::world::World;

#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) clock: Clock,
    pub(crate) ids: Ids,
    /// For notifications, validations and the discovery of issuers.
    pub(crate) outgoing: Outgoing,
    /// Deliveries and calls under way.
    pub(crate) tasks: TaskTracker,
    pub(crate) stopping: CancellationToken,
    /// Where deliveries run, also when someone asks for them from another thread.
    pub(crate) runtime: Handle,
    /// Itself, for work that goes on by itself.
    pub(crate) this: Weak<Self>,
    state: Mutex<State>,
}

/// What the journal tells of a call, filled while it is answered.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    pub(crate) operation: Operation,
    pub(crate) tenant: Option<String>,
    pub(crate) client_id: Option<String>,
    pub(crate) mailbox: Option<String>,
    pub(crate) request_id: String,
    pub(crate) client_request_id: String,
    pub(crate) time: Timestamp,
    /// How much of its limit at the directory the caller has used, when that is a lot.
    pub(crate) limit_share: Option<String>,
}

impl Trace {
    pub(crate) fn inner(&self) -> Inner<'_> {
        Inner {
            now: self.time,
            request_id: &self.request_id,
            client_request_id: &self.client_request_id,
        }
    }
}

pub(crate) type Outcome = Result<Answer, ConnectionCut>;

impl Core {
    /// Must be called within a tokio runtime.
    pub(crate) fn new(world: World, seed: u64, outgoing: Outgoing, clock: Clock) -> Arc<Self> {
        let ids = Ids::new(seed);
        let data = Data::new(Directory::new(world, &ids));
        let state = Mutex::new(State {
            data,
            journal: Journal::default(),
            faults: FaultState::default(),
            quotas: QuotaState::default(),
            receivers: Receivers::default(),
            client_states: ClientStates::default(),
            expired: Expired::default(),
        });
        Arc::new_cyclic(|this| Self {
            clock,
            ids,
            outgoing,
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
            runtime: Handle::current(),
            this: this.clone(),
            state,
        })
    }

    /// The state, with subscriptions whose time is over forgotten.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let over = state.data.expire(self.clock.now());
        state.expired.saw(over);
        state
    }

    /// Answers one call and writes it into the journal.
    ///
    /// The call is finished even if the caller goes away, as at a real service.
    pub(crate) async fn answer(self: Arc<Self>, call: Call) -> Outcome {
        let core = Arc::clone(&self);
        let task = self
            .tasks
            .spawn_on(async move { core.finish(call).await }, &self.runtime);
        task.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a call was not finished");
            Err(ConnectionCut)
        })
    }

    pub(crate) async fn finish(self: Arc<Self>, call: Call) -> Outcome {
        let started = Instant::now();
        let request_id = self.ids.fresh("request").to_string();
        let client_request_id = call
            .header("client-request-id")
            .and_then(|id| Uuid::parse_str(id).ok())
            .map_or_else(|| request_id.clone(), |id| id.to_string());
        let found = route(&call.method, &call.path);
        let mut trace = Trace {
            operation: found
                .as_ref()
                .map_or(Operation::Unknown, |found| found.operation),
            tenant: None,
            client_id: None,
            mailbox: None,
            request_id,
            client_request_id,
            time: self.clock.now(),
            limit_share: None,
        };
        let outcome = self.dispatch(found, &call, &mut trace).await;
        let outcome = outcome.map(|answer| self.decorated(answer, &call, &trace));
        self.record(&call, trace, started, &outcome);
        outcome
    }

    async fn dispatch(
        self: &Arc<Self>,
        found: Option<Route>,
        call: &Call,
        trace: &mut Trace,
    ) -> Outcome {
        if has_empty_segment(&call.path) {
            let message = "Empty Path Segment encountered in the URL. Please specify a valid value \
                           for the segment.";
            return Ok(bad_request(message).into_answer(&trace.inner()));
        }
        let Some(Route { operation, target }) = found else {
            let what = format!("{} {}", call.method, call.path);
            return Ok(not_imitated(what).into_answer(&trace.inner()));
        };
        match target {
            Target::Token { tenant } => self.token(call, &tenant, trace).await,
            Target::OpenIdConfiguration { .. }
            | Target::SigningKeys { .. }
            | Target::InstanceDiscovery => self.discovery(call, &target, trace).await,
            Target::Batch if call.batched => {
                let nested = error(
                    400,
                    "BadRequest",
                    "Nested batch requests are not supported.",
                );
                Ok(nested.into_answer(&trace.inner()))
            }
            Target::Batch => self.batch(call, trace).await,
            Target::Organization
            | Target::Domains
            | Target::Domain { .. }
            | Target::Application { .. }
            | Target::Users
            | Target::User { .. }
            | Target::Calendar { .. }
            | Target::Places
            | Target::Place { .. }
            | Target::Events { .. }
            | Target::Event { .. }
            | Target::Subscriptions
            | Target::Subscription { .. }
            | Target::Reauthorize { .. } => {
                self.graph(&Route { operation, target }, call, trace).await
            }
        }
    }

    fn decorated(&self, mut answer: Answer, call: &Call, trace: &Trace) -> Answer {
        if !call.batched {
            answer.set("date", &http_date(self.clock.now()));
        }
        if trace.operation.workload() == Workload::Entra {
            answer.set("x-ms-request-id", &trace.request_id);
            answer.set("cache-control", "no-store, no-cache");
            return answer;
        }
        answer.set("request-id", &trace.request_id);
        answer.set("client-request-id", &trace.client_request_id);
        answer.set("cache-control", "no-cache");
        let diagnostic = "{\"ServerInfo\":{\"DataCenter\":\"Emulator\",\"Slice\":\"E\",\"Ring\":\"0\",\
                          \"ScaleUnit\":\"000\",\"RoleInstance\":\"EMULATOR000\"}}";
        answer.set("x-ms-ags-diagnostic", diagnostic);
        answer.set("odata-version", "4.0");
        if trace.operation.workload() == Workload::Directory {
            let units = resource_units(trace.operation, call.query.as_deref().unwrap_or_default());
            answer.set("x-ms-resource-unit", &units.to_string());
            if let Some(share) = &trace.limit_share {
                answer.set("x-ms-throttle-limit-percentage", share);
            }
        }
        if answer.status.is_success() {
            let kind = "application/json;odata.metadata=minimal;odata.streaming=true;\
                        IEEE754Compatible=false;charset=utf-8";
            answer
                .headers
                .entry(CONTENT_TYPE)
                .or_insert_with(|| HeaderValue::from_static(kind));
        }
        answer
    }

    fn record(&self, call: &Call, trace: Trace, started: Instant, outcome: &Outcome) {
        let (status, note) = match outcome {
            Ok(answer) => (answer.status.as_u16(), answer.note.clone()),
            Err(ConnectionCut) => (0, None),
        };
        if status == StatusCode::NOT_IMPLEMENTED.as_u16() {
            let what = note.as_deref().unwrap_or("a fault rule says so");
            tracing::warn!(operation = %trace.operation, what, "not imitated");
        }
        let duration = started.elapsed().as_millis();
        self.state().journal.record(JournalEntry {
            seq: 0,
            time: trace.time,
            operation: trace.operation.to_string(),
            method: call.method.to_string(),
            path: call.path_and_query(),
            tenant: trace.tenant,
            client_id: trace.client_id,
            mailbox: trace.mailbox,
            status,
            duration_ms: u64::try_from(duration).unwrap_or(u64::MAX),
            request_id: trace.request_id,
            batched: call.batched,
            note,
        });
    }
}
