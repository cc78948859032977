//! Events, pages, `$select`, and batches.

use serde_json::{Value, json};

use crate::client::Client;

const EVENTS: &str = "users/room-a@contoso.example/events";

fn event() -> Value {
    json!({
        "subject": "Test",
        "start": {"dateTime": "2030-01-01T09:00:00", "timeZone": "UTC"},
        "end": {"dateTime": "2030-01-01T10:00:00", "timeZone": "UTC"},
        "transactionId": "5f1d7a9c-3333-4000-8000-000000000001",
        "singleValueExtendedProperties": [{"id": "String {g} Name Mark", "value": "ours"}],
    })
}

#[tokio::test]
async fn an_event_lives_from_create_to_delete() {
    let client = Client::new().await;
    let created = client.post(EVENTS, &event()).await;
    assert_eq!(created.status, 201, "{}", created.body);
    assert!(created.body.get("singleValueExtendedProperties").is_none());
    let path = format!("{EVENTS}/{}", created.body["id"].as_str().unwrap());
    let expand =
        "$expand=singleValueExtendedProperties($filter=id%20eq%20'String%20%7Bg%7D%20Name%20Mark')";
    let read = client
        .get(&format!("{path}?$select=subject&{expand}"))
        .await;
    assert_eq!(read.body["subject"], "Test");
    assert_eq!(
        read.body["singleValueExtendedProperties"][0]["value"],
        "ours"
    );
    assert!(read.body.get("start").is_none());

    let mut stale = client.request("PATCH", &path, Some(&json!({"subject": "Other"})));
    stale
        .headers_mut()
        .insert("if-match", "W/\"old\"".parse().unwrap());
    assert_eq!(
        client.send(stale).await.code(),
        (412, "ErrorIrresolvableConflict")
    );
    let changed = client.patch(&path, &json!({"subject": "Other"})).await;
    assert_eq!(changed.body["subject"], "Other");
    assert_ne!(changed.body["@odata.etag"], created.body["@odata.etag"]);
    let again = client.post(EVENTS, &event()).await;
    assert_eq!(again.code(), (409, "ErrorDuplicateTransactionId"));
    assert_eq!(client.delete(&path).await.status, 204);
    assert_eq!(
        client.delete(&path).await.code(),
        (404, "ErrorItemNotFound")
    );
}

#[tokio::test]
async fn events_that_make_no_sense_are_refused() {
    let client = Client::new().await;
    let changed = |name: &str, value: Value| {
        let mut event = event();
        event[name] = value;
        event
    };
    let time_with =
        |member: &str| json!({"dateTime": "2030-01-01T09:00:00", "timeZone": "UTC", member: "x"});
    let noon = json!({"dateTime": "2030-01-01T08:00:00", "timeZone": "UTC"});
    let rows = [
        (
            changed("start", Value::Null),
            400,
            "ErrorPropertyValidationFailure",
        ),
        (
            changed("end", noon),
            400,
            "ErrorCalendarEndDateIsEarlierThanStartDate",
        ),
        (changed("recurrence", json!({})), 501, "NotImplemented"),
        (
            changed("isAllDay", json!(true)),
            400,
            "ErrorPropertyValidationFailure",
        ),
        (changed("isAllDay", json!("yes")), 400, "RequestBodyRead"),
        (changed("showAs", json!("away")), 400, "RequestBodyRead"),
        (changed("subject", json!(["x"])), 400, "RequestBodyRead"),
        (
            changed("body", json!({"contentType": "markdown"})),
            400,
            "RequestBodyRead",
        ),
        (changed("body", json!({"text": "x"})), 501, "NotImplemented"),
        (
            changed("location", json!({"address": {}})),
            501,
            "NotImplemented",
        ),
        (changed("start", time_with("zone")), 501, "NotImplemented"),
        (Value::String("x".into()), 400, "BadRequest"),
    ];
    for (body, status, code) in rows {
        assert_eq!(
            client.post(EVENTS, &body).await.code(),
            (status, code),
            "{body}"
        );
    }
}

#[tokio::test]
async fn a_property_of_an_event_is_replaced_alone_and_a_transaction_shown_only_if_there_is_one() {
    let client = Client::new().await;
    let mut event = event();
    event.as_object_mut().unwrap().remove("transactionId");
    event["body"] = json!({"contentType": "HTML", "content": "x"});
    let created = client.post(EVENTS, &event).await;
    assert_eq!(created.status, 201, "{}", created.body);
    assert!(created.body.get("transactionId").is_none());
    let path = format!("{EVENTS}/{}", created.body["id"].as_str().unwrap());
    let other = json!([{"id": "String {g} Name Other", "value": "2"}]);
    let change = json!({"singleValueExtendedProperties": other});
    let changed = client.patch(&path, &change).await;
    assert!(changed.body.get("transactionId").is_none());
    for name in ["Mark", "Other"] {
        let filter = format!("id%20eq%20'String%20%7Bg%7D%20Name%20{name}'");
        let expand = format!("$expand=singleValueExtendedProperties($filter={filter})");
        let read = client.get(&format!("{path}?{expand}")).await;
        let found = read.body["singleValueExtendedProperties"].as_array();
        assert_eq!(found.unwrap().len(), 1, "{name}");
        assert!(read.body.get("transactionId").is_none());
    }
}

#[tokio::test]
async fn pages_are_linked_until_the_end() {
    let client = Client::with(|world| {
        world.tenants[0].generate = Some(graph_emulator::world::Generate {
            rooms: 250,
            prefix: "hall-".to_owned(),
            domain: "contoso.example".to_owned(),
        });
        world.behaviour.page_size = Some(90);
    })
    .await;
    let mut seen = Vec::new();
    let mut path = "places/graph.room?$select=emailAddress".to_owned();
    let pages = loop {
        let page = client.get(&path).await;
        let rooms = page.body["value"].as_array().unwrap();
        seen.extend(rooms.iter().map(|room| room["emailAddress"].clone()));
        let Some(next) = page.body["@odata.nextLink"].as_str() else {
            break seen.len().div_ceil(90);
        };
        path = next.split("/v1.0/").nth(1).unwrap().to_owned();
    };
    // Two listed rooms of the example (one of them on-premises) besides the generated ones.
    assert_eq!((seen.len(), pages), (252, 3));
    let top = client.get("users?$top=3&$count=true").await;
    assert_eq!(top.body["value"].as_array().unwrap().len(), 3);
    assert_eq!(top.body["@odata.count"], 257);
}

#[tokio::test]
async fn a_batch_answers_each_item_for_itself() {
    let client = Client::new().await;
    let item = |id: &str, method: &str, url: &str| json!({"id": id, "method": method, "url": url});
    let batch = json!({"requests": [
        item("1", "GET", "/users/room-a@contoso.example/calendar"),
        item("2", "GET", "users/ceo@contoso.example/calendar?$select=id"),
        item("3", "DELETE", "/subscriptions/none"),
        item("4", "POST", "/$batch"),
    ]});
    let reply = client.post("$batch", &batch).await;
    let statuses: Vec<(&str, u64)> = reply.body["responses"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["id"].as_str().unwrap(), one["status"].as_u64().unwrap()))
        .collect();
    assert_eq!(statuses, [("1", 200), ("2", 403), ("3", 404), ("4", 400)]);
    let batched = client
        .emulator
        .journal(0)
        .into_iter()
        .filter(|entry| entry.batched);
    assert_eq!(batched.count(), 4);

    let mut chain = batch.clone();
    chain["requests"] = json!([
        item("1", "GET", "/users/nobody@contoso.example"),
        {"id": "2", "method": "GET", "url": "/organization", "dependsOn": ["1"]},
    ]);
    let reply = client.post("$batch", &chain).await;
    assert_eq!(reply.body["responses"][1]["status"], 424);
    let many: Vec<Value> = (0..21)
        .map(|id| item(&id.to_string(), "GET", "/organization"))
        .collect();
    let twice = vec![
        item("1", "GET", "/organization"),
        item("1", "GET", "/domains"),
    ];
    for wrong in [many, twice, Vec::new()] {
        let reply = client.post("$batch", &json!({"requests": wrong})).await;
        assert_eq!(reply.code(), (400, "BadRequest"));
    }
    let grouped = json!({"requests": [{
        "id": "1", "method": "GET", "url": "/organization", "atomicityGroup": "g",
    }]});
    assert_eq!(client.post("$batch", &grouped).await.status, 501);
}
