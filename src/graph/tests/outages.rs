//! A host that does not answer: who is spared what.

use std::time::Duration;

use futures::future::join_all;
use tokio::time::Instant;

use super::stand_in::{Reply, StandIn, connection, room, secret};
use crate::clock::sleep;
use crate::graph::call::NoAnswer;
use crate::graph::error::{ErrorClass, Outage};
use crate::graph::gateway::Connection;
use crate::graph::model::EventId;
use crate::graph::operation::Operation::{self, GetCalendar, GetEvent, Token};
use crate::ids::AppTenant;

fn silence(world: &StandIn, operation: Operation, times: usize) {
    for _ in 0..times {
        world.script(operation, [Reply::Silence]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_hour_of_silence_costs_a_sick_tenant_few_calls_and_its_callers_no_time() {
    let world = StandIn::new();
    let tenant = world.tenant();
    tenant.token().await.unwrap();
    silence(&world, GetEvent, 1_000);
    let event = EventId("event-1".to_owned());
    let (started, mut asked, mut slow) = (Instant::now(), 0, 0);
    while started.elapsed() < Duration::from_hours(1) {
        let rooms: Vec<_> = (0..40).map(room).collect();
        let began = Instant::now();
        let answers = join_all(rooms.iter().map(|room| tenant.get_event(room, &event))).await;
        for answer in &answers {
            let class = &answer.as_ref().unwrap_err().class;
            let outage = ErrorClass::Unavailable(Outage::GraphUnreachable);
            assert!(
                *class == outage || matches!(class, ErrorClass::Withheld(_)),
                "{class:?}"
            );
        }
        asked += answers.len();
        slow += usize::from(began.elapsed() > Duration::from_secs(1));
        sleep(Duration::from_secs(5)).await;
    }
    let calls = world.count(GetEvent);
    assert!(calls < 200, "{calls} calls for {asked} questions");
    assert!(slow < 40, "{slow} rounds of {} were slow", asked / 40);
    let opened = world
        .metrics
        .graph
        .circuit_opened
        .with_label_values(&["graph", "calendars/contoso"]);
    assert_eq!(opened.get(), 1);
    assert_eq!(tenant.circuits(), [("login", false), ("graph", true)]);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_is_back_is_noticed_within_the_pause() {
    let world = StandIn::new();
    let tenant = world.tenant();
    tenant.token().await.unwrap();
    for _ in 0..20 {
        world.script(GetCalendar, [Reply::Lost(NoAnswer::Connect)]);
    }
    while world.count(GetCalendar) < 20 {
        tenant.calendar(&room(1)).await.unwrap_err();
        sleep(Duration::from_millis(500)).await;
    }
    let back = Instant::now();
    while tenant.calendar(&room(1)).await.is_err() {
        sleep(Duration::from_secs(1)).await;
    }
    assert!(
        back.elapsed() <= Duration::from_mins(5),
        "{:?}",
        back.elapsed()
    );
    // Everybody passes again.
    let rooms: Vec<_> = (0..50).map(room).collect();
    let answers = join_all(rooms.iter().map(|room| tenant.calendar(room))).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(tenant.circuits(), [("login", false), ("graph", false)]);
}

#[tokio::test(start_paused = true)]
async fn one_sick_tenant_does_not_bar_another() {
    let world = StandIn::new();
    let gateway = world.gateway();
    let sick = gateway.tenant(connection(secret()));
    let well = gateway.tenant(Connection {
        app: AppTenant {
            tenant_id: "5f1d7a9c-1111-4000-8000-000000000002".into(),
            ..connection(secret()).app
        },
        ..connection(secret())
    });
    sick.token().await.unwrap();
    for _ in 0..30 {
        world.script(GetCalendar, [Reply::Lost(NoAnswer::Cut)]);
    }
    for _ in 0..6 {
        sick.calendar(&room(1)).await.unwrap_err();
    }
    assert!(world.count(GetCalendar) < 18, "the sixth was not made");
    let event = EventId("event-1".to_owned());
    well.get_event(&room(2), &event).await.unwrap();
    sick.get_event(&room(2), &event).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn what_was_answered_does_not_count_as_silence() {
    for status in [400, 403, 404, 429, 500] {
        let world = StandIn::new();
        let tenant = world.tenant();
        for _ in 0..20 {
            world.script(
                GetCalendar,
                [Reply::status(status).with("request-id", "r-1")],
            );
        }
        for number in 0..10 {
            tenant
                .with_patience(Duration::ZERO)
                .calendar(&room(number))
                .await
                .unwrap_err();
        }
        let opened = world
            .metrics
            .graph
            .circuit_opened
            .with_label_values(&["graph", "calendars/contoso"]);
        assert_eq!(opened.get(), 0, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_login_host_is_spared_too() {
    let world = StandIn::new();
    let tenant = world.tenant();
    silence(&world, Token, 1_000);
    let started = Instant::now();
    while started.elapsed() < Duration::from_hours(1) {
        tenant.calendar(&room(1)).await.unwrap_err();
        sleep(Duration::from_secs(5)).await;
    }
    let calls = world.count(Token);
    assert!(calls < 60, "{calls}");
}
