//! Reads that travel together.

use std::time::Duration;

use futures::FutureExt;
use futures::future::join_all;

use super::stand_in::{Reply, StandIn, connection, room, secret};
use crate::graph::error::{ErrorClass, Forbidden, NotFound, Outage, Withheld};
use crate::graph::gateway::TenantGateway;
use crate::graph::model::Calendar;
use crate::graph::operation::Operation::{Batch, FindUsers, GetCalendar, ListSubscriptions};

type Asked = Result<Calendar, crate::graph::error::GraphError>;

/// A tenant that has its token already, at a Graph that takes a tenth of a second.
async fn world() -> (StandIn, TenantGateway) {
    let world = StandIn::new();
    let tenant = world.tenant();
    tenant.token().await.unwrap();
    world.answer_after(Duration::from_millis(100));
    (world, tenant)
}

async fn ask_for(rooms: std::ops::Range<usize>, tenant: &TenantGateway) -> Vec<Asked> {
    let rooms: Vec<_> = rooms.map(room).collect();
    join_all(rooms.iter().map(|room| tenant.calendar(room))).await
}

#[tokio::test(start_paused = true)]
async fn twenty_reads_are_one_request() {
    let (world, tenant) = world().await;
    let answers = ask_for(0..20, &tenant).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(world.count(Batch), 1);
    assert_eq!(world.count(GetCalendar), 20);
    let batched = |operation| {
        world
            .metrics
            .graph
            .batched_requests
            .with_label_values(&[operation, "calendars/contoso"])
            .get()
    };
    assert_eq!(batched("getCalendar"), 20);
    let counted = |operation| {
        world
            .metrics
            .graph
            .requests
            .with_label_values(&[operation, "200", "calendars/contoso"])
            .get()
    };
    assert_eq!((counted("batch"), counted("getCalendar")), (1, 20));
}

#[tokio::test(start_paused = true)]
async fn the_twenty_first_travels_in_the_next_batch_and_one_alone_in_none() {
    let (world, tenant) = world().await;
    let answers = ask_for(0..45, &tenant).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(world.count(Batch), 3);
    ask_for(0..1, &tenant).await[0].as_ref().unwrap();
    assert_eq!(world.count(Batch), 3);
    assert_eq!(world.count(GetCalendar), 46);
}

#[tokio::test(start_paused = true)]
async fn lists_and_writes_travel_alone() {
    let (world, tenant) = world().await;
    let id = crate::ids::SubscriptionId::new("s-1");
    let (one, other, gone) = tokio::join!(
        tenant.list_subscriptions(),
        tenant.organization(),
        tenant.delete_subscription(&id)
    );
    one.unwrap();
    drop((other, gone));
    assert_eq!(world.count(Batch), 0);
    assert_eq!(world.count(ListSubscriptions), 1);
}

#[tokio::test(start_paused = true)]
async fn each_part_has_its_own_answer() {
    let (world, tenant) = world().await;
    let found = Reply::json(200, &serde_json::json!({"id": "c-1"}));
    let missing = Reply::error(404, "ErrorItemNotFound", "").with("request-id", "r-2");
    let denied = Reply::error(403, "ErrorAccessDenied", "").with("request-id", "r-3");
    world.script(GetCalendar, [found, missing, denied]);
    let answers = ask_for(0..3, &tenant).await;
    assert_eq!(answers[0].as_ref().unwrap().id, "c-1");
    let refused = |number: usize| answers[number].as_ref().unwrap_err();
    assert_eq!(refused(1).class, ErrorClass::NotFound(NotFound::Unknown));
    assert_eq!(refused(1).request_id.as_deref(), Some("r-2"));
    assert_eq!(refused(2).class, ErrorClass::Forbidden(Forbidden::Denied));
    assert_eq!(world.count(Batch), 1);
}

#[tokio::test(start_paused = true)]
async fn a_part_that_is_throttled_waits_and_the_others_do_not() {
    let (world, tenant) = world().await;
    let ok = || Reply::json(200, &serde_json::json!({"id": "c-1"}));
    let over = Reply::error(
        429,
        "ApplicationThrottled",
        "over its MailboxConcurrency limit",
    );
    world.script(GetCalendar, [ok(), over.with("Retry-After", "7"), ok()]);
    let started = tokio::time::Instant::now();
    let others = ask_for(0..3, &tenant);
    let answers = others.await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    let times: Vec<u64> = world
        .seen(GetCalendar)
        .iter()
        .map(|seen| seen.at.as_secs())
        .collect();
    assert_eq!(times, [0, 0, 0, 7]);
    assert!(started.elapsed() < Duration::from_secs(8));
}

#[tokio::test(start_paused = true)]
async fn who_is_asked_to_wait_while_a_batch_gathers_is_not_in_it() {
    let (world, tenant) = world().await;
    // All places are taken for longer than the first of them takes to be refused.
    let busy: Vec<_> = (100..116).map(room).collect();
    let event = crate::graph::model::EventId("event-1".to_owned());
    let over = Reply::error(
        429,
        "ApplicationThrottled",
        "over its MailboxConcurrency limit",
    );
    world.script(
        crate::graph::operation::Operation::GetEvent,
        [over.with("retry-after", "9")],
    );
    let busy = join_all(busy.iter().map(|room| tenant.get_event(room, &event)));
    let gathering = async {
        crate::clock::sleep(Duration::from_millis(50)).await;
        let (held, free) = (room(100), room(101));
        tokio::join!(tenant.calendar(&held), tenant.calendar(&free))
    };
    let (_, (held, free)) = tokio::join!(busy, async {
        let (held, free) = gathering.await;
        (held.unwrap(), free.unwrap())
    });
    drop((held, free));
    let times: Vec<u64> = world
        .seen(GetCalendar)
        .iter()
        .map(|seen| seen.at.as_secs())
        .collect();
    assert_eq!(times, [0, 9]);
}

#[tokio::test(start_paused = true)]
async fn what_is_said_of_the_envelope_is_not_said_of_what_is_in_it() {
    for status in [400, 403, 404, 501] {
        let (world, tenant) = world().await;
        world.script(Batch, [Reply::status(status)]);
        let answers = ask_for(0..5, &tenant).await;
        assert!(answers.iter().all(Result::is_ok), "{status}: {answers:?}");
        assert_eq!((world.count(Batch), world.count(GetCalendar)), (1, 5));
        // Nor is it tried again at once.
        ask_for(0..5, &tenant).await;
        assert_eq!((world.count(Batch), world.count(GetCalendar)), (1, 10));
        crate::clock::sleep(Duration::from_mins(11)).await;
        ask_for(0..5, &tenant).await;
        assert_eq!(world.count(Batch), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_answers_in_graphs_place_speaks_for_no_part() {
    let (world, tenant) = world().await;
    let page = Reply::Answer(302, Vec::new(), "<html>Welcome</html>".to_owned());
    world.script(Batch, [page]);
    let answers = ask_for(0..3, &tenant).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
}

#[tokio::test(start_paused = true)]
async fn a_throttled_batch_is_repeated_after_the_wait() {
    let (world, tenant) = world().await;
    world.script(Batch, [Reply::status(429).with("retry-after", "5")]);
    let answers = ask_for(0..10, &tenant).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    let times: Vec<u64> = world
        .seen(Batch)
        .iter()
        .map(|seen| seen.at.as_secs())
        .collect();
    assert_eq!(times.first(), Some(&0));
    assert!(times[1..].iter().all(|at| *at >= 5), "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn a_part_that_the_answer_leaves_out_got_lost() {
    let (world, tenant) = world().await;
    let hasty = tenant.with_patience(Duration::from_millis(200));
    let empty = serde_json::json!({"responses": []}).to_string();
    world.script(Batch, [Reply::Answer(207, Vec::new(), empty)]);
    for answer in ask_for(0..2, &hasty).await {
        let class = answer.unwrap_err().class;
        assert_eq!(class, ErrorClass::Unavailable(Outage::GraphUnreachable));
    }
}

#[tokio::test(start_paused = true)]
async fn a_header_that_a_part_spells_in_two_ways_means_the_same_each_time() {
    for _ in 0..8 {
        let (world, tenant) = world().await;
        let waits = serde_json::json!({"Retry-After": "3", "retry-after": "7"});
        let body = serde_json::json!({"responses": [
            {"id": "0", "status": 429, "headers": waits, "body": {}},
            {"id": "1", "status": 200, "body": {"id": "c-1"}},
        ]});
        world.script(Batch, [Reply::json(207, &body)]);
        let answers = ask_for(0..2, &tenant).await;
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
        let [again] = &world.seen(GetCalendar)[..] else {
            panic!("one part is asked again")
        };
        assert_eq!(again.at.as_secs(), 7);
    }
}

#[tokio::test(start_paused = true)]
async fn an_expired_token_is_replaced_once_for_a_whole_batch() {
    let (world, tenant) = world().await;
    world.script(Batch, [Reply::status(401)]);
    let answers = ask_for(0..20, &tenant).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    let bearers: Vec<_> = world
        .seen(Batch)
        .into_iter()
        .filter_map(|seen| seen.bearer)
        .collect();
    assert_eq!(bearers, ["token-1", "token-2"]);
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_before_it_is_sent_is_not_in_it() {
    let (world, tenant) = world().await;
    let impatient = async {
        let giving_up = Duration::from_millis(1);
        tokio::time::timeout(giving_up, tenant.calendar(&room(9)))
            .await
            .is_err()
    };
    let (gave_up, answers) = tokio::join!(impatient, ask_for(0..4, &tenant));
    assert!(gave_up && answers.iter().all(Result::is_ok));
    assert_eq!((world.count(Batch), world.count(GetCalendar)), (1, 4));
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_everybody_gave_up_holds_no_place_and_no_one() {
    let (world, tenant) = world().await;
    world.script(Batch, [Reply::Silence]);
    let late = tokio::time::timeout(Duration::from_secs(1), ask_for(0..20, &tenant)).await;
    assert!(late.is_err());
    let answers = ask_for(0..20, &tenant).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(world.most_in_flight(), 1);
    assert!(tenant.calendar(&room(1)).now_or_never().is_none());
    // The one that was just dropped left an open batch behind that nobody drives: others must not wait in it.
    ask_for(5..6, &tenant).await[0].as_ref().unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_the_place_of_a_batch_waits_no_longer_than_patience() {
    let (world, tenant) = world().await;
    world.answer_after(Duration::from_secs(9));
    let rooms: Vec<_> = (100..116).map(room).collect();
    let event = crate::graph::model::EventId("event-1".to_owned());
    let busy = join_all(rooms.iter().map(|room| tenant.get_event(room, &event)));
    let hasty = tenant.with_patience(Duration::from_secs(2));
    let (_, turned_away) = tokio::join!(busy, ask_for(0..2, &hasty));
    for answer in turned_away {
        let class = answer.unwrap_err().class;
        assert!(
            matches!(class, ErrorClass::Withheld(Withheld::RetryLater { .. })),
            "{class:?}"
        );
    }
    assert_eq!(world.count(GetCalendar), 0);
}

#[tokio::test(start_paused = true)]
async fn different_tokens_do_not_travel_together() {
    let world = StandIn::new();
    let gateway = world.gateway();
    let tenants = [
        gateway.tenant(connection(secret())),
        gateway.tenant(connection(secret())),
    ];
    for tenant in &tenants {
        tenant.token().await.unwrap();
    }
    let (one, other) = tokio::join!(ask_for(0..5, &tenants[0]), ask_for(5..10, &tenants[1]));
    assert!(one.iter().chain(&other).all(Result::is_ok));
    let bearers = |operation| -> Vec<String> {
        world
            .seen(operation)
            .into_iter()
            .filter_map(|seen| seen.bearer)
            .collect()
    };
    let mut batches = bearers(Batch);
    batches.sort();
    assert_eq!(batches, ["token-1", "token-2"]);
}

#[tokio::test(start_paused = true)]
async fn reads_of_different_kinds_travel_together() {
    let (world, tenant) = world().await;
    let (_, found) = tokio::join!(ask_for(0..3, &tenant), async {
        world.script(
            FindUsers,
            [Reply::json(200, &serde_json::json!({"value": []}))],
        );
        tenant.find_users("room@contoso.example").await
    });
    assert!(found.unwrap().is_empty());
    assert_eq!(world.count(Batch), 1);
}
