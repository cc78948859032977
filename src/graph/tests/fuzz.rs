//! Answers of Graph, of the login host and of whoever stands between, broken in every way: what the layers make of
//! them. What holds for every answer is here; what a particular one means is in `meanings`.

mod batches;
mod certificates;

use std::sync::{Arc, Mutex};

use fuzz::Target;
use fuzz::message::Message;
use fuzz::shown::{nothing_personal, nothing_steers};
use http::StatusCode;
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};
use tower::service_fn;
use url::{Origin, Url};
use uuid::Uuid;

use super::stand_in::{PATIENCE, START, connection, secret};
use crate::clock::Clock;
use crate::graph::call::{Answer, Call};
use crate::graph::classify::{self, Remedy};
use crate::graph::cloud::Cloud;
use crate::graph::error::{ErrorClass, GraphError};
use crate::graph::gateway::{Gateway, GatewayOptions, TenantGateway, Writes};
use crate::graph::operation::Operation;
use crate::graph::redact::redact;
use crate::graph::transport::Leaf;
use crate::ids::{MailboxId, SubscriptionId};
use crate::metrics::Metrics;
use std::time::Duration;

const OPERATIONS: [Operation; 15] = [
    Operation::GetOrganization,
    Operation::ListDomains,
    Operation::GetUser,
    Operation::FindUsers,
    Operation::GetCalendar,
    Operation::GetPlace,
    Operation::ListPlaces,
    Operation::CreateEvent,
    Operation::GetEvent,
    Operation::DeleteEvent,
    Operation::CreateSubscription,
    Operation::GetSubscription,
    Operation::ListSubscriptions,
    Operation::RenewSubscription,
    Operation::DeleteSubscription,
];

/// What Graph and those who relay it write into errors.
const WORDS: &[&str] = &[
    "Request-Id: 1",
    "Retry-After: 30",
    "\"error\"",
    "\"code\"",
    "\"message\"",
    "ErrorItemNotFound",
    "MailboxNotEnabledForRESTAPI",
    "ObjectIdentifierInUse",
    "ValidationError",
    "quotaLimitReached",
    "[Status Code: Forbidden; Reason: x]",
    " minutes in the future",
    "[RAOP]",
    "200",
    "403",
    "404",
    "429",
    "503",
];

fn answer(message: &Message<'_>) -> Answer {
    let status = message.words().0.parse().ok();
    let status = status.and_then(|number: u16| StatusCode::from_u16(number).ok());
    Answer {
        status: status.unwrap_or(StatusCode::BAD_REQUEST),
        headers: message.headers.clone(),
        body: message.body.to_vec(),
        received_at: START.parse().unwrap(),
        attempt_id: Uuid::nil(),
    }
}

/// Whether Graph said it: its id of the request, or its envelope with a code.
fn is_signed(answer: &Answer) -> bool {
    let body = serde_json::from_slice::<Value>(&answer.body).unwrap_or_default();
    let enveloped = body.is_object() && body["error"]["code"].is_string();
    let has = |name| answer.headers.contains_key(name);
    enveloped || has("request-id") || has("x-ms-request-id")
}

fn can_be_shown(error: &GraphError) {
    nothing_personal(&error.detail);
    nothing_steers(&error.detail);
    assert!(error.detail.chars().count() < 700, "{error}");
    let id = error.request_id.as_deref().unwrap_or_default();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    assert!(id.len() <= 48 && id.chars().all(is_plain), "{id}");
    if let Some(wait) = error.retry_after() {
        assert!(wait <= Duration::from_hours(1), "{wait:?}");
    }
}

#[test]
fn an_answer_without_graphs_signature_says_nothing_about_what_was_asked_for() {
    Target::new("graph-errors").words(WORDS).run(|input| {
        let answer = answer(&Message::read(input));
        for operation in OPERATIONS {
            let error = classify::refusal(operation, &answer);
            can_be_shown(&error);
            if !is_signed(&answer) {
                assert!(error.is_transient(), "{error}");
            }
            if answer.status.is_success() {
                assert_eq!(classify::remedy(operation, &answer), Remedy::None);
            }
            assert_eq!(error, classify::refusal(operation, &answer));
        }
        let _ = classify::throttler(&answer);
    });
}

#[test]
fn a_wait_is_never_longer_than_an_hour_and_reads_back() {
    Target::new("graph-waits").run(|input| {
        let mut message = Message::read(input);
        let answer_with = answer(&message);
        let Some(wait) = answer_with.retry_after() else {
            return;
        };
        assert!(wait <= Duration::from_hours(1));
        let seconds = wait.as_secs().to_string();
        message
            .headers
            .insert("retry-after", seconds.parse().unwrap());
        let again = answer(&message).retry_after();
        assert_eq!(again, Some(Duration::from_secs(wait.as_secs())));
    });
}

#[test]
fn nothing_personal_is_shown_of_any_text() {
    Target::new("redaction").cases(2_000).run(|input| {
        let shown = redact(&String::from_utf8_lossy(input));
        nothing_personal(&shown);
        nothing_steers(&shown);
        assert!(shown.chars().count() <= 301, "{shown}");
    });
}

/// A tenant whose every call is answered with the same.
struct Microsoft {
    runtime: Runtime,
    metrics: Metrics,
}

/// To whom a call went, and whether with a token.
type Went = (Operation, Origin, bool);

impl Microsoft {
    fn new() -> Self {
        let mut builder = Builder::new_current_thread();
        Self {
            runtime: builder.enable_time().start_paused(true).build().unwrap(),
            metrics: Metrics::new().unwrap(),
        }
    }

    /// Calls a tenant that answers these operations so, and tokens that are not asked about well.
    fn ask<T>(
        &self,
        said: &Answer,
        about: fn(Operation) -> bool,
        calls: impl AsyncFnOnce(TenantGateway) -> T,
    ) -> (T, Vec<Went>) {
        let went = Arc::new(Mutex::new(Vec::new()));
        let (seen, said) = (Arc::clone(&went), said.clone());
        let leaf = Leaf::new(service_fn(move |call: Call| {
            let to = (call.operation, call.url.origin(), call.bearer.is_some());
            seen.lock().unwrap().push(to);
            let mut answer = said.clone();
            answer.attempt_id = call.attempt_id;
            if !about(call.operation) {
                answer.status = StatusCode::OK;
                answer.body = br#"{"access_token": "t", "expires_in": 3600}"#.to_vec();
            }
            async move { Ok(answer) }
        }));
        let options = GatewayOptions {
            ca_pem: None,
            writes: Writes::Allowed,
            fence: Arc::new(|| true),
            default_patience: PATIENCE,
        };
        let result = self.runtime.block_on(async {
            let clock = Clock::starting_at(START.parse().unwrap());
            let gateway = Gateway::with_leaf(leaf, options, clock, self.metrics.clone());
            calls(gateway.tenant(connection(secret()))).await
        });
        let went = went.lock().unwrap().clone();
        (result, went)
    }
}

/// Every kind of answer, read once. The answers' names differ only where one is missing.
async fn read_all(tenant: TenantGateway) -> Vec<GraphError> {
    let mailbox = MailboxId::new("room-1");
    let until = "2026-11-30T08:00:00Z".parse().unwrap();
    let subscription = SubscriptionId::new("s-1");
    let outcomes = [
        tenant.organization().await.map(drop),
        tenant.domains().await.map(|domains| {
            let is_lower = |name: &str| name.to_lowercase() == name;
            assert!(domains.iter().all(|domain| is_lower(&domain.name)));
        }),
        tenant.get_user("room-1").await.map(drop),
        tenant.find_users("room-1").await.map(drop),
        tenant.calendar(&mailbox).await.map(drop),
        tenant.place("room-1").await.map(drop),
        tenant.first_places().await.map(drop),
        tenant.list_subscriptions().await.map(drop),
        tenant.get_subscription(&subscription).await.map(drop),
        tenant
            .renew_subscription(&subscription, until)
            .await
            .map(drop),
    ];
    outcomes.into_iter().filter_map(Result::err).collect()
}

#[test]
fn a_token_goes_to_graph_alone_whatever_an_answer_says() {
    let microsoft = Microsoft::new();
    let origin = |text| Url::parse(text).unwrap().origin();
    let graph = origin(Cloud::Worldwide.graph());
    let login = origin(Cloud::Worldwide.login());
    let target = Target::new("graph-calls").words(&[
        "@odata.nextLink",
        "https://graph.microsoft.com/v1.0/domains?$skiptoken=2",
        "https://graph.microsoft.com@hook.example/v1.0/domains",
        "https://graph.microsoft.com.hook.example/",
        "http://graph.microsoft.com/v1.0/domains",
        "\"value\"",
        "200",
    ]);
    target.cases(150).run(|input| {
        let answer = answer(&Message::read(input));
        let about = |operation| operation != Operation::Token;
        let (errors, went) = microsoft.ask(&answer, about, read_all);
        for (operation, to, with_token) in went {
            let asks_for_token = operation == Operation::Token;
            let right = if asks_for_token { &login } else { &graph };
            assert_eq!((&to, with_token), (right, !asks_for_token), "{operation}");
        }
        for error in errors {
            can_be_shown(&error);
            if answer.status.is_success() || !is_signed(&answer) {
                assert!(error.is_transient(), "{error}");
            }
        }
    });
}

#[test]
fn an_answer_of_the_login_host_is_a_token_or_an_error_that_keeps_its_secrets() {
    let microsoft = Microsoft::new();
    let target = Target::new("login-answers").words(&[
        "access_token",
        "expires_in",
        "refresh_in",
        "\"error\"",
        "invalid_client",
        "AADSTS7000215",
        "AADSTS700024",
        "error_codes",
        "error_description",
        "eyJyb2xlcyI6WyJhIl19",
    ]);
    target.run(|input| {
        let answer = answer(&Message::read(input));
        let about = |operation| operation == Operation::Token;
        let (outcome, _) = microsoft.ask(&answer, about, async |tenant| {
            let first = tenant.token().await;
            drop(tenant.domains().await);
            first
        });
        match outcome {
            Ok(facts) => {
                assert!(answer.status.is_success());
                assert!(facts.roles.is_sorted());
                assert!(facts.acquired_at <= facts.expires_at);
            }
            Err(error) => {
                can_be_shown(&error);
                assert!(
                    matches!(error.class(), ErrorClass::Token(_)) || error.is_transient(),
                    "{error}"
                );
                // Broken characters in what is not used are skipped.
                let body = String::from_utf8_lossy(&answer.body);
                let body = serde_json::from_str::<Value>(&body).unwrap_or_default();
                if !body["error"].is_string() {
                    assert!(error.is_transient(), "{error}");
                }
            }
        }
    });
}
