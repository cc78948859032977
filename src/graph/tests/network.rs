//! The leaf itself, over loopback sockets.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use url::Url;

use super::stand_in::{connection, room, secret};
use crate::clock::Clock;
use crate::graph::cloud::Endpoints;
use crate::graph::error::{ErrorClass, GraphError, Outage};
use crate::graph::gateway::{Connection, Gateway, GatewayOptions, TenantGateway, Writes};
use crate::graph::model::Calendar;
use crate::metrics::Metrics;

type Seen = Arc<Mutex<Vec<Request>>>;

const TOKEN: &str = r#"{"access_token": "t-1", "expires_in": 3600}"#;

fn tenant_at(base: &Url) -> TenantGateway {
    let options = GatewayOptions {
        ca_pem: None,
        writes: Writes::Allowed,
        fence: Arc::new(|| true),
        default_patience: Duration::ZERO,
    };
    let gateway = Gateway::new(options, Clock::system(), Metrics::new().unwrap()).unwrap();
    gateway.tenant(Connection {
        endpoints: Endpoints {
            login: base.clone(),
            graph: base.clone(),
        },
        ..connection(secret())
    })
}

async fn listen() -> (TcpListener, Url) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/", listener.local_addr().unwrap());
    (listener, base.parse().unwrap())
}

/// A tenant whose login works and whose Graph answers everything with `answer`.
async fn graph_that(
    answer: impl Fn() -> Response + Clone + Send + Sync + 'static,
) -> (TenantGateway, Seen) {
    let seen = Seen::default();
    let journal = Arc::clone(&seen);
    let serve = move |request: Request| {
        let token = request.uri().path().ends_with("/token");
        journal.lock().unwrap().push(request);
        let answer = if token {
            TOKEN.into_response()
        } else {
            answer()
        };
        std::future::ready(answer)
    };
    let (listener, base) = listen().await;
    let server = axum::serve(listener, Router::new().fallback(serve));
    tokio::spawn(server.into_future());
    (tenant_at(&base), seen)
}

async fn ask(tenant: &TenantGateway) -> Result<Calendar, GraphError> {
    tenant.calendar(&room(1)).await
}

#[tokio::test]
async fn a_request_carries_token_ids_and_preferences() {
    let (tenant, seen) = graph_that(|| r#"{"id": "c-1"}"#.into_response()).await;
    assert_eq!(ask(&tenant).await.unwrap().id, "c-1");
    let seen = seen.lock().unwrap();
    let [token, calendar] = &seen[..] else {
        panic!("two requests")
    };
    assert_eq!(
        token.uri().path(),
        "/5f1d7a9c-1111-4000-8000-000000000001/oauth2/v2.0/token"
    );
    assert_eq!(
        token.headers()["content-type"],
        "application/x-www-form-urlencoded"
    );
    assert_eq!(
        calendar.uri(),
        "/v1.0/users/room-1/calendar?%24select=id%2Cowner"
    );
    let headers = calendar.headers();
    assert_eq!(headers["authorization"], "Bearer t-1");
    assert_eq!(headers["prefer"], r#"IdType="ImmutableId""#);
    assert_eq!(headers["client-request-id"].len(), 36);
    assert_ne!(
        headers["client-request-id"],
        token.headers()["client-request-id"]
    );
}

#[tokio::test]
async fn errors_carry_the_id_of_the_request() {
    let (tenant, _) =
        graph_that(|| (StatusCode::NOT_FOUND, [("request-id", "r-1")]).into_response()).await;
    assert_eq!(
        ask(&tenant).await.unwrap_err().request_id.as_deref(),
        Some("r-1")
    );
}

#[tokio::test]
async fn a_token_follows_no_redirect() {
    let (elsewhere, base) = listen().await;
    let target = base.to_string();
    let (tenant, _) = graph_that(move || Redirect::temporary(&target).into_response()).await;
    let error = ask(&tenant).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Unavailable(Outage::ServerErrors));
    let visit = tokio::time::timeout(Duration::from_millis(50), elsewhere.accept());
    assert!(visit.await.is_err());
}

#[tokio::test]
async fn an_endless_answer_is_not_read_to_the_end() {
    let (tenant, _) = graph_that(|| vec![b' '; 5 * 1024 * 1024].into_response()).await;
    let error = ask(&tenant).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Unavailable(Outage::ServerErrors));
    assert_eq!(error.detail, "the answer is too long");
}

#[tokio::test]
async fn an_answer_that_is_no_json_says_nothing() {
    let (tenant, _) = graph_that(|| "<html>Welcome</html>".into_response()).await;
    let error = ask(&tenant).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Unavailable(Outage::ServerErrors));
}

#[tokio::test]
async fn a_closed_port_is_an_unreachable_login_host() {
    let (listener, base) = listen().await;
    drop(listener);
    let error = ask(&tenant_at(&base)).await.unwrap_err();
    assert_eq!(
        error.class,
        ErrorClass::Unavailable(Outage::LoginUnreachable)
    );
    assert_eq!(error.detail, "no connection");
}

#[tokio::test]
async fn an_answer_cut_short_is_no_answer() {
    let (listener, base) = listen().await;
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let half = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"access_token\":";
            socket.readable().await.unwrap();
            socket.write_all(half).await.unwrap();
        }
    });
    let error = ask(&tenant_at(&base)).await.unwrap_err();
    assert_eq!(
        error.class,
        ErrorClass::Unavailable(Outage::LoginUnreachable)
    );
    assert_eq!(error.detail, "the connection broke");
    assert_eq!(error.request_id.unwrap().len(), 36);
}

#[tokio::test]
async fn authorities_that_are_none_are_refused_at_start() {
    let options = GatewayOptions {
        ca_pem: Some(b"-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----".to_vec()),
        writes: Writes::Allowed,
        fence: Arc::new(|| true),
        default_patience: Duration::ZERO,
    };
    assert!(Gateway::new(options, Clock::system(), Metrics::new().unwrap()).is_err());
}
