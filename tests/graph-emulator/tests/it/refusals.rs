//! Subscriptions that are refused before anyone is asked to validate anything.

use graph_emulator::{Operation, World};
use serde_json::json;

use crate::client::{CLIENT, Client};

#[expect(clippy::too_many_lines, reason = "a table")]
#[tokio::test]
async fn what_cannot_be_subscribed_is_refused_as_exchange_relays_it() {
    let url = "http://127.0.0.1:9";
    let client = Client::new().await;
    let refusal = async |client: &Client, mailbox: &str, change: serde_json::Value| {
        let mut body = client.subscription(mailbox, url, 60);
        for (name, value) in change.as_object().unwrap() {
            body[name] = value.clone();
        }
        let reply = client.post("subscriptions", &body).await;
        (
            reply.status.as_u16(),
            reply.code().1.to_owned(),
            reply.message().to_owned(),
        )
    };
    let room = "room-a@contoso.example";
    let too_long = client.emulator.now() + jiff::SignedDuration::from_mins(10_072);
    let rows = [
        (
            "ceo@contoso.example",
            json!({}),
            403,
            "ExtensionError",
            "Reason: Forbidden",
        ),
        (
            "legacy@contoso.example",
            json!({}),
            404,
            "ExtensionError",
            "REST API is not yet",
        ),
        (
            room,
            json!({"expirationDateTime": too_long}),
            400,
            "ExtensionError",
            "10070 minutes",
        ),
        (
            room,
            json!({"changeType": "moved"}),
            400,
            "InvalidRequest",
            "changeType",
        ),
        (
            room,
            json!({"notificationUrl": "http://a.example/"}),
            400,
            "InvalidRequest",
            "HTTPS",
        ),
        (
            room,
            json!({"resource": "users/x/events/y"}),
            400,
            "InvalidRequest",
            "not supported",
        ),
        (
            room,
            json!({"clientState": "x".repeat(129)}),
            400,
            "InvalidRequest",
            "128",
        ),
        (
            room,
            json!({"notificationUrl": null}),
            400,
            "InvalidRequest",
            "required",
        ),
        (
            room,
            json!({"resource": "users/x/messages"}),
            501,
            "NotImplemented",
            "messages",
        ),
        (
            room,
            json!({"includeResourceData": true}),
            501,
            "NotImplemented",
            "includeResource",
        ),
        (
            room,
            json!({"notificationUrl": "EventHub:x"}),
            501,
            "NotImplemented",
            "Event Hubs",
        ),
    ];
    for (mailbox, change, status, code, message) in rows {
        let found = refusal(&client, mailbox, change.clone()).await;
        assert_eq!(
            (found.0, found.1.as_str()),
            (status, code),
            "{change}: {}",
            found.2
        );
        assert!(found.2.contains(message), "{change}: {}", found.2);
    }
    let only_write = |world: &mut World| {
        world.tenants[0].applications[0].roles = vec!["Calendars.ReadWrite".to_owned()];
    };
    let client = Client::with(only_write).await;
    let refused = refusal(&client, room, json!({})).await;
    assert_eq!((refused.0, refused.1.as_str()), (403, "ExtensionError"));
    assert_eq!(client.count(Operation::CreateSubscription, 403), 1);
    assert_eq!(
        client.emulator.journal(0)[1].client_id.as_deref(),
        Some(CLIENT)
    );
}
