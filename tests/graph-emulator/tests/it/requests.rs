//! What a request may look like: paths, query options, headers and bodies that Graph refuses or that are not
//! imitated.

use axum::body::Body;
use http::Request;
use serde_json::{Value, json};

use crate::client::{Client, Reply};

const ROOM: &str = "room-a@contoso.example";

#[tokio::test]
async fn what_graph_does_not_understand_is_400_and_what_is_not_imitated_is_501() {
    let client = Client::new().await;
    let rows = [
        ("users//calendar", 400, "Empty Path Segment"),
        ("subscriptions/?$expand=x", 501, "$expand"),
        ("users?$nonsense=1", 400, "'$nonsense' is not supported"),
        ("users?nonsense=1", 501, "nonsense"),
        ("users/$count", 501, "users/$count"),
        ("users/delta", 501, "users/delta"),
        ("places/microsoft.graph.roomlist", 501, "roomlist"),
        ("users?$top=1&$top=2", 400, "more than once"),
    ];
    for (path, status, message) in rows {
        let reply = client.get(path).await;
        assert_eq!(reply.status, status, "{path}: {}", reply.body);
        assert!(reply.message().contains(message), "{path}: {}", reply.body);
    }
}

async fn preferring(client: &Client, wishes: &[&str]) -> Reply {
    let path = format!("users/{ROOM}/calendar");
    let mut request = client.request("GET", &path, None);
    for wish in wishes {
        request
            .headers_mut()
            .append("prefer", wish.parse().unwrap());
    }
    client.send(request).await
}

#[tokio::test]
async fn a_preference_that_would_change_the_answer_is_not_imitated() {
    let client = Client::new().await;
    let immutable = "IdType=\"ImmutableId\"";
    let utc = "outlook.timezone=\"UTC\"";
    for wishes in [
        &[immutable, utc][..],
        &["IdType=\"ImmutableId\", outlook.timezone=\"UTC\""],
    ] {
        assert_eq!(preferring(&client, wishes).await.status, 200, "{wishes:?}");
    }
    let elsewhere = "outlook.timezone=\"Pacific Standard Time\"";
    for wishes in [&[immutable, elsewhere][..], &["return=minimal"]] {
        let reply = preferring(&client, wishes).await;
        assert_eq!(reply.status, 501, "{wishes:?}");
    }
}

#[tokio::test]
async fn a_body_must_say_that_it_is_json() {
    let client = Client::new().await;
    for kind in [None, Some("text/plain")] {
        for path in [
            "subscriptions",
            "$batch",
            "users/room-a@contoso.example/events",
        ] {
            let mut request = client.request("POST", path, Some(&json!({})));
            request.headers_mut().remove("content-type");
            if let Some(kind) = kind {
                request
                    .headers_mut()
                    .insert("content-type", kind.parse().unwrap());
            }
            let reply = client.send(request).await;
            assert_eq!(reply.code(), (400, "BadRequest"), "{path}");
            assert!(reply.message().contains("Content-Type"), "{path}");
        }
    }
    let reply = client.post("subscriptions", &json!([])).await;
    assert_eq!(reply.code(), (400, "BadRequest"));
}

#[tokio::test]
async fn a_batch_has_requests_and_nothing_else() {
    let client = Client::new().await;
    let one = json!({"id": "1", "method": "GET", "url": "/organization"});
    let rows = [
        ("$batch", json!([]), 400),
        ("$batch", json!({}), 400),
        ("$batch", json!({"requests": [one], "atomic": true}), 501),
        ("$batch?$top=1", json!({"requests": [one]}), 501),
    ];
    for (path, body, status) in rows {
        let reply = client.post(path, &body).await;
        assert_eq!(reply.status, status, "{path} {body}: {}", reply.body);
    }
    let mut odd = one.clone();
    odd["headers"] = json!({"ConsistencyLevel": 1});
    let reply = client.post("$batch", &json!({"requests": [odd]})).await;
    assert_eq!(reply.body["responses"][0]["status"], 400);
    let reply = client
        .post(
            "subscriptions/none/reauthorize",
            &json!({"expirationDateTime": "2030-01-01T00:00:00Z"}),
        )
        .await;
    assert_eq!(reply.status, 501);
}

#[tokio::test]
async fn the_token_endpoint_takes_a_form_and_no_query() {
    let client = Client::new().await;
    let ask = async |path: &str, kind: &str, body: &str| {
        let request = Request::post(format!("/contoso.example/oauth2/v2.0/token{path}"))
            .header("content-type", kind)
            .body(Body::from(body.to_owned()))
            .unwrap();
        let reply = client.send(request).await;
        let code = reply.body["error_codes"][0].as_u64().unwrap_or_default();
        (reply.status.as_u16(), code)
    };
    let form = "application/x-www-form-urlencoded";
    let json = r#"{"grant_type": "client_credentials"}"#;
    assert_eq!(ask("", "application/json", json).await, (400, 900_144));
    assert_eq!(ask("", form, "grant_type=nonsense").await, (400, 70_003));
    assert_eq!(ask("", form, "grant_type=refresh_token").await, (501, 0));
    assert_eq!(
        ask("?slice=1", form, "grant_type=client_credentials").await,
        (501, 0)
    );
    let request = Request::get("/contoso.example/v2.0/.well-known/openid-configuration?x=1");
    let reply = client.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(reply.status, 501);
}

#[tokio::test]
async fn a_secret_may_be_in_the_header_and_claims_may_be_asked_for() {
    let client = Client::new().await;
    // 5f1d7a9c-2222-4000-8000-000000000001:demo%2Dsecret
    let basic = "NWYxZDdhOWMtMjIyMi00MDAwLTgwMDAtMDAwMDAwMDAwMDAxOmRlbW8lMkRzZWNyZXQ=";
    let scope = "https%3A%2F%2Fgraph.microsoft.com%2F.default";
    let claims = "%7B%22access_token%22%3A%7B%7D%7D";
    let form = format!("grant_type=client_credentials&scope={scope}&claims={claims}");
    let request = Request::post("/contoso.example/oauth2/v2.0/token?client-request-id=x")
        .header(
            "content-type",
            "application/x-www-form-urlencoded;charset=utf-8",
        )
        .header("authorization", format!("basic {basic}"));
    let reply = client.send(request.body(Body::from(form)).unwrap()).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    for name in ["token_type", "expires_in", "ext_expires_in", "access_token"] {
        assert!(!reply.body[name].is_null(), "{name}");
    }
}

#[tokio::test]
async fn successful_answers_carry_the_headers_of_graph() {
    let client = Client::new().await;
    let mut request = client.request("GET", "users?$top=5", None);
    let id = "5f1d7a9c-4444-4000-8000-000000000001";
    request
        .headers_mut()
        .insert("client-request-id", id.parse().unwrap());
    let reply = client.send(request).await;
    let header = |name: &str| reply.headers[name].to_str().unwrap().to_owned();
    assert!(header("content-type").starts_with("application/json;odata.metadata=minimal"));
    assert_eq!(header("client-request-id"), id);
    assert_eq!(header("odata-version"), "4.0");
    assert_eq!(header("x-ms-resource-unit"), "1");
    let diagnostic: Value = serde_json::from_str(&header("x-ms-ags-diagnostic")).unwrap();
    assert!(diagnostic["ServerInfo"]["DataCenter"].is_string());
    let refused = client.get("me").await;
    assert_eq!(refused.headers["content-type"], "application/json");
}
