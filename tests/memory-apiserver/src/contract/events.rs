//! Events, and tokens of ServiceAccounts.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{ObjectReference, ServiceAccount};
use k8s_openapi::api::events::v1::Event as Stored;
use kube::api::Api;
use kube::api::ListParams;
use kube::api::PostParams;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use serde_json::Value;
use serde_json::json;

use super::Ground;
use super::ground::{refusal, refused};

/// A token that nobody can check, for the API server in memory.
#[cfg(test)]
pub(super) fn unsigned(claims: &Value) -> String {
    let coded = |text: String| URL_SAFE_NO_PAD.encode(text);
    format!(
        "{}.{}.",
        coded(json!({"alg": "none"}).to_string()),
        coded(claims.to_string())
    )
}

fn event(ground: &Ground) -> Value {
    json!({"apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "a"},
        "action": "Look", "reason": "Seen", "note": "Something.", "type": "Normal",
        "eventTime": "2026-11-24T08:00:00.000001Z", "reportingController": "me", "reportingInstance": "me-1",
        "regarding": {"kind": "WorkspaceMailbox", "apiVersion": "hybridcalendar.dev/v1alpha1",
            "name": "room-a", "namespace": ground.namespace, "uid": "1"}})
}

pub(super) async fn an_event_is_created_and_counted_up(ground: Ground) {
    let event = event(&ground);
    let (code, created) = ground.ask("POST", &ground.path("events"), &event).await;
    assert_eq!(code, 201, "{created}");
    for field in [
        "action",
        "reason",
        "note",
        "type",
        "eventTime",
        "regarding",
        "reportingController",
    ] {
        assert_eq!(created[field], event[field], "{field}");
    }
    let path = format!("{}/a", ground.path("events"));
    let series = json!({"series": {"count": 2, "lastObservedTime": "2026-11-24T09:00:00.000001Z"}});
    let (code, patched) = ground.ask("PATCH", &path, &series).await;
    assert_eq!(
        (code, &patched["series"]),
        (200, &series["series"]),
        "{patched}"
    );
    assert_eq!(patched["note"], event["note"]);
}

pub(super) async fn an_event_that_lacks_something_is_refused(ground: Ground) {
    for (field, wrong, said) in [
        (
            "note",
            json!("x".repeat(1025)),
            "message: Invalid value: \"\": can have at most 1024 characters",
        ),
        ("reason", json!(""), "reason: Required value"),
        ("action", json!(""), "action: Required value"),
        (
            "reportingInstance",
            json!(""),
            "reportingInstance: Required value",
        ),
    ] {
        let mut event = event(&ground);
        event[field] = wrong;
        let answer = ground.ask("POST", &ground.path("events"), &event).await;
        refused(
            &answer,
            (422, "Invalid", &format!("Event \"a\" is invalid: {said}")),
        );
    }
}

pub(super) async fn only_the_count_of_an_event_can_change(ground: Ground) {
    ground
        .ask("POST", &ground.path("events"), &event(&ground))
        .await;
    let path = format!("{}/a", ground.path("events"));
    for (field, spelled) in [
        ("note", "message"),
        ("reason", "reason"),
        ("action", "action"),
    ] {
        let answer = ground.ask("PATCH", &path, &json!({field: "Other."})).await;
        let said = format!("{spelled}: Invalid value: \"Other.\": field is immutable");
        refused(&answer, (422, "Invalid", &said));
    }
}

pub(super) async fn the_recorder_can_publish_twice(ground: Ground) {
    let reporter = Reporter {
        controller: "me".to_owned(),
        instance: Some("me-1".to_owned()),
    };
    let recorder = Recorder::new(ground.client.clone(), reporter);
    let mailbox = ground.mailbox("room-a").await;
    let about = ObjectReference {
        api_version: Some("hybridcalendar.dev/v1alpha1".to_owned()),
        kind: Some("WorkspaceMailbox".to_owned()),
        namespace: Some(ground.namespace.clone()),
        name: Some("room-a".to_owned()),
        uid: mailbox.metadata.uid,
        ..ObjectReference::default()
    };
    let event = Event {
        type_: EventType::Warning,
        reason: "Seen".to_owned(),
        note: Some("Something.".to_owned()),
        action: "Look".to_owned(),
        secondary: None,
    };
    recorder.publish(&event, &about).await.unwrap();
    recorder.publish(&event, &about).await.unwrap();
    let events: Api<Stored> = Api::namespaced(ground.client.clone(), &ground.namespace);
    let found = events.list(&ListParams::default()).await.unwrap().items;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].series.as_ref().unwrap().count, 2);
}

fn request(audience: &str) -> TokenRequest {
    let spec = json!({"spec": {"audiences": [audience], "expirationSeconds": 600}});
    serde_json::from_value(spec).unwrap()
}

fn accounts(ground: &Ground) -> Api<ServiceAccount> {
    Api::namespaced(ground.client.clone(), &ground.namespace)
}

pub(super) async fn a_token_is_for_whom_it_was_asked(ground: Ground) {
    let account = json!({"metadata": {"name": "a"}});
    let account = serde_json::from_value(account).unwrap();
    let accounts = accounts(&ground);
    accounts
        .create(&PostParams::default(), &account)
        .await
        .unwrap();
    let parameters = PostParams::default();
    let answer = accounts
        .create_token_request("a", &parameters, &request("api://x"))
        .await
        .unwrap();
    let status = answer.status.unwrap();
    let claims = status.token.split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    assert_eq!(claims["aud"], json!(["api://x"]));
    let subject = format!("system:serviceaccount:{}:a", ground.namespace);
    assert_eq!(claims["sub"], subject.as_str());
    let (end, begin) = (
        claims["exp"].as_i64().unwrap(),
        claims["iat"].as_i64().unwrap(),
    );
    assert_eq!(end - begin, 600);
    assert_eq!(status.expiration_timestamp.0.as_second(), end);
}

pub(super) async fn a_token_of_nobody_is_not_found(ground: Ground) {
    let parameters = PostParams::default();
    let accounts = accounts(&ground);
    let answer = accounts
        .create_token_request("none", &parameters, &request("api://x"))
        .await;
    let said = refusal(answer);
    assert_eq!(
        (said.code, said.message.as_str()),
        (404, "serviceaccounts \"none\" not found")
    );
}
