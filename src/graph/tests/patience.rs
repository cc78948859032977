//! What is repeated, how often and how fast; and how long an attempt may last.

use std::time::Duration;

use tokio::time::Instant;

use super::stand_in::{Reply, StandIn, room};
use crate::graph::call::NoAnswer;
use crate::graph::error::{ErrorClass, Outage};
use crate::graph::operation::Operation::{GetCalendar, RenewSubscription};
use crate::ids::SubscriptionId;

#[tokio::test(start_paused = true)]
async fn reads_and_renewals_are_tried_three_times() {
    for lost in [
        Reply::status(502),
        Reply::Answer(503, Vec::new(), String::new()),
        Reply::status(504),
        Reply::status(429),
        Reply::status(509),
        Reply::Lost(NoAnswer::Connect),
        Reply::Lost(NoAnswer::Cut),
        Reply::Lost(NoAnswer::TimedOut),
    ] {
        let world = StandIn::new();
        let tenant = world.tenant();
        world.script(GetCalendar, [lost.clone(), lost.clone()]);
        tenant.calendar(&room(1)).await.unwrap();
        assert_eq!(world.count(GetCalendar), 3, "{lost:?}");
        world.script(
            RenewSubscription,
            [lost.clone(), lost.clone(), lost.clone()],
        );
        let until = world.now();
        tenant
            .renew_subscription(&SubscriptionId::new("s-1"), until)
            .await
            .unwrap_err();
        assert_eq!(world.count(RenewSubscription), 3, "{lost:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_final_is_not_repeated() {
    for status in [400, 403, 404, 405, 409, 500, 501] {
        let world = StandIn::new();
        world.script(GetCalendar, [Reply::status(status)]);
        world.tenant().calendar(&room(1)).await.unwrap_err();
        assert_eq!(world.count(GetCalendar), 1, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn pauses_grow_and_differ() {
    let mut pauses = Vec::new();
    for _ in 0..20 {
        let world = StandIn::new();
        world.script(GetCalendar, [Reply::status(503), Reply::status(503)]);
        world.tenant().calendar(&room(1)).await.unwrap();
        let times: Vec<Duration> = world.seen(GetCalendar).iter().map(|seen| seen.at).collect();
        let between = |n: usize| times[n + 1].saturating_sub(times[n]);
        let (first, second) = (between(0), between(1));
        assert!((250..=757).contains(&first.as_millis()), "{first:?}");
        assert!((500..=1507).contains(&second.as_millis()), "{second:?}");
        pauses.push(first);
    }
    pauses.dedup();
    assert!(pauses.len() > 10, "{pauses:?}");
}

#[tokio::test(start_paused = true)]
async fn nobody_is_kept_longer_than_patience_and_one_attempt() {
    let world = StandIn::new();
    let tenant = world.tenant();
    tenant.token().await.unwrap();
    world.script(
        GetCalendar,
        [Reply::Silence, Reply::Silence, Reply::Silence],
    );
    let started = Instant::now();
    let hasty = tenant.with_patience(Duration::from_secs(11));
    let error = hasty.calendar(&room(1)).await.unwrap_err();
    assert_eq!(
        error.class,
        ErrorClass::Unavailable(Outage::GraphUnreachable)
    );
    assert!(error.request_id.is_some());
    assert!(
        started.elapsed() < Duration::from_secs(22),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(world.count(GetCalendar), 2);
}

#[tokio::test(start_paused = true)]
async fn a_tenant_in_trouble_is_not_asked_three_times_for_everything() {
    let world = StandIn::new();
    let tenant = world.tenant();
    for _ in 0..300 {
        world.script(GetCalendar, [Reply::status(429)]);
    }
    for _ in 0..100 {
        tenant.calendar(&room(1)).await.unwrap_err();
    }
    let attempts = world.count(GetCalendar);
    assert!((100..=130).contains(&attempts), "{attempts}");
}

#[tokio::test(start_paused = true)]
async fn every_attempt_is_counted() {
    let world = StandIn::new();
    world.script(
        GetCalendar,
        [Reply::status(503), Reply::Lost(NoAnswer::Cut)],
    );
    world.tenant().calendar(&room(1)).await.unwrap();
    for code in ["503", "cut", "200"] {
        let counted = world.metrics.graph.requests.with_label_values(&[
            "getCalendar",
            code,
            "calendars/contoso",
        ]);
        assert_eq!(counted.get(), 1, "{code}");
    }
    let ok = world
        .metrics
        .graph
        .request_seconds
        .with_label_values(&["getCalendar", "ok"]);
    assert_eq!(ok.get_sample_count(), 1);
}
