//! Throttling, outages and broken connections.

use std::time::Duration;

use futures::future::join_all;
use graph_emulator::{Cut, Emulator, FaultRule, Faults, Operation};
use hybrid_calendar_operator::graph::error::{ErrorClass, Outage, Withheld};
use hybrid_calendar_operator::ids::MailboxId;
use tokio::time::Instant;

use super::setting::{ROOM, contoso, mailbox, receiver, start, subscription, tenant};

fn set_fault(emulator: &Emulator, rule: FaultRule) {
    emulator.set_faults(Faults {
        rules: vec![rule],
        ..Faults::default()
    });
}

fn status(operation: Operation, status: u16) -> FaultRule {
    FaultRule {
        operation,
        status: Some(status),
        ..FaultRule::default()
    }
}

/// How often `operation` was answered with `status`.
fn count(emulator: &Emulator, operation: &str, status: u16) -> u64 {
    let counts = emulator.counts();
    let of_operation = counts.requests.get(operation);
    of_operation
        .and_then(|by_status| by_status.get(&status.to_string()))
        .copied()
        .unwrap_or(0)
}

#[tokio::test]
async fn retry_after_is_honoured_to_the_second() {
    let emulator = start(&contoso()).await;
    let tenant = tenant(&emulator);
    tenant.token().await.unwrap();
    let once = FaultRule {
        retry_after: Some(1.into()),
        times: Some(1),
        ..status(Operation::GetCalendar, 429)
    };
    set_fault(&emulator, once);
    let started = Instant::now();
    tenant.calendar(&MailboxId::new(ROOM)).await.unwrap();
    assert!(started.elapsed() >= Duration::from_secs(1));
    assert_eq!(count(&emulator, "getCalendar", 429), 1);
}

#[tokio::test]
async fn a_long_retry_after_is_kept_without_asking_again() {
    let emulator = start(&contoso()).await;
    let tenant = tenant(&emulator);
    let rule = FaultRule {
        retry_after: Some(30.into()),
        ..status(Operation::ListSubscriptions, 429)
    };
    set_fault(&emulator, rule);
    let told = tenant.list_subscriptions().await.unwrap_err();
    let retry_after = Duration::from_secs(30);
    assert_eq!(told.class, ErrorClass::Throttled { retry_after });
    for _ in 0..10 {
        let error = tenant.list_subscriptions().await.unwrap_err();
        assert!(
            matches!(
                error.class,
                ErrorClass::Withheld(Withheld::RetryLater { .. })
            ),
            "{error}"
        );
    }
    assert_eq!(count(&emulator, "listSubscriptions", 429), 1);
    tenant.calendar(&MailboxId::new(ROOM)).await.unwrap();
}

#[tokio::test]
async fn a_503_with_an_empty_message_is_overcome() {
    let emulator = start(&contoso()).await;
    let tenant = tenant(&emulator);
    let twice = FaultRule {
        times: Some(2),
        body: Some("".into()),
        ..status(Operation::Any, 503)
    };
    set_fault(&emulator, twice);
    tenant.calendar(&MailboxId::new(ROOM)).await.unwrap();
}

#[tokio::test]
async fn a_cut_read_is_repeated_and_a_cut_create_is_not() {
    let emulator = start(&contoso()).await;
    let tenant = tenant(&emulator);
    let room = mailbox(&tenant, ROOM).await;
    let cut = |operation| FaultRule {
        operation,
        cut: Some(Cut::After),
        times: Some(1),
        ..FaultRule::default()
    };
    set_fault(&emulator, cut(Operation::GetCalendar));
    tenant.calendar(&room).await.unwrap();

    set_fault(&emulator, cut(Operation::CreateSubscription));
    let new = subscription(&room, &receiver().await);
    let error = tenant.create_subscription(&new).await.unwrap_err();
    assert_eq!(
        error.class,
        ErrorClass::Unavailable(Outage::GraphUnreachable)
    );
    // It was carried out, and only the list tells.
    let listed = tenant.list_subscriptions().await.unwrap();
    let [made] = &listed[..] else {
        panic!("{listed:?}")
    };
    let existing = Some(made.id.clone());
    let double = tenant.create_subscription(&new).await.unwrap_err();
    assert_eq!(double.class, ErrorClass::Duplicate { existing });
}

#[tokio::test]
async fn a_hanging_mailbox_hinders_nobody_else() {
    let emulator = start(&contoso()).await;
    let tenant = tenant(&emulator);
    let hanging = FaultRule {
        operation: Operation::GetCalendar,
        mailbox: Some("ceo@contoso.example".to_owned()),
        delay: Some(Duration::from_secs(30)),
        ..FaultRule::default()
    };
    set_fault(&emulator, hanging);
    let ceo = MailboxId::new("ceo@contoso.example");
    let hang = join_all((0..20).map(|_| tenant.calendar(&ceo)));
    let others = async {
        for _ in 0..20 {
            tenant.calendar(&MailboxId::new(ROOM)).await.unwrap();
        }
    };
    tokio::select! {
        _ = hang => panic!("the mailbox hangs"),
        () = others => {}
    }
}

#[tokio::test]
async fn no_mailbox_ever_sees_more_calls_at_once_than_exchange_allows() {
    let emulator = start(&contoso()).await;
    let tenant = tenant(&emulator);
    let slow = FaultRule {
        operation: Operation::GetCalendar,
        delay: Some(Duration::from_millis(20)),
        ..FaultRule::default()
    };
    set_fault(&emulator, slow);
    let room = MailboxId::new(ROOM);
    let answers = join_all((0..40).map(|_| tenant.calendar(&room))).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(count(&emulator, "getCalendar", 200), 40);
    assert_eq!(count(&emulator, "getCalendar", 429), 0);
}

#[tokio::test]
async fn a_quota_that_others_used_up_is_respected() {
    let emulator = start(&contoso()).await;
    // Each with a budget of its own, as in other processes.
    let others: Vec<_> = (0..5)
        .map(|_| tenant(&emulator).with_patience(Duration::ZERO))
        .collect();
    let mut answers = Vec::new();
    for other in &others {
        for _ in 0..6 {
            answers.push(other.list_subscriptions().await);
        }
    }
    let refused: Vec<_> = answers.into_iter().filter_map(Result::err).collect();
    assert_eq!(count(&emulator, "listSubscriptions", 200), 25);
    assert_eq!(count(&emulator, "listSubscriptions", 429), 1);
    assert!(
        matches!(refused[0].class, ErrorClass::Throttled { .. }),
        "{}",
        refused[0]
    );
    assert!(refused[0].retry_after().is_some_and(|wait| !wait.is_zero()));
    for error in &refused[1..] {
        assert!(matches!(error.class, ErrorClass::Withheld(_)), "{error}");
    }
}
