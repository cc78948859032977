//! What may be written, when, and how often; what lists and answers tell.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::stand_in::{Reply, StandIn, connection, room, secret};
use crate::clock::sleep;
use crate::graph::call::NoAnswer;
use crate::graph::error::{ErrorClass, Outage, Withheld};
use crate::graph::gateway::Writes;
use crate::graph::model::NewSubscription;
use crate::graph::operation::Operation::{
    CreateSubscription, DeleteSubscription, GetSubscription, ListSubscriptions, RenewSubscription,
};
use crate::ids::SubscriptionId;
use crate::secret::Secret;

fn new_subscription() -> NewSubscription {
    NewSubscription {
        mailbox: room(1),
        notification_url: "https://hook.example/v1/notifications/a".parse().unwrap(),
        lifecycle_url: "https://hook.example/v1/lifecycle/a".parse().unwrap(),
        client_state: Secret::new("state".to_owned()),
        expires_at: "2026-11-30T08:00:00.987654321Z".parse().unwrap(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_create_says_what_graph_needs() {
    let world = StandIn::new();
    world
        .tenant()
        .create_subscription(&new_subscription())
        .await
        .unwrap();
    let body: Value = serde_json::from_str(&world.seen(CreateSubscription)[0].body).unwrap();
    let expected = json!({
        "changeType": "created,updated,deleted",
        "resource": "users/room-1/events",
        "notificationUrl": "https://hook.example/v1/notifications/a",
        "lifecycleNotificationUrl": "https://hook.example/v1/lifecycle/a",
        "expirationDateTime": "2026-11-30T08:00:00Z",
        "clientState": "state",
    });
    assert_eq!(body, expected);
}

#[tokio::test(start_paused = true)]
async fn a_create_that_may_have_been_carried_out_is_not_repeated() {
    for (lost, outage) in [
        (Reply::Lost(NoAnswer::Cut), Outage::GraphUnreachable),
        (Reply::Lost(NoAnswer::TimedOut), Outage::GraphUnreachable),
        (Reply::status(500), Outage::ServerErrors),
        (Reply::status(502), Outage::ServerErrors),
        (Reply::status(503), Outage::ServerErrors),
        (Reply::status(504), Outage::ServerErrors),
    ] {
        let world = StandIn::new();
        world.script(CreateSubscription, [lost.clone()]);
        let error = world
            .tenant()
            .create_subscription(&new_subscription())
            .await
            .unwrap_err();
        assert_eq!(error.class, ErrorClass::Unavailable(outage), "{lost:?}");
        assert_eq!(world.count(CreateSubscription), 1, "{lost:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_create_that_was_not_carried_out_is_repeated() {
    for lost in [
        Reply::Lost(NoAnswer::Connect),
        Reply::status(429),
        Reply::status(509),
        Reply::status(429).with("retry-after", "3"),
        Reply::status(503).with("retry-after", "3"),
    ] {
        let world = StandIn::new();
        world.script(CreateSubscription, [lost.clone()]);
        world
            .tenant()
            .create_subscription(&new_subscription())
            .await
            .unwrap();
        assert_eq!(world.count(CreateSubscription), 2, "{lost:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn creates_get_the_time_that_two_handshakes_take() {
    let world = StandIn::new();
    let tenant = world.tenant();
    tenant.token().await.unwrap();
    world.script(CreateSubscription, [Reply::Silence]);
    let started = Instant::now();
    tenant
        .create_subscription(&new_subscription())
        .await
        .unwrap_err();
    assert_eq!(started.elapsed().as_secs(), 25);
}

#[tokio::test(start_paused = true)]
async fn an_observer_reads_and_never_writes() {
    let world = StandIn::new();
    let gateway = world.gateway_with(Writes::Refused, || true);
    let tenant = gateway.tenant(connection(secret()));
    let id = SubscriptionId::new("s-1");
    tenant.get_subscription(&id).await.unwrap_err(); // the stand-in's answer is none of Graph's
    let until = world.now();
    for refused in [
        tenant
            .create_subscription(&new_subscription())
            .await
            .unwrap_err(),
        tenant.renew_subscription(&id, until).await.unwrap_err(),
        tenant.delete_subscription(&id).await.unwrap_err(),
    ] {
        assert_eq!(refused.class, ErrorClass::Withheld(Withheld::ObserveOnly));
    }
    assert_eq!(world.count(GetSubscription), 1);
    for write in [CreateSubscription, RenewSubscription, DeleteSubscription] {
        assert_eq!(world.count(write), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn who_stops_leading_while_waiting_does_not_write() {
    let world = StandIn::new();
    let leads = Arc::new(AtomicBool::new(true));
    let fence = Arc::clone(&leads);
    let gateway = world.gateway_with(Writes::Allowed, move || fence.load(Ordering::Relaxed));
    let tenant = gateway.tenant(connection(secret()));
    world.script(
        RenewSubscription,
        [Reply::status(503).with("retry-after", "9")],
    );
    let until = world.now();
    let deposed = async {
        sleep(Duration::from_secs(5)).await;
        leads.store(false, Ordering::Relaxed);
    };
    let id = SubscriptionId::new("s-1");
    let (renewal, ()) = tokio::join!(tenant.renew_subscription(&id, until), deposed);
    assert_eq!(
        renewal.unwrap_err().class,
        ErrorClass::Withheld(Withheld::Fenced)
    );
    assert_eq!(world.count(RenewSubscription), 1);
    tenant.list_subscriptions().await.unwrap();
}

fn page(number: usize, next: Option<&str>) -> Reply {
    let body = json!({
        "value": [{"id": format!("s-{number}"), "expirationDateTime": "2026-11-30T08:00:00Z"}],
        "@odata.nextLink": next,
    });
    Reply::json(200, &body)
}

const NEXT: &str = "https://graph.microsoft.com/v1.0/subscriptions?$skiptoken=x";

#[tokio::test(start_paused = true)]
async fn all_pages_of_a_list_are_read() {
    let world = StandIn::new();
    let empty = Reply::json(200, &json!({"value": [], "@odata.nextLink": NEXT}));
    world.script(
        ListSubscriptions,
        [page(1, Some(NEXT)), empty, page(2, None)],
    );
    let listed = world.tenant().list_subscriptions().await.unwrap();
    let ids: Vec<&str> = listed
        .iter()
        .map(|subscription| subscription.id.as_str())
        .collect();
    assert_eq!(ids, ["s-1", "s-2"]);
}

#[tokio::test(start_paused = true)]
async fn half_a_list_is_no_list() {
    let world = StandIn::new();
    let tenant = world.tenant();
    world.script(ListSubscriptions, [page(1, Some(NEXT)), Reply::status(500)]);
    tenant.list_subscriptions().await.unwrap_err();
    for elsewhere in ["https://evil.example/v1.0/subscriptions", "not a URL"] {
        world.script(ListSubscriptions, [page(1, Some(elsewhere))]);
        let error = tenant.list_subscriptions().await.unwrap_err();
        assert_eq!(error.class, ErrorClass::Unavailable(Outage::ServerErrors));
    }
    assert_eq!(world.count(ListSubscriptions), 4);
    for number in 0..1000 {
        world.script(ListSubscriptions, [page(number, Some(NEXT))]);
    }
    let error = tenant.list_subscriptions().await.unwrap_err();
    assert_eq!(error.detail, "the list has too many pages");
}

#[tokio::test(start_paused = true)]
async fn graphs_clock_is_told_from_its_answers() {
    let world = StandIn::new();
    let tenant = world.tenant();
    let renewed = json!({"id": "s-1", "expirationDateTime": "2026-11-25T08:00:00.0000000Z"});
    let dated = |date| Reply::json(200, &renewed).with("date", date);
    let id = SubscriptionId::new("s-1");
    let until = world.now();

    world.script(RenewSubscription, [dated("Tue, 24 Nov 2026 08:03:00 GMT")]);
    let granted = tenant.renew_subscription(&id, until).await.unwrap();
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    assert_eq!(granted.granted_at, at("2026-11-24T08:03:00Z"));
    assert_eq!(granted.expires_at, at("2026-11-25T08:00:00Z"));
    let ahead = SignedDuration::from_millis(180_500);
    assert_eq!(tenant.clock_offset(), ahead);
    let back = SignedDuration::from_hours(2);
    world.set_clock(world.now() - back);
    assert_eq!(tenant.clock_offset(), ahead + back, "without an answer");
    world.set_clock(world.now() + back);
    assert_eq!(tenant.clock_offset(), ahead);

    world.script(RenewSubscription, [dated("Tue, 24 Nov 2026 08:00:01 GMT")]);
    tenant.renew_subscription(&id, until).await.unwrap();
    assert_eq!(tenant.clock_offset(), SignedDuration::ZERO);
}
