//! Puts small reads of one tenant that are asked for together into one `$batch` (docs/graph.md 9.3).
//!
//! Each part was admitted by itself, and its answer passes holds and retries alone: who asked does not notice. What is
//! saved is requests: one place of the tenant and one round trip for up to twenty reads. Nobody owns a batch: whoever
//! waits for it drives it, and when the last of them gives up it ends. Of a batch that says nothing about its parts, or
//! nothing in time, each part is asked by itself, so that none waits for another that hangs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt, Shared, WeakShared};
use http::StatusCode;
use tokio::sync::Notify;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until, timeout_at};
use tower::ServiceExt;

use crate::graph::call::{Answer, Call, Failure, NoAnswer, Outcome, layer};
use crate::graph::envelope;
use crate::graph::error::Withheld;
use crate::graph::lessons::Lessons;
use crate::graph::measured::Measured;
use crate::metrics::Metrics;

/// How long a batch waits for the next to join: little beside the time that Graph takes.
const LINGER: Duration = Duration::from_millis(5);

/// How long it waits altogether, while one after the other joins: those of a row begin together, and a busy processor
/// draws them out.
const LONGEST_LINGER: Duration = Duration::from_millis(50);

/// Graph takes no more in one batch.
const MOST_PARTS: usize = 20;

/// What to advise when all places are taken: about the time that calls take.
const PLACES_TAKEN: Duration = Duration::from_secs(5);

/// Sends reads together, everything else by itself.
#[derive(Clone)]
pub(super) struct Coalesced {
    inner: Measured,
    metrics: Metrics,
}

/// Reads of one application in one tenant that wait to be sent together. One per tenant.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    open: Option<Open>,
    lessons: Lessons,
}

/// A batch that others may still join.
#[derive(Debug)]
struct Open {
    batch: Arc<Batch>,
    sent: WeakShared<BoxFuture<'static, Sent>>,
}

/// What became of each part; `None` for one that is to be asked by itself.
type Sent = Arc<[Option<Outcome>]>;

#[derive(Debug, Default)]
struct Batch {
    /// `None` for those who gave up before it was sent.
    parts: Mutex<Vec<Option<Call>>>,
    full: Notify,
    under_way: AtomicBool,
}

impl Batch {
    /// Waits until it is full, nobody joins any more, or `until`.
    async fn fill(&self, until: Instant) {
        let mut joined = 0;
        while Instant::now() < until {
            let linger = until.min(Instant::now() + LINGER);
            let before = std::mem::replace(&mut joined, self.parts().len());
            if before == joined || timeout_at(linger, self.full.notified()).await.is_ok() {
                return;
            }
            // Whoever was about to join gets to it first, however busy the processor is.
            yield_now().await;
        }
    }

    fn parts(&self) -> MutexGuard<'_, Vec<Option<Call>>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A part's seat, vacated when its caller gives up.
struct Seat {
    batch: Arc<Batch>,
    number: usize,
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(part) = self.batch.parts().get_mut(self.number) {
            *part = None;
        }
    }
}

impl Gathering {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long a batch may take.
    pub(super) fn limit(&self) -> Duration {
        self.state().lessons.limit()
    }

    fn may_travel(&self, call: &Call) -> bool {
        self.state().lessons.may_travel(call, Instant::now())
    }

    /// Nobody joins `batch` any more.
    fn close(&self, batch: &Arc<Batch>) -> Vec<Option<Call>> {
        let mut state = self.state();
        if state
            .open
            .as_ref()
            .is_some_and(|open| Arc::ptr_eq(&open.batch, batch))
        {
            state.open = None;
        }
        batch.under_way.store(true, Ordering::Release);
        std::mem::take(&mut *batch.parts())
    }
}

impl Coalesced {
    pub(super) const fn new(inner: Measured, metrics: Metrics) -> Self {
        Self { inner, metrics }
    }

    async fn send(self, call: Call) -> Outcome {
        if !envelope::accepts(&call) {
            return self.inner.oneshot(call).await;
        }
        if call.shared.gathering.may_travel(&call)
            && let Some(outcome) = self.with_others(call.clone()).await
        {
            return outcome;
        }
        self.alone(call).await
    }

    /// In a batch; `None` when that brought no answer and the read is to be asked by itself.
    async fn with_others(&self, call: Call) -> Option<Outcome> {
        let until = call.until;
        let (seat, answers) = self.join(call);
        let patience = sleep_until(until);
        tokio::pin!(patience, answers);
        let mut patient = true;
        loop {
            tokio::select! {
                biased;
                outcomes = &mut answers => return outcomes[seat.number].clone(),
                () = &mut patience, if patient => {
                    if !seat.batch.under_way.load(Ordering::Acquire) {
                        return Some(Err(later(PLACES_TAKEN)));
                    }
                    // What is under way is bounded by the layers below.
                    patient = false;
                }
            }
        }
    }

    /// A read that could travel with others.
    async fn alone(self, call: Call) -> Outcome {
        let place = timeout_at(call.until, call.shared.lanes.enter_tenant())
            .await
            .map_err(|_| later(PLACES_TAKEN))?;
        if let Some(wait) = call.shared.holds.wait(&call) {
            return Err(later(wait));
        }
        let outcome = self.single(call).await;
        drop(place);
        outcome
    }

    async fn single(self, call: Call) -> Outcome {
        let started = Instant::now();
        let outcome = self.inner.oneshot(call.clone()).await;
        let mut state = call.shared.gathering.state();
        state
            .lessons
            .alone(&call, &outcome, (started, Instant::now()));
        drop(state);
        outcome
    }

    /// A seat in the batch that is being gathered, or in a new one.
    fn join(&self, call: Call) -> (Seat, Shared<BoxFuture<'static, Sent>>) {
        let tenant = Arc::clone(&call.shared);
        let mut state = tenant.gathering.state();
        if let Some(open) = &state.open
            && let Some(sent) = open.sent.upgrade()
        {
            let batch = Arc::clone(&open.batch);
            let mut parts = batch.parts();
            let fits = parts
                .iter()
                .flatten()
                .next()
                .is_none_or(|part| envelope::together(part, &call));
            if fits {
                let number = parts.len();
                parts.push(Some(call));
                let full = parts.len() >= MOST_PARTS;
                drop(parts);
                if full {
                    state.open = None;
                    batch.full.notify_one();
                }
                return (Seat { batch, number }, sent);
            }
        }
        let batch = Arc::new(Batch::default());
        batch.parts().push(Some(call.clone()));
        let sent = self
            .clone()
            .gather(call, Arc::clone(&batch))
            .boxed()
            .shared();
        state.open = sent.downgrade().map(|sent| Open {
            batch: Arc::clone(&batch),
            sent,
        });
        (Seat { batch, number: 0 }, sent)
    }

    /// Waits for more parts and for a place, then sends what has gathered.
    async fn gather(self, first: Call, batch: Arc<Batch>) -> Sent {
        batch
            .fill(Instant::now() + LONGEST_LINGER.min(first.patience_left()))
            .await;
        let tenant = Arc::clone(&first.shared);
        let place = tenant.lanes.enter_tenant().await;
        let mut outcomes: Vec<Option<Outcome>> = Vec::new();
        let mut numbers = Vec::new();
        let mut parts = Vec::new();
        for (number, part) in tenant.gathering.close(&batch).into_iter().enumerate() {
            let wait = part.as_ref().and_then(|part| tenant.holds.wait(part));
            outcomes.push(Some(Err(later(wait.unwrap_or_default()))));
            if let Some(part) = part.filter(|_| wait.is_none()) {
                numbers.push(number);
                parts.push(part);
            }
        }
        for (number, outcome) in numbers.into_iter().zip(self.send_all(parts).await) {
            outcomes[number] = outcome;
        }
        drop(place);
        outcomes.into()
    }

    /// What becomes of each part, in their order.
    async fn send_all(self, mut parts: Vec<Call>) -> Vec<Option<Outcome>> {
        if parts.len() < 2 {
            return match parts.pop() {
                Some(part) => vec![Some(self.single(part).await)],
                None => Vec::new(),
            };
        }
        let Some(whole) = envelope::wrap(&parts) else {
            return vec![None; parts.len()];
        };
        let started = Instant::now();
        let outcome = self.inner.clone().oneshot(whole).await;
        let meaning = meaning(outcome, &parts);
        learn(&meaning, &parts, started.elapsed());
        match meaning {
            Meaning::Parts(outcomes) => {
                for (part, outcome) in parts.iter().zip(&outcomes) {
                    self.count(part, outcome);
                }
                outcomes.into_iter().map(Some).collect()
            }
            Meaning::All(outcome) => vec![Some(outcome); parts.len()],
            Meaning::Late | Meaning::NotTaken => vec![None; parts.len()],
        }
    }

    /// The envelope is counted where it is sent; this counts what was in it.
    fn count(&self, part: &Call, outcome: &Outcome) {
        let code = match outcome {
            Ok(answer) => answer.status.as_str().to_owned(),
            Err(_) => NoAnswer::Cut.as_str().to_owned(),
        };
        let operation = part.operation.as_str();
        self.metrics
            .graph
            .requests
            .with_label_values(&[operation, code.as_str(), &*part.label])
            .inc();
        self.metrics
            .graph
            .batched_requests
            .with_label_values(&[operation, &*part.label])
            .inc();
    }
}

/// What the answer to a batch means for its parts.
enum Meaning {
    /// Each has its own.
    Parts(Vec<Outcome>),
    /// Each is answered like the whole.
    All(Outcome),
    /// It was not answered in time: nothing was learned of the parts, and one of them may hang.
    Late,
    /// The host takes no batches: nothing was learned of the parts.
    NotTaken,
}

/// Remembers for the next batches what became of this one.
fn learn(meaning: &Meaning, parts: &[Call], after: Duration) {
    let Some(first) = parts.first() else { return };
    let (tenant, now) = (&first.label, Instant::now());
    let mut state = first.shared.gathering.state();
    match meaning {
        Meaning::Parts(_) => state.lessons.answered(after),
        Meaning::All(_) => {}
        Meaning::Late => {
            if state.lessons.late(parts, now) {
                tracing::warn!(
                    %tenant,
                    "Graph does not answer batches in time; for ten minutes every question to this tenant is a request of its own"
                );
            }
        }
        Meaning::NotTaken => {
            state.lessons.not_taken(now);
            tracing::warn!(
                %tenant,
                "Graph did not take a batch; for ten minutes every question to this tenant is a request of its own"
            );
        }
    }
}

fn meaning(outcome: Outcome, parts: &[Call]) -> Meaning {
    match outcome {
        Ok(answer) if answer.status.is_success() => match envelope::unwrap(&answer, parts) {
            Some(outcomes) => Meaning::Parts(outcomes),
            None => Meaning::NotTaken,
        },
        Ok(answer) if answer.status == StatusCode::GATEWAY_TIMEOUT => Meaning::Late,
        Ok(answer) if concerns_the_caller(&answer) => Meaning::All(Ok(answer)),
        // "Not found" or "forbidden" about the envelope must never be taken for what was asked in it.
        Ok(_)
        | Err(Failure::NoAnswer {
            cause: NoAnswer::Oversized,
            ..
        }) => Meaning::NotTaken,
        Err(Failure::NoAnswer {
            cause: NoAnswer::TimedOut,
            ..
        }) => Meaning::Late,
        Err(failure) => Meaning::All(Err(failure)),
    }
}

/// Whether a refusal of the whole says what each part would have been told.
fn concerns_the_caller(answer: &Answer) -> bool {
    matches!(
        answer.status,
        StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS
    ) || answer.status.is_server_error() && answer.status != StatusCode::NOT_IMPLEMENTED
}

const fn later(after: Duration) -> Failure {
    Failure::Withheld(Withheld::RetryLater { after })
}

layer!(Coalesced);
