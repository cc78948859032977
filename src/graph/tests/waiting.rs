//! `Retry-After`, budgets and places.

use std::time::Duration;

use futures::future::join_all;

use super::stand_in::{Reply, StandIn, connection, room, secret};
use crate::clock::sleep;
use crate::graph::error::{ErrorClass, Withheld};
use crate::graph::model::EventId;
use crate::graph::operation::Operation::{
    GetCalendar, GetEvent, GetUser, ListSubscriptions, Token,
};

/// Reading it is never part of a batch.
fn event() -> EventId {
    EventId("event-1".to_owned())
}

fn throttled(seconds: u32) -> Reply {
    Reply::status(429).with("retry-after", &seconds.to_string())
}

#[tokio::test(start_paused = true)]
async fn a_short_wait_is_sat_out_and_never_cut_short() {
    for status in [429, 503, 509] {
        let world = StandIn::new();
        let tenant = world.tenant();
        let throttled = Reply::status(status).with("retry-after", "7");
        world.script(GetCalendar, [throttled]);
        tenant.calendar(&room(1)).await.unwrap();
        let times: Vec<u64> = world
            .seen(GetCalendar)
            .iter()
            .map(|seen| seen.at.as_secs())
            .collect();
        assert_eq!(times, [0, 7], "{status}");
        let waited = world
            .metrics
            .graph
            .throttled_seconds
            .with_label_values(&["calendars/contoso"]);
        assert!((waited.get() - 7.0).abs() < 0.1, "{}", waited.get());
    }
}

#[tokio::test(start_paused = true)]
async fn a_date_is_as_good_as_seconds() {
    let world = StandIn::new();
    let tenant = world.tenant();
    let reply = Reply::status(503).with("retry-after", "Tue, 24 Nov 2026 08:00:09 GMT");
    world.script(GetCalendar, [reply]);
    tenant.calendar(&room(1)).await.unwrap();
    assert_eq!(world.seen(GetCalendar)[1].at.as_secs(), 9);
}

#[tokio::test(start_paused = true)]
async fn a_long_wait_is_handed_to_the_caller_and_kept_for_the_next() {
    let world = StandIn::new();
    let tenant = world.tenant();
    world.script(GetUser, [throttled(300)]);
    let told = tenant.get_user("x").await.unwrap_err();
    let retry_after = Duration::from_mins(5);
    assert_eq!(told.class, ErrorClass::Throttled { retry_after });
    let throttled = world
        .metrics
        .graph
        .throttled_seconds
        .with_label_values(&["calendars/contoso"]);
    assert!((throttled.get() - 300.0).abs() < 0.1, "{throttled:?}");

    sleep(Duration::from_secs(100)).await;
    let withheld = tenant.get_user("y").await.unwrap_err();
    let after = Duration::from_secs(200);
    assert_eq!(
        withheld.class,
        ErrorClass::Withheld(Withheld::RetryLater { after })
    );
    assert_eq!(world.count(GetUser), 1);
    // What is counted elsewhere goes on.
    tenant.calendar(&room(1)).await.unwrap();
    tenant.list_subscriptions().await.unwrap();

    sleep(Duration::from_secs(190)).await;
    tenant.get_user("y").await.unwrap();
    assert_eq!(world.seen(GetUser)[1].at.as_secs(), 300);
}

#[tokio::test(start_paused = true)]
async fn one_throttled_mailbox_does_not_hold_another() {
    let world = StandIn::new();
    let tenant = world.tenant();
    let over = Reply::error(
        429,
        "ApplicationThrottled",
        "over its MailboxConcurrency limit",
    );
    world.script(GetCalendar, [over.with("retry-after", "60")]);
    tenant.calendar(&room(1)).await.unwrap_err();
    tenant.calendar(&room(2)).await.unwrap();
    let withheld = tenant.calendar(&room(1)).await.unwrap_err();
    assert!(
        matches!(withheld.class, ErrorClass::Withheld(_)),
        "{withheld}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_hold_outlives_the_credential() {
    let world = StandIn::new();
    let gateway = world.gateway();
    world.script(Token, [throttled(60)]);
    let told = gateway
        .tenant(connection(secret()))
        .token()
        .await
        .unwrap_err();
    assert!(matches!(told.class, ErrorClass::Throttled { .. }), "{told}");
    let withheld = gateway
        .tenant(connection(secret()))
        .token()
        .await
        .unwrap_err();
    assert!(
        matches!(withheld.class, ErrorClass::Withheld(_)),
        "{withheld}"
    );
    assert_eq!(world.count(Token), 1);
}

#[tokio::test(start_paused = true)]
async fn who_has_no_patience_for_the_budget_is_told_when_to_come_back() {
    let world = StandIn::new();
    let tenant = world.tenant().with_patience(Duration::ZERO);
    let mut listed = 0;
    let error = loop {
        match tenant.list_subscriptions().await {
            Ok(_) => listed += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(world.count(ListSubscriptions), listed);
    let after = error.retry_after().unwrap();
    sleep(after).await;
    tenant.list_subscriptions().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn connections_of_one_application_share_its_budget() {
    let world = StandIn::new();
    let gateway = world.gateway();
    let patience = Duration::from_mins(5);
    let tenants: Vec<_> = (0..2)
        .map(|_| gateway.tenant(connection(secret())).with_patience(patience))
        .collect();
    let lists = (0..60).map(|turn| tenants[turn % 2].list_subscriptions());
    let answers = join_all(lists).await;
    assert!(answers.iter().all(Result::is_ok));
    let times: Vec<_> = world
        .seen(ListSubscriptions)
        .iter()
        .map(|seen| seen.at)
        .collect();
    for from in &times {
        let window = *from..*from + Duration::from_secs(20);
        let within = times.iter().filter(|at| window.contains(*at)).count();
        assert!(within <= 25, "{within} lists within 20 s of {from:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn sixteen_calls_of_a_tenant_are_under_way_at_once() {
    let world = StandIn::new();
    let tenant = world.tenant();
    tenant.token().await.unwrap();
    world.answer_after(Duration::from_millis(100));
    let rooms: Vec<_> = (0..100).map(room).collect();
    let event = event();
    let answers = join_all(rooms.iter().map(|room| tenant.get_event(room, &event))).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(world.most_in_flight(), 16);
}

#[tokio::test(start_paused = true)]
async fn three_calls_on_a_mailbox_are_under_way_at_once() {
    let world = StandIn::new();
    let tenant = world.tenant();
    tenant.token().await.unwrap();
    world.answer_after(Duration::from_millis(100));
    let room = room(1);
    let event = event();
    let answers = join_all((0..20).map(|_| tenant.get_event(&room, &event))).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(world.most_in_flight(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_given_up_frees_its_place() {
    let world = StandIn::new();
    let tenant = world.tenant();
    tenant.token().await.unwrap();
    let room = room(1);
    world.script(GetEvent, [Reply::Silence, Reply::Silence, Reply::Silence]);
    let event = event();
    let hanging = join_all((0..3).map(|_| tenant.get_event(&room, &event)));
    assert!(
        tokio::time::timeout(Duration::from_secs(1), hanging)
            .await
            .is_err()
    );
    tenant
        .with_patience(Duration::ZERO)
        .calendar(&room)
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_place_waits_no_longer_than_patience() {
    let world = StandIn::new();
    let tenant = world.tenant();
    tenant.token().await.unwrap();
    world.answer_after(Duration::from_secs(9));
    let room = room(1);
    let busy = join_all((0..3).map(|_| tenant.calendar(&room)));
    let hasty = tenant.with_patience(Duration::from_secs(2));
    let (_, turned_away) = tokio::join!(busy, async {
        sleep(Duration::from_millis(10)).await;
        hasty.calendar(&room).await
    });
    let error = turned_away.unwrap_err();
    assert!(
        matches!(
            error.class,
            ErrorClass::Withheld(Withheld::RetryLater { .. })
        ),
        "{error}"
    );
    assert_eq!(world.count(GetCalendar), 3);
}
