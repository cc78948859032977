//! What Graph and Entra were seen to say (docs/graph.md 1.7 and 4 to 9), and what it means.

use http::{HeaderMap, StatusCode};
use uuid::Uuid;

use crate::graph::call::Answer;
use crate::graph::classify::refusal;
use crate::graph::entra;
use crate::graph::error::{ErrorClass, NotFound, Outage};
use crate::graph::operation::Operation;

fn answer(status: u16, body: &str) -> Answer {
    Answer {
        status: StatusCode::from_u16(status).unwrap(),
        headers: HeaderMap::new(),
        body: body.as_bytes().to_vec(),
        received_at: "2026-11-24T08:00:00Z".parse().unwrap(),
        attempt_id: Uuid::nil(),
    }
}

fn error(code: &str, message: &str) -> String {
    serde_json::json!({"error": {"code": code, "message": message}}).to_string()
}

/// Each line: status | code | message | class.
fn check(operation: Operation, table: &str) {
    for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let columns: Vec<&str> = line.split('|').map(str::trim).collect();
        let [status, code, message, class] = columns[..] else {
            panic!("four columns: {line}");
        };
        let answer = answer(status.parse().unwrap(), &error(code, message));
        let refused = refusal(operation, &answer);
        assert_eq!(format!("{:?}", refused.class), class, "{operation}: {line}");
    }
}

#[test]
fn answers_about_users_mean_what_graph_md_says() {
    check(
        Operation::GetUser,
        "
        404 | Request_ResourceNotFound    | Resource 'x' does not exist | NotFound(Unknown)
        403 | Authorization_RequestDenied | Insufficient privileges     | Forbidden(Denied)
        400 | Request_UnsupportedQuery    |                             | Rejected
        409 | Conflict                    |                             | Rejected
        405 |                             |                             | Rejected
        ",
    );
}

#[test]
fn answers_about_mailboxes_mean_what_graph_md_says() {
    check(
        Operation::GetCalendar,
        "
        404 | MailboxNotEnabledForRESTAPI | The mailbox is either inactive, … | NotFound(NotEnabledForRest)
        404 | ErrorInvalidUser            | The requested user is invalid.    | NotFound(Unknown)
        400 | ErrorInvalidUser            | The requested user is invalid.    | NotFound(Unknown)
        404 | ErrorItemNotFound           | Default folder Inbox not found    | NotFound(Unknown)
        404 | ResourceNotFound            | Resource could not be discovered. | NotFound(Unknown)
        404 | UnknownError                |                                   | NotFound(Unknown)
        410 | SyncStateNotFound           |                                   | NotFound(Unknown)
        403 | ErrorAccessDenied           | Access is denied.                 | Forbidden(Denied)
        403 | ErrorAccessDenied           | Access to OData is disabled: [RAOP] : Blocked by tenant configured AppOnly AccessPolicy settings. | Forbidden(AccessPolicy)
        401 | InvalidAuthenticationToken  | expired                           | Unauthenticated
        412 | ErrorIrresolvableConflict   |                                   | Unavailable(ServerErrors)
        500 | ErrorInternalServerError    |                                   | Unavailable(ServerErrors)
        503 | UnknownError                |                                   | Unavailable(ServerErrors)
        504 | UnknownError                |                                   | Unavailable(ServerErrors)
        501 | NotImplemented              |                                   | Rejected
        429 | TooManyRequests             |                                   | Throttled { retry_after: 10s }
        509 |                             |                                   | Throttled { retry_after: 10s }
        ",
    );
}

#[test]
fn answers_to_a_create_mean_what_graph_md_says() {
    check(
        Operation::CreateSubscription,
        "
        400 | ValidationError | Subscription validation request failed. Notification endpoint must respond with 200 OK to validation request. | EndpointInvalid(Failed)
        400 | InvalidRequest  | Subscription validation request timed out. | EndpointInvalid(TimedOut)
        400 | ExtensionError  | Subscription expiration can only be 10070 minutes in the future. | LifetimeTooLong { longest: Some(604200s) }
        400 | ExtensionError  | Operation: Create; Exception: [Status Code: BadRequest; Reason: Expiration time '…' is beyond allowed max '…'] | LifetimeTooLong { longest: None }
        400 | InvalidRequest  | Property resource is wrong | Rejected
        403 | ExtensionError  | Operation: Create; Exception: [Status Code: Forbidden; Reason: Forbidden] | Forbidden(Denied)
        403 | ExtensionError  | Operation: Create; Exception: [Status Code: Forbidden; Reason: Maximum number of subscriptions has been reached] | QuotaExceeded
        404 | ExtensionError  | Operation: Create; Exception: [Status Code: NotFound; Reason: REST API is not yet supported for this mailbox.] | NotFound(NotEnabledForRest)
        400 | ExtensionError  | Operation: Create; Exception: [Status Code: NotFound; Reason: REST API is not yet supported for this mailbox.] | NotFound(NotEnabledForRest)
        401 | ExtensionError  | Operation: Create; Exception: [Status Code: Unauthorized; Reason: …] | Unauthenticated
        409 | ObjectIdentifierInUse | Subscription Id 5f1d7a9c-3333-4000-8000-000000000001 already exists for the requested combination | Duplicate { existing: Some(5f1d7a9c-3333-4000-8000-000000000001) }
        409 |                 |  | Duplicate { existing: None }
        500 | InternalServerError |  | Unavailable(ServerErrors)
        ",
    );
}

#[test]
fn answers_to_a_renewal_mean_what_graph_md_says() {
    check(
        Operation::RenewSubscription,
        "
        404 | ResourceNotFound | The object was not found. | NotFound(Unknown)
        400 | InvalidRequest   | Subscription validation request timed out. | EndpointInvalid(TimedOut)
        400 | ExtensionError   | Subscription expiration can only be 10070 minutes in the future. | LifetimeTooLong { longest: Some(604200s) }
        403 | ExtensionError   | Operation: Update; Exception: [Status Code: Forbidden; Reason: Forbidden] | Forbidden(Denied)
        ",
    );
}

#[test]
fn what_a_proxy_says_says_nothing_about_graph() {
    for status in [302, 400, 401, 403, 404, 407, 502] {
        let answer = answer(status, "<html>Blocked</html>");
        let refused = refusal(Operation::RenewSubscription, &answer);
        assert_eq!(
            refused.class,
            ErrorClass::Unavailable(Outage::ServerErrors),
            "{status}"
        );
        assert_eq!(refused.detail, format!("HTTP {status}"));
    }
}

#[test]
fn a_signed_answer_needs_no_body() {
    let mut answer = answer(404, "");
    answer.headers.insert("request-id", "abc".parse().unwrap());
    let refused = refusal(Operation::RenewSubscription, &answer);
    assert_eq!(refused.class, ErrorClass::NotFound(NotFound::Unknown));
    assert_eq!(refused.request_id.as_deref(), Some("abc"));
}

#[test]
fn details_name_the_code_and_nobody() {
    let body = error(
        "ErrorInvalidUser",
        "The requested user 'room-a@contoso.example' is invalid.",
    );
    let refused = refusal(Operation::GetCalendar, &answer(404, &body));
    assert_eq!(
        refused.detail,
        "HTTP 404 ErrorInvalidUser: The requested user [address] is invalid."
    );
}

#[test]
fn codes_of_entra_mean_what_graph_md_says() {
    let table = "
        7000215 | InvalidClientSecret
        7000222 | ClientSecretExpired
        700027  | CertificateRejected { clock: false }
        50012   | CertificateRejected { clock: false }
        700024  | CertificateRejected { clock: true }
        70021   | FederationRejected
        700211  | FederationRejected
        700212  | FederationRejected
        700213  | FederationRejected
        7002137 | FederationRejected
        7002138 | FederationRejected
        700016  | ApplicationNotFound
        7000112 | ApplicationDisabled
        90002   | TenantNotFound
        900023  | TenantNotFound
        53003   | BlockedByPolicy
        7000218 | Rejected { code: 7000218 }
        500011  | Rejected { code: 500011 }
    ";
    for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (code, class) = line.split_once('|').unwrap();
        let code: u32 = code.trim().parse().unwrap();
        let description = format!("AADSTS{code}: No.\r\nTrace ID: 1\r\nCorrelation ID: 2");
        let listed = serde_json::json!({
            "error": "invalid_client", "error_description": description, "error_codes": [code],
        });
        let quoted =
            serde_json::json!({"error": "invalid_client", "error_description": description});
        for body in [listed, quoted] {
            let refused = entra::refusal(&answer(401, &body.to_string()));
            assert_eq!(
                format!("{:?}", refused.class),
                format!("Token({})", class.trim())
            );
            assert_eq!(refused.detail, format!("AADSTS{code}: No."));
        }
    }
}

#[test]
fn trouble_at_the_login_host_is_no_refusal() {
    let transient = r#"{"error":"temporarily_unavailable","error_codes":[90033]}"#;
    for (status, body, class) in [
        (429, "Too Many Requests", "Throttled { retry_after: 60s }"),
        (503, "", "Unavailable(ServerErrors)"),
        (500, "<html>", "Unavailable(ServerErrors)"),
        (
            403,
            "<html>Blocked by a proxy</html>",
            "Unavailable(ServerErrors)",
        ),
        (400, transient, "Unavailable(ServerErrors)"),
    ] {
        let refused = entra::refusal(&answer(status, body));
        assert_eq!(format!("{:?}", refused.class), class, "{status} {body}");
    }
}

proptest::proptest! {
    #[test]
    fn nothing_that_a_service_says_makes_us_panic(
        status in 300_u16..600,
        code in ".{0,30}",
        message in ".{0,200}",
        raw in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200),
    ) {
        let garbled = Answer { body: raw, ..answer(status, "") };
        for answer in [answer(status, &error(&code, &message)), garbled] {
            for operation in [Operation::CreateSubscription, Operation::GetCalendar] {
                proptest::prop_assert!(refusal(operation, &answer).detail.chars().count() < 700);
            }
            let _ = entra::refusal(&answer);
        }
    }
}
