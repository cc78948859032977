//! Answers to batches, broken in every way, while several calls wait in the same batch: each of them comes to one end,
//! and to none that was another's.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::join_all;
use fuzz::Target;
use fuzz::message::Message;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::time::{Instant, timeout};
use tower::{ServiceExt, service_fn};
use url::Url;
use uuid::Uuid;

use super::{Microsoft, answer, can_be_shown};
use crate::clock::Clock;
use crate::graph::budget::Budget;
use crate::graph::call::{Answer, Body, Call, Failure, NoAnswer, Outcome};
use crate::graph::coalesced::Coalesced;
use crate::graph::envelope;
use crate::graph::error::GraphError;
use crate::graph::gateway::TenantGateway;
use crate::graph::measured::Measured;
use crate::graph::operation::Operation;
use crate::graph::shared::Shared;
use crate::graph::tests::stand_in::{PATIENCE, START, room};
use crate::graph::timed::Timed;
use crate::graph::transport::Leaf;
use crate::ids::SubscriptionId;
use crate::secret::Secret;

/// How many wait in one batch: the answers to them have the ids 0, 1 and 2.
const WAITING: usize = 3;

const WORDS: &[&str] = &[
    "\"responses\"",
    "\"id\":\"0\",",
    "\"id\":\"1\",",
    "\"id\":2,",
    "\"status\":200,",
    "\"status\":404,",
    "\"status\":99,",
    "\"headers\":{},",
    "\"Retry-After\":\"7\",",
    "\"retry-after\":\"8\",",
    "\"request-id\":\"r-9\",",
    "\"body\":null,",
    "\"code\"",
    "200",
    "207",
    "401",
    "404",
    "429",
    "503",
    "504",
];

/// What one call that waited came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    /// The answer to its own part.
    Part,
    /// There was no answer to its part.
    Lost,
    /// It was told what the whole batch was told.
    Whole,
    /// It was asked again by itself.
    Alone,
}

/// What was sent while calls waited.
#[derive(Clone, Debug, Default)]
struct Sent {
    /// How many parts each batch had.
    batches: Vec<usize>,
    /// Calls that were sent by themselves; each is answered with its own id.
    alone: Vec<Uuid>,
}

fn calendar_of(number: usize, shared: &Arc<Shared>) -> Call {
    let url = format!("https://graph.microsoft.com/v1.0/users/room-{number}/calendar");
    Call {
        operation: Operation::GetCalendar,
        method: Method::GET,
        url: Url::parse(&url).unwrap(),
        body: Body::Empty,
        bearer: Some(Secret::new("token".to_owned())),
        mailbox: None,
        until: Instant::now() + PATIENCE,
        once: false,
        attempt_id: Uuid::new_v4(),
        shared: Arc::clone(shared),
        label: "calendars/contoso".into(),
    }
}

/// A network that answers batches so, and every other call with its own id.
fn leaf(said: &Answer, sent: &Arc<Mutex<Sent>>) -> Leaf {
    let (said, sent) = (said.clone(), Arc::clone(sent));
    Leaf::new(service_fn(move |call: Call| {
        let mut answer = said.clone();
        answer.attempt_id = call.attempt_id;
        let mut sent = sent.lock().unwrap();
        if let Body::Json(json) = &call.body {
            let body: Value = serde_json::from_str(json).unwrap();
            sent.batches
                .push(body["requests"].as_array().unwrap().len());
        } else {
            sent.alone.push(call.attempt_id);
            answer.status = StatusCode::OK;
            answer.body = call.attempt_id.to_string().into_bytes();
        }
        async move { Ok(answer) }
    }))
}

/// Lets calls wait in one batch that is answered so: the calls, what each came to, and what was sent.
fn wait_together(microsoft: &Microsoft, said: &Answer) -> (Vec<Call>, Vec<Outcome>, Sent) {
    let sent = Arc::new(Mutex::new(Sent::default()));
    let leaf = leaf(said, &sent);
    let (calls, outcomes) = microsoft.runtime.block_on(async {
        let measured = Measured::new(Timed::new(leaf), microsoft.metrics.clone());
        let layers = Coalesced::new(measured, microsoft.metrics.clone());
        let clock = Clock::starting_at(START.parse().unwrap());
        let shared = Arc::new(Shared::new(Arc::new(Budget::of_application()), clock));
        let calls: Vec<_> = (0..WAITING).map(|at| calendar_of(at, &shared)).collect();
        let outcomes = calls
            .iter()
            .map(|call| layers.clone().oneshot(call.clone()));
        let outcomes = timeout(Duration::from_mins(5), join_all(outcomes)).await;
        (calls, outcomes.expect("nobody waits for ever"))
    });
    let sent = sent.lock().unwrap().clone();
    (calls, outcomes, sent)
}

/// A field as it is written. `serde` reads the fields of an object from a list as well.
fn field(of: &RawValue, name: &str, position: usize) -> Option<Box<RawValue>> {
    match serde_json::from_str::<BTreeMap<String, Box<RawValue>>>(of.get()) {
        Ok(mut fields) => fields.remove(name),
        Err(_) => serde_json::from_str::<Vec<Box<RawValue>>>(of.get())
            .ok()?
            .into_iter()
            .nth(position),
    }
}

/// Whether an answer in the answer to a batch is to the part of this number.
fn is_about(part: &RawValue, number: usize) -> bool {
    let id = field(part, "id", 0);
    let id = id.and_then(|id| serde_json::from_str::<String>(id.get()).ok());
    id.is_some_and(|id| id == number.to_string())
}

/// One answer in the answer to a batch, as it is written.
struct Part {
    status: Option<StatusCode>,
    headers: BTreeMap<String, Box<RawValue>>,
    body: Option<Box<RawValue>>,
}

impl Part {
    /// All that are about the call of this number.
    fn about(number: usize, body: &[u8]) -> Vec<Self> {
        let whole = serde_json::from_slice::<Box<RawValue>>(body).ok();
        let parts = whole.and_then(|whole| field(&whole, "responses", 0));
        let parts = parts.and_then(|parts| serde_json::from_str(parts.get()).ok());
        let parts: Vec<Box<RawValue>> = parts.unwrap_or_default();
        let own = parts.iter().filter(|part| is_about(part, number));
        own.map(|part| Self::read(part)).collect()
    }

    fn read(part: &RawValue) -> Self {
        let status = field(part, "status", 1).and_then(|status| status.get().parse().ok());
        let headers = field(part, "headers", 2);
        let headers = headers.and_then(|headers| serde_json::from_str(headers.get()).ok());
        Self {
            status: status.and_then(|status: u16| StatusCode::from_u16(status).ok()),
            headers: headers.unwrap_or_default(),
            body: field(part, "body", 3).filter(|body| body.get() != "null"),
        }
    }

    /// Whether `got` is this, and nothing else: of the whole answer only what it says once for all.
    fn is(&self, got: &Answer, whole: &Answer) -> bool {
        let body = self.body.as_ref().map_or("", |body| body.get());
        let own = |(name, value): (&HeaderName, &HeaderValue)| {
            let said = |text: &RawValue| {
                let text = serde_json::from_str::<String>(text.get());
                text.is_ok_and(|text| text.as_bytes() == value.as_bytes())
            };
            let mut headers = self.headers.iter();
            headers.any(|(own, text)| own.eq_ignore_ascii_case(name.as_str()) && said(text))
        };
        let shared = |(name, value): (&HeaderName, &HeaderValue)| {
            let is_shared = ["date", "request-id", "x-ms-request-id"].contains(&name.as_str());
            is_shared && whole.headers.get(name) == Some(value)
        };
        let mut headers = got.headers.iter();
        self.status == Some(got.status)
            && got.body == body.as_bytes()
            && headers.all(|header| own(header) || shared(header))
    }
}

/// Whether a refusal of the whole holds for each call in it.
fn concerns_all(status: StatusCode) -> bool {
    let number = status.as_u16();
    matches!(number, 401 | 429 | 500..=599) && ![501, 504].contains(&number)
}

/// What the call of this number came to, when everything went right.
fn end(said: &Answer, (number, asked): (usize, Uuid), outcome: &Outcome, sent: &Sent) -> End {
    let again = sent.alone.iter().filter(|id| **id == asked).count();
    assert!(again <= 1, "asked again {again} times");
    if again == 1 {
        let got = outcome.as_ref().unwrap();
        assert_eq!(got.body, asked.to_string().into_bytes());
        assert!(!concerns_all(said.status), "{} was not enough", said.status);
        return End::Alone;
    }
    if !said.status.is_success() {
        let got = outcome.as_ref().unwrap();
        assert!(
            concerns_all(said.status),
            "{} is taken for its part's",
            said.status
        );
        assert_eq!((got.status, &got.body), (said.status, &said.body));
        return End::Whole;
    }
    let parts = Part::about(number, &said.body);
    match outcome {
        Ok(got) => {
            assert_eq!(got.attempt_id, asked);
            let is_own = parts.iter().any(|part| part.is(got, said));
            assert!(is_own, "{number} got {got:?}");
            End::Part
        }
        Err(Failure::NoAnswer {
            cause: NoAnswer::Cut,
            attempt_id,
        }) => {
            assert_eq!(*attempt_id, asked);
            let answered = !parts.is_empty() && parts.iter().all(|part| part.status.is_some());
            assert!(!answered, "the answer to {number} was thrown away");
            End::Lost
        }
        Err(failure) => panic!("{number}: {failure:?}"),
    }
}

type Read = (StatusCode, HeaderMap, Vec<u8>);

/// What an answer says about each of these calls.
fn read(said: &Answer, calls: &[Call]) -> Option<Vec<Option<Read>>> {
    let plain = |outcome: Outcome| {
        let answer = outcome.ok()?;
        Some((answer.status, answer.headers, answer.body))
    };
    Some(
        envelope::unwrap(said, calls)?
            .into_iter()
            .map(plain)
            .collect(),
    )
}

/// Every kind of read that travels with others, at once.
async fn ask_at_once(tenant: TenantGateway) -> Vec<GraphError> {
    tenant.token().await.unwrap();
    let rooms = [room(0), room(1)];
    let subscription = SubscriptionId::new("s-1");
    let (one, other, user, found, place, subscription) = tokio::join!(
        tenant.calendar(&rooms[0]),
        tenant.calendar(&rooms[1]),
        tenant.get_user("room-1"),
        tenant.find_users("room-1"),
        tenant.place("room-1"),
        tenant.get_subscription(&subscription),
    );
    let outcomes = [
        one.map(drop),
        other.map(drop),
        user.map(drop),
        found.map(drop),
        place.map(drop),
        subscription.map(drop),
    ];
    outcomes.into_iter().filter_map(Result::err).collect()
}

/// Whether there is anything by which Graph's own errors are known.
fn may_be_signed(input: &[u8]) -> bool {
    let text = String::from_utf8_lossy(input).to_ascii_lowercase();
    ["request-id", "code", "\\u"]
        .iter()
        .any(|sign| text.contains(sign))
}

#[test]
fn each_call_that_waits_in_a_batch_comes_to_one_end_that_is_its_own() {
    let microsoft = Microsoft::new();
    let ends = RefCell::new(BTreeSet::new());
    Target::new("batch-answers").words(WORDS).run(|input| {
        let said = answer(&Message::read(input));
        let (calls, outcomes, sent) = wait_together(&microsoft, &said);
        assert_eq!(
            (sent.batches.as_slice(), outcomes.len()),
            (&[WAITING][..], WAITING)
        );
        for (number, (call, outcome)) in calls.iter().zip(&outcomes).enumerate() {
            let end = end(&said, (number, call.attempt_id), outcome, &sent);
            ends.borrow_mut().insert(end);
        }
        let first = read(&said, &calls);
        for _ in 0..4 {
            assert_eq!(
                read(&said, &calls),
                first,
                "it means something else each time"
            );
        }
        let about = |operation| operation == Operation::Batch;
        let (errors, went) = microsoft.ask(&said, about, ask_at_once);
        assert!(went.iter().any(|(operation, _, _)| about(*operation)));
        for error in errors {
            can_be_shown(&error);
            assert!(error.is_transient() || may_be_signed(input), "{error}");
        }
    });
    let all = [End::Part, End::Lost, End::Whole, End::Alone];
    assert_eq!(
        ends.into_inner(),
        all.into(),
        "an end that no example leads to"
    );
}
