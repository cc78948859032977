//! Somebody else in the same tenants: subscriptions of another application, and of another installation of ours that uses
//! the same one. They keep them alive themselves.

use axum::body::Body;
use graph_emulator::EmulatorService;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hybrid_calendar_operator::clock::sleep;
use serde_json::{Value, json};
use std::time::Duration;
use tower::ServiceExt;
use url::Url;

use crate::town::{FOREIGN_SECRET, RECEIVER, address, client_id, foreign_client_id, tenant_id};
use crate::witness::Witness;

/// How often they are renewed.
const RENEWAL: Duration = Duration::from_hours(48);

/// After a subscription that was not granted.
const AGAIN: Duration = Duration::from_secs(10);

/// How long they live.
const LIFE: Duration = Duration::from_hours(160);

/// Another installation at the same address.
const OTHER_INSTANCE: &str = "0123456789abcdef";

/// Another system.
const ELSEWHERE: &str = "https://elsewhere.example";

/// Who calls: application and its secret.
pub(crate) struct Caller {
    pub(crate) tenant: usize,
    pub(crate) client: String,
    pub(crate) secret: String,
}

/// One subscription.
struct Planted {
    caller: usize,
    id: String,
}

/// Plants them, and renews them for as long as this is not dropped.
pub(crate) async fn live(
    graph: EmulatorService,
    witness: Witness,
    tenants: usize,
    secret_of_ours: impl Fn(usize) -> String,
) {
    let mut callers = Vec::new();
    for tenant in 0..tenants {
        callers.push(Caller {
            tenant,
            client: foreign_client_id(tenant),
            secret: FOREIGN_SECRET.to_owned(),
        });
        callers.push(Caller {
            tenant,
            client: client_id(tenant),
            secret: secret_of_ours(tenant),
        });
    }
    let mut planted = Vec::new();
    for (number, caller) in callers.iter().enumerate() {
        // Nobody answers before a copy listens.
        let id = loop {
            match plant(&graph, &witness, caller).await {
                Some(id) => break id,
                None => sleep(AGAIN).await,
            }
        };
        planted.push(Planted { caller: number, id });
    }
    loop {
        sleep(RENEWAL).await;
        for one in &planted {
            // The application that is ours changes its secret; what it planted then ends by itself.
            let caller = &callers[one.caller];
            if let Some(token) = token(&graph, caller).await {
                let until = end(&graph, LIFE);
                let path = format!("/v1.0/subscriptions/{}", one.id);
                let body = json!({"expirationDateTime": until});
                ask(&graph, Method::PATCH, (&path, &token), &body).await;
            }
        }
    }
}

/// The instant after so long, as Graph writes it.
pub(crate) fn end(graph: &EmulatorService, after: Duration) -> String {
    let end = graph.control().now().saturating_add(after);
    end.unwrap_or_default().to_string()
}

async fn plant(graph: &EmulatorService, witness: &Witness, caller: &Caller) -> Option<String> {
    let token = token(graph, caller).await?;
    let ours = caller.client == client_id(caller.tenant);
    let url = if ours {
        let uid = "5f1d7a9c-5555-4000-8000-000000000001";
        format!("{RECEIVER}/v1/notifications/{OTHER_INSTANCE}/0123456789abcdef/{uid}")
    } else {
        format!("{ELSEWHERE}/hook")
    };
    let body = json!({
        "changeType": "created",
        "notificationUrl": url,
        "resource": format!("users/{}/events", address(caller.tenant, 0)),
        "expirationDateTime": end(graph, LIFE),
        "clientState": "of-somebody-else",
    });
    let answer = ask(graph, Method::POST, ("/v1.0/subscriptions", &token), &body).await?;
    let id = answer["id"].as_str()?.to_owned();
    witness.foreign(&id);
    witness.count("subscriptions of others");
    Some(id)
}

/// A token of the caller, if Entra gives one.
pub(crate) async fn token(graph: &EmulatorService, caller: &Caller) -> Option<String> {
    let form = format!(
        "grant_type=client_credentials&client_id={}&client_secret={}&scope=https%3A%2F%2Fgraph.microsoft.com%2F.default",
        caller.client, caller.secret
    );
    let uri = format!(
        "https://login.microsoftonline.com/{}/oauth2/v2.0/token",
        tenant_id(caller.tenant)
    );
    let request = Request::post(uri)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from(form));
    let answer = graph.clone().oneshot(request.ok()?).await.ok()?;
    let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await;
    let answer: Value = serde_json::from_slice(&body.ok()?).ok()?;
    answer["access_token"].as_str().map(str::to_owned)
}

/// What Graph answers.
pub(crate) async fn ask(
    graph: &EmulatorService,
    method: Method,
    (path, token): (&str, &str),
    body: &Value,
) -> Option<Value> {
    let request = Request::builder()
        .method(method)
        .uri(format!("https://graph.microsoft.com{path}"))
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()));
    let answer = graph.clone().oneshot(request.ok()?).await.ok()?;
    let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await;
    serde_json::from_slice(&body.ok()?).ok()
}

/// The receiver of others: it takes everything, and returns the word that Graph sends first.
pub(crate) fn receive(url: &str) -> Response<Body> {
    let pairs = Url::parse(url).ok();
    let word = pairs.and_then(|url| {
        let mut pairs = url.query_pairs();
        let (_, word) = pairs.find(|(name, _)| name == "validationToken")?;
        Some(word.into_owned())
    });
    let mut response = Response::new(Body::empty());
    match word {
        Some(word) => {
            let text = HeaderValue::from_static("text/plain");
            response.headers_mut().insert(CONTENT_TYPE, text);
            *response.body_mut() = Body::from(word);
        }
        None => *response.status_mut() = StatusCode::ACCEPTED,
    }
    response
}
