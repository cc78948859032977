//! The envelope of a `$batch`: what is put into it, and the answers that come back in it (docs/graph.md 9.3). Pure.

use std::collections::HashMap;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;
use url::Url;
use uuid::Uuid;

use crate::graph::call::{Answer, Body, Call, Failure, NoAnswer, Outcome};
use crate::graph::operation::Operation;

/// Everything that Graph answers lies below it, and what a batch names is relative to it.
const VERSION: &str = "/v1.0";

/// What an answer says once for all of its parts, unless a part says it itself.
const SHARED_HEADERS: [&str; 3] = ["date", "request-id", "x-ms-request-id"];

/// Whether `call` is a small read that may travel in a batch.
pub(super) fn accepts(call: &Call) -> bool {
    let small = match call.operation {
        Operation::GetUser
        | Operation::FindUsers
        | Operation::GetCalendar
        | Operation::GetPlace
        | Operation::GetSubscription => true,
        Operation::Token
        | Operation::Batch
        | Operation::GetOrganization
        | Operation::ListDomains
        | Operation::ListPlaces
        | Operation::CreateEvent
        | Operation::GetEvent
        | Operation::DeleteEvent
        | Operation::CreateSubscription
        | Operation::ListSubscriptions
        | Operation::RenewSubscription
        | Operation::DeleteSubscription => false,
    };
    small && split(&call.url).is_some()
}

/// Whether both may travel in the same batch: as the same caller, to the same place.
pub(super) fn together(one: &Call, other: &Call) -> bool {
    let bearer = |call: &Call| {
        call.bearer
            .as_ref()
            .map(|secret| secret.expose().to_owned())
    };
    bearer(one) == bearer(other)
        && one.url.origin() == other.url.origin()
        && split(&one.url).map(|(base, _)| base) == split(&other.url).map(|(base, _)| base)
}

/// One call that stands for all `parts`, which travel together; `None` without parts.
pub(super) fn wrap(parts: &[Call]) -> Option<Call> {
    let first = parts.first()?;
    let requests: Vec<Value> = parts
        .iter()
        .enumerate()
        .filter_map(|(number, part)| request(number, part))
        .collect();
    let mut url = first.url.clone();
    url.set_path(&format!("{}{VERSION}/$batch", split(&first.url)?.0));
    url.set_query(None);
    Some(Call {
        operation: Operation::Batch,
        method: Method::POST,
        url,
        body: Body::Json(json!({ "requests": requests }).to_string().into()),
        mailbox: None,
        until: parts
            .iter()
            .map(|part| part.until)
            .max()
            .unwrap_or_else(Instant::now),
        attempt_id: Uuid::new_v4(),
        ..first.clone()
    })
}

fn request(number: usize, part: &Call) -> Option<Value> {
    let (_, relative) = split(&part.url)?;
    Some(json!({
        "id": number.to_string(),
        "method": part.method.as_str(),
        "url": relative,
        "headers": {
            "client-request-id": part.attempt_id.to_string(),
            "prefer": crate::graph::transport::IMMUTABLE_IDS,
        },
    }))
}

/// `…/v1.0/users/a?b` as the path before the version, and what a batch calls it: `/users/a?b`.
fn split(url: &Url) -> Option<(&str, String)> {
    let (base, rest) = url.path().split_once(VERSION)?;
    let rest = rest.strip_prefix('/')?;
    let query = url
        .query()
        .map_or(String::new(), |query| format!("?{query}"));
    Some((base, format!("/{rest}{query}")))
}

#[derive(Deserialize)]
struct Responses {
    responses: Vec<Response>,
}

#[derive(Deserialize)]
struct Response {
    id: String,
    status: u16,
    #[serde(default)]
    headers: HashMap<String, Value>,
    #[serde(default)]
    body: Value,
}

/// What became of each of `parts`, in their order; `None` when `answer` is no answer to a batch. A part that is not
/// answered is a part whose answer got lost.
pub(super) fn unwrap(answer: &Answer, parts: &[Call]) -> Option<Vec<Outcome>> {
    let Responses { responses } = serde_json::from_slice(&answer.body).ok()?;
    let mut by_id: HashMap<String, Response> = responses
        .into_iter()
        .map(|response| (response.id.clone(), response))
        .collect();
    let of_part = |(number, part): (usize, &Call)| {
        let response = by_id.remove(&number.to_string());
        response
            .and_then(|response| part_answer(&response, answer, part.attempt_id))
            .ok_or(Failure::NoAnswer {
                cause: NoAnswer::Cut,
                attempt_id: part.attempt_id,
            })
    };
    Some(parts.iter().enumerate().map(of_part).collect())
}

fn part_answer(response: &Response, whole: &Answer, attempt_id: Uuid) -> Option<Answer> {
    let mut headers = HeaderMap::new();
    for name in SHARED_HEADERS {
        if let Some(value) = whole.headers.get(name) {
            headers.insert(HeaderName::from_static(name), value.clone());
        }
    }
    for (name, value) in &response.headers {
        let name = HeaderName::from_bytes(name.to_ascii_lowercase().as_bytes());
        let value = value
            .as_str()
            .and_then(|value| HeaderValue::from_str(value).ok());
        if let (Ok(name), Some(value)) = (name, value) {
            headers.insert(name, value);
        }
    }
    Some(Answer {
        status: StatusCode::from_u16(response.status).ok()?,
        headers,
        body: if response.body.is_null() {
            Vec::new()
        } else {
            response.body.to_string().into_bytes()
        },
        received_at: whole.received_at,
        attempt_id,
    })
}
