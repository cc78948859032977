//! The ways of one process to the API server, to Microsoft and to other copies, with a witness at each.

use std::sync::Arc;

use axum::body::{Body as HttpBody, Bytes};
use futures::StreamExt;
use graph_emulator::EmulatorService;
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use hybrid_calendar_operator::carrier::{Carried, Carrier, Lost};
use kube::Client;
use kube::client::Body;
use kube::client::retry::RetryPolicy;
use memory_apiserver::MemoryApiServer;
use serde_json::{Value, json};
use tower::retry::Retry;
use tower::{BoxError, ServiceExt, service_fn};

use crate::link::{Link, NoAnswer};
use crate::mutants::{self, Mutant};
use crate::weather::Way;
use crate::witness::{Invariant, Witness};

/// More writes of one status within an hour are too many.
const MOST_WRITES: u32 = 60;

/// The same of a tenant, whose status counts its mailboxes: they change with every one of them, and are written ten seconds later.
const MOST_COUNTS: u32 = 3 * MOST_WRITES;

/// A status that is refused is tried again, ever more seldom, by each copy that begins to lead.
const MOST_REFUSALS: u32 = 180;

/// Events are merged, and there are several for one change.
const MOST_EVENTS: u32 = 120;

/// What the edges of all processes have in common.
#[derive(Clone, Debug)]
pub(crate) struct Ground {
    pub(crate) server: MemoryApiServer,
    pub(crate) graph: EmulatorService,
    pub(crate) witness: Witness,
    pub(crate) mutant: Option<Mutant>,
}

/// A client as the program makes it, which repeats by itself what is refused.
pub(crate) fn cluster(ground: &Ground, link: &Arc<Link>) -> Client {
    let service = requests(ground.clone(), Arc::clone(link));
    Client::new(Retry::new(RetryPolicy::server_retry(), service), "default")
}

/// A client as the program makes it for the Lease, which repeats nothing.
pub(crate) fn lease(ground: &Ground, link: &Arc<Link>) -> Client {
    Client::new(requests(ground.clone(), Arc::clone(link)), "default")
}

type Answered = futures::future::BoxFuture<'static, Result<Response<HttpBody>, BoxError>>;

fn requests(
    ground: Ground,
    link: Arc<Link>,
) -> impl tower::Service<
    Request<Body>,
    Response = Response<HttpBody>,
    Error = BoxError,
    Future = Answered,
> + Clone
+ Send
+ 'static {
    service_fn(move |request: Request<Body>| -> Answered {
        let (ground, link) = (ground.clone(), Arc::clone(&link));
        Box::pin(async move { ask_cluster(ground, &link, request).await })
    })
}

async fn ask_cluster(
    ground: Ground,
    link: &Arc<Link>,
    request: Request<Body>,
) -> Result<Response<HttpBody>, BoxError> {
    let (head, body) = request.into_parts();
    let write = head.method != Method::GET;
    let watches = !write && is_watch(&head.uri);
    // Asked all the time, and no news.
    let quiet = head.uri.path().contains("/leases") || (!write && is_routine(&head.uri));
    let what = if quiet {
        String::new()
    } else {
        format!("{} {}", head.method, timeless(&head.uri))
    };
    let mut body = body.collect_bytes().await?;
    if let Some(mutant) = ground.mutant.filter(|_| write) {
        body = mutant.write_instead(head.uri.path(), body);
    }
    let what = match said(&head.uri, &body).filter(|_| write) {
        Some(ready) => format!("{what} ({ready})"),
        None => what,
    };
    let (sent, told) = (head.clone(), body.clone());
    let request = Request::from_parts(head, Body::from(body));
    let witness = ground.witness.clone();
    if ground.mutant == Some(Mutant::KeepsLeading)
        && let Some(answer) = mutants::renew_nothing(&sent.method, sent.uri.path(), &told)
    {
        return Ok(answer);
    }
    let answered = link.carry(Way::Cluster, async {
        let refused = write && link.statuses_are_refused() && is_status(sent.uri.path());
        if refused {
            note_refusal(&witness, sent.uri.path());
            return Ok(failing("failed calling webhook: connection refused"));
        }
        if write {
            note_write(&witness, &sent.method, sent.uri.path(), &told);
        }
        let answer = ground.server.service().oneshot(request).await;
        if write && let Some(mutant) = ground.mutant {
            write_again(&ground, &sent, &told, mutant.writes(sent.uri.path())).await;
        }
        let accepted = answer.as_ref().is_ok_and(|one| one.status().is_success());
        if write && accepted && sent.uri.path().contains("/leases") {
            note_leader(&witness, &link.name, &told);
        }
        answer
    });
    let answered = answered.await;
    match answered {
        Ok(Ok(response)) => {
            if !quiet {
                witness.note(format_args!(
                    "{} {what} -> {}",
                    link.name,
                    response.status().as_u16()
                ));
            }
            witness.count("calls of the API server");
            Ok(if watches {
                response.map(|lines| late(lines, Arc::clone(link)))
            } else {
                response
            })
        }
        Ok(Err(error)) => Err(Into::<BoxError>::into(error)),
        Err(NoAnswer::Failing) => Ok(failing("etcdserver: request timed out")),
        Err(why @ (NoAnswer::Refused | NoAnswer::Cut)) => {
            Err(format!("{why:?} on the way to the API server").into())
        }
    }
}

/// Writes the same until it was written so often. The operator hears of the first only.
async fn write_again(ground: &Ground, sent: &Parts, body: &Bytes, times: u32) {
    for _ in 1..times {
        note_write(&ground.witness, &sent.method, sent.uri.path(), body);
        let again = Request::from_parts(sent.clone(), Body::from(body.clone()));
        drop(ground.server.service().oneshot(again).await);
    }
}

/// The reason of `Ready` in a status.
fn said(uri: &http::Uri, body: &[u8]) -> Option<String> {
    if !is_status(uri.path()) {
        return None;
    }
    let object: Value = serde_json::from_slice(body).ok()?;
    let conditions = object["status"]["conditions"].as_array()?;
    let ready = conditions.iter().find(|one| one["type"] == "Ready")?;
    Some(ready["reason"].as_str()?.to_owned())
}

/// Whether a tenant's or a mailbox's status is written there.
fn is_status(path: &str) -> bool {
    path.ends_with("/status") && path.contains("/hybridcalendar.dev/")
}

/// Watches, and looks at the key Secret.
fn is_routine(uri: &http::Uri) -> bool {
    is_watch(uri) || uri.path().contains("/operator/secrets/")
}

fn is_watch(uri: &http::Uri) -> bool {
    uri.query().is_some_and(|query| query.contains("watch="))
}

/// What a watch shows, in order, as late as it is just now, and not while the process stands still.
fn late(lines: HttpBody, link: Arc<Link>) -> HttpBody {
    let lines = lines.into_data_stream();
    HttpBody::from_stream(futures::stream::unfold(
        (lines, link),
        |(mut lines, link)| async {
            let news = lines.next().await?;
            link.news_arrives().await;
            Some((news, (lines, link)))
        },
    ))
}

fn failing(message: &str) -> Response<HttpBody> {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": "InternalError", "code": 500,
    });
    let mut response = Response::new(HttpBody::from(status.to_string()));
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response
}

/// Who wrote the Lease, unless to give it up. It is written all the time, so that only this is read of it.
fn note_leader(witness: &Witness, who: &str, lease: &[u8]) {
    const FIELD: &str = "\"holderIdentity\":\"";
    let lease = String::from_utf8_lossy(lease);
    let holder = lease
        .split_once(FIELD)
        .and_then(|(_, rest)| rest.split('"').next());
    let holder = holder.expect("a Lease says who holds it");
    witness.leads(Some(who).filter(|_| !holder.is_empty()));
}

/// A status was refused: it is tried again, but not in a loop.
fn note_refusal(witness: &Witness, path: &str) {
    witness.count("statuses that were refused");
    witness.wrote(&format!("{path}, refused each time,"), MOST_REFUSALS);
}

/// Which object a write is about, and whether it may be written at all.
fn note_write(witness: &Witness, method: &Method, path: &str, body: &[u8]) {
    let text = String::from_utf8_lossy(body);
    if path.contains("/leases") {
        witness.count("writes of the Lease");
    } else if path.contains("/secrets") && path.contains("/namespaces/operator/") {
        witness.count("writes of the key Secret");
        learn_keys(witness, &text);
        witness.wrote("the key Secret", MOST_WRITES);
    } else if path.contains("/events.k8s.io/") {
        witness.count("Events");
        witness.read_impersonal("an Event", &text);
        let about = serde_json::from_slice::<Value>(body).unwrap_or_default();
        let about = about["regarding"]["name"]
            .as_str()
            .unwrap_or(path)
            .to_owned();
        witness.wrote(&format!("Events of {about}"), MOST_EVENTS);
    } else if is_status(path) {
        witness.count("writes of statuses");
        witness.read("a status", &text);
        let counts = path.contains("/calendartenants/");
        witness.wrote(path, if counts { MOST_COUNTS } else { MOST_WRITES });
    } else {
        witness.violate(
            Invariant::NothingForeign,
            format!("the operator wrote {method} {path}"),
        );
    }
}

/// Keys of the key Secret are secrets, in whatever form they are written.
fn learn_keys(witness: &Witness, text: &str) {
    let secret = serde_json::from_str::<Value>(text).unwrap_or_default();
    for key in secret["data"]
        .as_object()
        .into_iter()
        .flat_map(|data| data.values())
    {
        witness.secret(key.as_str().unwrap_or_default());
    }
}

/// The way to Entra and Graph.
pub(crate) fn microsoft(ground: &Ground, link: &Arc<Link>) -> Carrier {
    let (ground, link) = (ground.clone(), Arc::clone(link));
    Carrier::new(service_fn(move |request: Request<Vec<u8>>| {
        let (ground, link) = (ground.clone(), Arc::clone(&link));
        async move { ask_microsoft(ground, &link, request).await }
    }))
}

async fn ask_microsoft(
    ground: Ground,
    link: &Link,
    mut request: Request<Vec<u8>>,
) -> Result<Carried, Lost> {
    let method = request.method().clone();
    let uri = request.uri().clone();
    let witness = ground.witness.clone();
    if method != Method::GET && uri.path().contains("/subscriptions") {
        witness.changes(&link.name, format_args!("{method} {}", uri.path()));
        learn_client_state(&witness, request.body());
    }
    if let Some(mutant) = ground.mutant
        && let Some(answer) = mutant.answer_instead(&mut request)
    {
        return Ok(Carried::now(answer));
    }
    let answered = link.carry(Way::Microsoft, async {
        guard_foreign(&witness, &method, uri.path());
        let creates = method == Method::POST && uri.path().ends_with("/subscriptions");
        if creates {
            let asked = serde_json::from_slice::<Value>(request.body()).unwrap_or_default();
            let url = asked["notificationUrl"].as_str().unwrap_or_default();
            witness.tried(url.rsplit('/').next());
        }
        let request = request.map(HttpBody::from);
        let response = ground.graph.clone().oneshot(request).await.ok()?;
        let (head, body) = response.into_parts();
        if creates && head.status == StatusCode::BAD_REQUEST {
            // Graph could not validate the URL, which one tries again for all.
            witness.tried(None);
        }
        if method == Method::DELETE && head.status.is_success() {
            witness.removed(uri.path().rsplit('/').next().unwrap_or_default());
        }
        let body = axum::body::to_bytes(body, usize::MAX).await.ok()?;
        Some(Response::from_parts(head, body.to_vec()))
    });
    let answered = answered.await;
    witness.count("requests to Graph and Entra");
    match answered {
        Ok(Some(mut response)) => {
            if uri.path().ends_with("/oauth2/v2.0/token") {
                learn_token(&witness, response.body());
            }
            if let Some(mutant) = ground.mutant {
                mutant.change_answer(&method, uri.path(), &mut response, &witness);
            }
            let status = response.status().as_u16();
            if status == 409 && uri.path().ends_with("/subscriptions") {
                witness.count("doubles that Graph refused");
            }
            witness.note(format_args!("{} {method} {uri} -> {status}", link.name));
            Ok(Carried::now(response))
        }
        Ok(None) | Err(NoAnswer::Cut | NoAnswer::Failing) => {
            witness.note(format_args!("{} {method} {uri} -> cut", link.name));
            Err(Lost::Cut)
        }
        Err(NoAnswer::Refused) => Err(Lost::Connect),
    }
}

fn learn_token(witness: &Witness, body: &[u8]) {
    let answer = serde_json::from_slice::<Value>(body).unwrap_or_default();
    witness.secret(answer["access_token"].as_str().unwrap_or_default());
}

/// Whoever knows it can forge notifications.
fn learn_client_state(witness: &Witness, body: &[u8]) {
    let asked = serde_json::from_slice::<Value>(body).unwrap_or_default();
    witness.secret(asked["clientState"].as_str().unwrap_or_default());
}

/// Nobody renews or deletes a subscription of others.
fn guard_foreign(witness: &Witness, method: &Method, path: &str) {
    let id = path.rsplit('/').next().unwrap_or_default();
    if matches!(*method, Method::DELETE | Method::PATCH) && witness.is_foreign(id) {
        witness.violate(
            Invariant::NothingForeign,
            format!("the operator sent {method} {path}, which belongs to others"),
        );
    }
}

/// Without the moment that the client puts into the names of Events: it reads the machine's clock, which is not played.
fn timeless(uri: &http::Uri) -> String {
    match uri.path().rsplit_once('.') {
        Some((object, _)) if uri.path().contains("/events/") => object.to_owned(),
        _ => uri.to_string(),
    }
}
