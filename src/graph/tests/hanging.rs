//! Batches that are not answered in time, and who waits for whom.

use std::ops::Range;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::Instant;

use super::stand_in::{Reply, StandIn, room};
use crate::clock::sleep;
use crate::graph::error::{ErrorClass, GraphError, Outage};
use crate::graph::gateway::TenantGateway;
use crate::graph::model::Calendar;
use crate::graph::operation::Operation::{Batch, GetCalendar};

/// A tenant at a Graph that takes a tenth of a second, with some batches behind it.
async fn world() -> (StandIn, TenantGateway) {
    let world = StandIn::new();
    let tenant = world.tenant();
    tenant.token().await.unwrap();
    world.answer_after(Duration::from_millis(100));
    for _ in 0..20 {
        assert!(ask_for(0..20, &tenant).await.iter().all(Result::is_ok));
    }
    (world, tenant)
}

async fn ask_for(rooms: Range<usize>, tenant: &TenantGateway) -> Vec<Result<Calendar, GraphError>> {
    let rooms: Vec<_> = rooms.map(room).collect();
    join_all(rooms.iter().map(|room| tenant.calendar(room))).await
}

/// How long the reads of all but the first room took.
async fn time_of_others(rooms: Range<usize>, tenant: &TenantGateway) -> Duration {
    let started = Instant::now();
    let hanging = room(rooms.start);
    let (others, _) = tokio::join!(
        async {
            let answers = ask_for(rooms.start + 1..rooms.end, tenant).await;
            assert!(answers.iter().all(Result::is_ok), "{answers:?}");
            started.elapsed()
        },
        async { tenant.calendar(&hanging).await.unwrap_err() },
    );
    others
}

#[tokio::test(start_paused = true)]
async fn a_part_that_hangs_delays_the_others_once_and_then_travels_alone() {
    let (world, tenant) = world().await;
    world.hang(&room(0));
    let first = time_of_others(0..20, &tenant).await;
    assert!(first < Duration::from_millis(2_500), "{first:?}");
    let batches = world.count(Batch);
    for round in 1..=5 {
        let later = time_of_others(0..20, &tenant).await;
        assert!(later < Duration::from_millis(150), "{later:?}");
        assert_eq!(
            world.count(Batch),
            batches + round,
            "the others travel together"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_that_is_answered_again_travels_with_others_again() {
    let (world, tenant) = world().await;
    world.hang(&room(0));
    time_of_others(0..20, &tenant).await;
    world.answer_again(&room(0));
    // Alone, and with that it has shown that it answers.
    assert!(ask_for(0..20, &tenant).await.iter().all(Result::is_ok));
    let (batches, reads) = (world.count(Batch), world.count(GetCalendar));
    assert!(ask_for(0..20, &tenant).await.iter().all(Result::is_ok));
    assert_eq!(world.count(Batch), batches + 1);
    assert_eq!(world.count(GetCalendar), reads + 20);
}

#[tokio::test(start_paused = true)]
async fn a_mailbox_that_goes_on_hanging_stays_apart() {
    let (world, tenant) = world().await;
    world.hang(&room(0));
    time_of_others(0..20, &tenant).await;
    for _ in 0..12 {
        sleep(Duration::from_mins(5)).await;
        let others = time_of_others(0..20, &tenant).await;
        assert!(others < Duration::from_millis(150), "{others:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_not_answered_is_no_outage_when_its_parts_are() {
    let (world, tenant) = world().await;
    for late in [Reply::Silence, Reply::status(504)] {
        world.script(Batch, [late]);
        let answers = ask_for(0..4, &tenant).await;
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_answers_no_batch_is_not_offered_one_for_a_while() {
    let (world, tenant) = world().await;
    for _ in 0..100 {
        world.script(Batch, [Reply::Silence]);
    }
    let before = world.count(Batch);
    for _ in 0..50 {
        assert!(ask_for(0..4, &tenant).await.iter().all(Result::is_ok));
    }
    let offered = world.count(Batch) - before;
    assert_eq!(offered, 5);
    sleep(Duration::from_mins(11)).await;
    ask_for(0..4, &tenant).await;
    assert_eq!(world.count(Batch), before + offered + 1);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_answers_is_an_outage() {
    let (world, tenant) = world().await;
    for number in 0..20 {
        world.hang(&room(number));
    }
    for answer in ask_for(0..20, &tenant).await {
        let class = answer.unwrap_err().class;
        let outage = ErrorClass::Unavailable(Outage::GraphUnreachable);
        assert!(
            class == outage || matches!(class, ErrorClass::Withheld(_)),
            "{class:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_hour_in_which_five_thousand_mailboxes_hang_costs_few_requests() {
    let (world, tenant) = world().await;
    for number in 0..5_000 {
        world.hang(&room(number));
    }
    let requests = |world: &StandIn| world.sent();
    let before = requests(&world);
    let started = Instant::now();
    let mut next = 0;
    // As the queue hands them out: two rows at a time.
    while started.elapsed() < Duration::from_hours(1) {
        let answers = ask_for(next..next + 40, &tenant).await;
        assert!(answers.iter().all(Result::is_err));
        next = (next + 40) % 5_000;
        sleep(Duration::from_secs(5)).await;
    }
    let calls = requests(&world) - before;
    assert!(calls < 200, "{calls} requests");
}
