//! The envelope of a `$batch`: what is put into it, and the answers that come back in it (docs/graph.md 9.3). Pure.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
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
    small && split(call.url.path()).is_some()
}

/// Whether both may travel in the same batch: as the same caller, to the same place.
pub(super) fn together(one: &Call, other: &Call) -> bool {
    one.bearer == other.bearer
        && one.url.origin() == other.url.origin()
        && base(&one.url) == base(&other.url)
}

#[derive(Serialize)]
struct Requests<'a> {
    requests: Vec<Request<'a>>,
}

#[derive(Serialize)]
struct Request<'a> {
    id: String,
    method: &'a str,
    url: String,
    headers: PartHeaders,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct PartHeaders {
    client_request_id: Uuid,
    prefer: &'static str,
}

/// One call that stands for all `parts`, which travel together; `None` without parts.
pub(super) fn wrap(parts: &[Call]) -> Option<Call> {
    let first = parts.first()?;
    let numbered = parts.iter().enumerate();
    let requests = Requests {
        requests: numbered
            .filter_map(|(number, part)| request(number, part))
            .collect(),
    };
    let mut url = first.url.clone();
    url.set_path(&format!("{}{VERSION}/$batch", base(&first.url)?));
    url.set_query(None);
    Some(Call {
        operation: Operation::Batch,
        method: Method::POST,
        url,
        body: Body::Json(serde_json::to_string(&requests).ok()?.into()),
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

fn request(number: usize, part: &Call) -> Option<Request<'_>> {
    Some(Request {
        id: number.to_string(),
        method: part.method.as_str(),
        url: relative(&part.url)?,
        headers: PartHeaders {
            client_request_id: part.attempt_id,
            prefer: crate::graph::transport::IMMUTABLE_IDS,
        },
    })
}

/// A path as what comes before the version, and after it.
fn split(path: &str) -> Option<(&str, &str)> {
    let (base, rest) = path.split_once(VERSION)?;
    rest.starts_with('/').then_some((base, rest))
}

fn base(url: &Url) -> Option<&str> {
    split(url.path()).map(|(base, _)| base)
}

/// What a batch calls `…/v1.0/users/a?b`: `/users/a?b`.
fn relative(url: &Url) -> Option<String> {
    let (_, path) = split(url.path())?;
    Some(match url.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    })
}

#[derive(Deserialize)]
struct Responses<'a> {
    #[serde(borrow)]
    responses: Vec<Response<'a>>,
}

/// The body stays as it came: who asked reads it.
#[derive(Deserialize)]
struct Response<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    status: u16,
    /// In an order, so that a name in two spellings means the same each time.
    #[serde(default)]
    headers: BTreeMap<String, Value>,
    #[serde(borrow)]
    body: Option<&'a RawValue>,
}

/// What became of each of `parts`, in their order; `None` when `answer` is no answer to a batch. A part that is not
/// answered is a part whose answer got lost.
pub(super) fn unwrap(answer: &Answer, parts: &[Call]) -> Option<Vec<Outcome>> {
    let Responses { responses } = serde_json::from_slice(&answer.body).ok()?;
    let mut by_id: HashMap<Cow<'_, str>, Response<'_>> = responses
        .into_iter()
        .map(|response| (response.id.clone(), response))
        .collect();
    let of_part = |(number, part): (usize, &Call)| {
        let response = by_id.remove(number.to_string().as_str());
        response
            .and_then(|response| part_answer(&response, answer, part.attempt_id))
            .ok_or(Failure::NoAnswer {
                cause: NoAnswer::Cut,
                attempt_id: part.attempt_id,
            })
    };
    Some(parts.iter().enumerate().map(of_part).collect())
}

fn part_answer(response: &Response<'_>, whole: &Answer, attempt_id: Uuid) -> Option<Answer> {
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
        body: response
            .body
            .map_or_else(Vec::new, |body| body.get().as_bytes().to_vec()),
        received_at: whole.received_at,
        attempt_id,
    })
}
